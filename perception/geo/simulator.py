"""A flight that never was: pictures of a plain with roads and cars, and the telemetry of it.

For `perception demo drone` and whoever wants to try a map without a drone. The truth is known, so
what the map says can be judged. Imports the rest of this room and OpenCV.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.geo.pose import to_enu, turn

Image = NDArray[np.uint8]

LAT, LON, GROUND_M = 46.5110, 6.6240, 400.0
SIDE_M, M_PER_PX = 700.0, 0.2
HFOV_DEG, PITCH_DEG, HEIGHT_M, SPEED_M_S = 60.0, -60.0, 110.0, 8.0
SIGMA_M, SIGMA_HEIGHT_M, SIGMA_YAW_DEG, SIGMA_PITCH_DEG = 1.5, 2.0, 1.0, 0.5
"""How far its telemetry is off: one sigma each, the same for the whole flight."""
CARS = 36
_PER_LAT = 111_162.0
_PER_LON = 111_320.0 * math.cos(math.radians(LAT)) * 1.00353


@dataclass(frozen=True, slots=True)
class Shot:
    """One frame: BGR, its time, the telemetry's numbers by column of a CSV log, and where cars are.

    cars: latitude and longitude of each.
    """

    image: Image
    t_s: float
    log: dict[str, float]
    cars: list[tuple[float, float]]


def fly(seconds: float, fps: int, size: tuple[int, int], seed: int = 7) -> Iterator[Shot]:
    """Yield the frames of a flight over the plain; size: width, height px."""
    rng = np.random.default_rng(seed)
    ground, lanes = _plain(rng), [-120.0, -40.0, 55.0, 140.0]
    bias = rng.standard_normal(5)
    starts, speeds = rng.uniform(-300, 300, CARS), rng.uniform(7.0, 14.0, CARS)
    for n in range(round(seconds * fps)):
        t_s = n / fps
        east, north = -60.0 + SPEED_M_S * t_s, 40.0 * math.sin(t_s / 9.0) - 60.0
        yaw = 40.0 + 25.0 * math.sin(t_s / 7.0)
        pitch = PITCH_DEG + 4.0 * math.sin(t_s / 5.0)
        eye = np.array([east, north, HEIGHT_M + 5.0 * math.sin(t_s / 6.0)])
        places = [_car(k, t_s, starts, speeds, lanes) for k in range(CARS)]
        image = _picture(ground, eye, (yaw, pitch, 0.0), places, size)
        log = {
            "t_s": t_s,
            "lat": LAT + (north + SIGMA_M * bias[0]) / _PER_LAT,
            "lon": LON + (east + SIGMA_M * bias[1]) / _PER_LON,
            "alt_msl_m": GROUND_M + eye[2] + SIGMA_HEIGHT_M * bias[2],
            "gimbal_yaw_deg": yaw + SIGMA_YAW_DEG * bias[3],
            "gimbal_pitch_deg": pitch + SIGMA_PITCH_DEG * bias[4],
            "gimbal_roll_deg": 0.0,
            "hfov_deg": HFOV_DEG,
        }
        cars = [(LAT + y / _PER_LAT, LON + x / _PER_LON) for x, y, _ in places]
        yield Shot(image, t_s, log, cars)


def _paint_car(image: Image, px: NDArray[np.float64], k: int) -> None:
    """Draw a car on its corners (4, 2) px, front first: body, windows and roof across it."""
    shade = 40 + 53 * (k % 5), 60 + 40 * (k % 4), 235 - 45 * (k % 5)
    roof = tuple(min(255, c + 60) for c in shade)
    glass = 25, 22, 20
    parts = (0.0, 1.0, shade), (0.2, 0.36, glass), (0.36, 0.62, roof), (0.62, 0.8, glass)
    for begin, end, colour in parts:
        at = np.array([[begin], [end]])
        left, right = px[0] + (px[3] - px[0]) * at, px[1] + (px[2] - px[1]) * at
        corners = np.round(np.vstack([left, right[::-1]]) * 16).astype(np.int32)
        cv2.fillConvexPoly(image, corners, colour, cv2.LINE_AA, 4)


def _car(
    k: int, t_s: float, starts: NDArray[np.float64], speeds: NDArray[np.float64], lanes: list[float]
) -> tuple[float, float, float]:
    """Return east, north m and heading in rad of a car; odd ones drive north or south."""
    way = 1.0 if k % 4 < 2 else -1.0
    along = (starts[k] + way * speeds[k] * t_s + 300.0) % 600.0 - 300.0
    across = lanes[k % 4] + 2.0 * way
    return (along, across, 0.0) if k % 2 == 0 else (across, along, math.pi / 2)


def _plain(rng: np.random.Generator) -> Image:
    """Return the ground from above, north up: fields, trees and four roads each way."""
    side = round(SIDE_M / M_PER_PX)
    height = np.zeros((side, side), np.float32)
    for cells, weight in ((7, 22.0), (60, 14.0), (600, 12.0)):
        noise = rng.standard_normal((cells, cells)).astype(np.float32)
        height += weight * cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    tones = np.array([70.0, 118.0, 96.0], np.float32)
    image = np.clip(tones + height[..., None] * np.array([0.7, 1.0, 0.9], np.float32), 0, 255)
    plain = image.astype(np.uint8)
    for lane in (-120.0, -40.0, 55.0, 140.0):
        at = round((lane + SIDE_M / 2) / M_PER_PX)
        half = round(5.0 / M_PER_PX)
        for rows, columns in (
            (slice(side - at - half, side - at + half), slice(None)),
            (slice(None), slice(at - half, at + half)),
        ):
            plain[rows, columns] = plain[rows, columns] // 4 + 84
    for x, y in rng.uniform(0, side, (260, 2)).astype(int).tolist():
        cv2.circle(plain, (x, y), int(rng.uniform(8, 22)), (38, 74, 46), -1, cv2.LINE_AA)
    return plain


def _picture(
    ground: Image,
    eye: NDArray[np.float64],
    angles: tuple[float, float, float],
    cars: list[tuple[float, float, float]],
    size: tuple[int, int],
) -> Image:
    """Return what the camera sees."""
    width, height = size
    focal = width / 2 / math.tan(math.radians(HFOV_DEG) / 2)
    inner = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    outer = to_enu(turn(angles)).T
    plane = inner @ np.column_stack([outer[:, 0], outer[:, 1], -outer @ eye])
    of_px = np.array([[M_PER_PX, 0, -SIDE_M / 2], [0, -M_PER_PX, SIDE_M / 2], [0, 0, 1.0]])
    image = np.asarray(cv2.warpPerspective(ground, plane @ of_px, size), np.uint8)
    for k, (x, y, heading) in enumerate(cars):
        c, s = math.cos(heading), math.sin(heading)
        box = np.array([(2.3, 1.0), (2.3, -1.0), (-2.3, -1.0), (-2.3, 1.0)])
        corners = box @ np.array([[c, s], [-s, c]]) + (x, y)
        points = plane @ np.column_stack([corners, np.ones(4)]).T
        if (points[2] <= 1.0).any():
            continue
        px = (points[:2] / points[2]).T
        _paint_car(image, px, k)
    return image
