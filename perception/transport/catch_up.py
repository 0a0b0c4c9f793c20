"""Asking tracking for the messages that one has missed."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import zmq

from perception.errors import MessageError
from perception.transport.sockets import Receiver, endpoint, new_socket
from perception.wire import (
    CatchUpEnd,
    CatchUpRequest,
    Message,
)
from perception.wire.codec import decode as decode_message
from perception.wire.codec import encode as encode_message

_REQUESTS_A_TURN = 64

_CATCH_UP_BOUND = 10_000
"""Messages that wait for one who catches up: all that tracking keeps; a router drops the rest."""


class CatchUpServer:
    """Answers CatchUpRequests with the messages a callback returns; one per tracking process."""

    def __init__(self, run_dir: Path) -> None:
        self._context = zmq.Context[Any]()
        self._socket = new_socket(self._context, zmq.ROUTER)
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
    socket = new_socket(context, zmq.DEALER)
    try:
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.connect(endpoint(run_dir, "catchup", "tracking"))
        socket.send(encode_message(CatchUpRequest(camera=camera, after_frame_id=after_frame_id)))
        receiver, rejected = Receiver(socket, ("tracks", "caughtup"), camera), {}
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
