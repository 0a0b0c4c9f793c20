"""The simulated flight: telemetry within its sigmas, and cars where the map puts their pixels."""

import numpy as np
import pytest

from perception.geo import simulator
from perception.geo.camera import eye_at
from perception.geo.options import MapOptions
from perception.geo.placer import Placer
from perception.geo.state import State
from perception.kernels import ground
from tests.flight import Steady, apart, pixel_of


def test_its_cars_are_drawn_where_they_are():
    size = 640, 360
    shots = list(simulator.fly(2.0, 2, size))
    assert len(shots) == 4
    shot = shots[-1]
    assert shot.image.shape == (360, 640, 3)
    log = shot.log
    state = State(
        t_ns=0, lat_deg=log["lat"], lon_deg=log["lon"], altitudes_m={"msl": log["alt_msl_m"]},
        gimbal_deg=(log["gimbal_yaw_deg"], log["gimbal_pitch_deg"], 0.0),
        hfov_deg=log["hfov_deg"],
    )  # fmt: skip
    options = MapOptions(ground={"height_m": simulator.GROUND_M})
    eye, _ = eye_at(Steady(state), options, 0, *size)
    placer = Placer(Steady(state), options)
    focal = size[0] / 2 / np.tan(np.radians(simulator.HFOV_DEG) / 2)
    seen = 0
    for lat, lon in shot.cars:
        place = lat, lon, simulator.GROUND_M
        angles = state.gimbal_deg
        point = pixel_of(
            place, (state.lat_deg, state.lon_deg, log["alt_msl_m"]), angles, focal, size
        )
        if point is None or not ((point > 0) & (point < size)).all():
            continue
        seen += 1
        row = placer.locate(eye, point[None])[0]
        found = np.degrees(row[ground.LAT]), np.degrees(row[ground.LON])
        assert np.linalg.norm(apart(place, found)) < 0.1
    assert seen


def test_its_telemetry_is_off_by_what_it_says():
    shot = next(simulator.fly(0.1, 10, (64, 36)))
    truth = simulator.LAT - 60.0 / 111_162.0
    off_m = (shot.log["lat"] - truth) * 111_162.0
    assert 0.01 < abs(off_m) < 4 * simulator.SIGMA_M
    assert shot.log["alt_msl_m"] == pytest.approx(510.0, abs=4 * simulator.SIGMA_HEIGHT_M + 1)
