"""The clock offset between a video and a gyro: made offsets are found, also on a real clip."""

import av
import numpy as np
import pytest

from perception.geometry.clock_offset import clock_offset, picture_turns
from perception.telemetry.gpmf_file import GpmfFile


def smooth(rng, times, centres=60):
    at = np.linspace(times[0], times[-1], centres)
    return np.column_stack([np.interp(times, at, rng.normal(0, 0.3, centres)) for _ in range(3)])


@pytest.mark.parametrize("offset", [-0.4, 0.0, 0.13, 0.4])
def test_a_made_offset_is_found(offset):
    rng = np.random.default_rng(3)
    gyro_times = np.arange(0, 12, 0.005)
    rates = smooth(rng, gyro_times)
    times = np.arange(1, 11, 0.04)
    mixed = np.array([[0, 300, 5], [280, 0, -8], [0.02, 0.01, 1.0]])
    seen = np.column_stack([np.interp(times - offset, gyro_times, rates[:, k]) for k in range(3)])
    motions = seen @ mixed.T + rng.normal(0, [8, 8, 0.02], (len(times), 3))
    found = clock_offset(times, motions, gyro_times, rates)
    assert found.seconds == pytest.approx(offset, abs=0.01)
    assert found.sigma_s < 0.05
    assert found.explained > 0.5


def test_a_camera_that_stands_gives_no_sure_offset():
    rng = np.random.default_rng(0)
    gyro_times = np.arange(0, 12, 0.005)
    found = clock_offset(
        np.arange(1, 11, 0.04),
        rng.normal(size=(250, 3)),
        gyro_times,
        rng.normal(0, 1e-3, (len(gyro_times), 3)),
    )
    assert found.explained < 0.3
    assert clock_offset(np.zeros(3), np.zeros((3, 3)), gyro_times, gyro_times) is None


def test_on_the_gopro_clip_made_offsets_are_found_within_50_ms(footage):
    path = footage / "video" / "aerial" / "gopro_karma_drone_gpmf.mp4"
    reader = GpmfFile(GpmfFile.Options(), video=path)
    reader.open()
    gyro_times = np.array([t for t, _ in reader.gyro])
    rates = np.array([rate for _, rate in reader.gyro])
    with av.open(str(path)) as box:
        film = box.streams.video[0]
        start = film.start_time or 0
        frames = [
            (float((f.pts - start) * f.time_base), f.to_ndarray(format="gray"))
            for f in box.decode(film)
        ]
    times, motions = picture_turns(frames)
    own = clock_offset(times, motions, gyro_times, rates)
    print(f"own offset {own.seconds:.3f} s, sigma {own.sigma_s:.3f}, explained {own.explained:.2f}")
    assert own.explained > 0.3
    for made in (-0.4, -0.2, -0.1, 0.1, 0.25, 0.4):
        found = clock_offset(times, motions, gyro_times + made, rates)
        print(f"made {made:+.2f} s, found {own.seconds - found.seconds:+.3f} s")
        assert own.seconds - found.seconds == pytest.approx(made, abs=0.05)
