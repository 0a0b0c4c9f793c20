"""The segments among which the least valuable ones are: the oldest of each worth.

A full disk asks each few seconds: of 100,000 segments only as many are read as will be deleted.
"""

from collections.abc import Iterator

import msgspec

from perception.footage.catalog import Catalog
from perception.footage.retention import Kept
from perception.footage.rows import SegmentRow

_WORTHS = ("alerts > 0", "alerts = 0 AND tracks > 0", "alerts = 0 AND tracks = 0")
"""As `retention.value` tells them apart; within one the older is worth less."""


def candidates(catalog: Catalog, needed: int) -> Iterator[Kept]:
    """Yield the oldest segments of each worth, until the unprotected ones have enough bytes."""
    for worth in _WORTHS:
        size = 0
        for (text,) in catalog.each(
            f"SELECT row FROM segment WHERE {worth} ORDER BY end_wall_ns, start_wall_ns"
        ):
            row = msgspec.json.decode(text, type=SegmentRow)
            kept = Kept(row, catalog.is_protected(row))
            yield kept
            size += 0 if kept.protected else row.size_bytes
            if size >= needed:
                break
