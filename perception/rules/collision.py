"""Collision: a track will be where the vehicle goes, in so many seconds.

The path is a corridor of the vehicle's width along its own motion: straight ahead, or an arc where
user code says speed and yaw rate. Needs a camera with `calibration:`. It warns; it brakes nothing.

Source of the threshold on time to collision: Lee 1976 (doi 10.1068/p050437). Imports wire and the
rest of this room.
"""

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from perception.rules import Event, Json
from perception.rules.observed import Filter, Seconds
from perception.rules.presence import stay_events
from perception.rules.stay import PresenceRule
from perception.wire import TrackMessage

MIN_TURN_SPEED = 1.0
"""Slower than this, m/s, the yaw rate gives no arc."""
LOOK_S = 1.0
"""A track's side speed is taken to last at most so long."""


class CollisionRule(PresenceRule):
    """Begins when a track is to be met in the path within ttc_s, ends leave_s after that is over.

    details: ttc_s, distance_m, side_m (from the middle of the path), closing_km_h. Where the own
    speed is known and below min_speed, nothing begins: who stands drives into nobody.
    """

    kind = "collision"

    class Options(Filter):
        """ttc_s: seconds to collision. path: own, the vehicle's. width_m: of the corridor, the
        vehicle's and what is to be kept free. certain: the least ratio of the closing rate to its
        sigma. min_speed: own speed, m/s. enter_s, leave_s: s of media time."""

        ttc_s: Annotated[float, Field(gt=0.0, le=20.0, allow_inf_nan=False)] = 2.0
        path: Literal["own"] = "own"
        width_m: Annotated[float, Field(gt=0.0, le=50.0, allow_inf_nan=False)] = 2.4
        certain: Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)] = 2.0
        min_speed: Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)] = 1.0
        enter_s: Seconds = 0.1
        leave_s: Seconds = 0.7

    def update(self, message: TrackMessage) -> list[Event]:
        t_ns = self._time.advance(message)
        threats = self._threats(message)
        chosen = self._selector.rows(message, t_ns)
        begun, ended = self._presence.update(message, t_ns, threats, chosen)
        over = [(i, stay, "over" if why == "left" else why) for i, stay, why in ended]
        about: dict[str, Json] = {"path": self._options.path}
        events = stay_events(self.name, self.kind, message, self._presence, begun, over, about)
        return [self._with_numbers(message, event) for event in events]

    def _threats(self, message: TrackMessage) -> NDArray[np.bool_]:
        """Return which tracks are to be met in the path within ttc_s: bool (M,)."""
        options, tracks = self._options, message.tracks
        own = message.own_speed_m_s
        if own is not None and own < options.min_speed:
            return np.zeros(len(tracks), np.bool_)
        metres = tracks.metres.astype(np.float64)
        rate, sigma = tracks.closings.astype(np.float64).T
        closing = (metres[:, 5] > 0.0) & (sigma > 0.0) & (rate * options.ttc_s >= 1.0)
        closing &= rate >= options.certain * sigma
        ttc = 1.0 / np.maximum(rate, 1e-6)
        side = from_path(message)
        later = side + _side_speed(message) * np.minimum(ttc, LOOK_S)
        half = options.width_m / 2.0
        return closing & (np.abs(later) <= half) & (np.abs(side) <= 2.0 * half)

    def _with_numbers(self, message: TrackMessage, event: Event) -> Event:
        """Say how soon and where instead of how long it has been so."""
        details = {k: v for k, v in event.details.items() if k != "inside_s"}
        rows = np.flatnonzero(message.tracks.track_ids == event.track_id)
        if event.phase == "begin" and len(rows):
            row = int(rows[0])
            rate, metres = float(message.tracks.closings[row, 0]), message.tracks.metres[row]
            details["ttc_s"] = round(1.0 / rate, 2)
            details["distance_m"] = round(float(metres[1]), 1)
            details["side_m"] = round(float(from_path(message)[row]), 1)
            details["closing_km_h"] = round(-3.6 * float(metres[3]), 1)
        return replace(event, details=details)


def from_path(message: TrackMessage) -> NDArray[np.float64]:
    """Return how far to the right of the middle of the own path each track is: float64 (M,) m.

    The path is an arc of curvature yaw rate by speed, straight where these are not known.
    """
    metres = message.tracks.metres.astype(np.float64)
    own, yaw = message.own_speed_m_s, message.own_yaw_rate
    if own is None or yaw is None or own < MIN_TURN_SPEED:
        return metres[:, 0]
    return metres[:, 0] + yaw / own * metres[:, 1] ** 2 / 2.0


def _side_speed(message: TrackMessage) -> NDArray[np.float64]:
    """Return the speed of each track across the own path: float64 (M,) m/s, to the right."""
    metres = message.tracks.metres.astype(np.float64)
    own, yaw = message.own_speed_m_s, message.own_yaw_rate
    if own is None or yaw is None or own < MIN_TURN_SPEED:
        return metres[:, 2]
    return metres[:, 2] + yaw / own * metres[:, 1] * metres[:, 3]
