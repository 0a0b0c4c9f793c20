"""What is known of a segment and of a loss: rows of the catalog, and of the files themselves."""

import msgspec

COLOURS = (
    *("black", "white", "grey", "red", "orange", "yellow", "green", "blue", "purple", "pink"),
    "brown",
)
"""The basic colour terms of Berlin and Kay (1969)."""


class TrackRow(msgspec.Struct, frozen=True, kw_only=True):
    """An object that was confirmed: from when to when, wall ns, in which zones its foot was.

    who: a name of the gallery, `unknown`, or empty. alerts: how many named it. upper, lower: one of
    COLOURS, of the upper and lower part of it; empty: not known.
    """

    track_id: int
    class_name: str
    start_wall_ns: int
    end_wall_ns: int
    zones: list[str] = []
    who: str = ""
    alerts: int = 0
    upper: str = ""
    lower: str = ""


class FoundRow(msgspec.Struct, frozen=True, kw_only=True):
    """A track that a search found, and the segment in which it was seen first."""

    camera: str
    track_id: int
    class_name: str
    start_wall_ns: int
    end_wall_ns: int
    zones: list[str]
    who: str
    alerts: int
    upper: str
    lower: str
    segment: str
    segment_wall_ns: int


class SegmentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A segment: an MP4 file and the MCAP file of the same name.

    path: without suffix, below the folder of recordings. wall and media times in ns, end of the
    last packet's start. base_pts: what its pts are less than those of the stream. objects: how
    many tracks of each class were confirmed. tracks: in sight in it; a row of the
    catalog has none, they are in a table of their own. alerts: keys. torn: it was cut off and
    repaired.
    """

    path: str
    camera: str
    run: str
    stream: int
    start_wall_ns: int
    end_wall_ns: int
    start_media_ns: int
    end_media_ns: int
    first_packet: int
    last_packet: int
    frames: int
    video_bytes: int
    message_bytes: int
    codec: str
    width: int
    height: int
    timescale: int
    base_pts: int
    objects: dict[str, int] = {}
    tracks: list[TrackRow] = []
    alerts: list[str] = []
    losses: list["LossRow"] = []
    torn: bool = False

    @property
    def seconds(self) -> float:
        """Its length in s, without the last picture's own duration."""
        return (self.end_media_ns - self.start_media_ns) / 1e9

    @property
    def size_bytes(self) -> int:
        """Bytes on disk."""
        return self.video_bytes + self.message_bytes


class LossRow(msgspec.Struct, frozen=True, kw_only=True):
    """Packets that were not recorded: from, to in wall ns; cause; how many, 0 where not known."""

    camera: str
    from_wall_ns: int
    to_wall_ns: int
    cause: str
    packets: int


def from_file(value: object) -> SegmentRow | None:
    """Return the row that a file carries; None where it is of another form."""
    try:
        return msgspec.convert(value, SegmentRow)
    except msgspec.ValidationError:
        return None


def to_file(row: SegmentRow) -> dict[str, object]:
    """Return the row as JSON values."""
    return msgspec.to_builtins(row)
