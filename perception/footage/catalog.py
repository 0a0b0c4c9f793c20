"""The catalog of recordings: SQLite, made again from the files at any time.

It is a copy of what the files say; only a file that it lists is ever deleted. A catalog of a newer
version, or one that is damaged, is set aside or left alone: its files are listed again.
"""

import contextlib
import errno
import json
import sqlite3
from collections.abc import Container, Generator, Iterator
from pathlib import Path
from typing import Any

import msgspec

from perception.errors import ConfigError
from perception.footage import tables, track_table
from perception.footage.rows import LossRow, SegmentRow

NAME = "catalog.sqlite"
KEEP = ".keep"
"""Suffix of the empty file beside a segment that is protected: it outlives the catalog."""


class Catalog:
    """An open catalog. Raises ConfigError where it cannot be opened, OSError when writing fails."""

    def __init__(self, root: Path, *, create: bool = True) -> None:
        self.root = root
        self.set_aside: Path | None = None
        """A damaged catalog, under its new name."""
        self.is_new = False
        """Whether the files have to be listed: it was made now, or is another version's."""
        path = self.path = root / NAME
        if not create and not path.exists():
            raise ConfigError(f"{root}: no {NAME} there: `perception recordings rebuild` makes one")
        try:
            self._db = self._open(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
                raise ConfigError(f"{path}: {error}") from None
            self.set_aside = _set_aside(path)
            self._db = self._open(path)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None

    def _open(self, path: Path) -> sqlite3.Connection:
        path.parent.mkdir(parents=True, exist_ok=True)
        existed = path.exists()
        db = sqlite3.connect(path, timeout=5, isolation_level=None)
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > tables.VERSION:
                db.close()
                self.path = path.with_name(f"catalog.v{tables.VERSION}.sqlite")
                return self._open(self.path)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute("PRAGMA secure_delete=ON")
            tables.make(db)
        except BaseException:
            db.close()
            raise
        self.is_new = self.is_new or not existed
        return db

    def add(self, row: SegmentRow) -> None:
        """Add or replace a segment and its losses."""
        with self._transaction():
            tables.put(self._db, row)
            for loss in row.losses:
                self._add_loss(loss)

    def add_loss(self, loss: LossRow) -> None:
        """Add a loss that no segment carries yet."""
        with self._transaction():
            self._add_loss(loss)

    def _add_loss(self, loss: LossRow) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO loss VALUES (?, ?, ?, ?, ?)",
            (loss.camera, loss.from_wall_ns, loss.to_wall_ns, loss.cause, loss.packets),
        )

    def remove(self, row: SegmentRow, why: str, t_wall_ns: int) -> None:
        """Note that a segment's files were deleted."""
        with self._transaction():
            found = "SELECT id FROM segment WHERE path = ?"
            track_table.remove(self._db, f"segment = ({found})", row.path)
            self._db.execute(f"DELETE FROM named WHERE segment = ({found})", (row.path,))
            self._db.execute("DELETE FROM segment WHERE path = ?", (row.path,))
            self._db.execute(
                "INSERT OR REPLACE INTO deleted VALUES (?, ?, ?, ?, ?, ?)",
                (row.path, row.camera, row.start_wall_ns, t_wall_ns, row.size_bytes, why),
            )

    def forget_tracks(
        self, camera: str, from_wall_ns: int, to_wall_ns: int
    ) -> dict[int, tuple[int, int]]:
        """Remove the tracks that were seen within a span; return start and end in wall ns by id."""
        where = (
            "id IN (SELECT id FROM track INDEXED BY track_time WHERE start_wall_ns BETWEEN "
            f"?2 - {track_table.LONG_NS} AND ?3 UNION ALL SELECT id FROM track INDEXED BY "
            f"track_long WHERE {track_table.LONG} AND start_wall_ns < ?2) "
            "AND camera = ?1 AND end_wall_ns >= ?2"
        )
        values = camera, from_wall_ns, to_wall_ns
        gone = self.read(
            f"SELECT track_id, start_wall_ns, end_wall_ns FROM track WHERE {where}", *values
        )
        with self._transaction():
            track_table.remove(self._db, where, *values)
        return {track_id: (start, end) for track_id, start, end in gone}

    def add_tracks(self, row: SegmentRow, wanted: Container[int]) -> None:
        """Add those tracks of a segment that are wanted, by track_id."""
        with self._transaction():
            for (number,) in self.read("SELECT id FROM segment WHERE path = ?", row.path):
                for track in row.tracks:
                    if track.track_id in wanted:
                        track_table.put(self._db, number, row.camera, track)

    def scrub(self) -> None:
        """Remove what deleted rows have left in the file, its log and in catalogs set aside.

        Raises OSError where another program reads it all the while, or the disk refuses.
        """
        for old in (*self.root.glob(f"{NAME}.damaged-*"), *self.root.glob("catalog.v*.sqlite*")):
            if old.name.removesuffix("-wal").removesuffix("-shm") != self.path.name:
                old.unlink(missing_ok=True)
        try:
            self._db.execute("VACUUM")
            busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error as error:
            raise OSError(errno.EIO, f"catalog: {error}") from None
        if busy:
            raise OSError(errno.EBUSY, "catalog: another program reads it: try again")

    def segments(
        self, camera: str | None = None, from_wall_ns: int | None = None,
        to_wall_ns: int | None = None,
    ) -> list[SegmentRow]:  # fmt: skip
        """Return segments that overlap a span of wall time, oldest first."""
        found = self._db.execute(
            "SELECT row FROM segment WHERE (?1 IS NULL OR camera = ?1) "
            "AND (?2 IS NULL OR end_wall_ns >= ?2) AND (?3 IS NULL OR start_wall_ns < ?3) "
            "ORDER BY start_wall_ns, camera",
            (camera, from_wall_ns, to_wall_ns),
        )
        return [msgspec.json.decode(row, type=SegmentRow) for (row,) in found]

    def last(self, camera: str) -> SegmentRow | None:
        """Return a camera's newest segment."""
        found = self._db.execute(
            "SELECT row FROM segment WHERE camera = ? ORDER BY start_wall_ns DESC LIMIT 1",
            (camera,),
        ).fetchone()
        return msgspec.json.decode(found[0], type=SegmentRow) if found else None

    def losses(self, camera: str | None = None) -> list[LossRow]:
        """Return what was lost, oldest first."""
        found = self._db.execute(
            "SELECT camera, from_wall_ns, to_wall_ns, cause, packets FROM loss "
            "WHERE (?1 IS NULL OR camera = ?1) ORDER BY from_wall_ns",
            (camera,),
        )
        names = ("camera", "from_wall_ns", "to_wall_ns", "cause", "packets")
        return [LossRow(**dict(zip(names, row, strict=True))) for row in found]

    def read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query, for the modules of this room."""
        return self._db.execute(sql, values).fetchall()

    def each(self, sql: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query one by one, for the modules of this room."""
        yield from self._db.execute(sql, values)

    def deleted(self) -> dict[str, str]:
        """Return why segments were deleted, by path."""
        return dict(self._db.execute("SELECT path, why FROM deleted"))

    def paths(self) -> set[str]:
        """Return the paths of all segments."""
        return {path for (path,) in self._db.execute("SELECT path FROM segment")}

    def size_bytes(self) -> int:
        """Return the bytes of all segments."""
        return self._db.execute("SELECT coalesce(sum(bytes), 0) FROM segment").fetchone()[0]

    def is_protected(self, row: SegmentRow) -> bool:
        """Whether a segment must not be deleted."""
        return (self.root / f"{row.path}{KEEP}").exists()

    def protect(self, row: SegmentRow, *, on: bool = True) -> None:
        """Protect a segment from deletion, or end that."""
        mark = self.root / f"{row.path}{KEEP}"
        if on:
            mark.touch()
        else:
            mark.unlink(missing_ok=True)

    def dump(self) -> str:
        """Return all segments and losses as JSON, the same for the same files."""
        rows = [msgspec.to_builtins(row) for row in self.segments()]
        return json.dumps([rows, [msgspec.to_builtins(loss) for loss in self.losses()]])

    def close(self) -> None:
        """Close it; safe to call twice."""
        self._db.close()

    @contextlib.contextmanager
    def _transaction(self) -> Generator[None]:
        """Commit, or change nothing. Raises OSError where the disk refuses."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise OSError(errno.EIO, f"catalog: {error}") from None


def _set_aside(path: Path) -> Path:
    """Rename a damaged catalog; raises ConfigError where that is not possible."""
    for n in range(1, 1000):
        aside = path.with_name(f"{path.name}.damaged-{n}")
        if not aside.exists():
            try:
                path.replace(aside)
                for suffix in ("-wal", "-shm"):
                    Path(f"{path}{suffix}").unlink(missing_ok=True)
            except OSError as error:
                raise ConfigError(f"{path}: damaged, and {error.strerror}") from None
            return aside
    raise ConfigError(f"{path}: damaged, and 1000 damaged ones stand beside it")
