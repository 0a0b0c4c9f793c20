"""Which tracks are in a place, with hysteresis. Used by zone, dwell, approach and count.

A track is in once it was seen inside for enter_s. It is out once it was not seen inside for
leave_s: it was seen outside, is lost, or is no longer in the messages.
Imports wire and below.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.rules import Event, Json, Phase
from perception.rules.observed import seen, track_at
from perception.wire import CONFIRMED, Track, TrackMessage

Ended = tuple[int, "Stay", str]
"""Track id, its stay, and why it ended: left, or lost (not seen outside)."""


@dataclass(slots=True)
class Stay:
    """One track's stay: first and last time inside (ns); class, score and box at the last."""

    since_ns: int
    last_ns: int
    begun: bool
    class_name: str
    score: float
    box: tuple[float, float, float, float]

    def look(self, track: Track, t_ns: int) -> None:
        """Set time, class, score and box of the last sight."""
        self.last_ns = t_ns
        self.class_name, self.score, self.box = track.class_name, track.score, track.box

    @property
    def inside_s(self) -> float:
        """Seconds from first to last seen inside."""
        return round((self.last_ns - self.since_ns) / 1e9, 3)


class Presence:
    """Stays in one place. grace_s: how long a waiting track may be outside without starting again.

    stays: track_id -> Stay, of tracks that are in and of tracks that wait for enter_s.
    """

    def __init__(self, enter_s: float, leave_s: float, grace_s: float = 0.0) -> None:
        self._enter_ns = round(enter_s * 1e9)
        self._leave_ns = round(leave_s * 1e9)
        self._grace_ns = round(grace_s * 1e9)
        self.stays: dict[int, Stay] = {}

    def update(
        self,
        message: TrackMessage,
        t_ns: int,
        inside: NDArray[np.bool_],
        chosen: NDArray[np.bool_],
    ) -> tuple[list[int], list[Ended]]:
        """Return the track ids whose stay begins, and the stays that end.

        inside: bool (M,), bottom centre in the place. chosen: bool (M,), tracks that may begin.
        """
        visible = seen(message)
        begun: list[int] = []
        outside: set[int] = set()
        for row in np.flatnonzero(visible).tolist():
            track_id = int(message.tracks.track_ids[row])
            stay = self.stays.get(track_id)
            if not inside[row]:
                if stay is not None:
                    outside.add(track_id)
                continue
            if not (chosen[row] or (stay is not None and stay.begun)):
                continue
            track = track_at(message, row)
            if stay is None:
                stay = Stay(t_ns, t_ns, False, track.class_name, track.score, track.box)
                self.stays[track_id] = stay
            stay.look(track, t_ns)
            waited = t_ns - stay.since_ns >= self._enter_ns
            if not stay.begun and waited and message.tracks.states[row] == CONFIRMED:
                stay.begun = True
                begun.append(track_id)
        return begun, self._ends(t_ns, outside)

    def _ends(self, t_ns: int, outside: set[int]) -> list[Ended]:
        ended: list[Ended] = []
        for track_id, stay in list(self.stays.items()):
            away_ns = t_ns - stay.last_ns
            if stay.begun and away_ns >= self._leave_ns and away_ns > 0:
                ended.append((track_id, stay, "left" if track_id in outside else "lost"))
            elif stay.begun or away_ns <= (
                self._grace_ns if track_id in outside else max(self._leave_ns, self._grace_ns)
            ):
                continue
            del self.stays[track_id]
        return ended

    def state(self) -> dict[str, list[Any]]:
        """Return the stays as JSON values by track id."""
        return {
            str(i): [s.since_ns, s.last_ns, s.begun, s.class_name, s.score, list(s.box)]
            for i, s in self.stays.items()
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Set the state that `state` returned. Raises ValueError where it is not such a state."""
        stays: dict[int, Stay] = {}
        for track_id, (since, last, begun, name, score, (x1, y1, x2, y2)) in state.items():
            box = float(x1), float(y1), float(x2), float(y2)
            stays[int(track_id)] = Stay(
                int(since), int(last), bool(begun), str(name), float(score), box
            )
        self.stays = stays


def stay_events(
    rule: str,
    kind: str,
    message: TrackMessage,
    presence: Presence,
    begun: list[int],
    ended: list[Ended],
    about: dict[str, Json],
) -> list[Event]:
    """Return an event for each end and then each begin, with `about` in its details."""

    def event(phase: Phase, track_id: int, stay: Stay, more: dict[str, Json]) -> Event:
        return Event(
            rule=rule,
            kind=kind,
            phase=phase,
            track_id=track_id,
            class_name=stay.class_name,
            score=stay.score,
            box=stay.box,
            t_media_ns=message.stamp.t_media_ns,
            frame_id=message.stamp.frame_id,
            details={**about, "inside_s": stay.inside_s, **more},
        )

    return [event("end", i, stay, {"reason": reason}) for i, stay, reason in ended] + [
        event("begin", i, presence.stays[i], {}) for i in begun
    ]
