"""Decoder lag and cost: our stream source against cv2.VideoCapture on the same live MPEG-TS.

Each picture bears its number, the camera says when it sent it, so the age at `read()` is known.
MPEG-TS itself hides one frame period: a picture ends where the next begins. Then: packets fed
before the first picture, what it costs to write a frame into its slot as planes and as full-size
BGR, and what it costs those who read it.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable
from typing import Any

import av
import cv2
import numpy as np

from benchmarks import harness
from benchmarks.harness import Report, Worker, median, percentile
from benchmarks.lines import clip_720p
from benchmarks.streams import encode, number_of
from perception.detectors.heads import HEADS
from perception.detectors.letterbox import letterbox, letterbox_planes, rectangle
from perception.geometry.grey import small_grey
from perception.pixels import Pixels
from perception.sources import AllocatePlanes, Frame, allocate_new
from perception.sources.decoding import Painter, configure_decoder
from perception.sources.stream import MpegTsSource

FPS = 30


def ages(read: Callable[[], Any], camera: Worker, seconds: float) -> list[float]:
    """Return ms from sending to having each picture, those of the first second left out."""
    got: list[tuple[int, int]] = []
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        image = read()
        if image is not None:
            got.append((number_of(image), time.monotonic_ns()))
    sent = {int(n): t for n, t in camera.call("sent").items()}
    return [(t - sent[n]) / 1e6 for n, t in got if n >= FPS and n in sent]


def ours(camera: Worker, port: int, seconds: float) -> list[float]:
    """Return the ages with our source."""
    source = MpegTsSource(MpegTsSource.Options(url=f"tcp://127.0.0.1:{port}"), camera="c")
    source.open()

    def read() -> Any:
        frame: Frame | None = source.read(allocate_new)
        return None if frame is None else frame.image

    try:
        return ages(read, camera, seconds)
    finally:
        source.close()


def capture(camera: Worker, port: int, seconds: float, threads: int | None) -> list[float]:
    """Return the ages with cv2.VideoCapture; threads: None for its default."""
    url = f"tcp://127.0.0.1:{port}"
    settings = [] if threads is None else [cv2.CAP_PROP_N_THREADS, threads]
    made = cv2.VideoCapture(url, cv2.CAP_FFMPEG, settings)
    try:
        return ages(lambda: made.read()[1], camera, seconds)
    finally:
        made.release()


def lag(report: Report, rounds: int, seconds: float) -> None:
    """Add the rows of a live stream."""
    with Worker("benchmarks.streams") as camera:
        port = camera.call("open", fps=FPS, frames=int(FPS * (seconds + 5)))
        cores = os.cpu_count()
        calls: dict[str, Callable[[], list[float]]] = {
            "ours": lambda: ours(camera, port, seconds),
            f"cv2.VideoCapture ({cores} threads, its default here)": (
                lambda: capture(camera, port, seconds, None)
            ),
            "cv2.VideoCapture, 1 thread": lambda: capture(camera, port, seconds, 1),
            "cv2.VideoCapture, 8 threads (as with 8 cores)": (
                lambda: capture(camera, port, seconds, 8)
            ),
        }
        found = {
            name: [ms for one in results for ms in one]
            for name, results in harness.interleave(calls, rounds).items()
        }
    mine = found.pop("ours")
    limit = 1e3 / FPS + 15
    report.add(
        "live 720p30, no B-frames: p50 age at read()", "ms", median(mine),
        target=f"at most {limit:.0f}: the period of MPEG-TS + 15", met=lambda v: v <= limit,
        of="ours", note=f"p95 {percentile(mine, 95):.0f}",
    )  # fmt: skip
    for name, theirs in found.items():
        report.add(
            "live 720p30, no B-frames: p50 age at read()", "ms", median(mine), name,
            median(theirs), note=f"p95 {percentile(mine, 95):.0f} / {percentile(theirs, 95):.0f}",
        )  # fmt: skip


def held_back(report: Report) -> None:
    """Add the rows of packets fed before the first picture came out."""
    for b_frames, least in ((0, 0), (2, 2)):
        data = b"".join(encode(40, 240, 512, FPS, b_frames=b_frames))
        lags: dict[str, int] = {}
        for name in ("ours", "PyAV's default"):
            with av.open(io.BytesIO(data), format="mpegts") as container:
                if name == "ours":
                    configure_decoder(container)
                else:
                    container.streams.video[0].thread_type = "AUTO"
                    container.streams.video[0].codec_context.thread_count = 8
                packets = 0
                for packet in container.demux(container.streams.video[0]):
                    if packet.decode():
                        break
                    packets += 1
                lags[name] = packets
        what = "without" if not b_frames else f"with {b_frames}"
        report.add(
            f"frames held back by the decoder, {what} B-frames", "", lags["ours"],
            "frame threads of 8 cores", lags["PyAV's default"], target=f"{least}",
            met=lambda v, least=least: v <= least, of="ours",
        )  # fmt: skip


def colour(report: Report, rounds: int) -> None:
    """Add the rows of decoding into a slot: as planes, as full-size BGR, and not at all."""
    allocate, painter = _Slot(), Painter()

    def run(work: Callable[[Any], object]) -> float:
        with av.open(str(clip_720p())) as container:
            configure_decoder(container)
            start, n = time.process_time(), 0
            for frame in container.decode(video=0):
                work(frame)
                n += 1
                if n == 90:
                    break
            return (time.process_time() - start) / n * 1e3

    def cv2_read() -> float:
        made = cv2.VideoCapture(str(clip_720p()), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        start = time.process_time()
        for _ in range(90):
            made.read(allocate.bgr)
        return (time.process_time() - start) / 90 * 1e3

    found = harness.interleave(
        {
            "none": lambda: run(lambda frame: None),
            "planes": lambda: run(lambda frame: painter.paint(frame, allocate)),
            "bgr": lambda: run(lambda frame: painter.paint(frame, lambda h, w: allocate.bgr)),
            "cv2": cv2_read,
        },
        rounds,
    )
    planes, bare = median(found["planes"]), median(found["none"])
    what, note = "720p H.264 into a slot: CPU a frame", f"decoding alone {bare:.2f} ms"
    bgr = median(found["bgr"])
    peers = {"the same as full-size BGR": bgr, "cv2.VideoCapture, 1 thread": median(found["cv2"])}
    for peer, theirs in peers.items():
        report.add(
            what, "ms", planes, peer, theirs, target="x1.1", met=lambda r: r >= 1.1, note=note
        )
    report.add(
        "share of it that the slot takes, 720p", "", (planes - bare) / planes, target="at most 0.1",
        met=lambda v: v <= 0.1, of="ours",
        note=f"{planes - bare:.2f} ms a frame; as BGR {bgr - bare:.2f}",
    )  # fmt: skip


class _Slot:
    """An Allocate that gives the same memory again and again, as a ring does."""

    def __init__(self) -> None:
        self.bgr = np.empty((720, 1280, 3), np.uint8)
        self._planes = np.empty((1080, 1280), np.uint8)

    def __call__(self, height: int, width: int) -> Any:
        return self.bgr

    def planes(self, height: int, width: int, coding: str) -> Any:
        return self._planes


def canvas(report: Report, rounds: int) -> None:
    """Add the rows of what a reader makes of a slot: canvas and grey picture, or full-size BGR."""
    with av.open(str(clip_720p())) as container:
        frame = next(container.decode(video=0))
    for height, width in ((720, 1280), (1080, 1920)):
        scaled = frame.reformat(width, height, "yuv420p", threads=1)
        # More slots than a cache holds, as in a ring.
        slots = [Painter().paint(scaled, AllocatePlanes()) for _ in range(16)]
        images = [Pixels(slot.bgr()) for slot in slots]
        size = rectangle(height, width, 640)

        def small(pixels: Pixels, size: tuple[int, int] = size) -> None:
            small_grey(pixels)
            if pixels.coding == "bgr":
                letterbox(pixels.data, size, HEADS["yolo"])
            else:
                letterbox_planes(pixels, size, HEADS["yolo"])

        def each(work: Callable[[Pixels], object], these: list[Pixels]) -> float:
            start = time.process_time()
            for pixels in these * 4:
                work(pixels)
            return (time.process_time() - start) / (4 * len(these)) * 1e3

        found = harness.interleave(
            {
                "planes": lambda slots=slots: each(small, slots),
                "bgr": lambda images=images: each(small, images),
                "picture": lambda slots=slots: each(lambda pixels: pixels.bgr(), slots),
                "copy": lambda images=images: each(lambda pixels: pixels.data.copy(), images),
            },
            rounds,
        )
        report.add(
            f"{height}p slot to network canvas and grey picture", "ms", median(found["planes"]),
            "the same of full-size BGR", median(found["bgr"]), target="x1", met=lambda r: r >= 1,
        )  # fmt: skip
        report.add(
            f"{height}p slot to a full-size BGR picture", "ms", median(found["picture"]),
            "a copy, where the slot is BGR", median(found["copy"]),
        )  # fmt: skip


def main() -> None:
    """Measure."""
    asked = harness.options("decode", __doc__, rounds=(int, 3, "rounds"))
    with harness.report("decode", asked.out) as report:
        held_back(report)
        lag(report, 1 if asked.short else asked.rounds, 5.0)
        colour(report, 3 if asked.short else 7)
        canvas(report, 5 if asked.short else 15)


if __name__ == "__main__":
    main()
