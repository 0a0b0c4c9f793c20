"""Change detection for a fixed camera: where a picture differs from what the network saw last.

Works on the small grey picture. Imports cv2, numpy and kernels.

Source: background subtraction with one Gaussian for each pixel, after Stauffer and Grimson
(Adaptive background mixture models, 1999). The background is the picture that the network saw, so
slow motion adds up until it counts.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.kernels.change import compare

Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Change:
    """boxes: regions that changed, xyxy in px of the small picture. everywhere: the brightness or
    the view changed, or the picture is the first one of its size."""

    boxes: list[Box]
    everywhere: bool = False


class ChangeMap:
    """Compares each picture with a reference. Each camera has its own object. Times are media time.

    A pixel has changed where its difference, averaged over `window` x `window` px, is above both
    `noises` times its noise and `least_levels` (grey levels). The noise of a pixel is the running
    average of its small differences (time constant `noise_s`). It also rises where the network
    found nothing in a change. So rain, leaves and water stop counting. A brightness change of the
    whole picture is subtracted first. The noise starts at `start_noise` and is valid after
    `settle_s`.
    """

    window: Final = 5
    least_levels: Final = 2.0
    noises: Final = 6.0
    least_px: Final = 8
    start_noise: Final = 3.0
    noise_s: Final = 2.0
    follow_s: Final = 6.0
    most_share: Final = 0.35
    light_step: Final = 24.0
    longest_gap_s: Final = 10.0
    nothing_share: Final = 0.05
    settle_s: Final = 4.0

    def __init__(self) -> None:
        empty = np.zeros((0, 0), np.float32)
        self._reference = self._noise = self._now = self._size = empty
        self._mask = np.zeros((0, 0), np.uint8)
        self._t_ns = self._start_ns = 0

    @property
    def is_settled(self) -> bool:
        """Whether the noise has been measured for settle_s."""
        return self._t_ns - self._start_ns >= self.settle_s * 1e9

    @property
    def width(self) -> int:
        """Width of the last small picture, px."""
        return self._now.shape[1]

    def update(self, grey: NDArray[np.uint8], t_ns: int) -> Change:
        """Return where a grey picture, uint8 (h, w), at media time t_ns differs from the
        reference.
        """
        now: Any = cv2.blur(grey.astype(np.float32), (self.window, self.window))
        passed_s = (t_ns - self._t_ns) * 1e-9
        self._t_ns, self._now = t_ns, now
        if self._reference.shape != now.shape or not 0 <= passed_s < self.longest_gap_s:
            self._start_ns = t_ns
            self._reference = now.copy()
            self._noise = np.full(now.shape, self.start_noise, np.float32)
            self._size = np.zeros(now.shape, np.float32)
            self._mask = np.zeros(now.shape, np.uint8)
            return Change([], everywhere=True)
        light = float(np.median(now[::4, ::4] - self._reference[::4, ::4]))
        self._size, self._mask, changed = compare(
            now,
            self._reference,
            self._noise,
            brightness=light,
            sigmas=self.noises,
            min_change=self.least_levels,
            noise_share=_share(passed_s, self.noise_s),
            reference_share=_share(passed_s, self.follow_s),
        )
        if abs(light) > self.light_step or changed > self.most_share * now.size:
            return Change([], everywhere=True)
        return Change(self._boxes() if changed >= self.least_px else [])

    def seen(self, box: Box) -> None:
        """Make a box of the last picture the reference there: the network has seen it."""
        x1, y1, x2, y2 = box
        self._reference[y1:y2, x1:x2] = self._now[y1:y2, x1:x2]

    def nothing_found(self, box: Box) -> None:
        """Raise the noise of the changed pixels in a box where the network found nothing."""
        x1, y1, x2, y2 = box
        noise, size = self._noise[y1:y2, x1:x2], self._size[y1:y2, x1:x2]
        rise = self.nothing_share * np.maximum(size - noise, 0)
        noise += np.where(self._mask[y1:y2, x1:x2] > 0, rise, 0)

    def _boxes(self) -> list[Box]:
        joined: Any = cv2.dilate(self._mask, np.ones((5, 5), np.uint8))
        count, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
        areas = np.bincount(np.asarray(labels)[self._mask > 0], minlength=count)
        return [
            (x, y, x + w, y + h)
            for (x, y, w, h, _), area in zip(stats[1:].tolist(), areas[1:].tolist(), strict=True)
            if area >= self.least_px
        ]


def _share(passed_s: float, constant_s: float) -> float:
    return 1.0 - float(np.exp(-passed_s / constant_s))
