"""Charts of the score page as inline SVG, no script. Imports card."""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from perception.score.card import Card, Difference

_W, _H, _EDGE = 340, 240, 40
THIS, OTHER = "#0b5cad", "#a03c00"


def curves(
    title: str,
    x_name: str,
    x: NDArray[np.float64],
    lines: Sequence[tuple[str, NDArray[np.float64], str]],
) -> str:
    """Return a chart of values 0..1 over x 0..1. lines: name, values (n,), colour."""
    out = [_open(_W, _H, f"{title}: {', '.join(name for name, _, _ in lines)}")]
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        at_y, at_x = _y(tick), _x(tick)
        out.append(f'<path d="M{_EDGE} {at_y:.1f}H{_W - 10}" stroke="#ddd"/>')
        out.append(f'<text x="{_EDGE - 6}" y="{at_y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        out.append(f'<text x="{at_x:.1f}" y="{_H - 22}" text-anchor="middle">{tick:g}</text>')
    for n, (name, values, colour) in enumerate(lines):
        points = " ".join(f"{_x(a):.1f},{_y(b):.1f}" for a, b in zip(x, values, strict=True))
        dash = ' stroke-dasharray="6 4"' if n else ""
        out.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
        )
        key = f"M{_EDGE + 12} {_H - 90 + 16 * n}h24"
        out.append(f'<path d="{key}" stroke="{colour}" stroke-width="2"{dash}/>')
        out.append(f'<text x="{_EDGE + 42}" y="{_H - 86 + 16 * n}">{escape(name)}</text>')
    out.append(
        f'<text x="{_W / 2}" y="{_H - 6}" text-anchor="middle">{escape(x_name)}</text></svg>'
    )
    return "".join(out)


def _x(value: float) -> float:
    return _EDGE + float(value) * (_W - _EDGE - 10)


def _y(value: float) -> float:
    return 10 + (1 - float(value)) * (_H - 50)


def _open(width: float, height: float, label: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" role="img" '
        f'aria-label="{escape(label, quote=True)}" font-size="11" font-family="sans-serif">'
    )


def intervals(rows: Sequence[Difference]) -> str:
    """Return the differences of shares with their intervals, in points; right of zero is better."""
    rows = [one for one in rows if one.low == one.low and not one.lower]
    if not rows:
        return ""
    reach = max(0.01, *(max(abs(one.low), abs(one.high)) for one in rows))
    width, height = 520, 34 * len(rows) + 34

    def at(value: float) -> float:
        return 70 + (value / reach + 1) / 2 * (width - 90)

    told = "; ".join(f"{one.name} {100 * one.difference:+.1f} points: {one.word}" for one in rows)
    out = [_open(width, height, told)]
    out.append(f'<path d="M{at(0):.1f} 4V{height - 24}" stroke="#555"/>')
    for tick in (-reach, 0.0, reach):
        out.append(
            f'<text x="{at(tick):.1f}" y="{height - 8}" text-anchor="middle">'
            f"{100 * tick:+.1f}</text>"
        )
    for n, one in enumerate(rows):
        y = 22 + 34 * n
        out.append(f'<text x="4" y="{y + 4}">{escape(one.name)}</text>')
        out.append(
            f'<path d="M{at(one.low):.1f} {y}H{at(one.high):.1f}" stroke="{THIS}" '
            'stroke-width="3"/>'
        )
        out.append(f'<circle cx="{at(one.difference):.1f}" cy="{y}" r="5" fill="{THIS}"/>')
    return "".join([*out, "</svg>"])


def timeline(card: Card, seconds_of: Sequence[tuple[float, str]]) -> str:
    """Return visits as bars and alerts as marks over the time of the footage.

    seconds_of: time in s and sort of each alert: found, late, repeated or false.
    """
    assert card.alerts is not None
    visits = card.alerts.visits
    times = [t for t, _ in seconds_of]
    times += [v / 1e9 for visit in visits for v in (visit.start_ns, visit.end_ns)]
    if not times:
        return ""
    first, last = min(times), max(times)
    span = max(last - first, 1.0)
    width, height = 900, 80
    missed = {id(visit) for visit in card.alerts.missed}

    def at(seconds: float) -> float:
        return 10 + (seconds - first) / span * (width - 20)

    told = f"{len(visits)} visits, {len(missed)} missed, {len(card.alerts.false)} false alerts"
    out = [_open(width, height, told)]
    for visit in visits:
        a, b = at(visit.start_ns / 1e9), at(visit.end_ns / 1e9)
        colour = "#b3261e" if id(visit) in missed else "#7a9a7a"
        out.append(
            f'<rect x="{a:.1f}" y="10" width="{max(2.0, b - a):.1f}" height="18" fill="{colour}"/>'
        )
    levels = {"found": 40, "late": 48, "repeated": 56, "false": 64}
    colours = {"found": "#2c6e2c", "late": "#8a6100", "repeated": "#5b3fa8", "false": "#b3261e"}
    for seconds, sort in seconds_of:
        out.append(
            f'<circle cx="{at(seconds):.1f}" cy="{levels[sort]}" r="3.5" fill="{colours[sort]}"/>'
        )
    return "".join([*out, "</svg>"])
