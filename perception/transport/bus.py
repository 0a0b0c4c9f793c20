"""Sockets between processes: one endpoint per topic and camera, the publisher binds.

How a topic travels (newest only, or a bounded queue) stands in messages.TOPICS. What arrives is
bounded in size and parts, decoded and checked; what is no valid message is dropped and counted by
reason. May be imported by stages and processes.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import zmq

from perception.errors import ConfigError, MessageError
from perception.wire import (
    MAX_MESSAGE_BYTES,
    TOPICS,
    AlertMessage,
    CatchUpEnd,
    CatchUpRequest,
    HealthMessage,
    Message,
)
from perception.wire.codec import decode as decode_message
from perception.wire.codec import encode as encode_message

_MAX_ENDPOINT_BYTES = 107
_RECONNECT_MS = 20
_RECONNECT_MAX_MS = 200
_REQUESTS_A_TURN = 64
_DRAINED_A_TURN = 4_000
"""Messages a reader of the newest looks at: more than wait at both ends of any topic."""
_SETTLE_MS = 20
"""Within which what waits at the sender's end follows what was taken at the reader's."""
_CATCH_UP_BOUND = 10_000
"""Messages that wait for one who catches up: all that tracking keeps; a router drops the rest."""


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


def _socket(context: zmq.Context[Any], kind: int) -> zmq.Socket[bytes]:
    socket = context.socket(kind)
    socket.linger = 0
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE_BYTES)
    socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
    return socket


class _Meeting:
    """Tells when a socket, about to bind or connect, has met another for the first time.

    A subscription follows at once, but after: a message sent in the same moment may be missed.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket: zmq.Socket[bytes] | None = socket
        self._monitor = socket.get_monitor_socket(zmq.Event.HANDSHAKE_SUCCEEDED)

    def was(self, timeout_s: float = 0.0) -> bool:
        """Whether it was; waits at most timeout_s for it."""
        if self._socket is not None and self._monitor.poll(max(0, round(timeout_s * 1000))):
            self.forget()
        return self._socket is None

    def forget(self) -> None:
        """Stop looking; has to be before the socket is closed."""
        if self._socket is not None:
            self._socket.disable_monitor()
            self._monitor.close(linger=0)
            self._socket = None


class Publisher:
    """Sends one topic of one camera (or process) to whoever listens; never blocks."""

    def __init__(self, run_dir: Path, topic: str, name: str) -> None:
        self._context = zmq.Context[Any]()
        self._socket = _socket(self._context, zmq.PUB)
        if TOPICS[topic].delivery == "newest":
            self._socket.setsockopt(zmq.CONFLATE, 1)
        self._meeting = _Meeting(self._socket)
        self._socket.bind(endpoint(run_dir, topic, name))

    def is_connected(self) -> bool:
        """Whether somebody has begun to listen."""
        return self._meeting.was()

    def send(self, message: Message) -> None:
        """Send a message of this publisher's topic."""
        self._socket.send(encode_message(message))

    def close(self, linger_ms: int = 200) -> None:
        """Give messages on their way at most `linger_ms`, then remove the socket."""
        self._meeting.forget()
        self._socket.close(linger=linger_ms)
        self._context.term()


class _Receiver:
    """Bounded receive and decode on one socket, bad messages counted by reason."""

    def __init__(
        self, socket: zmq.Socket[bytes], topics: tuple[str, ...], name: str | None = None
    ) -> None:
        """name: camera or process whose socket it is; a message that bears another is refused."""
        self.socket, self.topics, self._name = socket, topics, name

    def receive(self, rejected: dict[str, int]) -> Any | None:
        """Return one message, or None where the next was refused or none was there."""
        try:
            data = self._data(rejected)
        except zmq.Again:
            return None
        return None if data is None else self._decode(data, rejected)

    def receive_newest(self, rejected: dict[str, int]) -> Any | None:
        """Return the last message that waits, None where it is refused, old or none is there.

        Old: a queue that ran full lost what came after. ZeroMQ's own newest-only (CONFLATE) aborts
        the process where somebody sends parts.
        """
        # ZeroMQ counts what was read in halves of the bound: its queue can be full with one half.
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
        """Return what comes next, None for several parts. Raises zmq.Again where nothing waits."""
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
    """Return every name in a message that says whose it is."""
    if isinstance(message, HealthMessage):
        return [message.process]
    if isinstance(message, CatchUpEnd):
        return [message.camera]
    if isinstance(message, AlertMessage):
        return [message.stamp.camera, message.alert.camera]
    return [message.stamp.camera]


