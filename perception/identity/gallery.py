"""The gallery: people with their aligned faces and embeddings, encrypted at rest, one file each.

File names are random; names, pictures and numbers stand in the ciphertext only. A file is written
beside and renamed, so a gallery is whole at every moment. Imports config, clock, errors.
"""

import contextlib
import fcntl
import os
import secrets
import unicodedata
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from platformdirs import user_data_dir

from perception.errors import ConfigError
from perception.identity import Vector
from perception.identity.keys import Cipher

MAX_NAME = 64
MAX_PICTURES = 50
MAX_FILE_BYTES = 16 << 20
SUFFIX = ".person"
_CHECK, _CHECK_TEXT = "check", b"perception gallery 1"
_LOCK = ".lock"
_RESERVED = ("known", "unknown", "undecided", "none", "null")


class Portrait(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One enrolled face. vector: float32 bytes. picture: PNG of the aligned face, 112x112."""

    vector: bytes
    picture: bytes
    eyes_px: float
    t_wall_ns: int

    @property
    def embedding(self) -> Vector:
        """The vector, float32 (D,) of length 1."""
        return np.frombuffer(self.vector, np.float32).copy()


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody enrolled. model: what made the vectors."""

    name: str
    model: str
    portraits: list[Portrait]

    @property
    def template(self) -> Vector:
        """The mean of the person's vectors, float32 (D,) of length 1."""
        mean = np.mean([portrait.embedding for portrait in self.portraits], axis=0)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-9), np.float32)


@dataclass(frozen=True, slots=True)
class Erased:
    """What `Gallery.erase` removed, and how many files, pictures, embeddings of it are left."""

    files: int
    pictures: int
    left: int


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """Everybody that one model can compare: names, and float32 (P, D), a row of length 1 each."""

    names: tuple[str, ...]
    vectors: Vector

    @classmethod
    def of(cls, people: Sequence[Person], model: str) -> "Templates":
        """Return those of `people` that were enrolled with this model."""
        known = [person for person in people if person.model == model]
        vectors = [person.template for person in known]
        if len({len(vector) for vector in vectors}) > 1:
            raise ConfigError(f"the gallery's vectors of {model} differ in length: enroll anew")
        return cls(
            tuple(person.name for person in known),
            np.stack(vectors) if vectors else np.zeros((0, 0), np.float32),
        )


def checked_name(name: str) -> str:
    """Return a name in its normal form (NFC, single spaces).

    Raises ConfigError unless it is 1 to 64 letters, digits, spaces, ' . - _ and begins with a
    letter or digit: names are shown in web pages and used in topics.
    """
    clean = " ".join(unicodedata.normalize("NFC", name).split())
    if len(clean) > MAX_NAME:
        raise ConfigError(f"a name of {len(clean)} characters: at most {MAX_NAME}")
    marks = (unicodedata.category(c)[0] in "LMN" or c in " '.-_" for c in clean)
    if not clean or not clean[0].isalnum() or not all(marks):
        raise ConfigError(
            f"{ascii(name)[:80]} cannot be a name: letters, digits, spaces and ' . - _ only, "
            "a letter or digit first"
        )
    if clean.casefold() in _RESERVED:
        raise ConfigError(f"{clean!r} cannot be a name: it is what the line says of a stranger")
    return clean


def default_gallery() -> Path:
    """Return where the gallery stands where nothing else is said."""
    return Path(user_data_dir("perception")) / "gallery"


def version(folder: Path | None) -> int:
    """Return what changes whenever somebody is enrolled or erased; 0 where there is no gallery."""
    try:
        return (folder or default_gallery()).expanduser().stat().st_mtime_ns
    except OSError:
        return 0


