"""What a tracker holds after a frame; and asking tracking for what one has missed."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from perception.wire.fields import (
    Finite,
    Name,
    Names,
    Natural,
    Side,
    Small,
    Stamp,
    column,
    empty_columns,
)
from perception.wire.frames import Damage
from perception.wire.places import VIEW_WIDTH, Place

TENTATIVE, CONFIRMED, LOST, REMOVED = 0, 1, 2, 3

MAX_TTC_S = 60.0
"""Times to collision beyond this are not told: their interval has no end."""
STATE_NAMES = ("tentative", "confirmed", "lost", "removed")


@dataclass(frozen=True, slots=True)
class Metres:
    """Where a track is on the ground, of a camera with `calibration:`; m, m/s, each with 1 sigma.

    lateral: to the right of the camera, the object's middle. ahead: in front of it, the object's
    nearest point. Speeds are relative to the camera. With four points the axes are theirs, and the
    place is that of the box's foot.
    """

    lateral_m: float
    ahead_m: float
    lateral_m_s: float
    ahead_m_s: float
    lateral_sigma_m: float
    ahead_sigma_m: float
    lateral_sigma_m_s: float
    ahead_sigma_m_s: float

    @property
    def closing_m_s(self) -> float:
        """How fast it comes nearer."""
        return -self.ahead_m_s


@dataclass(frozen=True, slots=True)
class Track:
    """One object in one frame, as user code and rules see it. Boxes px, velocities px/s.

    ttc_s: seconds to collision at its present closing speed, None where it does not come nearer;
    ttc_interval_s: its 1-sigma interval, whose end may be infinite. place: where on earth it is,
    None where that is not known or not asked. metres: where it is as the camera sees it, None where
    that is not known.
    """

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
    ttc_s: float | None = None
    ttc_interval_s: tuple[float, float] | None = None
    place: Place | None = None
    metres: Metres | None = None


@dataclass(slots=True, eq=False)
class Tracks:
    """The objects a tracker holds after one frame, one row a track, by rising track_id.

    rates: centre x, centre y, width, height in px/s. states: TENTATIVE, CONFIRMED, LOST, REMOVED.
    ages_s: media time since the first detection. unseen_s: media time since the last one.
    detection_rows: the row of this frame's detections that was matched, or -1. closings: inverse
    time to collision in 1/s, negative where it moves away, and its 1 sigma; 0, 0: not known.
    places: latitude, longitude deg, height m, covariance ee, en, nn m^2, velocity east, north m/s
    and the deviation of each; place_codes: rows of places.REASONS, which say what a place is worth.
    metres: the fields of Metres in their order; a distance's sigma of 0: not known.
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
    closings: NDArray[np.float32] = column("<f4", "M", 2, optional=True)
    places: NDArray[np.float64] = column("<f8", "M", 9, optional=True)
    place_codes: NDArray[np.uint8] = column("|u1", "M", optional=True)
    metres: NDArray[np.float32] = column("<f4", "M", 8, optional=True)

    def __post_init__(self) -> None:
        if self.closings is None:  # pyright: ignore[reportUnnecessaryComparison]
            self.closings = np.zeros((len(self.track_ids), 2), np.float32)
        if self.places is None:  # pyright: ignore[reportUnnecessaryComparison]
            self.places = np.zeros((len(self.track_ids), 9))
        if self.place_codes is None:  # pyright: ignore[reportUnnecessaryComparison]
            self.place_codes = np.zeros(len(self.track_ids), np.uint8)
        if self.metres is None:  # pyright: ignore[reportUnnecessaryComparison]
            self.metres = np.zeros((len(self.track_ids), 8), np.float32)

    def __len__(self) -> int:
        return len(self.track_ids)

    @classmethod
    def none(cls) -> Self:
        """Return zero tracks."""
        return cls(*empty_columns(cls))

    def rows(self, names: Mapping[int, str] | None = None) -> Iterator[Track]:
        """Yield one Track a row; `names` gives class names by class id."""
        return (self.row(i, names or {}) for i in range(len(self.track_ids)))

    def row(self, i: int, names: Mapping[int, str]) -> Track:
        """Return row i as a Track; `names` gives class names by class id."""
        class_id = int(self.class_ids[i])
        x1, y1, x2, y2 = self.boxes[i].tolist()
        vx, vy, dw, dh = self.rates[i].tolist()
        ttc_s, interval = time_to_collision(*self.closings[i].tolist())
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
            ttc_s=ttc_s,
            ttc_interval_s=interval,
            place=Place.of(self.places[i].tolist(), int(self.place_codes[i])),
            metres=Metres(*self.metres[i].tolist()) if self.metres[i, 5] > 0.0 else None,
        )


def time_to_collision(
    closing: float, sigma: float
) -> tuple[float | None, tuple[float, float] | None]:
    """Return seconds to collision and their 1-sigma interval of a closing rate in 1/s.

    None, None where it is not known, does not come nearer, or needs longer than MAX_TTC_S.
    """
    if sigma <= 0.0 or closing < 1.0 / MAX_TTC_S:
        return None, None
    last = closing - sigma
    return 1.0 / closing, (1.0 / (closing + sigma), 1.0 / last if last > 0.0 else math.inf)


@dataclass(slots=True, eq=False, kw_only=True)
class TrackMessage:
    """Tracks after one frame. warp: camera motion since the last one, affine px (identity: still).

    dropped: frames without detections since the last message, by cause. cut: the picture shows
    another scene than the last; nothing goes on across it. own_speed_m_s, own_yaw_rate: how the
    camera itself moves, m/s and rad/s, left positive; None: nobody said. message_id: tracker
    epoch << 32 | n, n the messages of this camera before it: a gap is a message that you missed.
    view: where the camera is and looks, see places.View; its first value is a row of
    places.REASONS. damage: of the picture; where it is `direct` tracks are carried on by time.
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
    own_speed_m_s: Finite | None = None
    own_yaw_rate: Finite | None = None
    message_id: Natural = 0
    damage: Damage = "none"
    view: NDArray[np.float64] = column("<f8", VIEW_WIDTH, optional=True)

    def __post_init__(self) -> None:
        if self.view is None:  # pyright: ignore[reportUnnecessaryComparison]
            self.view = np.zeros(VIEW_WIDTH)

    @property
    def age_ms(self) -> float:
        """Milliseconds since the frame came out of the decoder."""
        return self.stamp.age_ms

    def __iter__(self) -> Iterator[Track]:
        return self.tracks.rows(self.names)


@dataclass(slots=True, eq=False, kw_only=True)
class OwnMotion:
    """How the vehicle that bears the cameras moves, as user code says.

    speed_m_s: forwards. yaw_rate: rad/s, to the left positive, None: not known. t_monotonic_ns:
    when it was said, on this host.
    """

    t_monotonic_ns: Natural
    speed_m_s: Annotated[float, msgspec.Meta(ge=-200, le=200)]
    yaw_rate: Annotated[float, msgspec.Meta(ge=-10, le=10)] | None = None


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
