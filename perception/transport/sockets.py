"""Sockets with limits, and one bounded receive. Used by the rest of this room only."""

from pathlib import Path
from typing import Any

import zmq

from perception.errors import ConfigError, MessageError
from perception.wire import (
    MAX_MESSAGE_BYTES,
    TOPICS,
    AlertMessage,
    CatchUpEnd,
    HealthMessage,
    JournalMessage,
    OwnMotion,
)
from perception.wire.codec import decode as decode_message

_MAX_ENDPOINT_BYTES = 107

_RECONNECT_MS = 20

_RECONNECT_MAX_MS = 200

OWN_MOTION = "own.motion"
"""Name of the socket that takes OwnMotion; no camera can have it, for its dot."""

_DRAINED_A_TURN = 4_000
"""Messages that receive_newest takes at most: more than the queues of both ends hold."""

_SETTLE_MS = 20
"""After the reader's queue was emptied, the sender's messages arrive within this time."""


def endpoint(run_dir: Path, topic: str, name: str) -> str:
    """Return the ipc endpoint of a topic and a camera or process name in a run's directory.

    Raises ConfigError where it is longer than a unix socket's path may be.
    """
    path = f"{run_dir}/{topic}.{name}"
    if len(path.encode()) > _MAX_ENDPOINT_BYTES:
        raise ConfigError(
            f"socket path {path!r} has more than {_MAX_ENDPOINT_BYTES} bytes: use a shorter run "
            "or camera name, or a shorter XDG_RUNTIME_DIR"
        )
    return f"ipc://{path}"


def journal_name(camera: str, process: str) -> str:
    """Return the name of a journal's socket: two processes write one of the same camera."""
    return f"{camera}.{process}"


def new_socket(context: zmq.Context[Any], kind: int) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.linger = 0
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
    return socket


class ConnectionMonitor:
    """Reports whether a socket has had its first connections. Create it before bind or connect.

    wanted: how many connections. The subscription is sent after the handshake: a message that is
    sent in between is lost.
    """

    def __init__(self, socket: zmq.Socket[bytes], wanted: int = 1) -> None:
        self._wanted = wanted
        self._socket: zmq.Socket[bytes] | None = socket
        self._monitor = socket.get_monitor_socket(zmq.Event.HANDSHAKE_SUCCEEDED)

    def is_connected(self, timeout_s: float = 0.0) -> bool:
        """Whether there were so many connections; waits for the next one at most timeout_s."""
        while self._socket is not None and self._monitor.poll(max(0, round(timeout_s * 1000))):
            self._wanted -= 1
            if self._wanted <= 0:
                self.forget()
                break
            self._monitor.recv_multipart()
        return self._socket is None

    def forget(self) -> None:
        """Stop monitoring. Call it before the socket is closed."""
        if self._socket is not None:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
            self._socket = None


class Receiver:
    """Bounded receive and decode on one socket. Invalid messages are dropped and counted."""

    def __init__(
        self, socket: zmq.Socket[bytes], topics: tuple[str, ...], name: str | None = None
    ) -> None:
        """name: camera or process of the socket; a message with another name is dropped."""
        self.socket, self.topics, self._name = socket, topics, name

    def receive(self, rejected: dict[str, int]) -> Any | None:
        """Return one message; None where there was none or it was invalid."""
        try:
            data = self._data(rejected)
        except zmq.Again:
            return None
        return None if data is None else self._decode(data, rejected)

    def receive_newest(self, rejected: dict[str, int]) -> Any | None:
        """Return the last message of the queue; None where it is invalid, old, or there is none.

        Old: the queue was full, so newer messages were lost. ZeroMQ's CONFLATE is not used here: it
        aborts the process when a message in several parts comes.
        """
        # ZeroMQ reports reads to the sender in steps of half the bound: half can mean full.
        full = TOPICS[self.topics[0]].bound // 2
        newest, taken, is_full = None, 0, False
        while taken < _DRAINED_A_TURN:
            try:
                data = self._data(rejected)
            except zmq.Again:
                is_full = taken >= full
                if not is_full or not self.socket.poll(_SETTLE_MS):
                    break
                continue
            newest = newest if data is None else data
            taken += 1
        return None if newest is None or is_full else self._decode(newest, rejected)

    def _data(self, rejected: dict[str, int]) -> bytes | None:
        """Return the next message, None for one in several parts. Raises zmq.Again: none there."""
        data = self.socket.recv(zmq.NOBLOCK)
        parts = 1
        while self.socket.getsockopt(zmq.RCVMORE):
            self.socket.recv(zmq.NOBLOCK)
            parts += 1
        if parts > 1:
            rejected["parts"] = rejected.get("parts", 0) + 1
            return None
        return data

    def _decode(self, data: bytes, rejected: dict[str, int]) -> Any | None:
        try:
            message = decode_message(data, self.topics[0] if len(self.topics) == 1 else None)
            if self._name is not None and set(_senders(message)) != {self._name}:
                raise MessageError("sender", f"{_senders(message)} on the socket of {self._name}")
            return message
        except MessageError as error:
            rejected[error.reason] = rejected.get(error.reason, 0) + 1
            return None


def _senders(message: Any) -> list[str]:
    """Return every camera or process name in a message."""
    if isinstance(message, OwnMotion):
        return [OWN_MOTION]
    if isinstance(message, HealthMessage):
        return [message.process]
    if isinstance(message, JournalMessage):
        return [journal_name(message.stamp.camera, message.process)]
    if isinstance(message, CatchUpEnd):
        return [message.camera]
    if isinstance(message, AlertMessage):
        return [message.stamp.camera, message.alert.camera]
    return [message.stamp.camera]
