"""CVAT for video 1.1: XML of tracks, each with boxes by frame.

Read with expat as a stream. A DOCTYPE is refused, so no entity is ever declared or expanded; the
limits are those of labels.py. Source: CVAT's documentation, "XML annotation format". Imports
errors.
"""

from pathlib import Path
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from perception.errors import ConfigError
from perception.score.labels import (
    IGNORED,
    MAX_FRAMES,
    Box,
    Builder,
    Labels,
    between,
    read_bytes,
    split_name,
)

_OTHER = ("polygon", "polyline", "points", "cuboid", "ellipse", "mask", "skeleton")
_MAX_DEPTH = 32


class _Reader:
    """Takes what expat finds."""

    def __init__(self, path: Path) -> None:
        self.made = Builder(path)
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.size, self.count = [0, 0], 0
        self._stack: list[str] = []
        self._said = ""
        self._track: tuple[int, str] | None = None
        self._rows: list[tuple[int, Box, bool, int]] = []
        self._others = 0

    def read(self, data: bytes) -> Labels:
        try:
            self.parser.Parse(data, True)
        except expat.ExpatError as error:
            self.made.refuse(f"not XML: {expat.ErrorString(error.code)}", error.lineno)
        if self._others:
            self.made.notes.append(f"{self._others} shapes that are no boxes are left out")
        return self.made.build(self.count or None, size=(self.size[0], self.size[1]))

    def _line(self) -> int:
        return self.parser.CurrentLineNumber

    def _doctype(self, *_: object) -> None:
        self.made.refuse("a DOCTYPE is not taken: CVAT writes none", self._line())

    def _start(self, tag: str, said: dict[str, str]) -> None:
        if not self._stack and tag != "annotations":
            self.made.refuse(f"<{tag[:40]}> where CVAT has <annotations>", self._line())
        if len(self._stack) >= _MAX_DEPTH:
            self.made.refuse(f"elements in more than {_MAX_DEPTH} others", self._line())
        self._stack.append(tag)
        self._said = ""
        if tag == "image" and len(self._stack) == 2:
            self.made.refuse("this is CVAT for images: export as CVAT for video 1.1", self._line())
        if tag == "track":
            self._track = self._whole(said, "id", tag), self._need(said, "label", tag)
            self._rows = []
        elif tag == "box" and self._track is not None:
            self._box(said)
        elif tag in _OTHER and self._track is not None and self._stack[-2] == "track":
            self._others += 1

    def _text(self, text: str) -> None:
        self._said = (self._said + text)[:200]

    def _end(self, tag: str) -> None:
        self._stack.pop()
        if tag == "track":
            self._finish()
            self._track = None
        elif self._stack[-1:] == ["original_size"] and tag in ("width", "height"):
            self.size[tag == "height"] = self._number(tag, 1 << 20)
        elif tag == "size" and self._stack[-1:] in (["task"], ["job"]):
            self.count = self._number(tag, MAX_FRAMES)
        self._said = ""

    def _number(self, tag: str, limit: int) -> int:
        text = self._said.strip()
        if not text.isdecimal() or len(text) > 12 or int(text) > limit:
            self.made.refuse(f"{text[:20]!r} is not a number up to {limit}", self._line(), tag)
        return int(text)

    def _box(self, said: dict[str, str]) -> None:
        frame = self._whole(said, "frame", "box")
        if float(self._float(said, "rotation", "0")) % 360.0:
            self.made.refuse("a turned box cannot be scored", self._line(), "box rotation")
        x1, y1, x2, y2 = (self._float(said, side) for side in ("xtl", "ytl", "xbr", "ybr"))
        outside = said.get("outside", "0") == "1"
        self._rows.append((frame, (x1, y1, x2 - x1, y2 - y1), outside, self._line()))

    def _finish(self) -> None:
        """Add the boxes of a track, those between key frames too."""
        assert self._track is not None
        track, label = self._track
        name, ignored = split_name(label)
        self._rows.sort(key=lambda row: row[0])
        for n, (frame, box, outside, line) in enumerate(self._rows):
            if outside:
                continue
            self.made.add(frame, track, name, box, ignored=ignored, line=line)
            if n + 1 < len(self._rows):
                last, other = self._rows[n + 1][:2]
                if last >= MAX_FRAMES:
                    self.made.refuse(f"frame {last} is not below {MAX_FRAMES}", line)
                for at, made in between(frame, box, last, other):
                    self.made.add(at, track, name, made, ignored=ignored, line=line)

    def _need(self, said: dict[str, str], key: str, tag: str) -> str:
        if key not in said:
            self.made.refuse(f"<{tag}> has no {key}", self._line())
        return said[key]

    def _whole(self, said: dict[str, str], key: str, tag: str) -> int:
        text = self._need(said, key, tag)
        if not text.isdecimal() or len(text) > 12:
            self.made.refuse(
                f"{text[:20]!r} is not a number from 0 on", self._line(), f"{tag} {key}"
            )
        return int(text)

    def _float(self, said: dict[str, str], key: str, other: str | None = None) -> float:
        text = said.get(key, other) if other is not None else self._need(said, key, "box")
        try:
            return float(text or "")
        except ValueError:
            self.made.refuse(f"{str(text)[:20]!r} is not a number", self._line(), f"box {key}")


