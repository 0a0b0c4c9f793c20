"""The tracker: two score stages, box filters and exact assignment, one compiled step per frame.

Owns the arrays that live from frame to frame and the door in front of the kernels; what happens in
a step stands in kernels/tracking.py. One object a camera. Imports messages, kernels and below.
"""

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from perception.kernels import track_layout as layout
from perception.kernels.tracking import report, step
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

    high_score: Share = Field(default=0.6, description="detections scored so may match any track")
    low_score: Share = Field(
        default=0.1, description="below high_score, down to here, tracks are kept up"
    )
    new_score: Share = Field(default=0.7, description="least score that starts a track")
    gate: Share = Field(
        default=0.15, description="IoU x height IoU x score above which boxes may match"
    )
    gate_low: Share = Field(default=0.55, description="IoU above which low scores may match")
    gate_return: Share = Field(
        default=0.2, description="as gate, with the box where a track was last seen"
    )
    gate_new: Share = Field(default=0.2, description="as gate, for the second sighting of a track")
    confirm_s: Seconds = Field(
        default=0.0, description="least age at a sighting that confirms a track"
    )
    coast_s: Seconds = Field(
        default=0.075, description="unseen so long, a track is still confirmed"
    )
    lost_s: Seconds = Field(default=2.0, description="unseen longer, a track is removed")
    mix_classes: bool | list[list[int]] = Field(
        default=False,
        description="class ids of one list may be one object (car and truck); true: all",
    )
    noise: Positive = Field(
        default=0.05, description="deviation of a box; adapts to the camera from here"
    )
    walk: Positive = Field(default=0.274, description="random walk of the position, sides/sqrt(s)")
    acceleration: Positive = Field(default=0.35, description="white acceleration, sides/s^1.5")
    speed: Positive = Field(default=2.0, description="deviation of the first velocity, sides/s")


