"""A part of a picture with boxes drawn, as a data URL for a page of one file. Imports OpenCV."""

import base64
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Corners = tuple[float, float, float, float]
_LEAST = 40.0


def cutout(
    image: NDArray[np.uint8],
    boxes: Sequence[tuple[Corners, tuple[int, int, int] | None]],
    side: int,
    quality: int = 75,
) -> str:
    """Return what is around the boxes as a JPEG's data URL, "" where that is outside the picture.

    image: uint8 (H, W, 3) BGR, left as it is. boxes: xyxy px and BGR colour (None: not
    drawn), at least one. side: px of the longer side of the JPEG.
    """
    height, width = image.shape[:2]
    x1, y1 = (min(box[k] for box, _ in boxes) for k in (0, 1))
    x2, y2 = (max(box[k] for box, _ in boxes) for k in (2, 3))
    half = max(x2 - x1, y2 - y1, _LEAST)
    left, top = max(0, int((x1 + x2) / 2 - half)), max(0, int((y1 + y2) / 2 - half))
    right, bottom = min(width, int((x1 + x2) / 2 + half)), min(height, int((y1 + y2) / 2 + half))
    if right - left < 2 or bottom - top < 2:
        return ""
    cut = np.ascontiguousarray(image[top:bottom, left:right])
    scale = side / max(cut.shape[:2])
    cut = cv2.resize(cut, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for box, colour in boxes:
        if colour is None:
            continue
        corners = [round((v - o) * scale) for v, o in zip(box, (left, top) * 2, strict=True)]
        cv2.rectangle(cut, corners[:2], corners[2:], colour, 2)
    done, data = cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}" if done else ""
