"""What a kill or a power cut left is made readable; the catalog is made again from the files.

Nothing is deleted here: what cannot be read stays under the name it has.
"""

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import av
import msgspec
from av.error import FFmpegError

from perception.errors import MessageError
from perception.footage import thumbnail
from perception.footage.catalog import Catalog
from perception.footage.fragments import boxes
from perception.footage.listing import CLIPS, Listing
from perception.footage.messages import (
    PACKETS,
    LoggedMessage,
    MessageFile,
    PacketLine,
    is_whole,
    read,
    read_row,
)
from perception.footage.rows import SegmentRow, TrackRow, from_file, to_file
from perception.footage.seen import SeenTracks
from perception.footage.segment import PART
from perception.wire.codec import decode_record

TORN = ".torn"
"""Suffix of the messages as they were found, until the repaired file was read again."""


def listing(root: Path) -> Listing:
    """Return what is in a folder of recordings, for `repair` and `rebuild`."""
    return Listing(root, TORN)


def repair(
    root: Path, table: Callable[[str], dict[str, Any]], there: Listing | None = None
) -> list[SegmentRow]:
    """Complete segments that were being written; return their rows.

    For a folder that no recorder writes to. table: see MessageFile. there: what is in the folder.
    """
    parts = [root / path for path in (there or listing(root)).parts]
    clips = [path for path in parts if path.parent.name == CLIPS]
    bases = {
        Path(str(path).removesuffix(suffix))
        for suffix in (f".mp4{PART}", f".mcap{PART}", f".mcap{TORN}")
        for path in parts
        if path.name.endswith(suffix) and path.parent.name != CLIPS
    }
    found: list[SegmentRow] = []
    for base in sorted(bases):
        with contextlib.suppress(OSError, ValueError, FFmpegError):
            row = _repair_one(root, base, table)
            if row is not None:
                found.append(row)
    for picture in parts:
        if picture.name.endswith(f"{thumbnail.SUFFIX}{PART}"):
            picture.unlink(missing_ok=True)  # made of the video, and not whole
    for clip in clips:
        with contextlib.suppress(OSError):
            _cut(clip, Path(str(clip).removesuffix(PART)))
    return found


def rebuild(
    root: Path,
    table: Callable[[str], dict[str, Any]],
    known: Collection[str] = (),
    there: Listing | None = None,
) -> Iterator[SegmentRow]:
    """Yield the row of every segment under a folder, from its files alone, oldest path first.

    known: paths that are left out. there: what is in the folder.
    """
    for path in (there or listing(root)).videos:
        if path in known:
            continue
        base, messages = root / path, root / f"{path}.mcap"
        if not messages.exists():
            continue
        row = from_file(read_row(messages))
        if row is None or row.path != path:
            with contextlib.suppress(ValueError, FFmpegError):
                row = _row_of(root, base, torn=not is_whole(messages))
        if row is not None:
            yield _measured(root, row)


def list_again(catalog: Catalog, table: Callable[[str], dict[str, Any]]) -> int:
    """Add every segment of the folder to its catalog; return how many there are."""
    count = 0
    for row in rebuild(catalog.root, table):
        catalog.add(row)
        count += 1
    return count


def _repair_one(
    root: Path, base: Path, table: Callable[[str], dict[str, Any]]
) -> SegmentRow | None:
    video, messages = Path(f"{base}.mp4"), Path(f"{base}.mcap")
    if not video.exists() and not _cut(Path(f"{video}{PART}"), video):
        return None
    part, torn = Path(f"{messages}{PART}"), Path(f"{messages}{TORN}")
    if not messages.exists():
        # Where a repair was itself killed, the messages as found are in `torn`, not in `part`.
        if part.exists() and not torn.exists():
            part.replace(torn)
        row = _rewrite(root, base, torn, part, table)
        part.replace(messages)
        torn.unlink(missing_ok=True)
        return _measured(root, row)
    for left in (part, torn):
        left.unlink(missing_ok=True)
    return _measured(root, _row_of(root, base, torn=True))


def _rewrite(
    root: Path, base: Path, torn: Path, place: Path, table: Callable[[str], dict[str, Any]]
) -> SegmentRow:
    """Copy what can be read of the messages into a whole file with the segment's row."""
    camera = base.relative_to(root).parts[0]
    out = MessageFile(place, camera, table)
    size = Path(f"{base}.mp4").stat().st_size
    try:
        said = list(read(torn)) if torn.exists() else []
        for one in said:
            if one.topic != PACKETS or _ends(one) <= size:
                out.add(one)
        row = _row(root, base, said, torn=True)
        out.finish(to_file(row))
    except (OSError, ValueError, FFmpegError):
        out.abandon()
        raise
    return row


