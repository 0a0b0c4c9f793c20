"""A queue that blocks its sender: user code -> a push source."""

import time
from pathlib import Path
from typing import Any

import zmq

from perception.transport.sockets import Receiver, endpoint, new_socket
from perception.wire import (
    Message,
)
from perception.wire.codec import encode as encode_message


class Pusher:
    """The sending end of a queue that blocks its sender: user code -> a push source."""

    def __init__(self, run_dir: Path, name: str) -> None:
        self._context = zmq.Context[Any]()
        self._socket = new_socket(self._context, zmq.PUSH)
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
        self._socket = new_socket(self._context, zmq.PULL)
        self._socket.setsockopt(zmq.RCVHWM, 4)
        self._socket.bind(endpoint(run_dir, "push", name))
        self._receiver = Receiver(self._socket, (topic,), name)
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