class TwoStageTracker:
    """Tracks boxes over media time without looking at pixels.

    counters: detections rejected or clipped and oddities of time, by name, rising only.
    Same input, same output, byte for byte. Never raises for what a detector may say.
    """

    Options: type[BaseModel] = TwoStageOptions

    def __init__(self, options: TwoStageOptions | None = None, *, epoch: int = 0) -> None:
        """epoch: the high half of every track id."""
        self.options = options or TwoStageOptions()
        self.counters: dict[str, int] = dict.fromkeys((*layout.COUNTERS, *_CLOCK_COUNTERS), 0)
        self._epoch = epoch
        mix = self.options.mix_classes
        self._mix_all = mix is True
        self._groups = [g for g in mix if g] if isinstance(mix, list) else []
        self._lost_ns = round(self.options.lost_s * 1e9)
        self._t_ns: int | None = None
        self._is_over = False
        self._book = np.zeros(layout.BOOK_WIDTH, np.int64)
        self._book[layout.NEXT] = 1
        self._counted = self._book[layout.NOT_FINITE :].tobytes()
        self._settings = _settings(self.options)
        self._raw = np.empty((64, layout.BOX_WIDTH))
        self._states = np.zeros((256, layout.STATE_WIDTH))
        self._marks = np.zeros((256, layout.MARK_WIDTH), np.int64)

    def update(
        self,
        detections: Detections,
        t_ns: int,
        warp: NDArray[np.float32] | None = None,
        dropped: int = 0,
    ) -> Tracks:
        """Return all tracks after a frame at media time t_ns, rows by rising track_id.

        detections: any float and integer dtypes and strides. warp: affine (2, 3) px, last picture
        to this one; None: still. dropped: frames not detected since the last update; media time
        already says how long they took. Removed tracks are in the result once. Time that stands
        still or goes back moves nothing; a gap longer than lost_s ends every track.
        """
        raw = self._take_in(detections)
        n = len(raw)
        self._keep_time(t_ns)
        self._take_warp(warp)
        book = self._book
        needed = int(book[layout.COUNT]) + n
        if needed > len(self._states):
            self._grow(needed)
        step(self._states, self._marks, book, raw, self._settings)
        tracks = self._report()
        counts = book[layout.NOT_FINITE :]
        if counts.tobytes() != self._counted:
            self._counted = counts.tobytes()
            self.counters.update(zip(layout.COUNTERS, counts.tolist(), strict=True))
        return tracks

    def end_all(self) -> None:
        """End every track with the next update: its picture shows another scene."""
        self._is_over = True

    def _take_in(self, detections: Detections) -> NDArray[np.float64]:
        """Return detections as float64 (n, BOX_WIDTH), whatever form they came in."""
        boxes, scores, classes = detections.boxes, detections.scores, detections.class_ids
        n = len(scores)
        if n > MAX_DETECTIONS:
            self.counters["over_limit"] += n - MAX_DETECTIONS
            best = np.argsort(-np.nan_to_num(scores, nan=-1.0), kind="stable")[:MAX_DETECTIONS]
            best.sort()
            boxes, scores, classes = (np.asarray(a)[best] for a in (boxes, scores, classes))
            n = MAX_DETECTIONS
        if n > len(self._raw):
            self._raw = np.empty((2 * n, layout.BOX_WIDTH))
        raw = self._raw[:n]
        raw[:, :4] = boxes
        raw[:, layout.BOX_SCORE] = scores
        raw[:, layout.BOX_CLASS] = classes
        raw[:, layout.BOX_GROUP] = 0.0 if self._mix_all else classes
        for group in self._groups:
            mixed = np.isin(raw[:, layout.BOX_CLASS], group)
            raw[mixed, layout.BOX_GROUP] = group[0]
        return raw

    def _keep_time(self, t_ns: int) -> None:
        """Advance the tracker's own clock, which never stands in doubt, by the media time gone."""
        gone = 0 if self._t_ns is None else t_ns - self._t_ns
        if gone <= 0:
            if self._t_ns is not None:
                self.counters["time_back" if gone else "time_still"] += 1
            gone = 0
        elif gone > self._lost_ns:
            self.counters["time_gap"] += 1
            gone = self._lost_ns + 1
        if self._is_over:
            self._is_over, gone = False, self._lost_ns + 1
        self._t_ns = t_ns
        self._book[layout.NOW] += gone
        self._settings[layout.DT] = gone * 1e-9

    def _take_warp(self, warp: NDArray[np.float32] | None) -> None:
        if warp is None:
            self._settings[layout.WARPED] = 0.0
            return
        self._settings[layout.WARPED] = 0.0
        part = self._settings[layout.WARP :]
        part[:] = np.asarray(warp, np.float64).reshape(6)
        a, b, _, c, d, _ = part.tolist()
        scale = a * d - b * c
        if np.isfinite(part).all() and 0.25 < scale < 4.0 and np.abs(part).max() < 1e5:
            self._settings[layout.WARPED] = 1.0
        else:
            self.counters["bad_warp"] += 1

    def _grow(self, rows: int) -> None:
        more = 2 * rows - len(self._states)
        self._states = np.vstack((self._states, np.zeros((more, layout.STATE_WIDTH))))
        self._marks = np.vstack((self._marks, np.zeros((more, layout.MARK_WIDTH), np.int64)))

    def _report(self) -> Tracks:
        m = int(self._book[layout.COUNT])
        ids = np.empty(m, np.int64)
        floats = np.empty(11 * m, np.float32)
        ints = np.empty(3 * m, np.int32)
        report(self._states, self._marks, self._book, self._epoch, ids, floats, ints)
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
        layout.HIGH: options.high_score,
        layout.LOW: options.low_score,
        layout.NEW: options.new_score,
        layout.GATE: options.gate,
        layout.GATE_LOW: options.gate_low,
        layout.GATE_RETURN: options.gate_return,
        layout.GATE_NEW: options.gate_new,
        layout.CONFIRM_NS: options.confirm_s * 1e9,
        layout.COAST_NS: options.coast_s * 1e9,
        layout.LOST_NS: options.lost_s * 1e9,
        layout.NOISE: options.noise,
        layout.WALK: options.walk,
        layout.ACCELERATION: options.acceleration,
        layout.SPEED: options.speed,
        layout.LIMIT: _MAX_TRACKS,
        layout.FACTOR: 1.0,
    }
    settings = np.zeros(layout.SETTINGS_WIDTH)
    for column, value in values.items():
        settings[column] = value
    return settings
