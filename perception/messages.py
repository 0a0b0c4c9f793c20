"""THE schema: what processes say to each other. codec.py derives from it the bytes that travel.

May be imported by every room but kernels, clock and errors; imports only those.

Shape letters: N detections, M tracks, H, W pixels. Boxes are xyxy float32 pixels.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, Self, get_args

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception import clock

VERSION = 2
MAX_ROWS = 10_000
MAX_MESSAGE_BYTES = 4 << 20
MAX_HEADER_BYTES = 1 << 20
GREY_LONG_SIDE = 240
"""Long side in px of the grey image that travels with detections (camera motion uses it)."""

TENTATIVE, CONFIRMED, LOST, REMOVED = 0, 1, 2, 3
STATE_NAMES = ("tentative", "confirmed", "lost", "removed")

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Dotted = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
Side = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Small = Annotated[dict[Name, Natural], msgspec.Meta(max_length=64)]
Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_ROWS)]
Names = Annotated[dict[int, str], msgspec.Meta(max_length=MAX_ROWS)]
Coding = Literal["bgr", "bt601", "bt601-full", "bt709", "bt709-full", "bt2020", "bt2020-full"]
"""What the bytes of a frame mean: BGR, or planes of YUV 4:2:0 by matrix and range (pixels.py)."""
CODINGS: tuple[Coding, ...] = get_args(Coding)


def make_id(epoch: int, n: int) -> int:
    """Return epoch << 32 | n: an int64 id that no later start of the process gives again."""
    return epoch << 32 | n


def short_id(identifier: int) -> int:
    """Return the low 32 bits of an id: what displays show."""
    return identifier & 0xFFFFFFFF


def text_id(identifier: int) -> str:
    """Return an id as text, epoch-n: who reads JSON into doubles loses digits of the number."""
    return f"{identifier >> 32}-{short_id(identifier)}"


def column(dtype: str, *shape: str | int) -> Any:
    """Declare an array field: dtype string and shape, letters standing for row counts."""
    return field(metadata={"column": (np.dtype(dtype), shape)})


class Stamp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which frame something belongs to: camera, id and its three times (see clock.py)."""

    camera: Name
    frame_id: Natural
    t_media_ns: Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62)]
    t_arrival_ns: Natural
    t_wall_ns: Natural

    @property
    def age_ms(self) -> float:
        """Milliseconds since the frame came out of the decoder; this host only."""
        return (clock.monotonic_ns() - self.t_arrival_ns) / clock.NS_PER_MS


@dataclass(slots=True, eq=False)
class Detections:
    """What a detector saw in one frame, one row a box, best score first where it came from NMS."""

    boxes: NDArray[np.float32] = column("<f4", "N", 4)
    scores: NDArray[np.float32] = column("<f4", "N")
    class_ids: NDArray[np.int32] = column("<i4", "N")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def of(cls, boxes: ArrayLike, scores: ArrayLike, class_ids: ArrayLike) -> Self:
        """Make detections of anything array-like: boxes (N, 4) px, scores (N,), class ids (N,)."""
        return cls(
            _own(boxes, np.float32).reshape(-1, 4),
            _own(scores, np.float32).reshape(-1),
            _own(class_ids, np.int32).reshape(-1),
        )

    @classmethod
    def none(cls) -> Self:
        """Return zero detections."""
        return cls.of([], [], [])


@dataclass(frozen=True, slots=True)
class Track:
    """One object in one frame, as user code and rules see it. Boxes px, velocities px/s."""

    track_id: int
    box: tuple[float, float, float, float]
    velocity_px_s: tuple[float, float]
    growth_px_s: tuple[float, float]
    class_id: int
    class_name: str
    score: float
    state: str
    age_s: float
    unseen_s: float


