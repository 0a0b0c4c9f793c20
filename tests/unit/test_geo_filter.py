"""Places over time: a standing target's error falls, a moving one's velocity is found."""

import math

import numpy as np
import pymap3d
import pytest

from perception.geo.options import MapOptions
from perception.geo.placer import Placer
from tests.flight import Steady, apart, ground_point, pixel_of, state_of
from tests.unit.test_geo_ground import SIZE, focal, message

EYE, ANGLES, HFOV = (47.0, 8.0, 150.0), (0.0, -50.0, 0.0), 50.0
PIXEL = 4.0


def watch(velocity, *, seconds=8.0, hz=10, seed=0, bias=(0.0, 0.0), sigmas=None, rows=None):
    """Follow a target that moves at a velocity (east, north m/s); yield truth and told place."""
    rng = np.random.default_rng(seed)
    sigmas = sigmas or {"position_m": 0, "altitude_m": 0, "yaw_deg": 0, "pitch_deg": 0,
                        "roll_deg": 0, "focal": 0, "time_s": 0, "terrain_m": 0}  # fmt: skip
    options = MapOptions(
        ground={"height_m": 0.0, "datum": "ellipsoid"}, sigmas={**sigmas, "pixel": PIXEL}
    )
    seen = ANGLES[0] + bias[0], ANGLES[1] + bias[1], 0.0
    placer = Placer(Steady(state_of(EYE, seen, HFOV)), options)
    start = ground_point(EYE, 0.0, 50.0)
    for n in range(round(seconds * hz)):
        t_s = n / hz
        lat, lon, _ = pymap3d.enu2geodetic(velocity[0] * t_s, velocity[1] * t_s, 0.0, *start)
        x, y = pixel_of((lat, lon, 0.0), EYE, ANGLES, focal(HFOV), SIZE) + PIXEL * rng.normal(
            size=2
        )
        y -= 5 * math.cos(math.radians(50.0))
        said = message([(x - 5, y - 5, x + 5, y + 5)], round(t_s * 1e9), rows)
        placer.place(said)
        yield (lat, lon, 0.0), said.tracks.row(0, {0: "car"}).place, said


def test_a_standing_target_gets_surer_and_its_ellipse_stays_true():
    inside, last = 0, None
    for seed in range(200):
        *_, (truth, place, said) = watch((0.0, 0.0), seed=seed, seconds=4.0)
        ee, en, nn = said.tracks.places[0, 3:6]
        off = apart(truth, (place.lat_deg, place.lon_deg))
        inside += off @ np.linalg.solve([[ee, en], [en, nn]], off) <= 5.991
        last = place
    first = next(watch((0.0, 0.0)))[1]
    assert last.major_m < 0.4 * first.major_m
    assert last.speed_m_s == 0.0
    assert 0.90 <= inside / 200 <= 0.995


def test_what_all_frames_share_does_not_average_out():
    shared = {"position_m": 0.0, "altitude_m": 0.0, "yaw_deg": 0.0, "pitch_deg": 1.0,
              "roll_deg": 0.0, "focal": 0.0, "time_s": 0.0, "terrain_m": 0.0}  # fmt: skip
    inside, rng = 0, np.random.default_rng(5)
    for seed in range(200):
        bias = 0.0, float(rng.normal())
        *_, (truth, place, said) = watch(
            (0.0, 0.0), seed=seed, seconds=3.0, bias=bias, sigmas=shared
        )
        ee, en, nn = said.tracks.places[0, 3:6]
        off = apart(truth, (place.lat_deg, place.lon_deg))
        inside += off @ np.linalg.solve([[ee, en], [en, nn]], off) <= 5.991
    assert inside / 200 >= 0.90


@pytest.mark.parametrize("velocity", [(10.0, 0.0), (-3.0, 4.0), (0.0, 15.0)])
def test_a_moving_target_gets_a_velocity_with_its_sigma(velocity):
    errors, sigmas = [], []
    for seed in range(40):
        *_, (_, place, said) = watch(velocity, seed=seed, seconds=5.0)
        row = said.tracks.places[0]
        errors.append(row[6:8] - velocity)
        sigmas.append(row[8])
        assert place.speed_m_s == pytest.approx(math.hypot(*velocity), abs=4.0)
    spread = np.sqrt(np.mean(np.square(errors)))
    assert spread < 1.5 * np.mean(sigmas)
    course = math.degrees(math.atan2(*velocity)) % 360
    assert abs((place.course_deg - course + 180) % 360 - 180) < 25


def test_a_target_that_is_not_seen_is_carried_on_and_never_invented():
    *_, (_, place, said) = watch((0.0, 0.0), seconds=0.3, rows=[-1])
    assert place is None
    assert said.tracks.place_codes[0] == 14
