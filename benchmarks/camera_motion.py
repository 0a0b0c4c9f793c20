"""Camera motion from 100 points of the small grey picture: what it costs, how far it is off.

Truth is what ten times the points at half the resolution say (BoT-SORT's way), whose time stands
beside ours. Error: mean distance of the corners of the picture, px of the full picture. Nothing is
masked: boxes of a detector would only help. Needs footage: set PERCEPTION_TEST_DATA.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from benchmarks import harness
from benchmarks.harness import FOOTAGE, Report, median
from perception.geometry.camera_motion import CameraMotion
from perception.geometry.grey import small_grey

MOVING = {
    "dash-cam": ("driving/highway_solidWhiteRight.mp4", "at most 0.8"),
    "drone": ("aerial/gopro_karma_drone_gpmf.mp4", "at most 0.8"),
    "panning paraglider": ("aerial/paragliding_launch_moving_cam.mp4", ""),
    "nadir drone": ("aerial/nadir_drone_orthovideo.mp4", ""),
}
FIXED = {
    "PETS": ("surveillance/vtest_PETS09-S2L1.avi", "0"),
    "doorway": ("doorway/intel_one_by_one_person.mp4", "0"),
    "car park": ("surveillance/intel_person_bicycle_car.mp4", ""),
}
SIZES = {(854, 480): "under 1 ms", (1920, 1080): "under 1.5 ms"}
TURN = 10
"""Pictures at a stretch before the other one's turn."""
NOBODY = np.zeros((0, 4), np.float32)
OTHER_WORK = np.zeros(32 << 20, np.uint8)
"""Rewritten before an estimate, as a frame's other work does: no cache is warm."""


def frames(path: Path, most: int, size: tuple[int, int] | None = None) -> Iterator[NDArray[Any]]:
    """Yield the first frames of a clip, (H, W, 3) BGR, made `size` (width, height) large."""
    video: Any = cv2.VideoCapture(str(path))
    for _ in range(most):
        there, frame = video.read()
        if not there:
            return
        yield frame if size is None else cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


class ManyPoints:
    """1000 points at half resolution: the affine (2, 3) from the last picture to this one."""

    def __init__(self) -> None:
        self._last: NDArray[Any] | None = None

    def estimate(self, frame: NDArray[Any]) -> NDArray[Any]:
        """Return it; the identity for the first picture or where nothing is found."""
        grey: Any = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        grey = cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        last, self._last = self._last, grey
        points: Any = None if last is None else cv2.goodFeaturesToTrack(last, 1000, 0.01, 1)
        if points is None:
            return np.eye(2, 3)
        start: Any = None
        moved, found, _ = cv2.calcOpticalFlowPyrLK(last, grey, points, start)
        good = found.reshape(-1) == 1
        fit: Any = cv2.estimateAffinePartial2D
        affine, _ = fit(points[good], moved[good])
        if affine is None:
            return np.eye(2, 3)
        affine[:, 2] *= 2
        return affine


def corner_error(a: ArrayLike, b: ArrayLike, width: int, height: int) -> float:
    """Return how far apart two affines (2, 3) move the corners of a picture, mean, px."""
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]).T
    apart = (np.asarray(a) - np.asarray(b)) @ corners
    return float(np.linalg.norm(apart, axis=0).mean())


def timed(work: Callable[[], Any], out: list[float]) -> None:
    """Append the thread CPU of a call in ms."""
    start = time.thread_time_ns()
    work()
    out.append((time.thread_time_ns() - start) / 1e6)


def errors(report: Report, name: str, clip: str, target: str, most: int) -> None:
    """Add how far ours is from many points on a clip whose camera moves."""
    ours, many, off, still = CameraMotion(), ManyPoints(), list[float](), list[float]()
    for n, frame in enumerate(frames(FOOTAGE / "video" / clip, most)):
        height, width = frame.shape[:2]
        warp = ours.estimate(small_grey(frame), NOBODY, width, height)
        truth = many.estimate(frame)
        if n > 0:
            off.append(corner_error(warp, truth, width, height))
            still.append(corner_error(np.eye(2, 3), truth, width, height))
    report.add(
        f"camera motion, {name} {width}x{height}: median error of the corners", "px", median(off),
        "no motion", median(still), of="ours", target=target,
        met=(lambda v: v < 0.8) if target else None, note=f"{len(off)} pictures",
    )  # fmt: skip


def drift(report: Report, name: str, clip: str, target: str, most: int) -> None:
    """Add how often a camera that stands still was said to move."""
    ours, count = CameraMotion(), 0
    for frame in frames(FOOTAGE / "video" / clip, most):
        count += 1
        ours.estimate(small_grey(frame), NOBODY, frame.shape[1], frame.shape[0])
    report.add(
        f"fixed camera, {name}: pictures it was said to move in", "", float(ours.counters["moved"]),
        of="ours", target=target, met=(lambda v: v == 0) if target else None,
        note=f"of {count - 1}",
    )  # fmt: skip


def cost(report: Report, name: str, size: tuple[int, int], most: int) -> None:
    """Add the thread CPU of an estimate with its grey picture, in turns with many points."""
    warm, cold, many = CameraMotion(), CameraMotion(), ManyPoints()
    ours, after, theirs = list[float](), list[float](), list[float]()
    clip = frames(FOOTAGE / "video" / MOVING[name][0], most, size)
    while stretch := list(itertools.islice(clip, TURN)):
        for frame in stretch:
            timed(lambda: warm.estimate(small_grey(frame), NOBODY, *size), ours)  # noqa: B023
        for frame in stretch:
            OTHER_WORK[:] += 1
            timed(lambda: cold.estimate(small_grey(frame), NOBODY, *size), after)  # noqa: B023
        for frame in stretch:
            timed(lambda: many.estimate(frame), theirs)  # noqa: B023
    limit = 1.0 if size[1] < 1080 else 1.5
    for how, own in (("", ours), (", each after 32 MB of other work", after)):
        report.add(
            f"camera motion, {name} {size[0]}x{size[1]}{how}: thread CPU", "ms", median(own),
            "1000 points at half size", median(theirs), of="ours", target=SIZES[size],
            met=lambda v: v < limit,
        )  # fmt: skip


def main() -> None:
    """Measure."""
    asked = harness.options("camera_motion", __doc__, frames=(int, 150, "frames of each clip"))
    most = asked.frames // 3 if asked.short else asked.frames
    cv2.setNumThreads(1)
    with harness.report("camera_motion", asked.out) as report:
        if not FOOTAGE.is_dir():
            report.missing("footage", f"{FOOTAGE} is not there: set PERCEPTION_TEST_DATA")
            return
        for name, (clip, target) in MOVING.items():
            errors(report, name, clip, target, most)
        for name, (clip, target) in FIXED.items():
            drift(report, name, clip, target, most)
        for size in SIZES:
            for name in MOVING:
                cost(report, name, size, most)


if __name__ == "__main__":
    main()
