"""`perception recordings`: list, show, export and verify recordings. Command line only."""

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import platformdirs
from rich.text import Text

from perception import clock
from perception.commands.console import console, sheet
from perception.errors import EXIT_CONFIG, ConfigError
from perception.footage import chain, exporting, foxglove, retention
from perception.footage.catalog import NAME, Catalog
from perception.footage.lock import FolderLock
from perception.footage.repair import list_again, listing, repair
from perception.footage.rows import SegmentRow
from perception.footage.segment import PART
from perception.launchfile import config
from perception.wire.codec import record_table
from perception.wire.plan import RecordingsPlan

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def folder_of(launch: Path | None, folder: Path | None) -> Path:
    """Return the given folder of recordings, or that of a launch file, or the newest one here.

    Raises ConfigError where there is none.
    """
    if folder is None and launch is not None:
        folder = config.load(launch)[0].footage
    if folder is None:
        found = Path("recordings").glob(f"*/footage/{NAME}")
        newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
        folder = newest.parent if newest is not None else None
    if folder is None or not folder.is_dir():
        where = f"{folder}: there is no such folder" if folder else "no run here has recordings"
        raise ConfigError(f"{where}: name a launch file with --launch, or --folder")
    return folder


def show_all(root: Path, camera: str | None, limit: int, as_json: bool) -> None:
    """Print the newest segments, losses and the number of deletions."""
    catalog = Catalog(root, create=False)
    try:
        rows, losses = catalog.segments(camera), catalog.losses(camera)
        deleted = catalog.deleted()
        protected = {row.path for row in rows if catalog.is_protected(row)}
    finally:
        catalog.close()
    if as_json:
        for row in rows[-limit:]:
            print(msgspec.json.encode(row).decode())
        return
    table = sheet("camera", "from (UTC)", "length", "size", "video", "seen", "")
    for row in rows[-limit:]:
        marks = ["protected"] if row.path in protected else []
        marks += ["repaired"] if row.torn else []
        table.add_row(
            row.camera,
            _time(row.start_wall_ns),
            f"{row.seconds:.1f} s",
            size_text(row.size_bytes),
            f"{row.codec} {row.width}x{row.height}",
            Text(_seen(row)),
            Text(", ".join(marks), style="yellow"),
        )
    screen = console()
    screen.print(table if rows else Text(f"nothing is recorded in {root}"))
    being = sum(path.endswith(f".mp4{PART}") for path in listing(root).parts)
    if being:
        screen.print(Text(f"{being} more being written now"))
    for loss in losses[-10:]:
        seconds = (loss.to_wall_ns - loss.from_wall_ns) / 1e9
        count = f"{loss.packets} pictures" if loss.packets else "pictures"
        when = _time(loss.from_wall_ns)
        screen.print(Text(f"lost: {loss.camera} {when}, {seconds:.1f} s, {count}: {loss.cause}"))
    if rows:
        screen.print(
            Text(f"{len(rows)} segments, {size_text(sum(row.size_bytes for row in rows))}")
        )
    erased = sum(why.startswith(chain.ERASED) for why in deleted.values())
    if len(deleted) > erased:
        screen.print(Text(f"{len(deleted) - erased} segments were deleted to make room"))
    if erased:
        screen.print(Text(f"{erased} segments were erased on request"))