class Gallery:
    """People in a folder.

    folder: made, mode 0700, at the first enrollment. key: see Cipher; its file is made then too.
    Raises ConfigError where the key is wrong or missing though there is a gallery.
    """

    def __init__(self, folder: Path | None = None, key: str | Path | None = None) -> None:
        self.folder = (folder or default_gallery()).expanduser()
        self._key = key
        self.damaged: list[str] = []
        self.people()

    def people(self) -> list[Person]:
        """Return everybody, by name; files that cannot be opened are named in `damaged`."""
        self.damaged = []
        if not (self.folder / _CHECK).is_file():
            if self._files():
                raise ConfigError(f"{self.folder} is no gallery of perception: `check` is missing")
            return []
        cipher = self._cipher(make=False)
        found = [person for path in self._files() if (person := self._open(path, cipher))]
        return sorted(found, key=lambda person: person.name.casefold())

    def find(self, name: str) -> Person:
        """Return somebody by name, case ignored. Raises ConfigError, which says who there is."""
        clean, people = checked_name(name).casefold(), self.people()
        for person in people:
            if person.name.casefold() == clean:
                return person
        there = ", ".join(person.name for person in people) or "nobody"
        raise ConfigError(f"nobody named {checked_name(name)!r} is enrolled; there is: {there}")

    def enroll(self, name: str, model: str, portraits: Sequence[Portrait]) -> Person:
        """Add portraits to somebody, who is new where the name is; all of them or none.

        A portrait that is there already is not added twice. Raises ConfigError.
        """
        name = checked_name(name)
        with self._writing() as cipher:
            old = next((p for p in self.people() if p.name.casefold() == name.casefold()), None)
            if old is not None and old.model != model:
                raise ConfigError(
                    f"{old.name} was enrolled with {old.model}, not {model}: erase and enroll anew"
                )
            kept = list(old.portraits) if old else []
            vectors = {portrait.vector for portrait in kept}
            kept += [portrait for portrait in portraits if portrait.vector not in vectors]
            if len(kept) > MAX_PICTURES:
                raise ConfigError(f"{name} would have {len(kept)} pictures: at most {MAX_PICTURES}")
            person = Person(name=old.name if old else name, model=model, portraits=kept)
            places = self._places(person.name, cipher)
            path = places[0] if places else self.folder / f"{secrets.token_hex(8)}{SUFFIX}"
            _write(path, cipher.seal(msgspec.msgpack.encode(person)))
        return person

    def erase(self, name: str) -> Erased:
        """Overwrite and remove every file of somebody, then look again what is left.

        Raises ConfigError where nobody has that name.
        """
        person = self.find(name)
        with self._writing() as cipher:
            places = self._places(person.name, cipher)
            for path in [*places, *self.folder.glob("*.part")]:
                with path.open("r+b") as file:
                    file.write(secrets.token_bytes(path.stat().st_size))
                    file.flush()
                    os.fsync(file.fileno())
                path.unlink()
            _sync(self.folder)
            left = len(self._places(person.name, cipher)) + len(list(self.folder.glob("*.part")))
        return Erased(len(places), len(person.portraits), left)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob(f"*{SUFFIX}")) if self.folder.is_dir() else []

    def _places(self, name: str, cipher: Cipher) -> list[Path]:
        """Return the files that hold this person."""
        return [
            path
            for path in self._files()
            if (person := self._open(path, cipher)) and person.name.casefold() == name.casefold()
        ]

    def _open(self, path: Path, cipher: Cipher) -> Person | None:
        data = cipher.open(_read(path))
        if data is not None:
            with contextlib.suppress(msgspec.MsgspecError):
                person = msgspec.msgpack.decode(data, type=Person)
                if person.portraits:
                    return person
        if path.name not in self.damaged:
            self.damaged.append(path.name)
        return None

    def _cipher(self, *, make: bool) -> Cipher:
        """Return the cipher, after it has opened the gallery's check (written by `make`)."""
        check = self.folder / _CHECK
        cipher = Cipher(self._key, make=make and not check.exists())
        if make and not check.exists():
            _write(check, cipher.seal(_CHECK_TEXT))
        if cipher.open(_read(check)) != _CHECK_TEXT:
            raise ConfigError(
                f"wrong key: the gallery {self.folder} was made with another than {cipher.where}; "
                "bring that key back, or move the folder away and enroll anew"
            )
        return cipher

    @contextlib.contextmanager
    def _writing(self) -> Generator[Cipher]:
        """Hold the gallery alone; make it where there is none."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                yield self._cipher(make=True)
            finally:
                os.close(fd)
        except OSError as error:
            raise ConfigError(f"gallery {self.folder}: {error.strerror}") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES)
    except FileNotFoundError:  # erased by another program meanwhile
        return b""
    except OSError as error:
        raise ConfigError(f"gallery file {path}: {error.strerror}") from None


def _write(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 whole: beside, to the disk, renamed."""
    part = path.with_name(f"{path.name}.part")
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
