"""Approach: a track will be in a zone soon if it goes on as it does.

Imports wire, kernels and the rest of this room.
"""

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from pydantic import AliasChoices, ConfigDict, Field

from perception.kernels import polygons
from perception.rules import Event
from perception.rules.observed import Filter, Seconds, feet
from perception.rules.stay import StayRule
from perception.wire import TrackMessage


def _with_other_names(schema: dict[str, Any]) -> None:
    """Tell editors that `to` stands for `zone`, and `seconds` for `within_s`."""
    properties = schema["properties"]
    properties["to"], properties["seconds"] = properties["zone"], properties["within_s"]
    others = [name for name in schema.pop("required", []) if name != "zone"]
    schema["anyOf"] = [{"required": [*others, name]} for name in ("zone", "to")]


class ApproachRule(StayRule):
    """Begins when a track outside the zone would, at its present speed, be in it within within_s.

    It has to look so for enter_s. Ends leave_s after that is over, with a reason: `arrived`,
    `left` (turned or stopped) or `lost`.
    """

    kind = "approach"

    class Options(Filter):
        """zone, also `to`: its name. within_s, also `seconds`, enter_s, leave_s: s of media time.
        min_speed: box heights a second; slower tracks only seem to move."""

        model_config = ConfigDict(json_schema_extra=_with_other_names)

        zone: str = Field(validation_alias=AliasChoices("zone", "to"))
        within_s: Annotated[float, Field(gt=0.0, le=600.0, allow_inf_nan=False)] = Field(
            default=3.0, validation_alias=AliasChoices("within_s", "seconds")
        )
        min_speed: Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)] = 0.2
        enter_s: Seconds = 0.3
        leave_s: Seconds = 1.0

    def update(self, message: TrackMessage) -> list[Event]:
        t_ns = self._time.advance(message)
        tracks = message.tracks
        polygon = self._zone.pixels(message.width, message.height)
        rates = tracks.rates.astype(np.float64)
        speeds = np.stack([rates[:, 0], rates[:, 1] + rates[:, 3] / 2], axis=1)
        heights = tracks.boxes[:, 3] - tracks.boxes[:, 1]
        reach_s = polygons.entry_times(feet(message), speeds, polygon)
        fast = np.hypot(speeds[:, 0], speeds[:, 1]) >= self._options.min_speed * heights
        near = fast & (reach_s > 0.0) & (reach_s <= self._options.within_s)
        begun, ended = self._presence.update(
            message, t_ns, near, self._selector.rows(message, t_ns)
        )
        arrived = set(tracks.track_ids[reach_s == 0.0].tolist())
        ended = [(i, s, "arrived" if i in arrived else why) for i, s, why in ended]
        events = self._events(message, begun, ended)
        return [self._with_time(event, tracks.track_ids, reach_s) for event in events]

    def _with_time(self, event: Event, track_ids: Any, reach_s: Any) -> Event:
        """Say how many seconds are left, instead of how long it has been so."""
        details = {k: v for k, v in event.details.items() if k != "inside_s"}
        if event.phase == "begin":
            details["reach_s"] = round(float(reach_s[track_ids == event.track_id][0]), 2)
        return replace(event, details=details)
