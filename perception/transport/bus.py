"""Sockets between processes: one endpoint per topic and camera, the publisher binds.

wire.TOPICS says how a topic travels: newest only, or a bounded queue. Received data is bounded in
size and parts, decoded and checked. An invalid message is dropped and counted by reason.
"""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import zmq

from perception.transport.sockets import ConnectionMonitor, Receiver, endpoint, new_socket
from perception.wire import (
    TOPICS,
    Message,
)
from perception.wire.codec import encode as encode_message


class Publisher:
    """Sends one topic of one camera or process. It never blocks.

    readers: how many subscribers `is_connected` waits for.
    """

    def __init__(self, run_dir: Path, topic: str, name: str, *, readers: int = 1) -> None:
        self._context = zmq.Context[Any]()
        self._socket = new_socket(self._context, zmq.PUB)
        if TOPICS[topic].delivery == "newest":
            self._socket.setsockopt(zmq.CONFLATE, 1)
        self._monitor = ConnectionMonitor(self._socket, readers)
        self._socket.bind(endpoint(run_dir, topic, name))

    def is_connected(self) -> bool:
        """Whether so many subscribers as are waited for were connected once."""
        return self._monitor.is_connected()

    def send(self, message: Message) -> None:
        """Send a message of this publisher's topic."""
        self._socket.send(encode_message(message))

    def close(self, linger_ms: int = 200) -> None:
        """Close the socket; messages in flight have at most `linger_ms`."""
        self._monitor.forget()
        self._socket.close(linger=linger_ms)
        self._context.term()


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
        self._receivers: list[Receiver] = []
        self._next = 0
        self._topic, self._run_dir = topic, run_dir
        self.rejected: dict[str, int] = {}
        self._monitors: list[ConnectionMonitor] = []
        for name in names:
            self.add(name)

    def add(self, name: str) -> None:
        """Listen to one more camera or process."""
        socket = new_socket(self._context, zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, TOPICS[self._topic].bound)
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._monitors.append(ConnectionMonitor(socket))
        socket.connect(endpoint(self._run_dir, self._topic, name))
        self._poller.register(socket, zmq.POLLIN)
        self._receivers.append(Receiver(socket, (self._topic,), name))

    def is_connected(self, timeout_s: float = 0.0) -> bool:
        """Whether every publisher was connected once; waits at most timeout_s for it."""
        deadline = time.monotonic() + timeout_s
        while self._monitors and self._monitors[0].is_connected(deadline - time.monotonic()):
            del self._monitors[0]
        return not self._monitors

    def poll(self, timeout_ms: int) -> Iterator[Any]:
        """Wait at most timeout_ms, then yield at most one message of each camera that has one."""
        ready = dict(self._poller.poll(timeout_ms))
        if self._monitors:
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
        for monitor in self._monitors:
            monitor.forget()
        for receiver in self._receivers:
            receiver.socket.close(linger=0)
        self._context.term()
