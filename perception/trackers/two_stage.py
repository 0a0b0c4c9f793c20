"""The tracker: two score stages, box filters and exact assignment, one compiled step per frame.

Owns the arrays that live from frame to frame and the door in front of the kernels; what happens in
a step stands in kernels/tracking.py. One object a camera. Imports messages, kernels and below.
"""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from perception.kernels import tracking as kernel
from perception.messages import MAX_ROWS, Detections, Tracks

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0.0, le=3600.0, allow_inf_nan=False)]

MAX_DETECTIONS = 5_000
_MAX_TRACKS = MAX_ROWS
_CLOCK_COUNTERS = ("over_limit", "time_still", "time_back", "time_gap", "bad_warp")


class TwoStageOptions(BaseModel):
    """What a user may set. Defaults were chosen leave-one-suite-out (benchmarks/README.md).

    Times in seconds of media time; noise in sides of the box, per second where it accumulates.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    high_score: Share = 0.6
    low_score: Share = 0.1
    new_score: Share = 0.7
    gate: Share = 0.15
    gate_low: Share = 0.5
    gate_new: Share = 0.3
    confirm_s: Seconds = 0.0
    lost_s: Seconds = 1.0
    mix_classes: bool = False
    noise: Positive = 0.05
    walk: Positive = 0.274
    acceleration: Positive = 1.03
    speed: Positive = 1.875


class TwoStageTracker:
    """Tracks boxes over media time without looking at pixels.

    counters: detections rejected or clipped and oddities of time, by name, rising only.
    Same input, same output, byte for byte. Never raises for what a detector may say.
    """

    Options: type[BaseModel] = TwoStageOptions

    def __init__(self, options: TwoStageOptions | None = None, *, epoch: int = 0) -> None:
        """epoch: the high half of every track id."""
        self.options = options or TwoStageOptions()
        self.counters: dict[str, int] = dict.fromkeys((*kernel.COUNTERS, *_CLOCK_COUNTERS), 0)
        self._epoch = epoch
        self._t_ns: int | None = None
        self._book = np.zeros(kernel.BOOK_WIDTH, np.int64)
        self._book[kernel.NEXT] = 1
        self._counted = self._book[kernel.NOT_FINITE :].tobytes()
        self._settings = _settings(self.options)
        self._raw = np.empty((64, 6))
        self._states = np.zeros((256, kernel.STATE_WIDTH))
        self._marks = np.zeros((256, kernel.MARK_WIDTH), np.int64)

    def update(
        self,
        detections: Detections,
        t_ns: int,
        warp: NDArray[np.float32] | None = None,
        dropped: int = 0,
    ) -> Tracks:
        """Return all tracks after a frame at media time t_ns, rows by rising track_id.

        detections: any float and integer dtypes and strides. warp: affine (2, 3) px, last picture
        to this one; None: still. dropped: frames not detected since the last update. Removed
        tracks are in the result once. Time that stands still or goes back moves nothing; a gap
        longer than lost_s ends every track.
        """
        raw = self._take_in(detections)
        n = len(raw)
        self._keep_time(t_ns)
        self._take_warp(warp)
        book = self._book
        if int(book[kernel.COUNT]) + n > len(self._states):
            self._grow(int(book[kernel.COUNT]) + n)
        kernel.step(self._states, self._marks, book, raw, self._settings)
        tracks = self._report()
        counts = book[kernel.NOT_FINITE :]
        if counts.tobytes() != self._counted:
            self._counted = counts.tobytes()
            self.counters.update(zip(kernel.COUNTERS, counts.tolist(), strict=True))
        return tracks

    def _take_in(self, detections: Detections) -> NDArray[np.float64]:
        """Return x1, y1, x2, y2, score, class as float64 (n, 6), whatever form they came in."""
        n = len(detections.scores)
        boxes, scores, classes = detections.boxes, detections.scores, detections.class_ids
        if n > MAX_DETECTIONS:
            self.counters["over_limit"] += n - MAX_DETECTIONS
            best = np.argsort(-np.nan_to_num(scores, nan=-1.0), kind="stable")[:MAX_DETECTIONS]
            best.sort()
            boxes, scores, classes, n = boxes[best], scores[best], classes[best], MAX_DETECTIONS
        if n > len(self._raw):
            self._raw = np.empty((2 * n, 6))
        raw = self._raw[:n]
        raw[:, :4] = boxes
        raw[:, 4] = scores
        raw[:, 5] = classes
        return raw

    def _keep_time(self, t_ns: int) -> None:
        """Advance the tracker's own clock, which never stands in doubt, by the media time gone."""
        gone = 0 if self._t_ns is None else t_ns - self._t_ns
        if gone < 0:
            self.counters["time_back"] += 1
            gone = 0
        elif gone == 0 and self._t_ns is not None:
            self.counters["time_still"] += 1
        elif gone > self._settings[kernel.LOST_S]:
            self.counters["time_gap"] += 1
            gone = int(self._settings[kernel.LOST_S]) + 1
        self._t_ns = t_ns
        self._book[kernel.NOW] += gone
        self._settings[kernel.DT] = gone * 1e-9

    def _take_warp(self, warp: NDArray[np.float32] | None) -> None:
        self._settings[kernel.WARPED] = 0.0
        if warp is None:
            return
        part = self._settings[kernel.WARP :]
        part[:] = np.asarray(warp, np.float64).reshape(6)
        a, b, _, c, d, _ = part.tolist()
        scale = a * d - b * c
        if np.isfinite(part).all() and 0.25 < scale < 4.0 and np.abs(part).max() < 1e5:
            self._settings[kernel.WARPED] = 1.0
        else:
            self.counters["bad_warp"] += 1

    def _grow(self, rows: int) -> None:
        more = 2 * rows - len(self._states)
        self._states = np.vstack((self._states, np.zeros((more, kernel.STATE_WIDTH))))
        self._marks = np.vstack((self._marks, np.zeros((more, kernel.MARK_WIDTH), np.int64)))

    def _report(self) -> Tracks:
        m = int(self._book[kernel.COUNT])
        ids = np.empty(m, np.int64)
        floats = np.empty(11 * m, np.float32)
        ints = np.empty(3 * m, np.int32)
        kernel.report(self._states, self._marks, self._book, self._epoch, ids, floats, ints)
        return Tracks(
            track_ids=ids,
            boxes=floats[: 4 * m].reshape(m, 4),
            rates=floats[4 * m : 8 * m].reshape(m, 4),
            class_ids=ints[:m],
            scores=floats[8 * m : 9 * m],
            states=ints[2 * m :].astype(np.uint8),
            ages_s=floats[9 * m : 10 * m],
            unseen_s=floats[10 * m :],
            detection_rows=ints[m : 2 * m],
        )


def _settings(options: TwoStageOptions) -> NDArray[np.float64]:
    values: dict[int, Any] = {
        kernel.HIGH: options.high_score,
        kernel.LOW: options.low_score,
        kernel.NEW: options.new_score,
        kernel.GATE: options.gate,
        kernel.GATE_LOW: options.gate_low,
        kernel.GATE_NEW: options.gate_new,
        kernel.CONFIRM: options.confirm_s * 1e9,
        kernel.LOST_S: options.lost_s * 1e9,
        kernel.NOISE: options.noise,
        kernel.WALK: options.walk,
        kernel.ACCELERATION: options.acceleration,
        kernel.SPEED: options.speed,
        kernel.MIX: float(options.mix_classes),
        kernel.LIMIT: _MAX_TRACKS,
    }
    settings = np.zeros(kernel.SETTINGS_WIDTH)
    for column, value in values.items():
        settings[column] = value
    return settings
