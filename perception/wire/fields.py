"""Ids, limits, types of fields and the stamp that every message bears.

Imports clock only. Shape letters: N detections, M tracks, H, W pixels. Boxes are xyxy float32
pixels.
"""

import sys
from dataclasses import field, fields
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception import clock

VERSION = 6

MAX_ROWS = 10_000

MAX_MESSAGE_BYTES = 4 << 20

MAX_HEADER_BYTES = 1 << 20

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]

Dotted = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]

Natural = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]

Finite = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]

Side = Annotated[int, msgspec.Meta(ge=1, le=65535)]

Small = Annotated[dict[Name, Natural], msgspec.Meta(max_length=64)]

Size = Annotated[int, msgspec.Meta(ge=0, le=MAX_ROWS)]

Names = Annotated[dict[int, str], msgspec.Meta(max_length=MAX_ROWS)]


def make_id(epoch: int, n: int) -> int:
    """Return epoch << 32 | n: an int64 id that no later start of the process gives again."""
    return epoch << 32 | n


def short_id(identifier: int) -> int:
    """Return the low 32 bits of an id: what displays show."""
    return identifier & 0xFFFFFFFF


def text_id(identifier: int) -> str:
    """Return an id as text, epoch-n: who reads JSON into doubles loses digits of the number."""
    return f"{identifier >> 32}-{short_id(identifier)}"


def column(dtype: str, *shape: str | int, optional: bool = False) -> Any:
    """Declare an array field: dtype string and shape, letters standing for row counts.

    optional: the class fills it in where it is not given.
    """
    metadata = {"column": (np.dtype(dtype), shape)}
    return field(default=None, metadata=metadata) if optional else field(metadata=metadata)


class Stamp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which frame something belongs to: camera, id and its three times (see clock.py)."""

    camera: Name
    frame_id: Natural
    t_media_ns: Annotated[int, msgspec.Meta(ge=-(1 << 62), le=1 << 62)]
    t_arrival_ns: Natural
    t_wall_ns: Natural

    @property
    def age_ms(self) -> float:
        """Milliseconds since the frame came out of the decoder; this host only."""
        return (clock.monotonic_ns() - self.t_arrival_ns) / clock.NS_PER_MS


def own_array(values: ArrayLike, dtype: Any) -> NDArray[Any]:
    """Return values as a C-contiguous, writable array that owns its memory."""
    return np.require(np.asarray(values, dtype), requirements=["C", "W", "O"])


def table_columns(cls: Any) -> list[tuple[str, np.dtype[Any], tuple[str | int, ...]]]:
    """Return name, dtype and shape of each array field of a table or message."""
    return [(f.name, *f.metadata["column"]) for f in fields(cls) if "column" in f.metadata]


def empty_columns(cls: Any) -> list[Any]:
    """Return an array without rows for each array field of a table."""
    return [
        np.zeros([0 if isinstance(side, str) else side for side in spec], dtype)
        for _, dtype, spec in table_columns(cls)
    ]
