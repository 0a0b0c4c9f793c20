"""Tracks with what is known later: begun at the first sighting, gaps filled, boxes smoothed.

Second pass after a tracker that went forward. Smoothing: Rauch, Tung, Striebel 1965 (AIAA J. 3(8)),
constant velocity, noise in sides of the box. Imports wire.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from perception.wire import CONFIRMED, REMOVED, TrackMessage

GAP_S = 0.7
"""Longer gaps stay open: benchmarks.deep, and nobody saw the object there."""
_NOISE, _ACCELERATION = 0.05, 1.0
"""Deviation of a box in its sides, and of its acceleration in sides/s^1.5."""


@dataclass
class Visit:
    """A track that was confirmed. t_ns: int64 (n,) media time. boxes: float32 (n, 4) px xyxy.

    scores: (n,). seen: bool (n,), whether a detection is under the box. wall_ns: int64 (n,).
    confirmed_ns: media time at which it was confirmed.
    """

    track_id: int
    class_name: str
    t_ns: NDArray[np.int64]
    wall_ns: NDArray[np.int64]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    seen: NDArray[np.bool_]
    confirmed_ns: int

    @property
    def seconds(self) -> float:
        """From the first to the last sighting."""
        return float(self.t_ns[-1] - self.t_ns[0]) / 1e9


@dataclass
class _Rows:
    names: dict[str, float] = field(default_factory=dict[str, float])
    rows: list[tuple[int, int, list[float], float, bool]] = field(
        default_factory=list[tuple[int, int, list[float], float, bool]]
    )
    confirmed_ns: int = -1


def collect(messages: Iterable[TrackMessage], *, heads: bool = True) -> list[Visit]:
    """Return tracks that were confirmed, by id: rows that were seen or counted as confirmed.

    heads: sightings before a track was confirmed belong to it.
    """
    found: dict[int, _Rows] = {}
    for message in messages:
        tracks, at = message.tracks, message.stamp
        for i in np.flatnonzero(tracks.states != REMOVED).tolist():
            seen = int(tracks.detection_rows[i]) >= 0
            confirmed = int(tracks.states[i]) == CONFIRMED
            if not confirmed and not (heads and seen):
                continue
            one = found.setdefault(int(tracks.track_ids[i]), _Rows())
            if confirmed and one.confirmed_ns < 0:
                one.confirmed_ns = at.t_media_ns
            class_id, score = int(tracks.class_ids[i]), float(tracks.scores[i])
            name = message.names.get(class_id, str(class_id))
            one.names[name] = one.names.get(name, 0.0) + score
            box = tracks.boxes[i].tolist()
            one.rows.append((at.t_media_ns, at.t_wall_ns, box, score if seen else 0.0, seen))
    return [_visit(i, one) for i, one in sorted(found.items()) if one.confirmed_ns >= 0]


def _visit(track_id: int, one: _Rows) -> Visit:
    t_ns, wall_ns, boxes, scores, seen = zip(*one.rows, strict=True)
    return Visit(
        track_id, max(one.names, key=lambda name: one.names[name]),
        np.array(t_ns, np.int64), np.array(wall_ns, np.int64), np.array(boxes, np.float32),
        np.array(scores, np.float32), np.array(seen, np.bool_), one.confirmed_ns,
    )  # fmt: skip


def fill(
    visit: Visit, times_ns: NDArray[np.int64], walls_ns: NDArray[np.int64], gap_s: float = GAP_S
) -> Visit:
    """Return a visit with boxes in every frame of its gaps of at most gap_s, on a straight line.

    times_ns, walls_ns: int64 (frames,), rising, of all frames. A longer gap stays as it is.
    """
    sure = np.flatnonzero(visit.seen)
    if len(sure) < 2:
        return visit
    known = visit.t_ns[sure]
    first, last = np.searchsorted(times_ns, (known[0], known[-1]))
    frames = np.arange(first, last + 1)
    after = np.clip(np.searchsorted(known, times_ns[frames]), 0, len(known) - 1)
    gap_ns = known[after] - known[np.maximum(after - 1, 0)]
    frames = frames[
        ~np.isin(times_ns[frames], known) & (gap_ns <= round(gap_s * 1e9)) & (after > 0)
    ]
    t_ns = times_ns[frames]
    columns = [np.interp(t_ns, known, visit.boxes[sure, k]) for k in range(4)]
    kept = ~np.isin(visit.t_ns, t_ns)
    every = np.concatenate((visit.t_ns[kept], t_ns))
    order = np.argsort(every, kind="stable")
    none = np.zeros(len(t_ns))
    return Visit(
        visit.track_id, visit.class_name, every[order],
        np.concatenate((visit.wall_ns[kept], walls_ns[frames]))[order],
        np.concatenate((visit.boxes[kept], np.stack(columns, 1)))[order].astype(np.float32),
        np.concatenate((visit.scores[kept], none))[order].astype(np.float32),
        np.concatenate((visit.seen[kept], none))[order].astype(np.bool_), visit.confirmed_ns,
    )  # fmt: skip


def smooth(visit: Visit) -> Visit:
    """Return a visit whose boxes take the later ones into account.

    Moves no box of a visit of fewer than 3 frames. For a camera that does not jump.
    """
    count = len(visit.t_ns)
    if count < 3:
        return visit
    boxes = visit.boxes.astype(np.float64)
    state = np.stack(
        (
            (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2,
            boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1],
        ), 1,
    )  # fmt: skip
    side = np.sqrt(np.maximum(state[:, 2] * state[:, 3], 1.0))
    steps = np.diff(visit.t_ns, prepend=visit.t_ns[0]) / 1e9
    smoothed = _rts(state, steps, (_NOISE * side) ** 2, (_ACCELERATION * side) ** 2)
    half = smoothed[:, 2:] / 2
    moved = np.hstack((smoothed[:, :2] - half, smoothed[:, :2] + half)).astype(np.float32)
    return replace(visit, boxes=moved)


def _rts(
    z: NDArray[np.float64], steps: NDArray[np.float64], r: NDArray[np.float64],
    q: NDArray[np.float64],
) -> NDArray[np.float64]:  # fmt: skip
    """Return smoothed positions (n, 4): one filter forward, one pass back; all columns alike."""
    n = len(z)
    x, p = np.zeros((n, 2, z.shape[1])), np.zeros((n, 2, 2))
    ahead, spread = np.zeros_like(x), np.zeros_like(p)
    x[0, 0], p[0] = z[0], np.diag((r[0], 4.0 * q[0]))
    for k in range(1, n):
        dt = steps[k]
        f = np.array(((1.0, dt), (0.0, 1.0)))
        noise = q[k] * np.array(((dt**3 / 3, dt**2 / 2), (dt**2 / 2, dt)))
        ahead[k], spread[k] = f @ x[k - 1], f @ p[k - 1] @ f.T + noise
        gain = spread[k][:, 0] / (spread[k][0, 0] + r[k])
        x[k] = ahead[k] + np.outer(gain, z[k] - ahead[k][0])
        p[k] = spread[k] - np.outer(gain, spread[k][0])
    for k in range(n - 2, -1, -1):
        f = np.array(((1.0, steps[k + 1]), (0.0, 1.0)))
        back = p[k] @ f.T @ np.linalg.inv(spread[k + 1])
        x[k] = x[k] + back @ (x[k + 1] - ahead[k + 1])
    return x[:, 0]
