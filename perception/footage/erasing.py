"""Segments erased on request: files, rows, and what rows leave in pages that SQLite freed.

The chain of hashes keeps the name of a segment and when it was erased, nothing of what was seen.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import av
import msgspec
from av.error import FFmpegError

from perception.clock import NS_PER_S
from perception.errors import MessageError
from perception.footage import timeline
from perception.footage.catalog import KEEP, Catalog
from perception.footage.chain import ERASED, Chain
from perception.footage.clips import clip_path
from perception.footage.messages import PACKETS, read, read_row
from perception.footage.rows import SegmentRow, from_file
from perception.footage.segment import PART, SUFFIXES
from perception.wire.codec import decode_record

EXAMINED = "examined"
"""Folder beside the recordings with what `perception examine` found; one below it for each plan."""
REPORTS = ("report.html", "report.json", "visits.jsonl")
"""What is made of all segments of such a folder; a later examination makes it again."""
_NEAR_NS = 120 * NS_PER_S
_QUIET = 2
"""A name is looked for in the messages of a camera until so many segments do not have it: rules
remember a name for a while after its person was last seen."""


def files_of(root: Path, row: SegmentRow) -> list[Path]:
    """Return what belongs to a segment: its files, the clips of its alerts, what was examined."""
    files = [root / f"{row.path}{suffix}" for suffix in SUFFIXES]
    files += [clip_path(root, row.camera, key) for key in row.alerts]
    return files + [folder / f"{row.path}.mcap" for folder in examined(root)]


def examined(root: Path) -> list[Path]:
    """Return the folders of results beside the recordings."""
    place = root.parent / EXAMINED
    return sorted(path for path in place.iterdir() if path.is_dir()) if place.is_dir() else []


def of_person(catalog: Catalog, name: str) -> list[SegmentRow]:
    """Return the segments in which somebody was named, or whose messages have the name.

    name: letters' case does not matter. A track that was named belongs to the person in all its
    segments.
    """
    spelled = spellings(catalog, name)
    found: dict[str, SegmentRow] = {}
    tracks: set[tuple[str, int, int]] = set()
    for who in spelled:
        rows = catalog.read(
            "SELECT row FROM segment WHERE id IN (SELECT segment FROM named WHERE who = ?)", who
        )
        found |= {row.path: row for row in (_row(text) for (text,) in rows)}
        tracks |= set(
            catalog.read("SELECT camera, start_wall_ns, end_wall_ns FROM track WHERE who = ?", who)
        )
    for camera, start, end in tracks:
        found |= {row.path: row for row in timeline.segments(catalog, camera, start, end + 1)}
    # The row of a repaired segment may lack a name that its messages have.
    for (text,) in catalog.each("SELECT row FROM segment WHERE instr(row, '\"torn\":true')"):
        row = _row(text)
        if row.path not in found and _mentions(catalog.root / f"{row.path}.mcap", spelled):
            found[row.path] = row
    for camera in sorted({row.camera for row in found.values()}):
        found |= {row.path: row for row in _after(catalog, camera, set(found), spelled)}
    return sorted(found.values(), key=lambda row: (row.start_wall_ns, row.camera))


def spellings(catalog: Catalog, name: str) -> list[str]:
    """Return a name as it was given and as the catalog has it."""
    names = {who for (who,) in catalog.read("SELECT DISTINCT who FROM named")}
    return sorted({name, *(who for who in names if who.casefold() == name.casefold())})


def _row(text: str) -> SegmentRow:
    return msgspec.json.decode(text, type=SegmentRow)


def _after(
    catalog: Catalog, camera: str, found: set[str], names: Sequence[str]
) -> Iterator[SegmentRow]:
    """Yield segments after those of a person whose messages still have the name."""
    quiet = _QUIET
    for row in catalog.segments(camera):
        if row.path in found:
            quiet = 0
        elif quiet < _QUIET:
            quiet += 1
            if _mentions(catalog.root / f"{row.path}.mcap", names):
                quiet = 0
                yield row


def _mentions(messages: Path, names: Sequence[str]) -> bool:
    forms = {form for name in names for form in (name.encode(), json.dumps(name)[1:-1].encode())}
    with contextlib.suppress(FileNotFoundError):
        return any(
            form in one.data for one in read(messages) if one.topic != PACKETS for form in forms
        )
    return False


def clips_over(catalog: Catalog, row: SegmentRow) -> list[Path]:
    """Return the clips of alerts in segments beside one that hold pictures of it."""
    found: list[Path] = []
    for beside in catalog.segments(
        row.camera, row.start_wall_ns - _NEAR_NS, row.end_wall_ns + _NEAR_NS
    ):
        if not beside.alerts or beside.path == row.path:
            continue
        begun = _begun(catalog.root / f"{beside.path}.mcap")
        for key in beside.alerts:
            clip = clip_path(catalog.root, row.camera, key)
            length_ns = _length_ns(clip)
            at = begun.get(key, beside.start_wall_ns)
            if at - length_ns <= row.end_wall_ns and at + length_ns >= row.start_wall_ns:
                found.append(clip)
    return found


def _begun(messages: Path) -> dict[str, int]:
    """Return when the alerts in a file of messages began, wall ns by key."""
    found: dict[str, int] = {}
    with contextlib.suppress(FileNotFoundError):
        for one in read(messages):
            if one.topic == "alerts":
                with contextlib.suppress(MessageError):
                    alert = decode_record(one.data).alert
                    found[alert.key] = alert.start_t_wall_ns
    return found


def _length_ns(clip: Path) -> int:
    """Return how long a clip is; a day where it cannot be read."""
    try:
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            times = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
            base = stream.time_base
            return round((max(times) - min(times)) * base * NS_PER_S) if base and times else 0
    except FileNotFoundError:
        return 0
    except (FFmpegError, IndexError):
        return 86_400 * NS_PER_S


def erase(catalog: Catalog, rows: Sequence[SegmentRow], t_wall_ns: int) -> int:
    """Erase segments with all that belongs to them; return the number of files.

    For a folder that no recorder writes to. A kill in the middle leaves rows: erasing again does
    the rest. Raises OSError where the disk refuses or another program reads the catalog all the
    while.
    """
    root, chains, count = catalog.root, dict[str, Chain](), 0
    when = datetime.fromtimestamp(t_wall_ns // NS_PER_S, UTC)
    why = f"{ERASED} {when:%Y-%m-%dT%H:%M:%SZ}"
    for row in rows:
        chain = chains.setdefault(row.camera, Chain(root, row.camera))
        chain.delete(row.path, why)
        files = files_of(root, row) + clips_over(catalog, row)
        for file in (
            *files,
            *(Path(f"{file}{PART}") for file in files),
            root / f"{row.path}{KEEP}",
        ):
            with contextlib.suppress(FileNotFoundError):
                file.unlink()
                count += 1
        for folder in list((root / row.path).parents)[:2]:
            with contextlib.suppress(OSError):
                folder.rmdir()
    if rows:
        for folder in examined(root):
            for name in REPORTS:
                (folder / name).unlink(missing_ok=True)
        _erase_rows(catalog, rows, why, t_wall_ns)
    catalog.scrub()
    return count


def _erase_rows(catalog: Catalog, rows: Sequence[SegmentRow], why: str, t_wall_ns: int) -> None:
    """Remove rows; a track that was seen in other segments too stays as these saw it."""
    for row in rows:
        gone = catalog.forget_tracks(row.camera, row.start_wall_ns, row.end_wall_ns)
        catalog.remove(row, why, t_wall_ns)
        beside = {
            one.path: one
            for start, end in gone.values()
            for one in timeline.segments(catalog, row.camera, start, end + 1)
        }
        for path in beside:
            with contextlib.suppress(FileNotFoundError):
                saw = from_file(read_row(catalog.root / f"{path}.mcap"))
                if saw is not None:
                    catalog.add_tracks(saw, gone)