class Inbox:
    """Receives one topic of several cameras (or processes).

    `poll` yields messages as they come, cameras in turn, so that none starves. rejected: refused
    messages by reason. newest: of each only the newest that waits, also where the topic is a queue;
    what it passes over is not looked at. While nobody polls, a queue's bound wait here and up to
    1000 messages at the sender; after a pause so long that some were lost, all that wait are.
    What is sent before `is_connected` is missed.
    """

    def __init__(
        self,
        run_dir: Path,
        topic: str,
        names: Iterable[str],
        *,
        newest: bool = False,
    ) -> None:
        self._newest = newest or TOPICS[topic].delivery == "newest"
        self._context = zmq.Context[Any]()
        self._poller = zmq.Poller()
        self._receivers: list[_Receiver] = []
        self._next = 0
        self._topic, self._run_dir = topic, run_dir
        self.rejected: dict[str, int] = {}
        self._meetings: list[_Meeting] = []
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Listen to one more camera or process."""
        socket = _socket(self._context, zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, TOPICS[self._topic].bound)
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._meetings.append(_Meeting(socket))
        socket.connect(endpoint(self._run_dir, self._topic, name))
        self._poller.register(socket, zmq.POLLIN)
        self._receivers.append(_Receiver(socket, (self._topic,), name))

    def is_connected(self, timeout_s: float = 0.0) -> bool:
        """Whether each was connected once; waits at most timeout_s for it."""
        deadline = time.monotonic() + timeout_s
        while self._meetings and self._meetings[0].was(deadline - time.monotonic()):
            del self._meetings[0]
        return not self._meetings

    def poll(self, timeout_ms: int) -> Iterator[Any]:
        """Wait at most timeout_ms, then yield at most one message of each camera that has one."""
        ready = dict(self._poller.poll(timeout_ms))
        if self._meetings:
            self.is_connected()
        count = len(self._receivers)
        self._next = (self._next + 1) % max(count, 1)
        for i in range(count):
            receiver = self._receivers[(self._next + i) % count]
            if receiver.socket in ready:
                receive = receiver.receive_newest if self._newest else receiver.receive
                message = receive(self.rejected)
                if message is not None:
                    yield message

    def close(self) -> None:
        """Stop listening."""
        for meeting in self._meetings:
            meeting.forget()
        for receiver in self._receivers:
            receiver.socket.close(linger=0)
        self._context.term()


class CatchUpServer:
    """Answers CatchUpRequests with the messages a callback returns; one per tracking process."""

    def __init__(self, run_dir: Path) -> None:
        self._context = zmq.Context[Any]()
        self._socket = _socket(self._context, zmq.ROUTER)
        self._socket.setsockopt(zmq.SNDHWM, _CATCH_UP_BOUND)
        self._socket.bind(endpoint(run_dir, "catchup", "tracking"))
        self.rejected: dict[str, int] = {}

    def requests(self) -> Iterator[tuple[bytes, CatchUpRequest]]:
        """Yield who asks and what, a few of those that wait now; never blocks."""
        for _ in range(_REQUESTS_A_TURN):
            try:
                parts = [self._socket.recv(zmq.NOBLOCK)]
            except zmq.Again:
                return
            while self._socket.getsockopt(zmq.RCVMORE):
                part = self._socket.recv(zmq.NOBLOCK)
                if len(parts) < 3:
                    parts.append(part)
            try:
                if len(parts) != 2:
                    raise MessageError("parts", f"{len(parts)} parts, expected 2")
                yield parts[0], decode_message(parts[1], "catchup")
            except MessageError as error:
                self.rejected[error.reason] = self.rejected.get(error.reason, 0) + 1

    def answer(self, who: bytes, camera: str, messages: Iterable[Message]) -> None:
        """Send the messages and then a CatchUpEnd."""
        sent = 0
        for message in messages:
            self._socket.send_multipart((who, encode_message(message)))
            sent += 1
        self._socket.send_multipart((who, encode_message(CatchUpEnd(camera=camera, sent=sent))))

    def close(self) -> None:
        """Remove the socket."""
        self._socket.close(linger=0)
        self._context.term()


def catch_up(
    run_dir: Path, camera: str, after_frame_id: int, timeout_s: float = 2.0
) -> Iterator[Any]:
    """Yield the track messages of a camera that tracking keeps after a frame, oldest first.

    Ends where tracking has sent all, or says nothing for timeout_s (it may be down itself).
    """
    context = zmq.Context[Any]()
    socket = _socket(context, zmq.DEALER)
    try:
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.connect(endpoint(run_dir, "catchup", "tracking"))
        socket.send(encode_message(CatchUpRequest(camera=camera, after_frame_id=after_frame_id)))
        receiver, rejected = _Receiver(socket, ("tracks", "caughtup"), camera), {}
        # Each message has the whole time: what the caller does meanwhile is no silence of tracking.
        while socket.poll(round(timeout_s * 1000)):
            message = receiver.receive(rejected)
            if isinstance(message, CatchUpEnd):
                return
            if message is not None:
                yield message
    finally:
        socket.close(linger=0)
        context.term()


class Pusher:
    """The sending end of a queue that blocks its sender: user code -> a push source."""

    def __init__(self, run_dir: Path, name: str) -> None:
        self._context = zmq.Context[Any]()
        self._socket = _socket(self._context, zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, 4)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.connect(endpoint(run_dir, "push", name))

    def send(self, message: Message, timeout_s: float) -> bool:
        """Send; return False where nobody took it within timeout_s."""
        deadline = time.monotonic() + timeout_s
        if not self._socket.poll(max(1, int((deadline - time.monotonic()) * 1000)), zmq.POLLOUT):
            return False
        self._socket.send(encode_message(message), zmq.NOBLOCK)
        return True

    def close(self) -> None:
        """Close the socket; what was not taken is gone."""
        self._socket.close(linger=0)
        self._context.term()


class Puller:
    """The receiving end: binds, so that user code may come and go."""

    def __init__(self, run_dir: Path, name: str, topic: str = "frames") -> None:
        self._context = zmq.Context[Any]()
        self._socket = _socket(self._context, zmq.PULL)
        self._socket.setsockopt(zmq.RCVHWM, 4)
        self._socket.bind(endpoint(run_dir, "push", name))
        self._receiver = _Receiver(self._socket, (topic,), name)
        self.rejected: dict[str, int] = {}

    def receive(self, timeout_ms: int) -> Any | None:
        """Return the next message, or None where none came in time."""
        if not self._socket.poll(timeout_ms):
            return None
        return self._receiver.receive(self.rejected)

    def close(self) -> None:
        """Remove the socket."""
        self._socket.close(linger=0)
        self._context.term()