def _ends(said: LoggedMessage) -> int:
    line = PacketLine.unpack(said.data)
    return line.offset + line.size


def _row_of(root: Path, base: Path, *, torn: bool) -> SegmentRow:
    return _row(root, base, list(read(Path(f"{base}.mcap"))), torn=torn)


def _row(root: Path, base: Path, said: list[LoggedMessage], *, torn: bool) -> SegmentRow:
    """Return the row of a segment that carries none, from its video and what was said.

    The index may lack the last second; then the fragments themselves are counted. Raises ValueError
    where there is neither an index nor a name of ours.
    """
    video = Path(f"{base}.mp4")
    size = video.stat().st_size
    packets = [one for one in said if one.topic == PACKETS]
    tracks, objects, alerts = _seen(said)
    lines = [line for one in packets if (line := PacketLine.unpack(one.data)).offset < size]
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        codec, width, height = context.name, context.width, context.height
        timescale = round(1 / stream.time_base) if stream.time_base else 0
    if not lines:
        lines = [_line_of_name(base)]
    frames = sum(kind == b"moof" for kind, _ in _boxes_of(video))
    path = str(base.relative_to(root))
    missing = frames - len(lines)
    return SegmentRow(
        path=path,
        camera=path.partition("/")[0],
        run="",
        stream=0,
        start_wall_ns=lines[0].t_wall_ns,
        end_wall_ns=lines[-1].t_wall_ns,
        start_media_ns=lines[0].t_media_ns,
        end_media_ns=max(line.t_media_ns for line in lines),
        first_packet=lines[0].packet_id,
        last_packet=lines[-1].packet_id + max(0, missing),
        frames=frames,
        video_bytes=size,
        message_bytes=0,
        codec=codec,
        width=width,
        height=height,
        timescale=timescale,
        base_pts=_base_pts(video, lines[0]),
        objects=objects,
        tracks=tracks,
        alerts=alerts,
        torn=torn,
    )


def _seen(said: list[LoggedMessage]) -> tuple[list[TrackRow], dict[str, int], list[str]]:
    """Return tracks, how many of each class, and keys of alerts; zones are not known here."""
    seen, rows, alerts = SeenTracks({}), dict[int, TrackRow](), dict[str, None]()
    who = dict[int, str]()
    for one in said:
        if one.topic not in ("tracks", "alerts", "identities"):
            continue
        with contextlib.suppress(MessageError):
            message = decode_record(one.data)
            if one.topic == "tracks":
                rows |= {row.track_id: row for row in seen.take(message)}
            elif one.topic == "identities":
                if message.state != "undecided":
                    who[message.track_id] = message.who if message.state == "known" else "unknown"
            elif message.alert.state == "raised":
                alerts[message.alert.key] = None
    objects: dict[str, int] = {}
    for row in rows.values():
        rows[row.track_id] = msgspec.structs.replace(row, who=who.get(row.track_id, ""))
        objects[row.class_name] = objects.get(row.class_name, 0) + 1
    return list(rows.values()), objects, list(alerts)


def _line_of_name(base: Path) -> PacketLine:
    """Return what the name of a segment without an index tells: when it began.

    Media time and packet numbers are not known: 0.
    """
    begun = datetime.strptime(base.name.partition("Z")[0], "%Y%m%dT%H%M%S.%f")
    wall_ns = (begun - datetime(1970, 1, 1)) // timedelta(milliseconds=1) * 1_000_000
    return PacketLine(0, 0, 0, 0, wall_ns, 0, 0, 1)


def _base_pts(video: Path, first: PacketLine) -> int:
    """Return what was taken from the pts of this segment: the index has them as they were."""
    with av.open(str(video)) as container:
        for packet in container.demux(video=0):
            if packet.pts is not None:
                return first.pts - packet.pts
    return 0


def _measured(root: Path, row: SegmentRow) -> SegmentRow:
    """Return the row with the sizes of its files."""
    return msgspec.structs.replace(
        row,
        video_bytes=(root / f"{row.path}.mp4").stat().st_size,
        message_bytes=(root / f"{row.path}.mcap").stat().st_size,
    )


def _cut(part: Path, done: Path) -> bool:
    """Give a video that was cut off its name, without the fragment that is not whole.

    Returns False where it has no whole fragment; then it stays.
    """
    if not part.exists():
        return False
    end = at = count = 0
    for kind, size in _boxes_of(part):
        at += size
        if kind == b"mdat":
            end, count = at, count + 1
    if not count:
        return False
    with part.open("r+b") as file:
        file.truncate(end)
        os.fsync(file.fileno())
    part.replace(done)
    return True


def _boxes_of(path: Path) -> list[tuple[bytes, int]]:
    with path.open("rb") as file:
        return list(boxes(file, path.stat().st_size))
