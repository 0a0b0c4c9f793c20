"""KITTI's tracking labels with 3D boxes: truth for benchmarks/vehicle.py."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.geometry.calibration import Calibration

FIT_FRAMES, FRAME_S = 3, 0.1
CAMERA_HEIGHT_M = 1.65
MAX_TURN = 0.1
"""More than this between two frames is no turn of the vehicle, rad."""
STILL_M = 0.3
"""Objects that a motion of the vehicle explains to this much stand still, m."""


@dataclass(slots=True)
class Object:
    """One labelled object: by frame its box xyxy px, the depth of its nearest point in m, and the
    place of its middle: m to the right, m ahead, and its heading in rad."""

    boxes: dict[int, NDArray[np.float64]]
    depths: dict[int, float]
    places: dict[int, tuple[float, float, float]]

    def truth(self, frame: int) -> tuple[float, float] | None:
        """Return depth m and its rate m/s, None where too few frames around have a label."""
        near = [f for f in range(frame - FIT_FRAMES, frame + FIT_FRAMES + 1) if f in self.depths]
        if frame not in self.depths or len(near) < FIT_FRAMES + 1:
            return None
        times = [(f - frame) * FRAME_S for f in near]
        return self.depths[frame], float(np.polyfit(times, [self.depths[f] for f in near], 1)[0])


def read_labels(path: Path) -> list[Object]:
    """Return the objects of a KITTI tracking label file but for DontCare regions."""
    found: dict[int, Object] = {}
    for line in path.read_text().splitlines():
        words = line.split()
        if words[2] == "DontCare":
            continue
        frame, values = int(words[0]), [float(word) for word in words[3:17]]
        width, length, x, z, turn = values[8], values[9], values[10], values[12], values[13]
        near = z - abs(length / 2 * np.sin(turn)) - abs(width / 2 * np.cos(turn))
        one = found.setdefault(int(words[1]), Object({}, {}, {}))
        one.boxes[frame], one.depths[frame] = np.array(values[3:7]), near
        one.places[frame] = x, z, turn
    return list(found.values())


def calibration(labels: Path, name: str, width: int, height: int) -> Calibration:
    """Return the calibration of a sequence from P2.txt, the camera level and 1.65 m high."""
    for line in (labels / "P2.txt").read_text().splitlines():
        words = line.split()
        if words[0] == name:
            focal, u0, v0 = float(words[2]), float(words[4]), float(words[8])
            return Calibration(
                focal_px=focal,
                width_px=width,
                principal=(u0 / width, v0 / height),
                height_m=CAMERA_HEIGHT_M,
            )
    raise SystemExit(f"{labels / 'P2.txt'} has no line for {name}")


def own_motion(objects: list[Object], frame: int) -> tuple[float, float] | None:
    """Return speed m/s and yaw rate rad/s of the vehicle, to the left positive.

    That motion between the frames before and after which lets most labelled objects stand still;
    None where fewer than two agree: then nobody can tell.
    """
    both = [o for o in objects if frame - 1 in o.places and frame + 1 in o.places]
    before = np.array([o.places[frame - 1] for o in both]).reshape(-1, 3)
    after = np.array([o.places[frame + 1] for o in both]).reshape(-1, 3)
    best: tuple[int, float, float] | None = None
    for k in range(len(both)):
        turn = float((after[k, 2] - before[k, 2] + np.pi) % (2 * np.pi) - np.pi)
        if abs(turn) > MAX_TURN:
            continue
        cos, sin = np.cos(turn), np.sin(turn)
        rotation = np.array([[cos, sin], [-sin, cos]])
        move = after[k, :2] - rotation @ before[k, :2]
        rest = before[:, :2] @ rotation.T + move - after[:, :2]
        still = int((np.hypot(rest[:, 0], rest[:, 1]) < STILL_M).sum())
        if still >= 2 and (best is None or still > best[0]):
            best = still, float(-move[1]), turn
    return None if best is None else (best[1] / (2 * FRAME_S), best[2] / (2 * FRAME_S))


def overlaps(box: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Return the IoU of a box with each of the others, (4,) and (N, 4) xyxy px."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.prod(np.maximum(sides, 0.0), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return shared / (areas - shared)
