"""`perception alerts`: list, show, acknowledge and resend alerts. Command line only."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.text import Text

from perception import clock
from perception.alerts.rows import Kept
from perception.alerts.store import AlertStore
from perception.commands.console import console, sheet
from perception.sinks import document
from perception.wire import short_id


def show_newest(store: Path, camera: str | None, limit: int, as_json: bool) -> None:
    """Print the newest alerts, newest first, as a table or as JSON lines."""
    with AlertStore(store) as opened:
        kept = opened.newest(limit, camera)
    if as_json:
        for one in kept:
            print(_json(one))
        return
    table = sheet("key", "raised (UTC)", "camera: rule", "what", "state", "")
    for one in kept:
        alert = one.alert
        table.add_row(
            alert.key[:8],
            _time(alert.start_t_wall_ns),
            Text(f"{alert.camera}: {alert.rule}"),
            Text(_what(one)),
            alert.state
            + (", seen" if one.t_acked_wall_ns else "")
            + (", wrong" if one.wrong else ""),
            Text(_undelivered(one), style="yellow"),
        )
    console().print(table if kept else Text(f"no alerts in {store}"))


def show(store: Path, key: str, as_json: bool) -> None:
    """Print one alert. Raises ConfigError where the key fits no alert or several."""
    with AlertStore(store) as opened:
        one = opened.show(key)
    if as_json:
        print(_json(one))
        return
    table = sheet("", one.alert.key)
    for name, value in msgspec.to_builtins(one.alert).items():
        if name not in ("key", "details"):
            table.add_row(name, Text(_shown(name, value)))
    for name, value in one.alert.details.items():
        table.add_row(f"details.{name}", Text(str(value)))
    for sink, status in one.deliveries.items():
        reason = one.reasons.get(sink)
        table.add_row(f"delivery.{sink}", Text(f"{status}: {reason}" if reason else status))
    table.add_row("seen", _time(one.t_acked_wall_ns) if one.t_acked_wall_ns else "no")
    if one.wrong is not None:
        table.add_row("wrong", Text(f"{one.wrong.user}, {_time(one.wrong.t_wall_ns)}"))
    console().print(table)


def acknowledge(store: Path, key: str) -> None:
    """Record that a person has seen an alert."""
    with AlertStore(store) as opened:
        opened.acknowledge(key, clock.wall_ns())
        one = opened.show(key)
    console().print(Text(f"{one.alert.key[:8]}: seen"))


def resend(store: Path, key: str) -> None:
    """Mark an alert to be sent again to its sinks. A running line sends it."""
    with AlertStore(store) as opened:
        count = opened.resend(key)
    console().print(Text(f"{count} deliveries wait; the line sends them while it runs"))


def _json(one: Kept) -> str:
    return msgspec.json.encode(msgspec.to_builtins(one) | {"alert": document(one.alert)}).decode()


def _shown(name: str, value: object) -> str:
    """Return a field of an alert as text."""
    if name.endswith("wall_ns") and isinstance(value, int):
        return _time(value)
    if name.endswith("media_ns") and isinstance(value, int):
        return f"{clock.seconds(value):.3f} s of media time"
    if name in ("track_id", "frame_id") and isinstance(value, int):
        return f"{short_id(value)} ({value})"
    if isinstance(value, list | tuple):
        return ", ".join(f"{number:.1f}" for number in value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _undelivered(one: Kept) -> str:
    """Return the sinks that have not got the alert yet; "": none."""
    late = [
        f"{sink} {status}" + (f" ({one.reasons[sink]})" if sink in one.reasons else "")
        for sink, status in one.deliveries.items()
        if status != "delivered" or sink in one.reasons
    ]
    return ", ".join(late)


def _what(one: Kept) -> str:
    details = {k: v for k, v in one.alert.details.items() if v is not None}
    words = [str(details[key]) for key in ("who", "zone", "direction") if key in details]
    # An alert that is not about a track has the name of its event: offline, frozen, ...
    name = one.alert.class_name if short_id(one.alert.track_id) else one.alert.kind
    return " ".join([name, *words])


def _time(t_wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(t_wall_ns / clock.NS_PER_S, UTC):%Y-%m-%d %H:%M:%S}"
