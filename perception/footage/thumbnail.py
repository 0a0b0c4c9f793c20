"""A small picture of a segment for timelines: its first one, as JPEG.

Decoded once a segment, in the writer's thread: no camera waits for it. Imports PyAV.
"""

import io
from fractions import Fraction

import av
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from av.video.reformatter import VideoReformatter

SUFFIX = ".jpg"
LONG_SIDE = 320


def make(video: bytes) -> bytes | None:
    """Return the first picture of an MP4 as JPEG, long side at most 320 px; None: no picture."""
    try:
        with av.open(io.BytesIO(video), "r") as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            picture = next(container.decode(stream))
        size = picture.width, picture.height
        scale = min(1.0, LONG_SIDE / max(size))
        width, height = (max(2, round(side * scale / 2) * 2) for side in size)
        small = VideoReformatter().reformat(
            picture, width=width, height=height, format="yuvj420p", threads=1
        )
        codec: VideoCodecContext = av.CodecContext.create("mjpeg", "w")
        codec.width, codec.height, codec.pix_fmt = width, height, "yuvj420p"
        codec.time_base, codec.thread_count = Fraction(1, 25), 1
        codec.options = {"qmin": "4", "qmax": "4"}
        small.pts, small.time_base = 0, codec.time_base
        packets = [*codec.encode(small), *codec.encode(None)]
        return b"".join(bytes(packet) for packet in packets)
    except (FFmpegError, StopIteration, ValueError, IndexError):
        return None
