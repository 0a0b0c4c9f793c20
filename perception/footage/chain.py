"""A chain of hashes over a camera's segments: who changes or removes one breaks it from there on.

`chain.jsonl` of a camera has a line a segment: path, SHA-256 of both files, and the hash of that
line with the line before. A deletion to make room is a line too. It shows that files are as they
were written; a signature over the last hash shows by whom (export).
"""

import contextlib
import errno
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from perception.footage.rows import SegmentRow

NAME = "chain.jsonl"
ERASED = "erased at"
"""What the reason of a deletion on request begins with; the time follows."""
_BLOCK = 1 << 20
_MAX_LINE = 1 << 16


class Broken(NamedTuple):
    """The first link that does not hold. path: of the segment, or of the chain itself."""

    camera: str
    path: str
    why: str


class Chain:
    """Appends to a camera's chain. Raises OSError where the disk refuses."""

    def __init__(self, root: Path, camera: str) -> None:
        self._root = root
        self._path = root / camera / NAME
        _cut_torn_line(self._path)
        self._last = _last_hash(self._path)

    @cached_property
    def paths(self) -> set[str]:
        """Segments that are in the chain; read when first asked for."""
        return {str(link.get("path", "")) for link in _links(self._path)}

    @cached_property
    def _deleted(self) -> set[str]:
        return {str(link.get("path")) for link in _links(self._path) if "deleted" in link}

    def add(self, row: SegmentRow) -> None:
        """Append a segment whose files are complete."""
        mp4, mcap = (self._root / f"{row.path}.{kind}" for kind in ("mp4", "mcap"))
        self._append({"path": row.path, "mp4": file_hash(mp4), "mcap": file_hash(mcap)})
        self.paths.add(row.path)

    def delete(self, path: str, why: str) -> None:
        """Append that a segment's files go, and why; once only."""
        if path not in self._deleted:
            self._append({"path": path, "deleted": why})
            self._deleted.add(path)
            self.paths.add(path)

    def _append(self, link: dict[str, str]) -> None:
        link["before"] = self._last
        link["hash"] = link_hash(link)
        line = f"{json.dumps(link)}\n".encode()
        with self._path.open("ab", buffering=0) as file:
            size = file.tell()
            try:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, "the disk took a part of a line only")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(size)
                raise
        self._last = link["hash"]


def link_hash(link: Mapping[str, Any]) -> str:
    """Return the SHA-256 of what a link says and of the hash before it, in hex."""
    text = "\n".join(str(link.get(k, "")) for k in ("path", "mp4", "mcap", "deleted", "before"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            whole.update(block)
    return whole.hexdigest()


def verify(root: Path, camera: str) -> tuple[int, Broken | None]:
    """Return how many segments hold, and the first link of a camera that does not.

    Files of a segment whose deletion is in the chain may be missing; its links may not. Those of
    one that was erased must be.
    """
    deleted = gone(root, camera)
    before, count = "", 0
    for n, link in enumerate(_links(root / camera / NAME), 1):
        path = str(link.get("path", ""))
        if link.get("before") != before or link.get("hash") != link_hash(link):
            return count, Broken(camera, path or f"line {n}", f"line {n} of {NAME} was changed")
        before = str(link["hash"])
        if path in deleted:
            files = [root / f"{path}.{kind}" for kind in ("mp4", "mcap")]
            left = next((file for file in files if file.exists()), None)
            if left is not None and deleted[path].startswith(ERASED):
                return count, Broken(camera, path, f"noted as erased, but {left.name} is there")
            continue
        for kind in ("mp4", "mcap"):
            file = root / f"{path}.{kind}"
            if not file.is_file():
                return count, Broken(camera, path, f"{file.name} is missing")
            if file_hash(file) != link.get(kind):
                return count, Broken(camera, path, f"{file.name} was changed")
        count += 1
    return count, None


def gone(root: Path, camera: str) -> dict[str, str]:
    """Return why segments were deleted, by path, as the chain has it."""
    links = _links(root / camera / NAME)
    return {str(link.get("path")): str(link["deleted"]) for link in links if "deleted" in link}


def head(root: Path, camera: str) -> str:
    """Return the last hash of a camera's chain; empty where there is none."""
    return _last_hash(root / camera / NAME)


def _last_hash(path: Path) -> str:
    """Return the hash of the last whole line; empty where there is none, or it is no link."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _MAX_LINE))
        lines = file.read().splitlines(keepends=True)
        with contextlib.suppress(ValueError, IndexError):
            link = json.loads([line for line in lines if line.endswith(b"\n")][-1])
            return str(link.get("hash", "")) if isinstance(link, dict) else ""
    return ""


def _links(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the links; a last line that a kill cut off is left out."""
    with contextlib.suppress(FileNotFoundError), path.open() as file:
        for line in file:
            try:
                link = json.loads(line)
            except ValueError:
                if line.endswith("\n"):
                    yield {"path": "", "before": None}
                continue
            if isinstance(link, dict):
                yield link


def _cut_torn_line(path: Path) -> None:
    """Remove a last line that a kill cut off, so that the next one begins at its own."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        data = file.read()
        if data and not data.endswith(b"\n"):
            file.truncate(data.rfind(b"\n") + 1)
