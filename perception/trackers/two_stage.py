"""The default tracker: two score stages, Kalman filters of boxes, optimal assignment.

The class owns the arrays and checks the input. The step itself is compiled: kernels/tracking.py.
Each camera has its own object. Imports wire, kernels and below.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from perception.kernels import track_layout as layout
from perception.kernels.boxes import carry_boxes
from perception.kernels.tracking import report, scratch_arrays, step
from perception.trackers.options import TwoStageOptions
from perception.wire import MAX_ROWS, Detections, Tracks

MAX_DETECTIONS = 5_000
_MAX_TRACKS = MAX_ROWS
_FIRST_ROWS, _KEPT_ROWS = 128, 8_192
_I8, _I4, _F4, _U1 = (np.dtype(name) for name in ("i8", "i4", "f4", "u1"))
_empty = np.empty
_CLOCK_COUNTERS = ("over_limit", "time_still", "time_back", "time_gap", "bad_warp")


class TwoStageTracker:
    """Tracks boxes over media time. It does not read pixels.

    counters: detections that were rejected or clipped, and irregular times, by name; they never
    decrease. The same input gives the same output, byte for byte. No values of detections raise.
    """

    Options: type[BaseModel] = TwoStageOptions

    def __init__(self, options: TwoStageOptions | None = None, *, epoch: int = 0) -> None:
        """epoch: the high half of every track id."""
        self.options = options or TwoStageOptions()
        self.counters: dict[str, int] = dict.fromkeys((*layout.COUNTERS, *_CLOCK_COUNTERS), 0)
        mix = self.options.mix_classes
        self._mix_all = mix is True
        lists = mix if isinstance(mix, list) else []
        known = [[i for i in ids if -(1 << 31) <= i < 1 << 31] for ids in lists]
        self._groups = [ids for ids in known if ids]
        self._is_mixing = self._mix_all or bool(self._groups)
        self._lost_ns = round(self.options.lost_s * 1e9)
        self._t_ns: int | None = None
        self._ends_all = False
        self._must_convert = False
        self._table = _table(self.options, epoch)
        self._allocate(_FIRST_ROWS)
        self._count = 0
        self._counted = 0

    def update(
        self,
        detections: Detections,
        t_ns: int,
        warp: NDArray[np.float32] | None = None,
        dropped: int = 0,
    ) -> Tracks:
        """Return all tracks after a frame at media time t_ns, in ascending order of track_id.

        detections: any float and integer dtypes and strides. warp: float (2, 3) affine of the
        camera motion, px of the last picture to px of this one; None: no motion. dropped: ignored,
        media time is enough. A removed track is returned once. Where t_ns does not rise, nothing is
        predicted. A gap longer than lost_s removes every track.
        Raises ValueError for a t_ns that is NaN, a warp that is not (2, 3) and shapes that do not
        fit; OverflowError for an infinite t_ns. Then nothing has changed.
        """
        t_ns = int(t_ns)  # raises for NaN and infinity before anything has changed
        part = None if warp is None else _affine(warp)
        boxes, scores, classes = detections.boxes, detections.scores, detections.class_ids
        if len(scores) > MAX_DETECTIONS:
            boxes, scores, classes = self._best(boxes, scores, classes)
        if self._must_convert:
            boxes, scores, classes = _converted(boxes, scores, classes)
        last, ends_all = self._t_ns, self._ends_all
        if last is None or self._ends_all or not last < t_ns <= last + self._lost_ns:
            elapsed = self._irregular_elapsed(t_ns)
        else:
            elapsed = t_ns - last
        self._take_warp(part)
        # An upper bound: some tracks of the last frame have been removed since.
        needed = self._count + len(scores)
        if needed > self._rows:
            self._allocate(needed)
        groups = self._group(classes) if self._is_mixing else classes
        try:
            m = step(
                self._table, self._work, self._scratch, boxes, scores, classes, groups, elapsed
            )
        except TypeError:
            # Other dtypes or strides, or read-only arrays: from now on they are converted first.
            self._must_convert = True
            m = self._step_converted(boxes, scores, classes, elapsed)
        except ValueError:
            self._ends_all = ends_all
            raise
        self._t_ns = t_ns
        self._count = m
        # The columns of Tracks in their order. This is a hot path: no avoidable calls or look-ups.
        side = (m, 4)
        columns = (
            _empty(m, _I8),
            _empty(side, _F4),
            _empty(side, _F4),
            _empty(m, _I4),
            _empty(m, _F4),
            _empty(m, _U1),
            _empty(m, _F4),
            _empty(m, _F4),
            _empty(m, _I4),
        )
        counted = report(self._table, *columns)
        if counted != self._counted:
            self._take_counts(counted)
        return Tracks(*columns)

    def state(self) -> dict[str, Any]:
        """Return the state for `restore`: all that changes from frame to frame."""
        return {
            "table": self._table[: layout.HEAD + self._count].copy(),
            "t_ns": self._t_ns,
            "is_over": self._ends_all,
            "counters": dict(self.counters),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state, with own options. Raises ValueError for another version."""
        table = np.asarray(state["table"], np.float64)
        if table.ndim != 2 or table.shape[1] != layout.WIDTH or len(table) < layout.HEAD:
            raise ValueError(f"the state of a tracker of another version: {table.shape}")
        head = self._table[0].copy()
        self._count = len(table) - layout.HEAD
        self._allocate(max(self._count, _FIRST_ROWS))
        self._table[: len(table)] = table
        options = slice(layout.HIGH, layout.AGREEMENT)
        self._table[0, options] = head[options]
        self._t_ns, self._ends_all = state["t_ns"], bool(state["is_over"])
        self.counters.update(state["counters"])
        self._counted = int(
            self._table.view(np.int64)[0, layout.NOT_FINITE : layout.COUNTERS_END].sum()
        )

    def carry(self, affine: NDArray[np.float64]) -> None:
        """Map all tracks to a picture of another size; see Tracker.carry.

        affine: float64 (2, 3). Only its scales, shift and rotation by 90 degrees are used.
        """
        count = int(self._table.view(np.int64)[0, layout.COUNT])
        rows = self._table[layout.HEAD : layout.HEAD + count]
        turned = abs(affine[0, 0]) < abs(affine[0, 1])
        scales = affine[[0, 1], [1, 0]] if turned else affine[[0, 1], [0, 1]]
        order = (1, 0, 3, 2) if turned else (0, 1, 2, 3)
        blocks = np.stack([rows[:, 5 * k : 5 * k + 5] for k in order], axis=1)
        factors = np.concatenate([scales, np.abs(scales)])[:, None]
        blocks[:, :, :2] *= factors
        blocks[:, :, 2:] *= factors**2
        blocks[:, :2, 0] += affine[:, 2]
        rows[:, :20] = blocks.reshape(count, 20)
        rows[:, layout.LAST : layout.LAST + 4] = carry_boxes(
            rows[:, layout.LAST : layout.LAST + 4], affine
        )
        innovation = slice(layout.INNOVATION, layout.INNOVATION + 4)
        rows[:, innovation] = rows[:, innovation][:, order]
        pan = slice(layout.PAN, layout.PAN + 2)
        self._table[0, pan] = self._table[0, pan][list(order[:2])] * scales

    def end_all(self) -> None:
        """Remove every track at the next update, because its picture shows another scene."""
        self._ends_all = True

    def _best(self, boxes: Any, scores: Any, classes: Any) -> tuple[Any, Any, Any]:
        """Return the MAX_DETECTIONS detections with the best scores, in the order of the input."""
        self.counters["over_limit"] += len(scores) - MAX_DETECTIONS
        best = np.argsort(-np.nan_to_num(scores, nan=-1.0), kind="stable")[:MAX_DETECTIONS]
        best.sort()
        return np.asarray(boxes)[best], np.asarray(scores)[best], np.asarray(classes)[best]

    def _group(self, classes: Any) -> Any:
        """Return the group of each detection, int32 (N,): see mix_classes."""
        if self._mix_all:
            return np.zeros(len(classes), np.int32)
        groups = np.array(classes, np.int32)
        for group in self._groups:
            groups[np.isin(classes, group)] = group[0]
        return groups

    def _irregular_elapsed(self, t_ns: int) -> int:
        """Return the elapsed media time, ns, at the first frame or an irregular time; count it.

        A result above lost_s makes the step remove every track.
        """
        elapsed = 0 if self._t_ns is None else t_ns - self._t_ns
        if elapsed <= 0:
            if self._t_ns is not None:
                self.counters["time_back" if elapsed else "time_still"] += 1
            elapsed = 0
        elif elapsed > self._lost_ns:
            self.counters["time_gap"] += 1
            elapsed = self._lost_ns + 1
        if self._ends_all:
            self._ends_all, elapsed = False, self._lost_ns + 1
        return elapsed

    def _take_warp(self, part: NDArray[np.float64] | None) -> None:
        """Write the affine of the camera motion to the table for the next step; None: no motion."""
        if part is None:
            self._table[0, layout.WARPED] = 0.0
            return
        is_plausible = _is_motion(part)
        self._table[0, layout.WARPED] = is_plausible
        if is_plausible:
            self._table[0, layout.WARP : layout.WARP + 6] = part
        else:
            self.counters["bad_warp"] += 1

    def _allocate(self, rows: int) -> None:
        """Allocate for `rows` tracks and detections. Above _KEPT_ROWS it is for one update only."""
        self._rows = 2 * rows if 2 * rows <= _KEPT_ROWS else 0
        if layout.HEAD + max(rows, self._rows) > len(self._table):
            more = layout.HEAD + 2 * rows - len(self._table)
            self._table = np.vstack((self._table, np.zeros((more, layout.WIDTH))))
        self._work, self._scratch = scratch_arrays(self._rows or rows)

    def _step_converted(self, boxes: Any, scores: Any, classes: Any, elapsed: int) -> int:
        """Convert the detections and call the compiled step."""
        boxes, scores, classes = _converted(boxes, scores, classes)
        groups = self._group(classes) if self._is_mixing else classes
        return step(self._table, self._work, self._scratch, boxes, scores, classes, groups, elapsed)

    def _take_counts(self, counted: int) -> None:
        """Copy the counters of the kernels to `counters`. counted: their sum."""
        self._counted = counted
        counts = self._table.view(np.int64)[0, layout.NOT_FINITE : layout.COUNTERS_END]
        self.counters.update(zip(layout.COUNTERS, counts.tolist(), strict=True))


