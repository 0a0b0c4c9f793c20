"""A folder or glob of still images as a source, in natural order (img2 before img10).

Without `fps` the pictures are independent: detections, no tracks. With `fps`, or with a file of
times (image_times.py), they are the frames of a video.
Grey, BGR and alpha (dropped) with 8 bits are read, and 16 bits scaled to 8 by fixed levels. The
EXIF orientation is applied. The size is read from the header first, so a huge image is not decoded.
"""

import glob
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from perception.clock import NS_PER_S, monotonic_ns, to_ns
from perception.errors import SourceEnded, SourceError
from perception.sources import Allocate, Frame, Image
from perception.sources.decoding import decode_heif
from perception.sources.image_header import image_size
from perception.sources.image_times import find_times, rate_of, times_of
from perception.sources.levels import Levels, LevelsOption
from perception.sources.spec import CONVERT, IMAGE_SUFFIXES, OTHER_IMAGES, pictures_in_data

MAX_PIXELS = 1 << 25
MAX_FILE_BYTES = 256 << 20
STILLS_HZ = 10.0
MAX_NAMED = 20
_READ_NS = NS_PER_S * 4 // 10
_FLAGS = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
_DIGITS = re.compile(r"(\d+)")

Pixels = NDArray[np.uint8] | NDArray[np.uint16]


class ImagesSource:
    """Still images as frames. Image n has media time n / fps, or its time in the file of times.

    Options: path: a folder, a glob or one file. fps: frames per second of a video; None: the images
    are independent, and a run shows STILLS_HZ of them per second. timestamps: a file with a time on
    each line; default, without fps: timestamps.txt or times.txt in the folder or its parent.
    levels_16bit: the 16-bit values that become 0 and 255; default: the 0.5 and 99.5 percentiles of
    the first 16-bit image, for all. loop: start again after the last one. realtime: None: the run
    decides.
    Images that cannot be read or have more than 2**25 px are skipped, counted and named in
    `problems`. So are image files of kinds that are not supported.
    """

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)

        path: Annotated[Path, AfterValidator(Path.expanduser)]
        fps: float | None = Field(default=None, gt=0, le=1000)
        timestamps: Annotated[Path, AfterValidator(Path.expanduser)] | None = None
        levels_16bit: LevelsOption = None
        loop: bool = False
        realtime: bool | None = None

    live = False

    def __init__(self, options: Options, *, camera: str, run_dir: Path | None = None) -> None:
        self._options = options
        self.fps: float | None = options.fps
        self.counters = {"images_unreadable": 0, "images_too_large": 0, "images_left_out": 0}
        self.problems: list[str] = []
        self._levels = Levels(options.levels_16bit)
        self._paths: list[Path] = []
        self._times: list[int] | None = None
        self._next = 0
        self._shown = 0
        self._turn = 0

    def open(self) -> None:
        """List the images. Raises SourceError where there is none, or the times do not match."""
        options = self._options
        self._paths, others = find_images(options.path)
        file = options.timestamps or (None if options.fps else find_times(options.path))
        self._times = None if file is None else times_of(self._paths, file)
        if self._times is not None:
            self.fps = rate_of(self._times)
        if others:
            self.counters["images_left_out"] = len(others)
            self._name("left out", others, CONVERT)
        self._next = self._shown = self._turn = 0

    def read(self, allocate: Allocate) -> Frame | None:
        """Return the next image that can be read. None: there was none in 0.4 s.

        Raises SourceEnded after the last image, SourceError where none of them can be read.
        """
        deadline = monotonic_ns() + _READ_NS
        while monotonic_ns() < deadline:
            if self._next == len(self._paths):
                self._start_over()
            path, n = self._paths[self._next], self._next
            self._next += 1
            pixels = self._load(path)
            if pixels is not None:
                self._shown += 1
                arrival = monotonic_ns()
                image = self._paint(pixels, allocate)
                return Frame(image, self._time_ns(n), arrival, name=path.name)
        return None

    @property
    def expected_frames(self) -> int | None:
        """Number of images found, for progress bars; None: not open."""
        return len(self._paths) or None

    def close(self) -> None:
        """Drop the list of images."""
        self._paths = []
        self._next = 0

    def _start_over(self) -> None:
        path = self._options.path
        if not self._paths:
            raise SourceError(f"{path}: not open")
        if self._shown == 0:
            raise SourceError(f"{path}: none of {len(self._paths)} images can be read")
        if not self._options.loop:
            raise SourceEnded(f"{path}: last image")
        self._next = self._shown = 0
        self._turn += 1

    def _time_ns(self, n: int) -> int:
        """Return the media time of picture n in this pass over the images, ns."""
        times = self._times
        if times is None:
            at = self._turn * len(self._paths) + n
            return to_ns(at / (self._options.fps or STILLS_HZ))
        length = times[-1] - times[0] + to_ns(1.0 / (self.fps or STILLS_HZ))
        return times[n] + self._turn * length

    def _load(self, path: Path) -> Pixels | None:
        pixels = decode_image(read_file(path))
        if isinstance(pixels, str):
            self.counters[f"images_{pixels}"] += 1
            how = CONVERT if path.suffix.lower() in (".heic", ".heif") else ""
            self._name(pixels.replace("_", " "), [path], how)
            return None
        return pixels

    def _name(self, what: str, paths: list[Path], how: str) -> None:
        """Add files that are not shown to `problems`, at most MAX_NAMED names."""
        names = ", ".join(path.name for path in paths[:MAX_NAMED])
        more = f" and {len(paths) - MAX_NAMED} more" if len(paths) > MAX_NAMED else ""
        if len(self.problems) < MAX_NAMED:
            self.problems.append(f"{what}: {names}{more}{f'; {how}' if how else ''}")

    def _paint(self, pixels: Pixels, allocate: Allocate) -> Image:
        image = allocate(*pixels.shape[:2])
        levelled = self._levels.apply(pixels)
        if levelled.ndim == 2:
            cv2.cvtColor(levelled, cv2.COLOR_GRAY2BGR, dst=image)
        else:
            np.copyto(image, levelled)
        return image


