"""What a replay is compared with what was recorded by, and the first thing that is not the same.

Imports wire.
"""

from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from perception.wire import Alert, DetectionMessage, Detections, TrackMessage, Tracks, text_id
from perception.wire.fields import table_columns

EXCLUDED = {
    "t_taken_ns": "the clock of the run",
    "t_detected_ns": "the clock of the run",
    "inference_ns": "the clock of the run",
    "t_tracked_ns": "the clock of the run",
    "t_alerted_ns": "the clock of the run",
    "message_id": "counts what was sent, not what was seen",
    "tracks.places": "from telemetry, which is not recorded",
    "tracks.place_codes": "from telemetry, which is not recorded",
    "view": "from telemetry, which is not recorded",
    "details.clip": "where the clip is",
    "snapshot": "where the picture is",
    "picture_offset_ms": "which frame the ring still had",
}
"""What is not compared, and why. All else is, to the last bit."""

SCORE_TOLERANCE, BOX_TOLERANCE_PX = 1e-4, 0.01
"""Of detections made on another instruction set (measured: 7e-6 and 0.003 px)."""


@dataclass
class Stage:
    """What came out of one stage. first: the first difference, in words; notes: what could not be
    compared and why, with counts."""

    name: str
    compared: int = 0
    equal: int = 0
    first: str = ""
    notes: dict[str, int] = field(default_factory=dict[str, int])

    def add(self, difference: str | None) -> None:
        """Count one message: None where it is equal."""
        self.compared += 1
        self.equal += difference is None
        if difference is not None and not self.first:
            self.first = difference

    def note(self, why: str, count: int = 1) -> None:
        """Count what could not be compared."""
        self.notes[why] = self.notes.get(why, 0) + count


def place(message: Any, what: str) -> str:
    """Return when and where, in words: the frame of a message."""
    stamp = message.stamp
    seconds, ns = divmod(stamp.t_wall_ns, 1_000_000_000)
    at = np.datetime64(seconds, "s").astype(str)[11:]
    return f"{at}.{ns // 1_000_000:03d} UTC {stamp.camera} {what} frame {text_id(stamp.frame_id)}"


def of_detections(was: Detections, now: Detections, *, exact: bool) -> str | None:
    """Return the first difference of two tables; None where they are equal.

    exact False: scores and boxes may differ by the tolerances above.
    """
    if len(was) != len(now):
        return f"{len(was)} -> {len(now)} boxes"
    for name, limit in (
        ("scores", SCORE_TOLERANCE),
        ("boxes", BOX_TOLERANCE_PX),
        ("class_ids", 0.0),
    ):
        a, b = getattr(was, name), getattr(now, name)
        if not exact and len(a) and float(np.abs(a - b).max()) <= limit:
            continue
        if said := _column(name, a, b):
            return said
    return None


def of_tracks(was: TrackMessage, now: TrackMessage) -> str | None:
    """Return the first difference of two track messages; None where they are equal."""
    a, b = was.tracks, now.tracks
    if len(a) != len(b):
        return f"{len(a)} -> {len(b)} tracks"
    for name, _, _ in table_columns(Tracks):
        if f"tracks.{name}" in EXCLUDED:
            continue
        if said := _column(name, getattr(a, name), getattr(b, name)):
            return said
    for name in ("width", "height", "names", "dropped", "cut", "own_speed_m_s", "own_yaw_rate"):
        if getattr(was, name) != getattr(now, name):
            return f"{name} {getattr(was, name)} -> {getattr(now, name)}"
    return _column("warp", was.warp, now.warp)


def of_motion(was: TrackMessage, warp: NDArray[np.float32], cut: bool) -> str | None:
    """Return how camera motion or scene cut differ from those of a message; None: not at all."""
    return f"cut {was.cut} -> {cut}" if was.cut != cut else _column("warp", was.warp, warp)


def of_alerts(was: list[Alert], now: list[Alert]) -> str | None:
    """Return the first difference of the alerts of one frame; None where they are equal."""
    for a, b in zip(was, now, strict=False):
        old, new = comparable(a), comparable(b)
        for key in (*old, *(k for k in new if k not in old)):
            if old.get(key) != new.get(key):
                return f"alert {a.rule} {a.state}: {key} {old.get(key)} -> {new.get(key)}"
    for alert in was[len(now) :]:
        return f"alert {alert.rule} {alert.state} of {alert.class_name} is gone"
    for alert in now[len(was) :]:
        return f"alert {alert.rule} {alert.state} of {alert.class_name} is new"
    return None


def of_states(was: Any, now: Any) -> str | None:
    """Return where two states differ; None where they are equal."""
    old, new = _by_key(was), _by_key(now)
    if old is not None and new is not None:
        for key in (*old, *(k for k in new if k not in old)):
            if said := of_states(old.get(key), new.get(key)):
                return f"{key}.{said}"
        return None
    if isinstance(was, np.ndarray) or isinstance(now, np.ndarray):
        said = _column("", np.asarray(was), np.asarray(now))
        return said and said.strip()
    return None if was == now else f"{was!r} -> {now!r}"[:200]


def _by_key(value: Any) -> dict[Any, Any] | None:
    if isinstance(value, list):
        return dict(enumerate(cast("list[Any]", value)))
    return cast("dict[Any, Any]", value) if isinstance(value, dict) else None


def comparable(alert: Alert) -> dict[str, Any]:
    """Return an alert as JSON values without what is not compared."""
    values: dict[str, Any] = msgspec.to_builtins(alert)
    details: dict[str, Any] = values.pop("details")
    kept = {k: v for k, v in values.items() if k not in EXCLUDED}
    return kept | {k: v for k, v in details.items() if f"details.{k}" not in EXCLUDED}


def was_lost(message: DetectionMessage | TrackMessage, before: int | None) -> int:
    """Return how many messages are missing before this one; of another start: since that."""
    if before is None or before >> 32 != message.message_id >> 32:
        return message.message_id & 0xFFFFFFFF if before is not None else 0
    return max(0, message.message_id - before - 1)


def _column(name: str, was: Any, now: Any) -> str | None:
    if was.dtype == now.dtype and was.shape == now.shape and was.tobytes() == now.tobytes():
        return None
    if was.shape != now.shape:
        return f"{name} of shape {was.shape} -> {now.shape}"
    flat, other = was.reshape(-1), now.reshape(-1)
    unlike = np.flatnonzero(flat.view(f"V{flat.itemsize}") != other.view(f"V{other.itemsize}"))
    at = int(unlike[0])
    row = at // max(1, flat.size // max(1, len(was)))
    return f"row {row} {name} {flat[at]!s} -> {other[at]!s}"