def _affine(warp: Any) -> NDArray[np.float64]:
    """Return an affine as float64 (6,). Raises ValueError where its shape is not (2, 3)."""
    part = np.asarray(warp, np.float64)
    if part.shape != (2, 3):
        raise ValueError(f"warp of shape {part.shape}, expected an affine of shape (2, 3)")
    return part.reshape(6)


def _is_motion(part: NDArray[np.float64]) -> bool:
    """Return whether an affine is plausible as camera motion between two frames.

    Its singular values must be between 0.5 and 2 and its determinant positive.
    """
    if not np.isfinite(part).all() or np.abs(part).max() >= 1e5:
        return False
    a, b, _, c, d, _ = part.tolist()
    det, squares = a * d - b * c, a * a + b * b + c * c + d * d
    largest = math.sqrt((squares + math.sqrt(max(squares * squares - 4.0 * det * det, 0.0))) / 2.0)
    return det > 0.0 and largest < 2.0 and det / largest > 0.5


def _converted(boxes: Any, scores: Any, classes: Any) -> tuple[Any, Any, Any]:
    """Return detections as the kernel needs them: dtype, C order, writable."""
    return (
        np.require(np.asarray(boxes), np.float32, ["C", "A", "W"]).reshape(-1, 4),
        np.require(np.asarray(scores), np.float32, ["C", "A", "W"]).reshape(-1),
        np.require(np.asarray(classes), np.int32, ["C", "A", "W"]).reshape(-1),
    )