def read(path: Path) -> Labels:
    """Return what a file says. Raises ConfigError with the line.

    Frames without a box between two boxes of a track that is not `outside` are filled on a straight
    line; a track ends with its last box. Occluded boxes count.
    """
    if path.suffix.lower() == ".zip":
        raise ConfigError("unpack it and give the annotations.xml in it", str(path))
    return _Reader(path).read(read_bytes(path))


def write(path: Path, labels: Labels) -> None:
    """Write labels as CVAT for video 1.1. Boxes without a track become tracks of one frame.

    Scores are not in this form. Raises OSError.
    """
    rows: dict[tuple[int, str], list[tuple[int, Box]]] = {}
    loose = int(labels.tracks.max(initial=-1))
    for frame, track, class_id, box, ignored in zip(
        labels.frames.tolist(), labels.tracks.tolist(), labels.class_ids.tolist(),
        labels.boxes.tolist(), labels.ignored.tolist(), strict=True,
    ):  # fmt: skip
        if track < 0:
            track = loose = loose + 1
        name = (labels.names[class_id] or "object") + (IGNORED if ignored else "")
        rows.setdefault((track, name), []).append((frame, box))
    width, height = labels.size
    names = sorted({name for _, name in rows})
    out = [
        '<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>",
        f"  <meta><task><size>{labels.count}</size><mode>interpolation</mode><labels>",
        *(f"    <label><name>{_escape(name)}</name></label>" for name in names),
        f"  </labels><original_size><width>{width}</width><height>{height}</height>"
        "</original_size></task></meta>",
    ]  # fmt: skip
    for (track, name), boxes in sorted(rows.items()):
        out.append(f'  <track id="{track}" label={quoteattr(name)} source="manual">')
        for n, (frame, box) in enumerate(boxes):
            out.append(_line(frame, box, outside=False))
            follows = boxes[n + 1][0] if n + 1 < len(boxes) else labels.count
            if follows > frame + 1:
                out.append(_line(frame + 1, box, outside=True))
        out.append("  </track>")
    out.append("</annotations>\n")
    path.write_text("\n".join(out), encoding="utf-8")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _line(frame: int, box: Box, *, outside: bool) -> str:
    x, y, w, h = box
    return (
        f'    <box frame="{frame}" outside="{int(outside)}" occluded="0" keyframe="1" '
        f'xtl="{x!r}" ytl="{y!r}" xbr="{x + w!r}" ybr="{y + h!r}" z_order="0"></box>'
    )
