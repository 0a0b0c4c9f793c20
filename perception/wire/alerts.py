"""What rules hold to be true, and who people are."""

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from perception.wire.fields import Finite, Name, Natural, Stamp

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
