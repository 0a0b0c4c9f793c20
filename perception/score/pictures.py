"""The pictures of worst cases, out of the footage. Imports sources and draw."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from perception.draw.cutout import Corners, cutout
from perception.errors import SourceEnded
from perception.pixels import Pixels
from perception.score.worst import Case
from perception.sources import AllocatePlanes, Source, source_class
from perception.sources.spec import IMAGE_SUFFIXES

SIDE = 260
MAX_BYTES = 1_500_000
"""Of all pictures of a page, so that it stays below 2 MB."""
_LABEL, _RESULT = (60, 200, 60), (30, 110, 255)
_NEAR_NS = 500_000_000


def pictures(footage: Path, cases: Sequence[Case]) -> list[str]:
    """Return a data URL for each case; "" where its picture is not in the footage, or no room.

    footage: a video or folder of images; its pictures are counted as `analyze` does. The label's
    box is green, the result's orange. Raises SourceError.
    """
    urls = [""] * len(cases)
    by_frame: dict[int, list[int]] = {}
    by_time: list[tuple[int, int]] = []
    for i, case in enumerate(cases):
        if case.frame >= 0:
            by_frame.setdefault(case.frame, []).append(i)
        elif case.time_ns >= 0:
            by_time.append((case.time_ns, i))
    by_time.sort(reverse=True)
    last, first_ns = max(by_frame, default=-1), -1
    for n, (t_media_ns, pixels) in enumerate(_every(footage)):
        first_ns = t_media_ns if first_ns < 0 else first_ns
        here = by_frame.pop(n, [])
        while by_time and by_time[-1][0] <= t_media_ns - first_ns:
            wanted, i = by_time.pop()
            here = [*here, i] if t_media_ns - first_ns - wanted <= _NEAR_NS else here
        if here:
            image = pixels.bgr()
            height, width = image.shape[:2]
            for i in here:
                whole = (0.0, 0.0, float(width), float(height))
                urls[i] = cutout(image, _boxes(cases[i], whole), SIDE)
        if n >= last and not by_time:
            break
    return _fit(urls)


def _boxes(case: Case, whole: Corners) -> list[tuple[Corners, tuple[int, int, int] | None]]:
    marked = ((case.label, _LABEL), (case.box, _RESULT))
    boxes: list[tuple[Corners, tuple[int, int, int] | None]] = [
        (box, colour) for box, colour in marked if box is not None and box[2] > box[0]
    ]
    return boxes or [(whole, None)]


def _fit(urls: list[str]) -> list[str]:
    """Leave out pictures from the end of each kind's list where all are too large together."""
    room = MAX_BYTES
    kept: list[str] = []
    for url in urls:
        room -= len(url)
        kept.append(url if room >= 0 else "")
    return kept


def _every(footage: Path) -> Iterator[tuple[int, Pixels]]:
    still = footage.is_dir() or footage.suffix.lower() in IMAGE_SUFFIXES
    cls = source_class("images" if still else "video")
    source: Source = cls(cls.Options.model_validate({"path": str(footage)}), camera="footage")
    source.open()
    allocate = AllocatePlanes()
    try:
        while True:
            frame = source.read(allocate)
            if frame is not None:
                yield frame.t_media_ns, frame.pixels
    except SourceEnded:
        return
    finally:
        source.close()