def _table(options: TwoStageOptions, epoch: int) -> NDArray[np.float64]:
    """Return the table of a new tracker: no tracks, and the options in its head row."""
    values: dict[int, Any] = {
        layout.HIGH: options.high_score,
        layout.LOW: options.low_score,
        layout.NEW: options.new_score,
        layout.SURE: options.sure_score,
        layout.GATE: options.gate,
        layout.GATE_LOW: options.gate_low,
        layout.GATE_RETURN: options.gate_return,
        layout.GATE_NEW: options.gate_new,
        layout.GATE_RISE: options.gate_rise,
        layout.TRUST_NS: options.trust_s * 1e9,
        layout.CONFIRM_NS: options.confirm_s * 1e9,
        layout.COAST_NS: options.coast_s * 1e9,
        layout.HIDDEN_NS: options.hidden_s * 1e9,
        layout.LOST_NS: options.lost_s * 1e9,
        layout.NOISE: options.noise,
        layout.WALK: options.walk,
        layout.ACCELERATION: options.acceleration,
        layout.SPEED: options.speed,
        layout.LIMIT: _MAX_TRACKS,
        layout.FACTOR: 1.0,
    }
    table = np.zeros((layout.HEAD + 2 * _FIRST_ROWS, layout.WIDTH))
    for column, value in values.items():
        table[0, column] = value
    counts = table.view(np.int64)[0]
    counts[layout.NEXT], counts[layout.EPOCH] = 1, epoch
    return table
