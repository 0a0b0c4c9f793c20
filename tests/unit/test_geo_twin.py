"""The kernel of geolocation against a slow twin: pymap3d, bisection and numerical derivatives."""

import math

import numpy as np
import pymap3d
import pytest

from perception.kernels import ground
from tests.flight import rotation

STEP = 1e-5


def locate_slowly(point, lens, body, eye, errors, noise):
    """Return lat, lon in degrees, range m and the covariance (2, 2) of one pixel on height 0."""
    fx, fy, cx, cy = lens[:4]

    def ray(px, py, focal=1.0):
        ahead = np.array([1.0, (px - cx) / fx / focal, (py - cy) / fy / focal])
        north, east, down = body @ ahead / np.linalg.norm(ahead)
        return np.array([east, north, -down])

    def height(s):
        return pymap3d.enu2geodetic(*(s * ray(*point)), *eye)[2]

    near, far = 0.0, eye[2] / max(-ray(*point)[2], 1e-6) * 1.5
    for _ in range(80):
        middle = (near + far) / 2
        near, far = (middle, far) if height(middle) > 0 else (near, middle)
    hit = near * ray(*point)

    def on_plane(start, way):
        return (start + way * (hit[2] - start[2]) / way[2])[:2]

    def slope(make):
        return (make(STEP) - make(-STEP)) / (2 * STEP)

    way, none = ray(*point), np.zeros(3)
    columns = [
        noise[1] * slope(lambda h: on_plane(none, ray(point[0] + h, point[1]))),
        noise[1] * slope(lambda h: on_plane(none, ray(point[0], point[1] + h))),
        noise[0] * slope(lambda h: on_plane(none, ray(*point, 1.0 + h))),
        noise[2] * slope(lambda h: on_plane(none - (0, 0, h), way)),
    ]
    for error in errors:
        columns.append(
            slope(lambda h, e=error: on_plane(h * e[:3], way + h * np.cross(e[3:], way)))
        )
    spread = np.column_stack(columns)
    lat, lon, _ = pymap3d.enu2geodetic(*hit, *eye)
    return lat, lon, near, spread @ spread.T


@pytest.mark.parametrize("seed", range(40))
def test_a_pixel_on_flat_ground(seed):
    rng = np.random.default_rng(seed)
    eye = rng.uniform(-80, 80), rng.uniform(-180, 180), rng.uniform(30, 900)
    angles = rng.uniform(-180, 180), rng.uniform(-89, -35), rng.uniform(-20, 20)
    body = rotation(*angles)
    lens = np.array([900.0, 880.0, 640.0, 360.0, 0, 0, 0, 0, 0])
    point = rng.uniform((500, 260), (780, 460))
    errors = rng.normal(size=(5, 6)) * (2, 2, 2, 0.01, 0.01, 0.01)
    noise = np.array([0.02, 3.0, 2.5])
    # Body axes ahead, right, down in north, east, down -> camera right, down, ahead in ENU.
    north_east_down = body[:, [1, 2, 0]]
    pose = np.vstack([north_east_down[1], north_east_down[0], -north_east_down[2]])
    full = np.array([*pose.ravel(), math.radians(eye[0]), math.radians(eye[1]), eye[2]])
    at = np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1e5])
    row = ground.locate([point], lens, full, errors, noise, np.zeros((1, 1), np.float32), at)[0]
    lat, lon, distance, spread = locate_slowly(point, lens, body, eye, errors, noise)
    assert row[ground.CODE] == ground.FOUND
    assert math.degrees(row[ground.LAT]) == pytest.approx(lat, abs=1e-8)
    turned = (math.degrees(row[ground.LON]) - lon + 180) % 360 - 180
    assert turned == pytest.approx(0.0, abs=1e-7)
    assert row[ground.RANGE] == pytest.approx(distance, abs=1e-3)
    found = row[[ground.EE, ground.EN, ground.EN, ground.NN]].reshape(2, 2)
    assert np.allclose(found, spread, rtol=1e-4, atol=1e-4 * np.trace(spread))
