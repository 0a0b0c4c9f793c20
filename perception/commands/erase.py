"""`perception recordings erase`: erases segments, or all data of a person.

Command line only. Order: alerts, files, rows, gallery. After a kill, give the same command again.
"""

from dataclasses import dataclass
from pathlib import Path

import typer
from rich.text import Text

from perception import clock
from perception.alerts import erasing as alerts
from perception.alerts.database import Database
from perception.analysis.examining import JOBS
from perception.analysis.jobs import Jobs
from perception.commands.console import console
from perception.commands.recordings import one_segment, parse_time, size_text
from perception.errors import ConfigError
from perception.footage import erasing
from perception.footage.catalog import NAME, Catalog
from perception.footage.lock import FolderLock
from perception.footage.repair import rebuild, repair
from perception.footage.rows import SegmentRow
from perception.identity.gallery import Gallery, default_gallery
from perception.launchfile import config
from perception.wire.codec import record_table


@dataclass(frozen=True)
class Asked:
    """What to erase: a segment, a time span of a camera (UTC), or a person. yes: do not ask."""

    segment: str | None
    camera: str | None
    span: tuple[str | None, str | None]
    person: str | None
    store: Path | None
    launch: Path | None
    yes: bool


@dataclass
class _Gone:
    segments: int = 0
    size_bytes: int = 0
    files: int = 0
    alerts: int = 0
    pictures: int = 0
    lines: int = 0
    portraits: int = 0


def run(root: Path, asked: Asked) -> None:
    """Erase, check that nothing is left, and print what was erased. Raises ConfigError."""
    lock = FolderLock(root)
    try:
        catalog = _catalog(root)
        try:
            rows = _rows(root, catalog, asked)
            kept = [row.path for row in rows if catalog.is_protected(row)]
            if kept:
                raise ConfigError(
                    f"{Path(kept[0]).name} is protected ({len(kept)} are): nothing was erased; "
                    "end that first with `perception recordings protect --off NAME`"
                )
            if not asked.yes:
                _ask(rows, asked)
            gone = _erase(root, catalog, rows, asked)
        finally:
            catalog.close()
    except OSError as error:
        raise ConfigError(f"{root}: {error.strerror or error}: give the command again") from None
    finally:
        lock.close()
    _tell(gone)


def _catalog(root: Path) -> Catalog:
    """Return the catalog of all files in the folder, also those of a killed run."""
    repaired = repair(root, record_table)
    catalog = Catalog(root)
    if catalog.path.name != NAME:
        catalog.close()
        raise ConfigError(f"{root / NAME} is of a newer version: erase with that version")
    for row in repaired:
        catalog.add(row)
    for row in rebuild(root, record_table, known=catalog.paths()):
        catalog.add(row)
    return catalog


def _rows(root: Path, catalog: Catalog, asked: Asked) -> list[SegmentRow]:
    if asked.person is not None:
        return erasing.of_person(catalog, asked.person)
    if asked.segment is not None:
        return [one_segment(root, asked.segment)]
    first = parse_time(asked.span[0]) if asked.span[0] else None
    last = parse_time(asked.span[1]) if asked.span[1] else None
    rows = catalog.segments(asked.camera, first, last)
    if not rows:
        raise ConfigError("nothing is recorded in that span")
    return rows


def _ask(rows: list[SegmentRow], asked: Asked) -> None:
    size = size_text(sum(row.size_bytes for row in rows))
    what = f"{len(rows)} segments ({size}), their alerts, clips and pictures"
    if asked.person is not None:
        what = f"all of {asked.person}: {what}, and the enrolled faces"
    if not typer.confirm(f"Erase {what}?"):
        raise ConfigError("nothing was erased")


def _erase(root: Path, catalog: Catalog, rows: list[SegmentRow], asked: Asked) -> _Gone:
    gone = _Gone(len(rows), sum(row.size_bytes for row in rows))
    names = erasing.spellings(catalog, asked.person) if asked.person is not None else []
    store = asked.store or root.parent / "alerts.sqlite"
    if asked.launch is not None and asked.store is None:
        store = config.load(asked.launch)[0].store
    if store.is_file():
        _erase_alerts(store, rows, names, gone)
    for folder in erasing.examined(root):
        if (folder / JOBS).is_file():
            jobs = Jobs(folder / JOBS)
            jobs.erase(row.path for row in rows)
            jobs.close()
    gone.files = erasing.erase(catalog, rows, clock.wall_ns())
    if asked.person is not None:
        gone.portraits = _forget(asked.person, asked.launch)
        if erasing.of_person(catalog, asked.person):
            raise ConfigError(f"something of {asked.person} is left: give the command again")
    return gone


def _erase_alerts(store: Path, rows: list[SegmentRow], names: list[str], gone: _Gone) -> None:
    keys = {key for row in rows for key in row.alerts}
    spans = [(row.camera, row.start_wall_ns, row.end_wall_ns) for row in rows]
    database = Database(store)
    try:
        found = alerts.look(database, keys, spans, names)
        gone.alerts, gone.pictures = len(found.keys), alerts.erase(database, found)
    finally:
        database.close()
    for path in sorted(store.parent.glob("*.jsonl")):
        gone.lines += alerts.erase_lines(path, found)
    for path in sorted(store.parent.glob(f"{store.name}.*-[0-9]*")):
        if not path.name.endswith(("-wal", "-shm")):
            console().print(Text(f"{path}: was set aside, not searched: remove it", "yellow"))


def _forget(name: str, launch: Path | None) -> int:
    """Erase a person from the gallery, if there is one. Return the number of faces."""
    asked = (config.load(launch)[0].identity if launch else None) or config.Identity()
    folder = (asked.gallery or default_gallery()).expanduser()
    if not folder.is_dir():
        return 0
    gallery = Gallery(folder, asked.key)
    if name.casefold() not in [person.name.casefold() for person in gallery.people()]:
        return 0
    erased = gallery.erase(name)
    if erased.left:
        raise ConfigError(f"{erased.left} files of {name} are left in {folder}")
    return erased.pictures


def _tell(gone: _Gone) -> None:
    screen = console()
    parts = [
        f"{gone.segments} segments ({size_text(gone.size_bytes)}, {gone.files} files)",
        f"{gone.alerts} alerts with {gone.pictures} pictures",
        f"{gone.lines} lines of JSON lines files",
        f"{gone.portraits} enrolled faces",
    ]
    screen.print(Text("erased: " + ", ".join(parts) + "; looked again: nothing of it is left here"))
    screen.print(
        Text(
            "Not reached: exports, copies, and what was sent. Blocks of the disk are given back, "
            "not overwritten."
        )
    )