@dataclass(slots=True, eq=False)
class Tracks:
    """The objects a tracker holds after one frame, one row a track, by rising track_id.

    rates: centre x, centre y, width, height in px/s. states: TENTATIVE, CONFIRMED, LOST, REMOVED.
    ages_s: media time since the first detection. unseen_s: media time since the last one.
    detection_rows: the row of this frame's detections that was matched, or -1.
    """

    track_ids: NDArray[np.int64] = column("<i8", "M")
    boxes: NDArray[np.float32] = column("<f4", "M", 4)
    rates: NDArray[np.float32] = column("<f4", "M", 4)
    class_ids: NDArray[np.int32] = column("<i4", "M")
    scores: NDArray[np.float32] = column("<f4", "M")
    states: NDArray[np.uint8] = column("|u1", "M")
    ages_s: NDArray[np.float32] = column("<f4", "M")
    unseen_s: NDArray[np.float32] = column("<f4", "M")
    detection_rows: NDArray[np.int32] = column("<i4", "M")

    def __len__(self) -> int:
        return len(self.track_ids)

    @classmethod
    def none(cls) -> Self:
        """Return zero tracks."""
        empty: list[Any] = [
            np.zeros([0 if isinstance(side, str) else side for side in spec], dtype)
            for _, dtype, spec in table_columns(cls)
        ]
        return cls(*empty)

    def rows(self, names: Mapping[int, str] | None = None) -> Iterator[Track]:
        """Yield one Track a row; `names` gives class names by class id."""
        return (self.row(i, names or {}) for i in range(len(self.track_ids)))

    def row(self, i: int, names: Mapping[int, str]) -> Track:
        """Return row i as a Track; `names` gives class names by class id."""
        class_id = int(self.class_ids[i])
        x1, y1, x2, y2 = self.boxes[i].tolist()
        vx, vy, dw, dh = self.rates[i].tolist()
        return Track(
            track_id=int(self.track_ids[i]),
            box=(x1, y1, x2, y2),
            velocity_px_s=(vx, vy),
            growth_px_s=(dw, dh),
            class_id=class_id,
            class_name=names.get(class_id, str(class_id)),
            score=float(self.scores[i]),
            state=STATE_NAMES[int(self.states[i])],
            age_s=float(self.ages_s[i]),
            unseen_s=float(self.unseen_s[i]),
        )


AlertState = Literal["raised", "updated", "cleared"]


