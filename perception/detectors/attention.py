"""`detect: auto`: for a fixed camera, the network runs only where the picture has changed.

Wraps a detector that can run on a part of its canvas. Where the picture has not changed since the
network saw it, the stored boxes are returned. Each camera has its own object. Imports the other
modules of this room, kernels and wire.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from perception.detectors import Detector, prepare
from perception.detectors.change import Box, ChangeMap
from perception.detectors.heads import Canvas
from perception.detectors.letterbox import COMMON_CAMERA, Prepared
from perception.detectors.parts import Part, Rect, copy_parts, pack, to_whole
from perception.detectors.regions import (
    CanvasScale,
    centred_in,
    merged_regions,
    overlapping,
    small_canvases,
)
from perception.errors import ConfigError
from perception.geometry.grey import small_grey
from perception.kernels.boxes import iou_matrix
from perception.pixels import Pixels
from perception.wire import Detections


class LooksAtParts(Protocol):
    """A Detector that runs on a canvas of any size; see OnnxDetector."""

    def canvas_for(self, height: int, width: int) -> tuple[Canvas, bool]: ...
    def look(self, canvas: NDArray[np.uint8]) -> Detections: ...
    def on_image(self, found: Detections, prepared: Prepared) -> Detections: ...


@dataclass(slots=True)
class Look:
    """What the network does for one picture. kind: `still` (nothing), `parts` or `whole`.

    whole: the letterboxed picture. canvas: the smaller canvas with the parts; parts: where they
    are on it. changed: boxes that changed. seen: boxes that the network sees. Both in px of the
    small grey picture.
    """

    kind: str
    t_ns: int
    whole: Any = None
    canvas: NDArray[np.uint8] | None = None
    parts: list[Part] = field(default_factory=list)
    changed: list[Box] = field(default_factory=list)
    seen: list[Box] = field(default_factory=list)


class AttentiveDetector:
    """A Detector that runs the network only where the picture has changed.

    The network runs on
    - the whole picture: every `sweep_s` (four times as often in the first seconds), when the
      brightness changed, and for `unsure_s` after a moving object had a score in `unsure`;
    - parts of it: where the picture changed, with the known objects there; and for `again_s` where
      a known object was not found again;
    - nothing: else. The known boxes are returned.

    looks: number of pictures by kind. The change is measured against what the network saw last, so
    slow motion adds up until it counts.
    """

    Options: type[BaseModel] = BaseModel

    context: Final = 0.3
    least_context_px: Final = 48
    unsure: Final = (0.15, 0.5)
    unsure_s: Final = 0.25
    again_s: Final = 1.0
    again_score: Final = 0.3
    cut_again_s: Final = 0.2
    same_iou: Final = 0.5
    found_iou: Final = 0.2

    def __init__(
        self,
        options: Detector,
        *,
        threads: int = 1,
        sweep_s: float = 2.0,
        keep: Callable[[Detections], Detections] | None = None,
    ) -> None:
        """options: the wrapped detector. sweep_s: longest time between two runs on the whole
        picture, s. keep: filter for the objects that the camera wants; None: all. Raises
        ConfigError where the detector cannot run on parts.
        """
        del threads
        if not hasattr(options, "look"):
            raise ConfigError("detect auto needs a detector of type onnx")
        self._base, self._at_parts = options, cast("LooksAtParts", options)
        self._sweep_ns = round(sweep_s * 1e9)
        self._keep = keep or _all
        self.names, self.counters = options.names, options.counters
        self.looks = {"whole": 0, "parts": 0, "still": 0}
        self._change = ChangeMap()
        self._size: tuple[int, ...] = ()
        self._canvas: Canvas = (0, 0)
        self._small_canvases: list[Canvas] = []
        self._known = Detections.none()
        self._retries: list[tuple[Rect, int]] = []
        self._whole_ns: int | None = None
        self._unsure_ns = 0
        self._last_image = Detections.none()
        self._warm(*COMMON_CAMERA)

    def prepare(self, image: NDArray[np.uint8]) -> Look:
        """Return a run on the whole of a uint8 (H, W, 3) BGR image whose time is unknown."""
        return Look("whole", self._whole_ns or 0, self._base.prepare(image))

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Return the detections of a uint8 (H, W, 3) BGR image: one run on the whole of it.

        Stored boxes are neither used nor changed. Raises ValueError for another dtype or shape.
        """
        return self._base.detect(image)

    def prepare_at(self, pixels: Pixels, t_ns: int) -> Look:
        """Return what the network has to do for a picture at media time t_ns."""
        grey = small_grey(pixels)
        change = self._change.update(grey, t_ns)
        if (pixels.height, pixels.width) != self._size:
            self._start(pixels.height, pixels.width)
        self._retries = [(place, until) for place, until in self._retries if t_ns < until]
        sweep_ns = self._sweep_ns if self._change.is_settled else self._sweep_ns // 4
        due = self._whole_ns is None or not 0 <= t_ns - self._whole_ns < sweep_ns
        look = Look("whole", t_ns, changed=change.boxes)
        look.seen = [(0, 0, grey.shape[1], grey.shape[0])]
        if not (change.everywhere or due or change.boxes or self._retries):
            return Look("still", t_ns)
        look.whole = prepare(self._base, pixels, t_ns)
        if change.everywhere or due or (change.boxes and t_ns < self._unsure_ns):
            return look
        to_canvas = CanvasScale.of(look.whole, grey.shape[1])
        regions = self._regions([to_canvas.up(box) for box in change.boxes], look.whole)
        for canvas in self._small_canvases:
            parts = pack(regions, canvas)
            if parts is not None:
                look.kind, look.parts = "parts", parts
                look.canvas = copy_parts(look.whole.canvas, parts, canvas)
                look.seen = [to_canvas.down(part.source, grey.shape) for part in parts]
                break
        return look

    def infer(self, prepared: Look) -> Detections:
        """Return new and stored detections of the picture, boxes in its px."""
        look = prepared
        self.looks[look.kind] += 1
        if look.kind == "still":
            return self._on_image(look, self._known)
        if look.canvas is None:
            whole = self._at_parts.look(look.whole.canvas)
            found, before = self._keep(whole), self._known
            self._whole_ns, self._retries = look.t_ns, []
        else:
            found, before = self._in_parts(look, look.canvas)
        self._note_lost(before, found, look.t_ns)
        if look.kind == "parts":
            found = self._with_the_rest(found, look.parts)
        self._update_change_map(look, found)
        self._known = found
        return self._on_image(look, found)

    def _on_image(self, look: Look, found: Detections) -> Detections:
        if look.whole is not None:
            self._last_image = self._at_parts.on_image(found, look.whole)
        image = self._last_image
        return Detections(image.boxes.copy(), image.scores.copy(), image.class_ids.copy())

    def _start(self, height: int, width: int) -> None:
        """Start at a new picture size: drop the stored boxes and compile the network's canvases."""
        self._size, self._known, self._retries = (height, width), Detections.none(), []
        self._last_image = Detections.none()
        self._whole_ns = None
        self._warm(height, width)

    def _warm(self, height: int, width: int) -> None:
        """Compile the network for the small canvases of a picture size, px."""
        whole, is_only = self._at_parts.canvas_for(height, width)
        if whole != self._canvas:
            self._canvas = whole
            self._small_canvases = [] if is_only else small_canvases(whole)
            for canvas in self._small_canvases:
                self._at_parts.look(np.zeros((*canvas, 3), np.uint8))

    def _regions(self, changed: list[Rect], whole: Prepared) -> list[Rect]:
        """Return the regions for the network, disjoint and with a margin, px of the canvas."""
        known = [Rect(*box) for box in np.rint(self._known.boxes).astype(int).tolist()]
        regions = merged_regions(changed + [place for place, _ in self._retries], known)
        while True:
            roomy = [self._with_context(region) for region in regions]
            merged = merged_regions(roomy, [])
            if len(merged) == len(regions):
                return merged
            regions = merged_regions(regions, known, joined=merged)

    def _with_context(self, rect: Rect) -> Rect:
        x = max(self.context * rect.width, self.least_context_px)
        y = max(self.context * rect.height, self.least_context_px)
        return rect.padded(x, y).on_grid(self._canvas)

    def _in_parts(self, look: Look, canvas: NDArray[np.uint8]) -> tuple[Detections, Detections]:
        """Return the new detections in the parts and the known ones there, px of the whole canvas.

        A box that the border of its part cuts is replaced by the known box that it overlaps. Where
        there is none, it is dropped and its surroundings are looked at again in the next pictures.
        """
        found, cut = to_whole(self._at_parts.look(canvas), look.parts, self._canvas)
        before = _rows(self._known, centred_in(self._known.boxes, look.parts))
        ok = ~cut
        if cut.any() and len(before):
            overlap = iou_matrix(found.boxes, before.boxes)
            best = overlap.argmax(axis=1)
            same = cut & (overlap[np.arange(len(best)), best] > self.found_iou)
            found.boxes[same] = before.boxes[best[same]]
            ok |= same
        until = look.t_ns + round(self.cut_again_s * 1e9)
        for row in np.flatnonzero(~ok & (found.scores >= self.again_score)):
            place = Rect(*(round(value) for value in found.boxes[row].tolist()))
            self._retries.append((place.padded(place.width / 2, place.height / 2), until))
        return self._keep(_rows(found, ok)), before

    def _note_lost(self, before: Detections, found: Detections, t_ns: int) -> None:
        """For again_s from now, look again where a known object was not found."""
        sure = before.boxes[before.scores >= self.again_score]
        overlap = iou_matrix(sure, found.boxes)
        for box in sure[~(overlap > self.found_iou).any(axis=1)].tolist():
            place = Rect(*(round(value) for value in box))
            if not any(place.overlaps(other) for other, _ in self._retries):
                self._retries.append((place, t_ns + round(self.again_s * 1e9)))

    def _with_the_rest(self, found: Detections, parts: Sequence[Part]) -> Detections:
        """Return the new detections and the known ones outside of the parts, without duplicates."""
        kept = _rows(self._known, ~centred_in(self._known.boxes, parts))
        overlap = iou_matrix(kept.boxes, found.boxes)
        kept = _rows(kept, ~(overlap > self.same_iou).any(axis=1))
        return Detections(
            np.concatenate((found.boxes, kept.boxes)),
            np.concatenate((found.scores, kept.scores)),
            np.concatenate((found.class_ids, kept.class_ids)),
        )

    def _update_change_map(self, look: Look, found: Detections) -> None:
        """Update the change map: what the network saw, and which changes contain no object."""
        for box in look.seen:
            self._change.seen(box)
        if look.changed:
            width = look.seen[0][2] if look.kind == "whole" else self._change.width
            to_canvas = CanvasScale.of(look.whole, width)
            for box in look.changed:
                here = overlapping(found.boxes, to_canvas.up(box))
                if not here.any():
                    self._change.nothing_found(box)
                low, high = self.unsure
                if ((found.scores > low) & (found.scores < high) & here).any():
                    self._unsure_ns = look.t_ns + round(self.unsure_s * 1e9)


def _all(found: Detections) -> Detections:
    return found


def _rows(found: Detections, rows: Any) -> Detections:
    """Return the detections where a mask, bool (N,), is true."""
    return Detections(found.boxes[rows], found.scores[rows], found.class_ids[rows])
