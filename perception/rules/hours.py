"""When something is on: spans of the week in a named time zone. Imports clock only."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator, model_validator

from perception.clock import NS_PER_S

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = "|".join(DAYS)
_SPAN = re.compile(
    rf"(?:(?P<first>{_DAY})(?:-(?P<last>{_DAY}))?\s+)?"
    r"(?P<h1>\d\d):(?P<m1>\d\d)\s*-\s*(?P<h2>\d\d):(?P<m2>\d\d)"
)
_MINUTES = 24 * 60


def _span(text: str) -> str:
    parse_span(text)
    return text


def parse_span(text: str) -> tuple[frozenset[int], int, int]:
    """Return days (0 is Monday), first minute and end minute of the day.

    `22:00-06:00` is every night, `fri-sun 18:00-24:00` three evenings; a span that ends before it
    begins goes on into the next day and belongs to the day it began. Raises ValueError.
    """
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None:
        raise ValueError(f"{text!r} is no span: write 22:00-06:00 or mon-fri 08:00-18:00")
    start = int(match["h1"]) * 60 + int(match["m1"])
    end = int(match["h2"]) * 60 + int(match["m2"])
    if int(match["m1"]) > 59 or int(match["m2"]) > 59 or start >= _MINUTES or end > _MINUTES:
        raise ValueError(f"{text!r} has no such time: 00:00 to 24:00")
    if start == end:
        raise ValueError(f"{text!r} has no length; leave the hours out for always")
    if match["first"] is None:
        return frozenset(range(7)), start, end
    first = DAYS.index(match["first"])
    last = DAYS.index(match["last"]) if match["last"] else first
    return frozenset((first + i) % 7 for i in range((last - first) % 7 + 1)), start, end


class Hours(BaseModel):
    """Spans in which something is on. None given: always.

    time_zone: a name such as Europe/Berlin; needed where there are hours, so that a recording gives
    the same on every machine. Summer time is followed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hours: tuple[Annotated[str, AfterValidator(_span)], ...] = ()
    time_zone: str | None = None

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(f"no time zone {name!r}: write it as Europe/Berlin") from None
        return name

    @model_validator(mode="after")
    def _complete(self) -> Any:
        if self.hours and self.time_zone is None:
            raise ValueError("hours need a time_zone, such as Europe/Berlin")
        return self

    def active(self, t_wall_ns: int) -> bool:
        """Say whether a UTC time in ns since 1970 falls in one of the spans."""
        if not self.hours:
            return True
        zone = UTC if self.time_zone is None else ZoneInfo(self.time_zone)
        local = datetime.fromtimestamp(t_wall_ns // NS_PER_S, zone)
        day, minute = local.weekday(), local.hour * 60 + local.minute
        for days, start, end in map(parse_span, self.hours):
            if start < end:
                if day in days and start <= minute < end:
                    return True
            elif (day in days and minute >= start) or ((day - 1) % 7 in days and minute < end):
                return True
        return False
