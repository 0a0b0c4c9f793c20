"""A live camera for benchmarks: MPEG-TS over tcp, paced, each picture bearing its own number.

`python -m benchmarks.streams` is the worker: it serves in a process of its own, so that encoding
never holds up who is measured.
"""

from __future__ import annotations

import io
import socket
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS, SQUARE = 12, 32
"""The number stands in the top row as black and white squares, lowest bit first."""


def numbered(n: int, height: int, width: int) -> NDArray[np.uint8]:
    """Return a moving picture that bears number n."""
    x = (np.arange(width) + 3 * n) % 256
    image = np.repeat(np.tile(x.astype(np.uint8), (height, 1))[:, :, None], 3, 2)
    for bit in range(BITS):
        image[:SQUARE, bit * SQUARE : (bit + 1) * SQUARE] = 255 * (n >> bit & 1)
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """Return the number that a picture bears."""
    middle = SQUARE // 2
    return sum(int(image[middle, b * SQUARE + middle, 1] > 127) << b for b in range(BITS))


def encode(frames: int, height: int, width: int, fps: int, *, b_frames: int = 0) -> list[bytes]:
    """Return MPEG-TS bytes of each numbered picture, H.264, in sending order."""
    import av

    buffer = io.BytesIO()
    parts: list[bytes] = []
    with av.open(buffer, "w", format="mpegts", options={"flush_packets": "1"}) as container:
        options = {"preset": "ultrafast", "x264-params": "repeat-headers=1:scenecut=0"}
        if not b_frames:
            options["tune"] = "zerolatency"
        stream: Any = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = fps
        stream.codec_context.max_b_frames = b_frames
        stream.codec_context.thread_count = 1
        at = 0
        for n in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered(n, height, width), "bgr24")
            for packet in stream.encode(frame):
                container.mux(packet)
            parts.append(buffer.getvalue()[at:])
            at += len(parts[-1])
    return parts


class Camera:
    """Serves one client after another; each gets the stream from its start, at its rate."""

    def __init__(self) -> None:
        self._sent: dict[int, int] = {}
        self._parts: list[bytes] = []
        self._fps = 30

    def open(
        self, fps: int = 30, frames: int = 600, height: int = 720, width: int = 1280,
        cut_s: float = 0.0,
    ) -> int:  # fmt: skip
        """Encode, listen, return the port. cut_s: hang up so many seconds into a connection."""
        self._parts, self._fps = encode(frames, height, width, fps), fps
        server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, args=(server, cut_s), daemon=True).start()
        return server.getsockname()[1]

    def sent(self) -> dict[str, int]:
        """Return when each picture was sent to the present client, CLOCK_MONOTONIC ns."""
        return {str(n): t for n, t in self._sent.copy().items()}

    def _serve(self, server: socket.socket, cut_s: float) -> None:
        while True:
            client, _ = server.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._feed, args=(client, cut_s), daemon=True).start()

    def _feed(self, client: socket.socket, cut_s: float) -> None:
        self._sent = sent = {}
        start = time.monotonic()
        try:
            for n, part in enumerate(self._parts):
                time.sleep(max(0.0, start + n / self._fps - time.monotonic()))
                sent[n] = time.monotonic_ns()
                client.sendall(part)
                if cut_s and time.monotonic() - start > cut_s:
                    break
        except OSError:
            pass
        client.close()


def main() -> None:
    """Serve."""
    from benchmarks import harness

    camera = Camera()
    harness.serve({"open": camera.open, "sent": camera.sent})


if __name__ == "__main__":
    main()
