"""Other people's trackers behind one call, for benchmarks/tracking.py. Each is optional.

`make(name, rate_hz, affines)` gives an object with update(rows, warp, t_s) -> (k, 5) id and xyxy.
Two modes: the plain name runs with the thresholds of the ByteTrack papers (high .6, low .1, new .7,
match .9), "name:default" with what the package ships. Nothing re-identifies, nothing interpolates.
"""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.peer_ultralytics import stand_in

Rows = NDArray[np.float32]


class _Boxes:
    """What Ultralytics' trackers read of a result: conf, cls, xywh, xyxy, boolean indexing."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.xyxy = rows[:, :4]
        self.xywh = np.column_stack(
            ((rows[:, :2] + rows[:, 2:4]) / 2, rows[:, 2:4] - rows[:, :2])
        ).astype(np.float32)
        self.conf = rows[:, 4]
        self.cls = np.zeros(len(rows), np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> _Boxes:
        return _Boxes(self.rows[index])


class Ultralytics:
    """Any tracker of ultralytics.trackers; the affines are given in place of its own flow."""

    CLASSES: ClassVar = {
        "bytetrack": "BYTETracker",
        "botsort": "BOTSORT",
        "tracktrack": "TRACKTRACK",
        "ocsort": "OCSORT",
        "fasttrack": "FASTTracker",
    }
    BEST: ClassVar = {
        "track_high_thresh": 0.6,
        "track_low_thresh": 0.1,
        "new_track_thresh": 0.7,
        "match_thresh": 0.9,
    }

    def __init__(self, kind: str, default: bool, rate_hz: float, affines: bool) -> None:
        import yaml

        stand_in()
        from ultralytics import trackers
        from ultralytics.utils import ROOT

        settings = yaml.safe_load((ROOT / "cfg" / "trackers" / f"{kind}.yaml").read_text())
        if not default:
            settings.update(self.BEST)
            if kind == "tracktrack":
                settings.update(match_thresh=0.7)
        settings["gmc_method"] = "none"
        self._tracker = getattr(trackers, self.CLASSES[kind])(SimpleNamespace(**settings))
        self._image: Any = None
        if affines and hasattr(self._tracker, "gmc"):
            self._image = np.zeros((8, 8, 3), np.uint8)
            self._warp = np.eye(2, 3)
            self._tracker.gmc.method = "given"
            self._tracker.gmc.apply = lambda *_args: self._warp

    def update(self, rows: Rows, warp: Any, t_s: float) -> NDArray[np.float64]:
        if warp is not None:
            self._warp = np.asarray(warp, np.float64)
        out = np.asarray(self._tracker.update(_Boxes(rows), self._image)).reshape(-1, 8)
        return out[:, [4, 0, 1, 2, 3]].astype(np.float64)


class Roboflow:
    """A tracker of roboflow's `trackers`; it is told the frame rate and the times."""

    CLASSES: ClassVar = {
        "bytetrack": "ByteTrackTracker",
        "botsort": "BoTSORTTracker",
        "ocsort": "OCSORTTracker",
        "cbiou": "CBIoUTracker",
        "sort": "SORTTracker",
    }

    def __init__(self, kind: str, default: bool, rate_hz: float, affines: bool) -> None:
        import supervision
        import trackers

        options: dict[str, Any] = {"frame_rate": rate_hz} if default else {}
        if kind == "botsort":
            options["enable_cmc"] = affines
        self._tracker = getattr(trackers, self.CLASSES[kind])(**options)
        self._timed = default
        self._detections = supervision.Detections
        self._image: Any = None
        if affines and kind == "botsort":
            self._image = np.zeros((8, 8, 3), np.uint8)
            self._tracker.cmc = SimpleNamespace(estimate=lambda *_args: self._warp)
            self._warp = np.eye(2, 3)

    def update(self, rows: Rows, warp: Any, t_s: float) -> NDArray[np.float64]:
        if warp is not None:
            self._warp = np.asarray(warp, np.float64)
        seen = self._detections(
            xyxy=rows[:, :4].astype(np.float32),
            confidence=rows[:, 4],
            class_id=np.zeros(len(rows), int),
        )
        options: dict[str, Any] = {"timestamp": t_s} if self._timed else {}
        if self._image is not None:
            options["frame"] = self._image
        out = self._tracker.update(seen, **options)
        if out.tracker_id is None or len(out) == 0:
            return np.zeros((0, 5))
        keep = out.tracker_id >= 0
        return np.column_stack((out.tracker_id[keep] + 1, out.xyxy[keep])).astype(np.float64)


class Norfair:
    """norfair with its own IoU distance."""

    def __init__(self, kind: str, default: bool, rate_hz: float, affines: bool) -> None:
        import norfair

        self._norfair = norfair
        options: dict[str, Any] = {} if default else {"hit_counter_max": 30}
        options |= {"initialization_delay": 1}
        self._tracker = norfair.Tracker(distance_function="iou", distance_threshold=0.7, **options)
        self._least = 0.25 if default else 0.6

    def update(self, rows: Rows, warp: Any, t_s: float) -> NDArray[np.float64]:
        rows = rows[rows[:, 4] >= self._least]
        rows = rows[(rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])]
        seen = [
            self._norfair.Detection(points=row[:4].reshape(2, 2), scores=row[[4, 4]])
            for row in rows.astype(np.float64)
        ]
        out = [
            (t.id, *t.estimate.reshape(4))
            for t in self._tracker.update(detections=seen)
            if t.last_detection in seen
        ]
        return np.array(out, np.float64).reshape(-1, 5)


