"""Stores the objects of a tiled picture between runs of the network, and ranks the tiles by
urgency.

Imports kernels and wire. Times are media time.
"""

from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.detectors.parts import Rect
from perception.kernels.boxes import carry_boxes, iou_matrix
from perception.wire import Detections


class TileMemory:
    """Known objects with velocities, and when the network last saw each tile.

    The last tile is the whole picture. same_iou: above it a new box is a known object. blend: gain
    of a velocity correction. *_weight: of the terms of urgency. motion_levels: grey levels. learn:
    weight of the newest run in a tile's mean number of objects. kept_sweeps: an object that was not
    seen for this many sweeps is dropped.
    """

    same_iou: Final = 0.2
    blend: Final = 0.5
    known_weight: Final = 2.0
    found_weight: Final = 1.5
    motion_weight: Final = 1.0
    motion_levels: Final = 12
    overdue: Final = 100.0
    learn: Final = 0.3
    kept_sweeps: Final = 1.5

    def __init__(self, tiles: Sequence[Rect], sweep_ns: int) -> None:
        self._tiles, self._sweep_ns = list(tiles), sweep_ns
        self._looked_ns: list[int | None] = [None] * len(tiles)
        self._yield = np.ones(len(tiles))
        self._known = Detections.none()
        self._speeds = np.zeros((0, 2), np.float32)
        self._seen_ns = np.zeros(0, np.int64)
        self._t_ns = 0
        self._grey: NDArray[np.uint8] | None = None

    def boxes(self, t_ns: int) -> NDArray[np.float32]:
        """Return the known boxes, (N, 4) xyxy px. Where time goes back, all state is
        dropped first.
        """
        if t_ns < self._t_ns:
            self.__init__(self._tiles, self._sweep_ns)
        return self._known.boxes

    def carry(self, warp: NDArray[np.float32], t_ns: int) -> None:
        """Move the known objects to this picture; drop those that were not seen for too long.

        warp: float32 (2, 3) affine of the camera motion, px of the picture.
        """
        passed_s = (t_ns - self._t_ns) * 1e-9 if self._t_ns else 0.0
        self._t_ns = t_ns
        moved = carry_boxes(self._known.boxes, warp).astype(np.float32)
        moved += np.tile(self._speeds * np.float32(passed_s), 2)
        rows = t_ns - self._seen_ns <= self.kept_sweeps * self._sweep_ns
        self._known = Detections(moved[rows], self._known.scores[rows], self._known.class_ids[rows])
        self._speeds, self._seen_ns = self._speeds[rows], self._seen_ns[rows]

    def most_urgent(
        self, grey: NDArray[np.uint8], warp: NDArray[np.float32], t_ns: int
    ) -> list[int]:
        """Return the numbers of all tiles, the most urgent first. Call it once per picture.

        grey: uint8 (h, w), the small picture; it is stored, to measure motion at the next call.
        warp: as in carry. t_ns: media time. First come tiles that were never seen, then those that
        were last seen more than a sweep ago. The others are ranked by age times a weight, which is
        larger for known objects, objects at the last runs, and motion.
        """
        motion = self._motion(grey, warp)
        worth: list[float] = []
        for k, rect in enumerate(self._tiles):
            looked_ns = self._looked_ns[k]
            age = self.overdue if looked_ns is None else (t_ns - looked_ns) / self._sweep_ns
            if age >= 1.0:
                worth.append(self.overdue + age)
                continue
            is_whole = k == len(self._tiles) - 1
            known = 0.0 if is_whole else min(1.0, float(self._inside(rect).sum()))
            more = self.known_weight * known + self.found_weight * min(1.0, self._yield[k])
            worth.append(age * (1.0 + more + self.motion_weight * motion[k]))
        return sorted(range(len(worth)), key=lambda k: -worth[k])

    def elsewhere(self, looked: Sequence[int]) -> Detections:
        """Return the known objects that are in none of these tiles."""
        hidden = np.zeros(len(self._known), np.bool_)
        for k in looked:
            hidden |= self._inside(self._tiles[k]) & self._fits(k)
        rows = ~hidden
        return Detections(
            self._known.boxes[rows], self._known.scores[rows], self._known.class_ids[rows]
        )

    def update(self, looked: Sequence[int], found: Detections, t_ns: int) -> Detections:
        """Store the detections after a run on these tiles, with velocities. Return a copy
        of them.
        """
        speeds = np.zeros((len(found), 2), np.float32)
        seen_ns = np.full(len(found), t_ns, np.int64)
        overlap = iou_matrix(found.boxes, self._known.boxes)
        for i in range(len(found)):
            if not overlap.shape[1] or overlap[i].max() <= self.same_iou:
                continue
            j = int(overlap[i].argmax())
            is_carried = bool((found.boxes[i] == self._known.boxes[j]).all())
            gone_s = (t_ns - int(self._seen_ns[j])) * 1e-9
            speeds[i] = self._speeds[j]
            if is_carried:
                seen_ns[i] = self._seen_ns[j]
            elif gone_s > 0:
                error = found.boxes[i] - self._known.boxes[j]
                middle = (error[:2] + error[2:]) / 2
                speeds[i] += self.blend * middle / np.float32(gone_s)
            overlap[:, j] = 0
        self._known, self._speeds, self._seen_ns = found, speeds, seen_ns
        for k in looked:
            self._looked_ns[k] = t_ns
            here = float(self._inside(self._tiles[k]).sum())
            self._yield[k] += self.learn * (here - self._yield[k])
        return Detections(found.boxes.copy(), found.scores.copy(), found.class_ids.copy())

    def _inside(self, rect: Rect) -> NDArray[np.bool_]:
        """Return which known objects have their centre in a tile: bool (N,)."""
        boxes = self._known.boxes
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        return np.all((centres >= rect[:2]) & (centres < rect[2:]), axis=1)

    def _fits(self, k: int) -> NDArray[np.bool_]:
        """Return which known objects have a size that the network can detect in a tile: bool (N,).

        In a tile: objects shorter than 0.9 of its side. In the whole picture, which is scaled down:
        objects longer than a quarter of a tile.
        """
        boxes, first = self._known.boxes, self._tiles[0]
        longer = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0)
        side = max(first.width, first.height)
        is_whole = k == len(self._tiles) - 1
        return longer > side / 4 if is_whole else longer < side * 0.9

    def _motion(self, grey: NDArray[np.uint8], warp: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return, for each tile, 20 times the share of pixels that changed since the last picture,
        at most 1: float64 (tiles,)."""
        last, self._grey = self._grey, grey
        if last is None or last.shape != grey.shape:
            return np.zeros(len(self._tiles))
        whole = self._tiles[-1]
        ratio = grey.shape[1] / whole.width
        small = warp.astype(np.float64)
        small[:, 2] *= ratio
        moved: Any = cv2.warpAffine(
            last, small, (grey.shape[1], grey.shape[0]), borderMode=cv2.BORDER_REPLICATE
        )
        changed = np.asarray(cv2.absdiff(grey, moved)) > self.motion_levels
        shares = np.zeros(len(self._tiles))
        for k, rect in enumerate(self._tiles):
            x1, y1, x2, y2 = (int(v * ratio) for v in rect)
            part = changed[y1 : y2 + 1, x1 : x2 + 1]
            shares[k] = min(1.0, 20.0 * float(part.mean())) if part.size else 0.0
        return shares
