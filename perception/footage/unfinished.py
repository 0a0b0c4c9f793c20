"""The segment that a camera is writing now, so far as its messages are on the disk."""

from pathlib import Path

from perception.footage.catalog import Catalog
from perception.footage.messages import PACKETS, read
from perception.footage.rows import SegmentRow
from perception.footage.segment import PART

_GAP_NS = 5 * 1_000_000_000
"""A segment that begins so soon after the last one is of the same run."""


def messages_of(root: Path, path: str) -> Path:
    """Return the file of a segment's messages: complete, or as it is being written."""
    whole = root / f"{path}.mcap"
    return whole if whole.exists() else whole.with_name(whole.name + PART)


def unfinished(catalog: Catalog, camera: str) -> SegmentRow | None:
    """Return the row of the newest segment that is being written; None where there is none.

    Only times and names are known of it: pictures, sizes and objects are 0.
    """
    parts = sorted((catalog.root / camera).glob(f"*/*/*.mcap{PART}"))
    if not parts:
        return None
    packets = [said for said in read(parts[-1]) if said.topic == PACKETS]
    if not packets:
        return None
    first, end, before = packets[0], packets[-1], catalog.last(camera)
    follows = before is not None and first.t_wall_ns - before.end_wall_ns < _GAP_NS
    return SegmentRow(
        path=str(parts[-1].relative_to(catalog.root)).removesuffix(f".mcap{PART}"),
        camera=camera, run=before.run if before is not None and follows else "", stream=0,
        start_wall_ns=first.t_wall_ns, end_wall_ns=end.t_wall_ns,
        start_media_ns=first.t_media_ns, end_media_ns=max(one.t_media_ns for one in packets),
        first_packet=0, last_packet=0, frames=0, video_bytes=0, message_bytes=0, codec="",
        width=0, height=0, timescale=0, base_pts=0,
    )  # fmt: skip