class Sort:
    """SORT's algorithm (Bewley et al. 2016, arXiv 1602.00763), written from the paper.

    State cx, cy, area, aspect and rates of the first three; IoU 0.3; exact assignment.
    """

    def __init__(self, kind: str, default: bool, rate_hz: float, affines: bool) -> None:
        self._max_age = 1 if default else 30
        self._least = 0.25 if default else 0.6
        self._tracks: list[dict[str, Any]] = []
        self._next, self._frames = 1, 0
        self._F = np.eye(7) + np.eye(7, k=4)
        self._Q = np.diag([1.0, 1.0, 1.0, 1.0, 0.01, 0.01, 1e-4])
        self._R = np.diag([1.0, 1.0, 10.0, 10.0])

    def update(self, rows: Rows, warp: Any, t_s: float) -> NDArray[np.float64]:
        from scipy.optimize import linear_sum_assignment

        self._frames += 1
        rows = rows[rows[:, 4] >= self._least].astype(np.float64)
        rows = rows[(rows[:, 2] > rows[:, 0]) & (rows[:, 3] > rows[:, 1])]
        for track in self._tracks:
            if track["x"][2] + track["x"][6] <= 0:
                track["x"][6] = 0.0
            track["x"] = self._F @ track["x"]
            track["P"] = self._F @ track["P"] @ self._F.T + self._Q
            track["age"] += 1
            track["streak"] = track["streak"] if track["age"] == 1 else 0
        boxes = np.array([self._box(t["x"]) for t in self._tracks]).reshape(-1, 4)
        overlap = _iou(boxes, rows[:, :4])
        pairs = [(i, j) for i, j in zip(*linear_sum_assignment(-overlap), strict=True)]
        pairs = [(i, j) for i, j in pairs if overlap[i, j] >= 0.3]
        for i, j in pairs:
            self._correct(self._tracks[i], self._measure(rows[j]))
        for j in sorted(set(range(len(rows))) - {j for _, j in pairs}):
            x = np.concatenate((self._measure(rows[j]), np.zeros(3)))
            P = np.diag([10.0, 10.0, 10.0, 10.0, 1e4, 1e4, 1e4])
            self._tracks.append({"id": self._next, "x": x, "P": P, "age": 0, "streak": 0})
            self._next += 1
        out = [
            (t["id"], *self._box(t["x"]))
            for t in self._tracks
            if t["age"] == 0 and (t["streak"] >= 3 or self._frames <= 3)
        ]
        self._tracks = [t for t in self._tracks if t["age"] <= self._max_age]
        return np.array(out, np.float64).reshape(-1, 5)

    def _correct(self, track: dict[str, Any], z: NDArray[np.float64]) -> None:
        P = track["P"]
        K = P[:, :4] @ np.linalg.inv(P[:4, :4] + self._R)
        track["x"] = track["x"] + K @ (z - track["x"][:4])
        track["P"] = P - K @ P[:4]
        track["age"], track["streak"] = 0, track["streak"] + 1

    @staticmethod
    def _measure(row: NDArray[np.float64]) -> NDArray[np.float64]:
        w, h = row[2] - row[0], row[3] - row[1]
        return np.array([row[0] + w / 2, row[1] + h / 2, w * h, w / h])

    @staticmethod
    def _box(x: NDArray[np.float64]) -> NDArray[np.float64]:
        w = np.sqrt(max(x[2] * x[3], 1e-6))
        h = x[2] / w
        return np.array([x[0] - w / 2, x[1] - h / 2, x[0] + w / 2, x[1] + h / 2])


def _iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=2)
    area_a, area_b = (np.prod(x[:, 2:4] - x[:, :2], axis=1) for x in (a, b))
    return shared / np.maximum(area_a[:, None] + area_b[None, :] - shared, 1e-9)


_FAMILIES: dict[str, tuple[type[Any], str]] = {
    "ultralytics": (Ultralytics, "ultralytics"),
    "roboflow": (Roboflow, "trackers"),
    "norfair": (Norfair, "norfair"),
    "sort": (Sort, "scipy"),
}
PEERS = (
    "ultralytics-botsort",
    "ultralytics-bytetrack",
    "ultralytics-tracktrack",
    "ultralytics-ocsort",
    "ultralytics-fasttrack",
    "roboflow-botsort",
    "roboflow-ocsort",
    "roboflow-bytetrack",
    "roboflow-cbiou",
    "roboflow-sort",
    "norfair",
    "sort",
)


def missing(name: str) -> str | None:
    """Return the package that `name` needs and that is not installed, or None."""
    family = name.split(":")[0].split("-")[0]
    package = _FAMILIES[family][1] if family in _FAMILIES else name
    return None if importlib.util.find_spec(package) else package


def make(name: str, rate_hz: float, affines: bool) -> Any:
    """Return a fresh tracker by name, "name:default" for its package's own settings."""
    plain, _, mode = name.partition(":")
    family, _, kind = plain.partition("-")
    return _FAMILIES[family][0](kind, mode == "default", rate_hz, affines)
