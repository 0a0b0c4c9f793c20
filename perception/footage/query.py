"""From words to a search: "person at porch after 22:00 yesterday". No model: known words only.

Times are of the clock of this host's time zone. What is not understood is told, not guessed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from perception.clock import NS_PER_S
from perception.footage.rows import COLOURS

_FILLING = frozenset(
    (
        *("a", "an", "all", "and", "any", "at", "by", "everything", "find", "from", "in", "me"),
        *("near", "of", "on", "seen", "show", "that", "the", "to", "was", "were", "when"),
        *("where", "which", "who", "with"),
    )
)
_PERSON = frozenset(
    (
        *("people", "persons", "man", "woman"),
        *("anyone", "anybody", "someone", "somebody"),
    )
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_TOKEN = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}:\d\d|[\w-]+")
_COLOURS = {"gray": "grey", "violet": "purple"}
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)")


@dataclass
class Query:
    """What to look for. Empty sets mean anything. from_, to: wall ns; clock: of each day.

    Zones and colours: all of them, of others any. A colour is of the upper or the lower part.
    understood: (words, what they were taken for); ignored: words that mean nothing here.
    """

    classes: set[str] = field(default_factory=set[str])
    cameras: set[str] = field(default_factory=set[str])
    zones: set[str] = field(default_factory=set[str])
    who: set[str] = field(default_factory=set[str])
    colours: set[str] = field(default_factory=set[str])
    alerts: bool = False
    from_wall_ns: int | None = None
    to_wall_ns: int | None = None
    after: time | None = None
    before: time | None = None
    understood: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    ignored: list[str] = field(default_factory=list[str])

    def spans(self, first_wall_ns: int, last_wall_ns: int) -> Iterator[tuple[int, int]]:
        """Yield when something may have been seen, wall ns from and to, the newest first.

        first, last: of what is recorded; nothing before or after them is yielded for the hours of
        a day.
        """
        opens = self.from_wall_ns if self.from_wall_ns is not None else first_wall_ns
        shuts = self.to_wall_ns if self.to_wall_ns is not None else last_wall_ns
        if self.after is None and self.before is None:
            yield opens, shuts
            return
        first, last = max(opens, first_wall_ns), min(shuts, last_wall_ns)
        begin, end = self.after or time(0), self.before or time(0)
        day = local(last).replace(hour=0, minute=0, second=0, microsecond=0)
        oldest = local(first) - timedelta(days=2)
        while day >= oldest:
            start = _wall_ns(day, begin, 0)
            stop = _wall_ns(day, end, 1 if end <= begin else 0)
            if stop > first and start < last:
                yield max(start, opens), min(stop, shuts)
            day = (day - timedelta(hours=12)).replace(hour=0)


def local(t_wall_ns: int) -> datetime:
    """Return a wall time in this host's time zone."""
    return datetime.fromtimestamp(t_wall_ns / NS_PER_S).astimezone()


def _wall_ns(day: datetime, clock: time, later: int) -> int:
    """Return the wall time at which the clocks of this host show a time, so many days later."""
    moment = datetime.combine(day.date() + timedelta(days=later), clock)
    return round(moment.astimezone().timestamp() * NS_PER_S)


def parse(words: str, known: Mapping[str, Iterable[str]], now_wall_ns: int) -> Query:
    """Return what words ask for.

    known: names in the catalog by kind: class, camera, zone, who. A name that is of two kinds is
    the first of them; a colour comes before a class.
    """
    query, tokens = Query(), _TOKEN.findall(words.lower())
    names = {name: ("colour", _COLOURS.get(name, name)) for name in (*COLOURS, *_COLOURS)}
    names |= {
        name.lower(): (kind, name)
        for kind in ("who", "zone", "camera", "class")
        for name in known.get(kind, ())
        if kind != "class" or name.lower() not in names
    }
    spans = sorted({name.count(" ") + 1 for name in names} | {1}, reverse=True)
    at = 0
    while at < len(tokens):
        used = _time(query, tokens, at, local(now_wall_ns))
        if not used:
            used = _name(query, tokens, at, names, spans)
        if not used:
            word = tokens[at]
            if word in ("alert", "alerts"):
                query.alerts = True
                query.understood.append((word, "has an alert"))
            elif word not in _FILLING:
                query.ignored.append(word)
            used = 1
        at += used
    return query


def _name(
    query: Query, tokens: list[str], at: int, names: dict[str, tuple[str, str]], spans: list[int]
) -> int:
    for count in spans:
        said = " ".join(tokens[at : at + count])
        forms = [said, said.removesuffix("s"), said.removesuffix("es")]
        if said in _PERSON:
            forms.append("person")
        for form in forms:
            if form in names:
                kind, name = names[form]
                chosen = {
                    "class": query.classes, "camera": query.cameras, "zone": query.zones,
                    "who": query.who, "colour": query.colours,
                }  # fmt: skip
                chosen[kind].add(name)
                query.understood.append((said, f"{kind} {name}"))
                return count
    return 0


def _time(query: Query, tokens: list[str], at: int, now: datetime) -> int:
    """Take a time that begins at a token; return how many tokens it has, 0 where there is none."""
    word, rest = tokens[at], tokens[at + 1 :]
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if word in ("after", "before", "since", "until") and rest and _CLOCK.fullmatch(rest[0]):
        moment = _of_day(rest[0])
        if moment is None:
            return 0
        if word in ("after", "since"):
            query.after = moment
        else:
            query.before = moment
        query.understood.append((f"{word} {rest[0]}", f"{word} {moment:%H:%M} of a day"))
        return 2
    if word == "between" and len(rest) >= 3 and rest[1] == "and":
        first, last = _of_day(rest[0]), _of_day(rest[2])
        if first is None or last is None:
            return 0
        query.after, query.before = first, last
        said = f"between {rest[0]} and {rest[2]}"
        query.understood.append((said, f"{first:%H:%M} to {last:%H:%M} of a day"))
        return 4
    if word == "last" and rest:
        count, unit, used = 1, rest[0], 2
        if rest[0].isdigit() and len(rest) > 1:
            count, unit, used = int(rest[0]), rest[1], 3
        seconds = _UNITS.get(unit.removesuffix("s"))
        if seconds is None or count * seconds > 100 * 365 * 86_400:
            return 0
        _span(
            query, " ".join(tokens[at : at + used]), now - timedelta(seconds=count * seconds), now
        )
        return used
    if word in ("today", "tonight"):
        _span(query, word, today, today + timedelta(days=1))
        return 1
    if word == "yesterday":
        _span(query, word, today - timedelta(days=1), today)
        return 1
    if word in _DAYS:
        back = (today.weekday() - _DAYS.index(word)) % 7 or 7
        _span(query, word, today - timedelta(days=back), today - timedelta(days=back - 1))
        return 1
    if re.fullmatch(r"\d{4}-\d\d-\d\d", word):
        try:
            day = datetime.fromisoformat(word).astimezone()
        except ValueError:
            return 0
        _span(query, word, day, day + timedelta(days=1))
        return 1
    return 0


def _of_day(text: str) -> time | None:
    found = _CLOCK.fullmatch(text)
    if found is None:
        return None
    hour, minute = int(found[1]), int(found[2])
    return time(hour, minute) if hour < 24 and minute < 60 else None


def _span(query: Query, said: str, start: datetime, end: datetime) -> None:
    query.from_wall_ns = round(start.timestamp() * NS_PER_S)
    query.to_wall_ns = round(end.timestamp() * NS_PER_S)
    query.understood.append((said, f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"))
