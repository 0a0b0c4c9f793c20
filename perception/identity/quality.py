"""Is a face good enough to be compared: size, sharpness, pose and light, each a gate of its own.

A poor face is the cause of most wrong names, so it is left out rather than weighed. Gates are
geometry and photometry of the aligned face; none was chosen by what the embedder says of it.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from perception.identity import Image
from perception.identity.faces import SIDE, Face

Flaw = Literal["small", "blurred", "turned", "dark", "bright", "flat", "cut"]

MIN_EYES_PX = 18.0
"""Half of the distance of the eyes in the template: beyond it alignment enlarges twofold."""
ENROLL_EYES_PX = 30.0
MIN_SHARPNESS = 0.12
MAX_YAW = 0.45
MAX_ROLL_DEG = 40.0
NOSE_BETWEEN = 0.2, 0.85
LIGHT = 35.0, 225.0
MIN_CONTRAST = 14.0


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured of a face.

    eyes_px: distance of the eyes in the picture. sharpness: energy of detail relative to contrast.
    yaw: how far the nose tip is from the middle of the eyes, in eye distances; 0 is frontal.
    nose: its height between eyes (0) and mouth (1). roll_deg. light, contrast: mean and standard
    deviation of grey. flaw: the first gate that it fails, None where it is usable.
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
        """How much a usable face counts beside others of its track, 0..1: large, sharp, frontal."""
        size = min(1.0, self.eyes_px / (2 * MIN_EYES_PX))
        return size * min(1.0, self.sharpness / (2 * MIN_SHARPNESS)) * (1 - 0.8 * abs(self.yaw))


def judge(image: Image, face: Face, aligned: Image, *, min_eyes_px: float = MIN_EYES_PX) -> Quality:
    """Measure a face of a picture, uint8 (H, W, 3), and its aligned form, uint8 (112, 112, 3)."""
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
