"""`perception why`: explains why there was an alert at a time, or none. Command line only."""

import json
import re
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.text import Text

from perception.analysis.answers import Answer, Judged, Subject
from perception.analysis.why import explain
from perception.commands.console import console, say
from perception.errors import ConfigError
from perception.footage.catalog import Catalog
from perception.footage.query import local
from perception.wire import text_id

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_MARKS = {True: "yes", False: "no", None: "-"}


def run(
    root: Path, camera: str, when: str, at: str | None, kind: str | None, store: Path | None,
    as_json: bool,
) -> int:  # fmt: skip
    """Print the answer; exit code 0."""
    catalog = Catalog(root, create=False)
    try:
        store = store or root.parent / "alerts.sqlite"
        answer = explain(catalog, camera, moment(when), spot(at), kind, store)
    finally:
        catalog.close()
    if as_json:
        print(json.dumps(_as_values(answer)))
    else:
        _show(answer)
    return 0


def moment(text: str) -> int:
    """Return a time in wall ns. text: 14:07:31 for today, or with a date; time zone of this host.

    It may have another zone: 2026-11-27T14:07:31Z. Raises ConfigError.
    """
    try:
        whole = text if _DATE.match(text) else f"{datetime.now().date()}T{text}"
        return round(datetime.fromisoformat(whole).astimezone().timestamp()) * 1_000_000_000
    except ValueError:
        form = "14:07:31, or 2026-11-27T14:07:31 (of this host's time zone)"
        raise ConfigError(f"{text!r}: expected a time as {form}") from None


def spot(text: str | None) -> tuple[float, float] | None:
    """Return a point of the picture, in fractions. Raises ConfigError."""
    if text is None:
        return None
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        x = y = -1.0
    if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
        raise ConfigError(f"--at {text}: expected two fractions of the picture, as 0.4,0.7")
    return x, y


def _show(answer: Answer) -> None:
    screen = console()
    screen.print(Text(f"{answer.camera}, {local(answer.t_wall_ns):%Y-%m-%d %H:%M:%S}"))
    for step in answer.steps:
        if step.name != "delivery":
            say(screen, _line(step.ok, f"{step.name}: {step.text}"))
    for subject in answer.subjects:
        say(screen, Text(f"{_who(subject)}: {subject.text}"))
        for judged in subject.rules:
            _show_rule(screen, judged)
    for step in answer.steps:
        if step.name == "delivery":
            say(screen, _line(step.ok, f"{step.name}: {step.text}"))


def _show_rule(screen: Any, judged: Judged) -> None:
    name = f"  rule {judged.rule} ({judged.kind})"
    if judged.alert:
        say(screen, Text(f"{name}: it is part of alert {judged.alert[:8]}", style="green"))
        return
    unmet = judged.unmet
    if not unmet:
        say(screen, Text(f"{name}: all conditions are met, no alert is open"))
    for reason in unmet:
        short = f" ({reason.short:.3g} {reason.unit}".rstrip() + " short)" if reason.short else ""
        say(screen, Text(f"{name}: {reason.text}{short}", style="yellow"))


def _who(subject: Subject) -> str:
    x1, _, x2, y2 = subject.box
    track = f" {text_id(subject.track_id)}" if subject.track_id else ""
    return f"{subject.name}{track} at {(x1 + x2) / 2:.0f}, {y2:.0f} px"


def _line(ok: bool | None, text: str) -> Text:
    style = {True: "green", False: "red", None: "dim"}[ok]
    return Text(f"{_MARKS[ok]:>3}  {text}", style=style)


def _as_values(answer: Answer) -> dict[str, Any]:
    values = asdict(answer)
    for subject in values["subjects"]:
        subject["track"] = text_id(subject.pop("track_id"))
    return values