def room(asked: RecordingsPlan) -> Text:
    """Return where a plan records, the free space, and for how many days it is enough."""
    root = Path(asked.folder)
    there = next(path for path in (root, *root.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(there).free
    said = f"recordings: {root}, {size_text(free)} free"
    rows: list[SegmentRow] = []
    if (root / NAME).is_file():
        catalog = Catalog(root, create=False)
        rows = catalog.segments()
        catalog.close()
    limits = retention.Limits(asked.max_bytes, asked.min_free_bytes, asked.half_life_days)
    now, used = clock.wall_ns(), sum(row.size_bytes for row in rows)
    told = retention.forecast(retention.recent(rows, now), used, free, limits, now)
    if told.days is None:
        return Text(f"{said}; nothing is recorded yet, so there is no rate")
    rate = size_text(round(told.bytes_per_day))
    return Text(f"{said}; {rate} a day lately: room for {told.days:.1f} days")


def show(root: Path, name: str, as_json: bool) -> None:
    """Print one segment. Raises ConfigError where the name fits no segment or several."""
    row = one_segment(root, name)
    if as_json:
        print(msgspec.json.encode(row).decode())
        return
    table = sheet("", Path(row.path).name)
    table.add_row("camera", row.camera)
    table.add_row("run", row.run or "not known: it was repaired")
    table.add_row("from, to (UTC)", f"{_time(row.start_wall_ns)} - {_time(row.end_wall_ns)}")
    table.add_row("pictures", f"{row.frames}, {row.seconds:.1f} s")
    table.add_row("video", f"{row.codec} {row.width}x{row.height}, {size_text(row.video_bytes)}")
    table.add_row("messages", size_text(row.message_bytes))
    table.add_row("seen", Text(_seen(row) or "nothing"))
    for key in row.alerts:
        table.add_row("alert", key)
    for loss in row.losses:
        table.add_row("lost before it", f"{loss.packets} pictures: {loss.cause}")
    table.add_row("files", Text(f"{root / row.path}.mp4, .mcap"))
    console().print(table)


def export(
    root: Path, camera: str, output: Path, start: str | None, end: str | None, how: str = ""
) -> None:
    """Write a time span of a camera to MP4. Raises ConfigError where nothing is recorded.

    how: `signed`: with a manifest; `foxglove`: as MCAP instead of MP4.
    """
    from_ns = parse_time(start) if start else 0
    to_ns = parse_time(end) if end else 1 << 62
    catalog = Catalog(root, create=False)
    try:
        rows = catalog.segments(camera, from_ns, to_ns)
        cameras = sorted({row.camera for row in catalog.segments()})
    finally:
        catalog.close()
    if not rows:
        known = ", ".join(cameras) or "none"
        raise ConfigError(f"nothing of {camera} in that span; recorded cameras: {known}")
    if how == "foxglove":
        count = foxglove.export_foxglove(root, rows, output, from_ns, to_ns)
        console().print(Text(f"{output}: {count} pictures"))
        return
    done = exporting.export_mp4(root, rows, output, from_ns, to_ns)
    screen = console()
    for one in done:
        screen.print(Text(f"{one.path}: {one.frames} pictures from {_time(one.start_wall_ns)} UTC"))
    if how == "signed":
        key = Path(platformdirs.user_config_dir("perception")) / "recordings.key"
        for path in exporting.sign(root, camera, done, key):
            screen.print(Text(f"{path}: signed with {key}"))


def verify(root: Path | None, manifest: Path | None) -> int:
    """Check all chains, or one signed export. Return the exit code."""
    screen = console()
    if manifest is not None:
        public = exporting.verify_manifest(manifest)
        screen.print(Text(f"{manifest}: unchanged, signed by {public}"))
        return 0
    assert root is not None
    try:
        catalog = Catalog(root, create=False)
        paths = catalog.paths()
        catalog.close()
    except ConfigError:
        paths = set[str]()
    code = 0
    for file in sorted(root.glob(f"*/{chain.NAME}")):
        camera = file.parent.name
        count, broken = chain.verify(root, camera)
        if broken is not None:
            code = EXIT_CONFIG
            screen.print(Text(f"{camera}: broken at {broken.path}: {broken.why}"))
            continue
        linked = chain.Chain(root, camera).paths
        loose = sorted(p for p in paths if p.startswith(f"{camera}/") and p not in linked)
        extra = f"; {len(loose)} are not in the chain, the first: {loose[0]}" if loose else ""
        noted = _gone(list(chain.gone(root, camera).values()))
        screen.print(Text(f"{camera}: {count} segments unchanged{noted}{extra}"))
    return code


def _gone(reasons: list[str]) -> str:
    """Return the deletions in a chain, as the end of a sentence."""
    erased = [why for why in reasons if why.startswith(chain.ERASED)]
    said = f"; {len(reasons) - len(erased)} deleted to make room" * (len(reasons) > len(erased))
    if erased:
        last = max(erased).removeprefix(chain.ERASED).strip()
        said += f"; {len(erased)} erased on request, the last at {last}"
    return said


def rebuild(root: Path) -> None:
    """Repair files after a kill and rebuild the catalog. Not possible while a run records there."""
    lock = FolderLock(root)
    try:
        repaired = repair(root, record_table)
        for suffix in ("", "-wal", "-shm"):
            (root / f"{NAME}{suffix}").unlink(missing_ok=True)
        catalog = Catalog(root)
        count = list_again(catalog, record_table)
        catalog.close()
    finally:
        lock.close()
    console().print(Text(f"{count} segments listed, {len(repaired)} of them repaired"))


def protect(root: Path, name: str, on: bool) -> None:
    """Protect a segment from deletion, or remove the protection."""
    row = one_segment(root, name)
    catalog = Catalog(root, create=False)
    try:
        catalog.protect(row, on=on)
    finally:
        catalog.close()
    said = "never deleted" if on else "may be deleted when space runs out"
    console().print(Text(f"{Path(row.path).name}: {said}"))


def one_segment(root: Path, name: str) -> SegmentRow:
    """Return the segment with a name, or a unique part of it. Raises ConfigError otherwise."""
    catalog = Catalog(root, create=False)
    try:
        rows = [row for row in catalog.segments() if name in row.path]
    finally:
        catalog.close()
    exact = [row for row in rows if Path(row.path).name == name]
    rows = exact or rows
    if len(rows) != 1:
        some = ", ".join(Path(row.path).name for row in rows[:3]) or "none"
        raise ConfigError(f"{name!r}: expected the name of one segment; it fits {some}")
    return rows[0]


def _seen(row: SegmentRow) -> str:
    words = [f"{count} {name}" for name, count in sorted(row.objects.items())]
    if row.alerts:
        words.append(f"{len(row.alerts)} alert" + ("s" if len(row.alerts) > 1 else ""))
    return ", ".join(words)


def parse_time(text: str) -> int:
    """Return a time in wall ns. text: UTC, 2026-11-26T14:05:30, or 14:05 for today."""
    try:
        if _DATE.match(text):
            when = datetime.fromisoformat(text)
        else:
            today = datetime.now(UTC).date()
            when = datetime.fromisoformat(f"{today}T{text}")
    except ValueError:
        form = "2026-11-26T14:05:30, or 14:05:30 for today (UTC)"
        raise ConfigError(f"{text!r}: expected a time as {form}") from None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


def size_text(count: int) -> str:
    """Return a number of bytes as text with a unit."""
    if count < 1_000_000:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"


def _time(t_wall_ns: int) -> str:
    return f"{datetime.fromtimestamp(t_wall_ns / clock.NS_PER_S, UTC):%Y-%m-%d %H:%M:%S}"
