"""The terminal view of a running line: rates, drops and age by camera, and new alerts.

Imported by the command line only.
"""

import time
from collections import deque
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from perception import clock
from perception.commands.console import say
from perception.metrics import Histogram, Metrics
from perception.recording import report
from perception.recording.sheet import Sheet
from perception.supervision.child import Child
from perception.supervision.supervisor import Supervisor
from perception.wire import Alert, short_id

_STYLES = {"ready": "green", "starting": "yellow", "done": "dim", "failed": "bold red"}
_RATE_S = 4.0


class LiveView:
    """Shows the state of a supervisor, which calls `watch` and `alert`. Without a terminal: plain
    lines.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._past: deque[tuple[float, dict[str, int]]] = deque(maxlen=16)
        self._states: dict[str, str] = {}
        self._plain_next = 0.0
        self._who: dict[str, str] = {}
        self._notes: dict[str, str] = {}

    def __enter__(self) -> "LiveView":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def watch(self, supervisor: Supervisor) -> None:
        """Draw the current state."""
        metrics = report.merge([child.metrics() for child in supervisor.children])
        now = time.monotonic()
        self._past.append((now, dict(metrics.counters)))
        self._tell_changes(supervisor.children)
        if self._console.is_terminal:
            self._live.update(self._picture(supervisor, metrics), refresh=True)
        elif now >= self._plain_next:
            self._plain_next = now + 5
            for name in supervisor.plan.cameras:
                cells = "  ".join(self._cells(name, metrics))
                self._console.print(cells, highlight=False, soft_wrap=True)

    def alert(self, alert: Alert) -> None:
        """Print a raised alert, and the name of the person when it is known."""
        who, before = alert.details.get("who"), self._who.get(alert.key)
        if alert.state == "cleared":
            self._who.pop(alert.key, None)
        elif who is not None:
            self._who[alert.key] = str(who)
        if alert.state != "raised" and (alert.state == "cleared" or who in (None, before)):
            return
        says = who or alert.details.get("direction") or alert.details.get("zone") or ""
        number = short_id(alert.track_id)
        what = f"{alert.class_name} {number}" if number else alert.kind
        at = clock.seconds(alert.t_media_ns)
        self._console.print(
            Text.assemble(
                ("alert ", "bold magenta"),
                (f"{alert.camera} ", "cyan"),
                f"{alert.rule}: {' '.join(filter(None, (what, str(says))))} ",
                (f"at {at:.1f} s", "dim"),
            )
        )

    def _tell_changes(self, children: list[Child]) -> None:
        cameras = [child for child in children if child.process.kind == "camera"]
        for child in children:
            note = child.health.note if child.health is not None else ""
            is_news = note != self._notes.get(child.name, "") and (note or child.state == "ready")
            if is_news and not self._console.is_terminal:
                say(
                    self._console, Text(f"{child.name}: {note or 'no problem now'}", style="yellow")
                )
            self._notes[child.name] = note
            before, self._states[child.name] = self._states.get(child.name), child.state
            if child.is_finished and before != "done" and any(not c.is_over for c in cameras):
                self._console.print(Text(f"{child.process.cameras[0]}: ended, the others go on"))
            if before in (None, child.state) or child.state in ("ready", "stopping", "done"):
                continue
            if child.why and child.state in ("waiting", "stalled", "failed"):
                style = _STYLES.get(child.state, "yellow")
                self._console.print(Text(f"{child.name} {child.state}: {child.why}", style=style))

    def _picture(self, supervisor: Supervisor, metrics: Metrics) -> RenderableType:
        numbers = ("read/s", "detected/s", "tracked/s", "dropped", "age ms p50 / p95", "tracks")
        sheet = Sheet("camera", *numbers, right=numbers)
        for name in supervisor.plan.cameras:
            sheet.add_row(*self._cells(name, metrics, plain=False))
        states = Text("  ").join(
            Text.assemble(
                (child.name, "dim"), " ", (child.state, _STYLES.get(child.state, "yellow"))
            )
            for child in supervisor.children
        )
        notes = [
            Text(f"{child.name}: {child.health.note}", style="yellow")
            for child in supervisor.children
            if child.health is not None and child.health.note
        ]
        return Group(sheet, states, *notes)

    def _cells(self, name: str, metrics: Metrics, *, plain: bool = True) -> list[str]:
        times = metrics.latencies.get(f"tracking.{name}", Histogram())
        drops = report.dropped(metrics, name)
        age = f"{times.percentile(50):.0f} / {times.percentile(95):.0f}" if times.count else "-"
        cells: list[Any] = [
            name,
            *(f"{self._rate(f'{what}.{name}'):.1f}" for what in ("read", "detected", "tracked")),
            f"{sum(n for why, n in drops.items() if why not in report.ON_THEIR_WAY)}",
            age,
            f"{metrics.counters.get(f'confirmed.{name}', 0)}",
        ]
        titles = (
            "",
            "read/s ",
            "detected/s ",
            "tracked/s ",
            "dropped ",
            "p50 / p95 ms ",
            "tracks ",
        )
        return [t + c for t, c in zip(titles, cells, strict=True)] if plain else cells

    def _rate(self, counter: str) -> float:
        now, last = self._past[-1]
        then, first = next(
            (past for past in self._past if now - past[0] <= _RATE_S), self._past[-1]
        )
        if now <= then:
            return 0.0
        return max(0.0, (last.get(counter, 0) - first.get(counter, 0)) / (now - then))
