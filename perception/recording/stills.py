"""Result files of an analysis of stills: annotated pictures, all boxes as COCO JSON, a map.

Imports draw, wire, errors and this room.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.draw import Painter
from perception.errors import SinkError
from perception.recording.map_files import MapFiles
from perception.wire import Detections, LaneMessage, TrackMessage

QUALITY = 90
"""JPEG quality of the pictures, 0 to 100."""


class StillsWriter:
    """Writes annotated-<camera>/<name>.jpg and coco-<camera>.json, in COCO's ground truth format.

    Each annotation also has a `score`, so `annotations` alone is COCO's results format. category_id
    is the class id of the model + 1. bbox: x, y, width, height in px.
    """

    def __init__(
        self, folder: str | Path, camera: str, pictures: bool, map_page: str | None = None
    ) -> None:
        """folder: is created with the first still. pictures: write annotated pictures. map_page:
        file name of the map's page; None: no map.
        """
        self._folder = Path(folder)
        self._map = (
            MapFiles(self._folder, camera, page=map_page, live=False, stills=True)
            if map_page
            else None
        )
        self._pictures = self._folder / f"annotated-{camera}" if pictures else None
        self._path = self._folder / f"coco-{camera}.json"
        self._painter = Painter({}, {}, coordinates=True)
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._names: dict[int, str] = {}
        self._taken: set[str] = set()

    def add(
        self,
        name: str,
        message: TrackMessage,
        found: Detections,
        classes: Mapping[int, str],
        image: NDArray[np.uint8],
    ) -> None:
        """Add one still. name: of its file. image: uint8 (H, W, 3) BGR, not changed.

        message: the objects to draw. found: all detections, for the COCO file. classes: class names
        by class id. Raises SinkError.
        """
        self._images.append(
            {
                "id": len(self._images) + 1,
                "file_name": name,
                "width": message.width,
                "height": message.height,
            }
        )
        self._names.update(classes)
        for box, score, class_id in zip(
            found.boxes.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True
        ):
            x1, y1, x2, y2 = box
            x, y, w, h = (round(v, 2) for v in (x1, y1, x2 - x1, y2 - y1))
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": len(self._images),
                    "category_id": class_id + 1,
                    "bbox": [x, y, w, h],
                    "area": round(w * h, 2),
                    "iscrowd": 0,
                    "score": round(score, 5),
                }
            )
        if self._map is not None:
            self._map.add(message, picture=name)
        if self._pictures is not None:
            self._draw(name, message, image)

    def see(self, lanes: LaneMessage) -> None:
        """Draw these lanes on the picture that they were found in, which is added next."""
        self._painter.lanes = lanes

    def close(self) -> None:
        """Write the COCO file and the map. Raises SinkError."""
        document = {
            "images": self._images,
            "annotations": self._annotations,
            "categories": [{"id": i + 1, "name": self._names[i]} for i in sorted(self._names)],
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path.write_text(json.dumps(document, indent=1) + "\n")
        except OSError as error:
            raise SinkError(f"{self._path}: {error.strerror}") from None
        if self._map is not None:
            self._map.close()

    def _draw(self, name: str, message: TrackMessage, image: NDArray[np.uint8]) -> None:
        assert self._pictures is not None
        stem, n = Path(name).stem, 1
        while stem in self._taken:
            n += 1
            stem = f"{Path(name).stem}-{n}"
        self._taken.add(stem)
        path = self._pictures / f"{stem}.jpg"
        canvas = image.copy()
        self._painter.paint(canvas, message, (), None, None)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            encoded = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
            path.write_bytes(encoded.tobytes())
        except OSError as error:
            raise SinkError(f"{path}: {error.strerror}") from None
