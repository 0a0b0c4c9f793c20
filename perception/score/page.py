"""The card as one HTML file: no script, nothing from elsewhere. Imports the rest of this room."""

from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from perception.score import charts
from perception.score.alerts import LATE_S, Alerted, time_of
from perception.score.card import Boxes, Card
from perception.score.matching import RECALLS
from perception.score.worst import KINDS, Case

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1b1b;background:#fff}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}"
    "table{border-collapse:collapse;margin:.5rem 0}td,th{padding:.3rem .8rem;text-align:left;"
    "border-bottom:1px solid #ccc}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
    ".row{display:flex;flex-wrap:wrap;gap:1.5rem}.cases{display:grid;gap:1rem;"
    "grid-template-columns:repeat(auto-fill,minmax(260px,1fr));padding:0;list-style:none}"
    ".cases img{display:block;max-width:100%}.better{color:#1b5e20;font-weight:600}"
    ".worse{color:#9c1c14;font-weight:600}.none{background:#eee;padding:2rem 1rem}"
    "figure{margin:0}svg{max-width:100%;height:auto}"
)
_LABEL, _RESULT = "green: the label", "orange: the result"


def page(card: Card, cases: Sequence[Case], urls: Sequence[str], wall: bool, origin: int) -> str:
    """Return the page. urls: a picture's data URL for each case, "" where there is none.

    wall, origin: see alerts.time_of.
    """
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
        f"<title>Score card: {escape(card.result)}</title><style>{_STYLE}</style></head><body>",
        f"<main><h1>Score card: {escape(card.result)}</h1>",
    ]
    by = [escape(path) for path in (card.truth, card.visits) if path]
    said = f"Scored by {' and '.join(by)}"
    if card.against:
        said += f", against {escape(card.against)}"
    parts.append(f"<p>{said}.</p>")
    if card.differences:
        parts += _differences(card)
    if card.boxes is not None:
        parts += _boxes(card.boxes, card.other_boxes)
    if card.alerts is not None:
        parts += _alerts(card, card.alerts, wall, origin)
    if card.notes:
        parts += ["<h2>Notes</h2><ul>", *(f"<li>{escape(n)}</li>" for n in card.notes), "</ul>"]
    parts += _cases(cases, urls)
    return "\n".join([*parts, "</main></body></html>", ""])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 1) -> str:
    """Return a table; cells are HTML already. numbers: the first column of numbers."""
    kinds = ["" if n < numbers else ' class="n"' for n in range(len(head))]
    top = "".join(f"<th scope='col'{k}>{cell}</th>" for cell, k in zip(head, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{k}>{c}</td>" for c, k in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _differences(card: Card) -> list[str]:
    rows: list[list[str]] = []
    for one in card.differences:
        told: Callable[[float], str] = _plain if one.name not in ("AP", "HOTA", "IDF1") else _share
        span = f"{told(one.low)} to {told(one.high)}" if one.low == one.low else "-"
        word = f'<span class="{one.word.split()[0]}">{one.word}</span>'
        rows.append(
            [escape(one.name), word, told(one.value), told(one.other), told(one.difference), span]
        )
    head = ["measure", "this result is", "this", "other", "difference", "99 % interval"]
    chart = charts.intervals(card.differences)
    made = ["<h2>Against the other result</h2>", _table(head, rows, 2)]
    if chart:
        text = "Difference in points with its 99 % interval; to the right of the line is better."
        made.append(f"<figure>{chart}<figcaption>{text}</figcaption></figure>")
    return made


def _boxes(boxes: Boxes, other: Boxes | None) -> list[str]:
    pair, ap, tracks = boxes.pair, boxes.precision, boxes.tracking
    said = f"{len(pair.frames)} of {pair.labelled} labelled pictures are scored"
    if pair.not_looked:
        said += f"; at {pair.not_looked} of them the result did not look"
    rows = [
        ["mean", _share(ap.ap), _share(ap.ap50), _share(tracks.hota) if tracks else "-",
         _share(tracks.idf1) if tracks else "-"]
    ]  # fmt: skip
    if len(ap.by_class) > 1:
        for name, value in ap.by_class.items():
            hota, idf1 = (tracks.by_class if tracks else {}).get(name, (np.nan, np.nan))
            rows.append([escape(name), _share(value), "", _share(hota), _share(idf1)])
    head = ["class", "AP", "AP at IoU .5", "HOTA", "IDF1"]
    made = ["<h2>Boxes and tracks</h2>", f"<p>{said}.</p>", _table(head, rows)]
    lines = [("this", ap.curve, charts.THIS)]
    alphas = [("this", tracks.alphas, charts.THIS)] if tracks else []
    if other is not None:
        lines.append(("other", other.precision.curve, charts.OTHER))
        if other.tracking is not None and alphas:
            alphas.append(("other", other.tracking.alphas, charts.OTHER))
    made.append('<div class="row"><figure>')
    made.append(charts.curves("Precision at IoU .5", "recall", RECALLS, lines))
    made.append("<figcaption>Precision by recall, IoU .5</figcaption></figure>")
    if alphas:
        at = np.arange(0.05, 0.99, 0.05)
        made.append(f"<figure>{charts.curves('HOTA', 'IoU asked for', at, alphas)}")
        made.append("<figcaption>HOTA by the IoU asked for</figcaption></figure>")
    made.append("</div>")
    return made


def _alerts(card: Card, one: Alerted, wall: bool, origin: int) -> list[str]:
    sets = [one, *([card.other_alerts] if card.other_alerts is not None else [])]
    rows = [
        ["visits", *(str(len(a.visits)) for a in sets)],
        ["missed", *(str(len(a.missed)) for a in sets)],
        [f"later than {LATE_S:g} s", *(str(len(a.late)) for a in sets)],
        ["delay, p50", *(_seconds(a.delay(50)) for a in sets)],
        ["delay, p95", *(_seconds(a.delay(95)) for a in sets)],
        ["visits with more than one alert", *(str(a.doubled) for a in sets)],
        ["false alerts", *(str(len(a.false)) for a in sets)],
        ["false alerts a day, 95 % interval", *(_rate(a) for a in sets)],
        ["hours of footage", *(f"{a.hours:.2f}" if a.hours > 0 else "-" for a in sets)],
    ]
    if any(a.named or a.wrong or a.unnamed or a.undecided for a in sets):
        rows += [
            ["names right", *(str(a.named) for a in sets)],
            ["wrong name", *(str(len(a.wrong)) for a in sets)],
            ["known, called unknown", *(str(len(a.unnamed)) for a in sets)],
            ["undecided", *(str(len(a.undecided)) for a in sets)],
        ]
    head = ["alerts", "this", "other"][: len(sets) + 1]
    late = {id(alert) for _, alert, _ in one.late}
    marks = [
        *((a, "late" if id(a) in late else "found") for _, a, _ in one.found),
        *((a, "repeated") for _, a in one.repeated),
        *((a, "false") for a in one.false),
    ]
    chart = charts.timeline(card, [(time_of(a, wall, origin) / 1e9, sort) for a, sort in marks])
    made = ["<h2>Alerts</h2>", _table(head, rows)]
    if chart:
        text = (
            "Visits as bars, red where missed; below them alerts, line by line: in time, late, "
            "one more for a visit, false."
        )
        made.append(f"<figure>{chart}<figcaption>{text}</figcaption></figure>")
    return made


def _cases(cases: Sequence[Case], urls: Sequence[str]) -> list[str]:
    made: list[str] = []
    for kind, title in KINDS.items():
        mine = [(case, url) for case, url in zip(cases, urls, strict=True) if case.kind == kind]
        if not mine:
            continue
        made.append(f'<h2>{escape(title)}</h2><ul class="cases">')
        for case, url in mine:
            where = f"picture {case.frame}" if case.frame >= 0 else _clock(case.time_ns)
            text = escape(f"{case.text}; {where}")
            shown = '<div class="none">no picture</div>'
            if url:
                marks = [_LABEL] if case.label else []
                marks += [_RESULT] if case.box else []
                alt = escape(f"{title}: {case.text}, {where} ({', '.join(marks)})", quote=True)
                shown = f'<img src="{url}" alt="{alt}">'
            made.append(f"<li>{shown}{text}</li>")
        made.append("</ul>")
    if made:
        made.insert(0, f"<p>Worst cases below. Boxes: {_LABEL}, {_RESULT}.</p>")
    return made


def _clock(time_ns: int) -> str:
    if time_ns < 0:
        return "time not in this footage"
    seconds = time_ns / 1e9
    return f"{int(seconds // 3600)}:{int(seconds // 60) % 60:02d}:{seconds % 60:04.1f}"


def _rate(one: Alerted) -> str:
    rate, low, high = one.false_a_day()
    return f"{rate:.1f} ({low:.1f} to {high:.1f})" if rate == rate else "-"


def _share(value: float) -> str:
    return f"{100 * value:.1f}" if value == value else "-"


def _plain(value: float) -> str:
    return f"{value:.4g}" if value == value else "-"


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value == value else "-"
