"""`perception search`: searches recordings by words. Command line only."""

from pathlib import Path

import msgspec
from rich.text import Text

from perception import clock
from perception.commands.console import console, sheet
from perception.errors import ConfigError
from perception.footage.catalog import Catalog
from perception.footage.finding import find, known, with_id
from perception.footage.query import Query, local, parse
from perception.footage.rows import FoundRow


def run(root: Path, words: str, like: str | None, limit: int, as_json: bool) -> int:
    """Print the results, newest first, and how the words were understood. Exit code 1: nothing
    found.

    like: id of a track, a number or epoch-number; its class and colours are searched for too.
    """
    catalog = Catalog(root, create=False)
    try:
        query = parse(words, known(catalog), clock.wall_ns())
        if like is not None:
            _like(catalog, query, like)
        found = find(catalog, query, limit)
    finally:
        catalog.close()
    if as_json:
        for row in found:
            print(msgspec.json.encode(row).decode())
        return 0 if found else 1
    screen = console()
    for said, meaning in query.understood:
        screen.print(Text(f"{said}: {meaning}", style="dim"))
    if query.ignored:
        screen.print(Text(f"not understood, left out: {', '.join(query.ignored)}", style="yellow"))
    table = sheet("when", "camera", "what", "for", "zones", "where it is recorded")
    for row in found:
        begun = local(row.start_wall_ns)
        offset = clock.seconds(row.start_wall_ns - row.segment_wall_ns)
        table.add_row(
            f"{begun:%Y-%m-%d %H:%M:%S}",
            row.camera,
            Text(f"{row.who} ({row.class_name})" if row.who else row.class_name)
            + Text(f", {_colours(row)}" if row.upper else "")
            + Text(", alert" if row.alerts else ""),
            f"{clock.seconds(row.end_wall_ns - row.start_wall_ns):.1f} s",
            Text(", ".join(row.zones)),
            Text(f"{Path(row.segment).name}.mp4 at {max(0.0, offset):.1f} s"),
        )
    screen.print(table if found else Text("nothing like that is recorded"))
    return 0 if found else 1


def _like(catalog: Catalog, query: Query, like: str) -> None:
    """Ask for what a track looks like. Raises ConfigError where there is no such track."""
    try:
        epoch, _, number = like.rpartition("-")
        one = with_id(catalog, (int(epoch or "0") << 32) + int(number))
    except ValueError:
        one = None
    if one is None:
        raise ConfigError(f"--like {like!r}: no track of this id is in the catalog")
    query.classes, query.colours = {one.class_name}, {one.upper, one.lower} - {""}
    query.understood.append(
        (f"like {like}", f"{_colours(one)} {one.class_name}".strip() + " (class and colours only)")
    )


def _colours(row: FoundRow) -> str:
    """Return the colours of a track as words: of upper and lower part, once where they are one."""
    return "/".join(dict.fromkeys(name for name in (row.upper, row.lower) if name))
