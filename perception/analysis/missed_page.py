"""The report of an examination as one HTML file: no script, nothing from elsewhere, and pictures.

Imports draw and the rest of this room.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from perception.analysis.missed import CAUSES, Finding, Report
from perception.analysis.recorded import Part, Pictures
from perception.draw.cutout import cutout

MAX_PICTURES = 60
_SIDE = 240
_COLOUR = (60, 220, 60)
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b1b1b;background:#fff}h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}"
    "table{border-collapse:collapse}td,th{padding:.3rem .8rem;text-align:left;"
    "border-bottom:1px solid #ccc;vertical-align:top}img{display:block}"
)


def pictures(parts: Sequence[tuple[Part, int | None]], found: Sequence[Finding]) -> list[str]:
    """Return a picture of each finding, its box drawn, as a data URL; empty where there is none.

    parts: those of the findings, each with how its pictures are turned. At most MAX_PICTURES.
    """
    urls = [""] * len(found)
    order = sorted(range(len(found)), key=lambda i: -found[i].score)[:MAX_PICTURES]
    for part, rotate in parts:
        for row in part.rows:
            here = [i for i in order if found[i].segment == row.path]
            if not here:
                continue
            wanted: dict[int, list[int]] = {}
            for i in here:
                wanted.setdefault(found[i].best_media_ns, []).append(i)
            for line, pixels in Pictures(part, rotate).every(row):
                for i in wanted.pop(line.t_media_ns, ()):
                    urls[i] = cutout(pixels.bgr(), [(found[i].box, _COLOUR)], _SIDE)
                if not wanted:
                    break
    return urls


def write(path: Path, camera: str, report: Report, urls: Sequence[str], how: str) -> None:
    """Write the page. how: what it was examined with, in words. Raises OSError."""
    counts = {c: sum(one.cause == c for one in report.findings) for c in CAUSES}
    share = report.looked / max(1, report.frames)
    damaged = f" ({report.damaged} were damaged)" if report.damaged else ""
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">",
        f"<title>{escape(camera)}: what live missed</title><style>{_STYLE}</style></head><body>",
        f"<main><h1>{escape(camera)}: what live missed</h1>",
        f"<p>{escape(how)}. {report.frames} pictures, {share:.0%} of which live looked at"
        f"{damaged}; {len(report.visits)} tracks, {report.matched} of the longer ones also live. "
        "The examination can be wrong too.</p>",
        "<table><thead><tr><th scope='col'>cause</th><th scope='col'>count</th></tr></thead>",
        "<tbody>",
        *(f"<tr><td>{escape(CAUSES[c])}</td><td>{n}</td></tr>" for c, n in counts.items() if n),
        "</tbody></table>",
    ]
    for cause, count in counts.items():
        if count:
            parts.append(f"<h2>{escape(CAUSES[cause])}</h2><table><tbody>")
            for one, url in zip(report.findings, urls, strict=True):
                if one.cause == cause:
                    parts.append(_row(one, url))
            parts.append("</tbody></table>")
    parts.append("</main></body></html>\n")
    path.write_text("\n".join(parts))


def _row(one: Finding, url: str) -> str:
    when = f"{datetime.fromtimestamp(one.start_wall_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
    what = f"{one.class_name}, {one.seconds:.1f} s, best score {one.score:.2f}"
    name = escape(one.class_name)
    image = f'<img src="{url}" alt="{name} at {when}" width="{_SIDE}">' if url else "no picture"
    return f"<tr><td>{image}</td><td>{when}<br>{escape(what)}<br>{escape(one.text)}</td></tr>"