def picture_times(options: ImagesSource.Options) -> list[tuple[Path, int]]:
    """Return the files of the first turn and their media times in ns. Raises SourceError."""
    paths, _ = find_images(options.path)
    file = options.timestamps or (None if options.fps else find_times(options.path))
    times = None if file is None else times_of(paths, file)
    if times is None:
        times = [to_ns(n / (options.fps or STILLS_HZ)) for n in range(len(paths))]
    return list(zip(paths, times, strict=True))


def read_file(path: Path) -> bytes:
    """Return the bytes of a file, at most MAX_FILE_BYTES + 1; b"" where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError:
        return b""


def decode_image(data: bytes, flags: int = _FLAGS) -> Pixels | Literal["unreadable", "too_large"]:
    """Return the pixels of an encoded image, uint8 or uint16 (H, W) or (H, W, C), or a reason.

    flags: of cv2.imdecode. The header is read first: an image of more than MAX_PIXELS is too_large
    and is not decoded.
    """
    size = image_size(data)
    if size is None or not size[0] * size[1]:
        return "unreadable"
    if size[0] * size[1] > MAX_PIXELS or len(data) > MAX_FILE_BYTES:
        return "too_large"
    try:
        pixels: Any = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return "unreadable"
    if pixels is None and data[4:8] == b"ftyp":
        pixels = decode_heif(data, size)
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        return "unreadable"
    return pixels


def find_images(path: Path) -> tuple[list[Path], list[Path]]:
    """Return the image files of a folder, a glob or one path, and those of unsupported kinds.

    Both in natural order. Raises SourceError where there is no supported one.
    """
    text = str(path)
    try:
        if path.is_dir():
            found = list(path.iterdir())
            if not any(p.suffix.lower() in IMAGE_SUFFIXES for p in found) and pictures_in_data(
                path
            ):
                found = list((path / "data").iterdir())
        elif path.exists() or not glob.has_magic(text):
            found = [path]
        else:
            found = [Path(name) for name in glob.iglob(text, recursive=True)]
        images = [p for p in found if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
        others = [p for p in found if p.suffix.lower() in OTHER_IMAGES and p.is_file()]
    except (OSError, ValueError) as error:
        raise SourceError(f"{path}: cannot be read: {error}") from error
    if not images:
        kinds = ", ".join(sorted(IMAGE_SUFFIXES))
        seen = f"; {others[0].name} is not read: {CONVERT}" if others else ""
        raise SourceError(f"{path}: no images here ({kinds}){seen}")
    return sorted(images, key=_natural), sorted(others, key=_natural)


def _natural(path: Path) -> list[tuple[int, int, str]]:
    parts = _DIGITS.split(str(path))
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
