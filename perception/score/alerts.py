"""Alerts against visits: missed, false, late, doubled, and names. Our own count.

An alert belongs to a visit where it was raised from EARLY_S before it began to AFTER_S after it
ended. Each visit gets one alert at most, so that as many visits as can be have one, and the delays
are short; an alert more during a visit is `repeated`, any other is false. Needs SciPy (extra
`eval`). Interval of the rate: exact, Garwood 1936 (Biometrika 28). Imports visits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perception.errors import ConfigError
from perception.score.precision import MISSING
from perception.score.results import Raised
from perception.score.visits import Visit, Visits

EARLY_S, AFTER_S = 1.0, 5.0
LATE_S = 2.0
"""A longer delay is told as late."""
_STRANGER = "unknown"
_EARLY_NS, _AFTER_NS = round(EARLY_S * 1e9), round(AFTER_S * 1e9)
_MOST = 20_000_000


@dataclass
class Alerted:
    """What alerts were worth. Times in ns as in the visits.

    found: visit, its alert, delay in s. repeated: visit and an alert more. wrong: names said that
    are not the truth's. unnamed: known people called unknown. undecided: nothing was said by the
    last update. named: judged and right. hours: of footage; nan: not known.
    """

    visits: list[Visit]
    count: int
    hours: float
    found: list[tuple[Visit, Raised, float]] = field(
        default_factory=list[tuple[Visit, Raised, float]]
    )
    missed: list[Visit] = field(default_factory=list[Visit])
    false: list[Raised] = field(default_factory=list[Raised])
    repeated: list[tuple[Visit, Raised]] = field(default_factory=list[tuple[Visit, Raised]])
    wrong: list[tuple[Visit, Raised]] = field(default_factory=list[tuple[Visit, Raised]])
    unnamed: list[tuple[Visit, Raised]] = field(default_factory=list[tuple[Visit, Raised]])
    undecided: list[tuple[Visit, Raised]] = field(default_factory=list[tuple[Visit, Raised]])
    named: int = 0
    notes: list[str] = field(default_factory=list[str])

    @property
    def late(self) -> list[tuple[Visit, Raised, float]]:
        """Found, but later than LATE_S."""
        return [row for row in self.found if row[2] > LATE_S]

    @property
    def doubled(self) -> int:
        """Visits with more than one alert."""
        return len({id(visit) for visit, _ in self.repeated})

    def delay(self, percent: float) -> float:
        """Return a percentile of the delays in s; nan without any."""
        delays = [row[2] for row in self.found]
        return float(np.percentile(delays, percent)) if delays else float("nan")

    def false_a_day(self) -> tuple[float, float, float]:
        """Return false alerts in 24 h of footage and their 95 % interval; nan: not known."""
        return per_day(len(self.false), self.hours)


def per_day(count: int, hours: float) -> tuple[float, float, float]:
    """Return a rate in 24 h and its exact 95 % Poisson interval; nan where hours are not known."""
    try:
        from scipy.stats import chi2
    except ImportError:
        raise ConfigError(MISSING) from None
    if not hours > 0:
        return float("nan"), float("nan"), float("nan")
    low = float(chi2.ppf(0.025, 2 * count)) / 2 if count else 0.0
    high = float(chi2.ppf(0.975, 2 * count + 2)) / 2
    return count * 24 / hours, low * 24 / hours, high * 24 / hours


def time_of(alert: Raised, wall: bool, origin_ns: int) -> int:
    """Return when an alert was raised: wall time, or media time since the first picture."""
    return alert.t_wall_ns if wall else alert.t_media_ns - origin_ns


def score_alerts(
    visits: Visits, alerts: Sequence[Raised], *, origin_ns: int = 0, hours: float = float("nan")
) -> Alerted:
    """Return what the alerts are worth. origin_ns: media time of the first picture."""
    rows = visits.rows
    kinds = {visit.kind for visit in rows}
    heard = [a for a in alerts if "" in kinds or not rows or {a.rule, a.kind} & kinds]
    made = Alerted(rows, len(heard), hours)
    if len(heard) < len(alerts):
        others = sorted({a.rule for a in alerts} - {a.rule for a in heard})
        made.notes.append(f"alerts of rules that no visit names are left out: {', '.join(others)}")
    heard.sort(key=lambda alert: time_of(alert, visits.wall, origin_ns))
    times = np.array([time_of(a, visits.wall, origin_ns) for a in heard], np.int64)
    placed: set[int] = set()
    for first, last in _chains(rows):
        low, high = rows[first].start_ns, max(v.end_ns for v in rows[first:last])
        near = (times >= low - _EARLY_NS) & (times <= high + _AFTER_NS)
        placed |= _place(made, rows[first:last], heard, times, np.flatnonzero(near))
    made.false = [alert for j, alert in enumerate(heard) if j not in placed]
    return made


def _chains(rows: Sequence[Visit]) -> list[tuple[int, int]]:
    """Return first and last + 1 of visits that an alert may belong to either of."""
    made: list[tuple[int, int]] = []
    first, until = 0, -1
    for i, visit in enumerate(rows):
        if i > first and visit.start_ns - _EARLY_NS > until + _AFTER_NS:
            made.append((first, i))
            first, until = i, visit.end_ns
        until = max(until, visit.end_ns)
    return [*made, (first, len(rows))] if rows else made


def _place(
    made: Alerted,
    rows: Sequence[Visit],
    heard: Sequence[Raised],
    times: NDArray[np.int64],
    near: NDArray[np.int64],
) -> set[int]:
    """Give alerts to visits of a chain; return which alerts belong to one."""
    if len(rows) * len(near) > _MOST:
        raise ConfigError(f"line {rows[0].line}: too many visits and alerts at the same time")
    fits = np.array([[_fits(v, heard[j], int(times[j])) for j in near.tolist()] for v in rows])
    fits = fits.reshape(len(rows), len(near)).astype(np.bool_)
    starts = np.array([v.start_ns for v in rows], np.int64)
    far_s = np.abs(times[near][None] - starts[:, None]) / 1e9
    pairs = _assign(fits, far_s)
    for i, n in pairs:
        alert = heard[int(near[n])]
        made.found.append((rows[i], alert, (int(times[near[n]]) - rows[i].start_ns) / 1e9))
        _name(made, rows[i], alert)
    matched, taken = {i for i, _ in pairs}, {n for _, n in pairs}
    made.missed += [visit for i, visit in enumerate(rows) if i not in matched]
    for n in np.flatnonzero(fits.any(axis=0)).tolist():
        if n not in taken:
            at = int(np.where(fits[:, n], far_s[:, n], np.inf).argmin())
            made.repeated.append((rows[at], heard[int(near[n])]))
    return {int(near[n]) for n in np.flatnonzero(fits.any(axis=0)).tolist()}


def _fits(visit: Visit, alert: Raised, time_ns: int) -> bool:
    inside = visit.start_ns - _EARLY_NS <= time_ns <= visit.end_ns + _AFTER_NS
    same = visit.camera in ("", alert.camera) and visit.kind in ("", alert.rule, alert.kind)
    return inside and same


def _assign(fits: NDArray[np.bool_], far_s: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return pairs of visit and alert: as many as can be, and of those the shortest delays."""
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise ConfigError(MISSING) from None
    if not fits.any():
        return []
    cost = np.where(fits, far_s / (far_s.max() + 1.0), 4.0 * len(fits))
    left, right = linear_sum_assignment(cost)
    return [(i, n) for i, n in zip(left.tolist(), right.tolist(), strict=True) if fits[i, n]]


def _name(made: Alerted, visit: Visit, alert: Raised) -> None:
    if not visit.who:
        return
    if alert.known is None:
        made.undecided.append((visit, alert))
    elif alert.known and alert.who != visit.who:
        made.wrong.append((visit, alert))
    elif not alert.known and visit.who != _STRANGER:
        made.unnamed.append((visit, alert))
    else:
        made.named += 1