class Alert(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something a rule holds to be true, with a life: raised, updated, cleared.

    key: hash of camera, rule, track_id and start t_media: the idempotency key of every delivery.
    kind: what happened (zone, dwell, line, ...). box: xyxy px at the last update.
    details: what the rule says of it (zone, direction, seconds, count, ...), JSON values only.
    """

    key: Name
    camera: Name
    rule: Name
    kind: Name
    state: AlertState
    track_id: int
    class_name: str
    score: Finite
    box: tuple[Finite, Finite, Finite, Finite]
    frame_id: int
    start_t_media_ns: int
    t_media_ns: int
    start_t_wall_ns: int
    t_wall_ns: int
    details: dict[str, str | int | Finite | bool | None] = {}
    snapshot: str | None = None
    picture_offset_ms: Finite | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class FrameMessage:
    """A frame stands in shared memory: `ring` file, slot and the slot's generation.

    width, height: of the picture, whatever its coding.
    """

    stamp: Stamp
    ring: Dotted
    slot: Natural
    generation: Natural
    width: Side
    height: Side
    coding: Coding = "bgr"


@dataclass(slots=True, eq=False, kw_only=True)
class DetectionMessage:
    """Detections of one frame, sent also when there are none: trackers must age.

    names: class names by id, for the classes in this message. dropped: frames not detected since
    the last message, by cause. grey: uint8 (H, W), long side GREY_LONG_SIDE, of the whole frame.
    """

    stamp: Stamp
    width: Side
    height: Side
    names: Names
    dropped: Small
    t_taken_ns: Natural
    t_detected_ns: Natural
    inference_ns: Natural
    detections: Detections
    grey: NDArray[np.uint8] = column("|u1", "H", "W")


@dataclass(slots=True, eq=False, kw_only=True)
class TrackMessage:
    """Tracks after one frame. warp: camera motion since the last one, affine px (identity: still).

    dropped: frames without detections since the last message, by cause. cut: the picture shows
    another scene than the last; nothing goes on across it. message_id: tracker epoch << 32 | n, n
    the messages of this camera before it: a gap is a message that you missed.
    """

    stamp: Stamp
    width: Side
    height: Side
    names: Names
    dropped: Small
    t_detected_ns: Natural
    t_tracked_ns: Natural
    tracks: Tracks
    warp: NDArray[np.float32] = column("<f4", 2, 3)
    cut: bool = False
    message_id: Natural = 0

    @property
    def age_ms(self) -> float:
        """Milliseconds since the frame came out of the decoder."""
        return self.stamp.age_ms

    def __iter__(self) -> Iterator[Track]:
        return self.tracks.rows(self.names)


@dataclass(slots=True, eq=False, kw_only=True)
class AlertMessage:
    """An alert changed its state while the frame of `stamp` was dealt with."""

    stamp: Stamp
    t_alerted_ns: Natural
    alert: Alert


@dataclass(slots=True, eq=False, kw_only=True)
class IdentityMessage:
    """Who a track is, as far as its faces tell until the frame of `stamp`; sent again and again.

    who: a name of the gallery, only where known. confidence: 0..1, see identity.decide. faces: how
    many usable ones it rests on.
    """

    stamp: Stamp
    track_id: Natural
    state: Literal["known", "unknown", "undecided"]
    who: Annotated[str, msgspec.Meta(max_length=64)]
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)]
    faces: Natural


@dataclass(slots=True, eq=False, kw_only=True)
class HealthMessage:
    """What a process says of itself. turns: turns of its work loop, which the supervisor watches.

    counters only rise within one epoch. latencies: sparse histograms of metrics.Histogram.
    """

    process: Name
    pid: Natural
    epoch: Natural
    state: Literal["starting", "ready", "stopping"]
    turns: Natural
    t_monotonic_ns: Natural
    note: Annotated[str, msgspec.Meta(max_length=500)]
    cpu_s: Finite
    rss_bytes: Natural
    counters: Annotated[dict[Dotted, Natural], msgspec.Meta(max_length=1000)]
    gauges: Annotated[dict[Dotted, Finite], msgspec.Meta(max_length=1000)]
    latencies: Annotated[dict[Dotted, dict[int, Natural]], msgspec.Meta(max_length=200)]


@dataclass(slots=True, eq=False, kw_only=True)
class CatchUpRequest:
    """Ask tracking for the messages of a camera after a frame, which it keeps for 30 s."""

    camera: Name
    after_frame_id: Annotated[int, msgspec.Meta(ge=-1, le=(1 << 63) - 1)]


@dataclass(slots=True, eq=False, kw_only=True)
class CatchUpEnd:
    """Ends the track messages that answer a CatchUpRequest."""

    camera: Name
    sent: Natural


Message = (
    FrameMessage
    | DetectionMessage
    | TrackMessage
    | AlertMessage
    | IdentityMessage
    | HealthMessage
    | CatchUpRequest
    | CatchUpEnd
)


@dataclass(frozen=True, slots=True)
class Topic:
    """How one kind of message travels: newest only or a bounded queue; and is it recorded.

    bound: messages that wait at most for a reader, at its end. "newest" keeps one at the sender's.
    """

    name: str
    message: type[Any]
    delivery: Literal["newest", "queue"]
    bound: int
    recorded: bool


TOPICS = {
    topic.name: topic
    for topic in (
        Topic("frames", FrameMessage, "newest", 1024, False),
        Topic("detections", DetectionMessage, "queue", 256, True),
        Topic("tracks", TrackMessage, "queue", 1024, True),
        Topic("alerts", AlertMessage, "queue", 1024, True),
        Topic("identities", IdentityMessage, "queue", 1024, True),
        Topic("health", HealthMessage, "queue", 64, True),
        Topic("catchup", CatchUpRequest, "queue", 64, False),
        Topic("caughtup", CatchUpEnd, "queue", 64, False),
    )
}


def _own(values: ArrayLike, dtype: Any) -> NDArray[Any]:
    return np.require(np.asarray(values, dtype), requirements=["C", "W", "O"])


def table_columns(cls: Any) -> list[tuple[str, np.dtype[Any], tuple[str | int, ...]]]:
    """Return name, dtype and shape of each array field of a table or message."""
    return [(f.name, *f.metadata["column"]) for f in fields(cls) if "column" in f.metadata]
