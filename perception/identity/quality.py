"""Face quality: size, sharpness, pose and brightness, each with a threshold.

Faces of poor quality cause most wrong names, so they are not used at all. The thresholds are
geometric and photometric; none was fitted to the results of an embedder.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from perception.identity import Image
from perception.identity.faces import SIDE, Face

Flaw = Literal["small", "blurred", "turned", "dark", "bright", "flat", "cut"]

MIN_EYES_PX = 18.0
"""Smallest distance of the eyes: half of that in the template. Alignment enlarges such a face by
2."""
ENROLL_EYES_PX = 30.0
"""Smallest distance of the eyes for enrollment."""
MIN_SHARPNESS = 0.12
MAX_YAW = 0.45
MAX_ROLL_DEG = 40.0
NOSE_BETWEEN = 0.2, 0.85
LIGHT = 35.0, 225.0
MIN_CONTRAST = 14.0
"""Units: see Quality."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Measurements of a face.

    eyes_px: distance of the eyes in the picture. sharpness: standard deviation of the Laplacian by
    contrast. yaw: offset of the nose tip from the middle of the eyes, along the line of the eyes,
    in eye distances; 0 is frontal. nose: position of the nose tip between eyes (0) and mouth (1).
    roll_deg: rotation in the picture. light, contrast: mean and standard deviation of grey levels.
    flaw: the first threshold that the face fails; None: it is usable.
    """

    eyes_px: float
    sharpness: float
    yaw: float
    nose: float
    roll_deg: float
    light: float
    contrast: float
    flaw: Flaw | None

    @property
    def weight(self) -> float:
        """Weight of a usable face among those of its track, 0..1: for size, sharpness and pose."""
        size = min(1.0, self.eyes_px / (2 * MIN_EYES_PX))
        return size * min(1.0, self.sharpness / (2 * MIN_SHARPNESS)) * (1 - 0.8 * abs(self.yaw))


def judge(image: Image, face: Face, aligned: Image, *, min_eyes_px: float = MIN_EYES_PX) -> Quality:
    """Return the quality of a face.

    image: uint8 (H, W, 3) BGR. face: found in it. aligned: uint8 (112, 112, 3) BGR, from `align`.
    min_eyes_px: smallest distance of the eyes, px.
    """
    right, left, nose, *mouth = face.landmarks.astype(np.float64)
    across = left - right
    eyes_px = float(np.hypot(*across))
    along = across / max(eyes_px, 1e-6)
    down = np.array([-along[1], along[0]])
    middle, lips = (right + left) / 2, (mouth[0] + mouth[1]) / 2
    yaw = float((nose - middle) @ along) / max(eyes_px, 1e-6)
    drop = float((lips - middle) @ down)
    height = float((nose - middle) @ down) / drop if drop > 1e-6 else -1.0
    roll_deg = float(np.degrees(np.arctan2(across[1], across[0])))
    grey = cv2.cvtColor(aligned, cv2.COLOR_BGR2GRAY)[SIDE // 4 :, SIDE // 6 : -SIDE // 6]
    light, contrast = float(grey.mean()), float(grey.std())
    sharpness = float(cv2.Laplacian(grey, cv2.CV_32F).std()) / max(contrast, 1.0)
    inside = bool(
        (face.landmarks >= 0).all() and (face.landmarks < (image.shape[1], image.shape[0])).all()
    )
    flaws: list[tuple[Flaw, bool]] = [
        ("cut", not inside),
        ("small", eyes_px < min_eyes_px),
        (
            "turned",
            abs(yaw) > MAX_YAW
            or abs(roll_deg) > MAX_ROLL_DEG
            or not NOSE_BETWEEN[0] <= height <= NOSE_BETWEEN[1],
        ),
        ("dark", light < LIGHT[0]),
        ("bright", light > LIGHT[1]),
        ("flat", contrast < MIN_CONTRAST),
        ("blurred", sharpness < MIN_SHARPNESS),
    ]
    flaw: Flaw | None = next((name for name, is_so in flaws if is_so), None)
    return Quality(eyes_px, sharpness, yaw, height, roll_deg, light, contrast, flaw)
