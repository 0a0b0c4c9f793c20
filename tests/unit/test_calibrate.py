"""`perception calibrate`: the horizon of a rendered road, four points, and what is refused."""

import itertools

import cv2
import numpy as np
import pytest
import yaml

from perception.commands import calibrate
from perception.errors import ConfigError
from perception.geometry.calibration import Calibration, rings
from perception.geometry.horizon import flow_lines, road_lines, vanishing_point

W, H = 960, 540
TRUE = Calibration(fov_deg=62, height_m=1.3, pitch_deg=3.0)


def road(moved_m=0.0, lens=None, lanes=(-5.4, -1.8, 1.8, 5.4)):
    """Return a picture of a road with dashed lines and posts, seen moved_m further on."""
    lens = lens or TRUE.lens(W, H)
    image = np.full((H, W, 3), 90, np.uint8)
    rng = np.random.default_rng(1)
    for x in lanes:
        for start in np.arange(-30, 120, 9.0):
            near, far = (max(start + k - moved_m, 3.0) for k in (0.0, 4.5))
            if far <= near:
                continue
            corners = [(x - 0.08, near), (x + 0.08, near), (x + 0.08, far), (x - 0.08, far)]
            points = np.array([lens.pixel(*corner) for corner in corners])
            cv2.fillPoly(image, [points.round().astype(np.int32)], (255, 255, 255), cv2.LINE_AA)
    for x, y, up in rng.uniform((-15, 5, 0), (15, 90, 4), (300, 3)):
        if y - moved_m > 4.0:
            u, v = lens.pixel(x, y - moved_m, up)
            cv2.circle(image, (round(u), round(v)), 2, (20, 20, 20), -1, cv2.LINE_AA)
    return image


def horizon_row(lens):
    return lens.v0 - lens.focal * np.tan(lens.pitch)


def test_lane_lines_meet_at_the_horizon():
    views = [cv2.cvtColor(road(2.0 * n), cv2.COLOR_BGR2GRAY) for n in range(4)]
    found = vanishing_point(np.vstack([road_lines(grey) for grey in views]), H)
    assert found is not None
    assert found.y == pytest.approx(horizon_row(TRUE.lens(W, H)), abs=4)
    assert found.x == pytest.approx(W / 2, abs=4)


def test_motion_straight_on_runs_from_the_horizon():
    views = [cv2.cvtColor(road(0.8 * n, lanes=()), cv2.COLOR_BGR2GRAY) for n in range(8)]
    flows = np.vstack([flow_lines(a, b) for a, b in itertools.pairwise(views)])
    found = vanishing_point(flows, H)
    assert found is not None
    assert found.y == pytest.approx(horizon_row(TRUE.lens(W, H)), abs=8)


def test_a_picture_without_lines_has_no_horizon():
    noise = np.random.default_rng(0).integers(0, 256, (H, W)).astype(np.uint8)
    assert vanishing_point(road_lines(np.full((H, W), 90, np.uint8)), H) is None
    assert vanishing_point(road_lines(noise), H) is None


def test_rings_stand_at_their_distance():
    lens, made = TRUE.lens(W, H), rings(TRUE, W, H, (5, 20))
    assert list(made) == ["5 m", "20 m"]
    (middle,) = made["20 m"][[70]]
    assert tuple(middle) == pytest.approx(lens.pixel(0.0, 20.0))


@pytest.fixture
def launch(tmp_path):
    folder = tmp_path / "drive"
    folder.mkdir()
    for n in range(9):
        cv2.imwrite(str(folder / f"{n:03}.png"), road(0.4 * n))
    file = tmp_path / "car.yaml"
    camera = {
        "source": {"path": str(folder), "fps": 10},
        "calibration": {"fov_deg": 62, "height_m": 1.3},
    }
    file.write_text(yaml.safe_dump({"cameras": {"ahead": camera}}))
    return file


def test_the_command_prints_what_belongs_into_the_file(launch, tmp_path, capsys):
    picture = tmp_path / "look" / "rings.png"
    assert calibrate.run(launch, None, calibrate.Asked(None, None, [], picture)) == 0
    text = capsys.readouterr().out
    said = yaml.safe_load(text[text.index("calibration:") :].split("\n\n")[0])
    found = Calibration.model_validate(said["calibration"]).lens(W, H)
    assert np.degrees(found.pitch) == pytest.approx(3.0, abs=0.3)
    drawn, bare = cv2.imread(str(picture)), road(0.4 * 6)
    assert 2000 < (drawn != bare).any(axis=2).sum() < W * H / 4


def test_four_points_on_the_command_line(launch, tmp_path, capsys):
    lens, words = TRUE.lens(W, H), []
    for place in ((-2, 8), (2, 8), (2, 30), (-2, 30)):
        u, v = lens.pixel(*place)
        words.append(f"{u / W:.4f},{v / H:.4f}={place[0]},{place[1]}")
    asked = calibrate.Asked(None, None, words, tmp_path / "p.png")
    assert calibrate.run(launch, "ahead", asked) == 0
    assert "points" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="X,Y=M,M"):
        calibrate.run(launch, None, calibrate.Asked(None, None, ["1,2"], tmp_path / "p.png"))
    with pytest.raises(ConfigError, match="ahead"):
        calibrate.run(launch, "ahed", calibrate.Asked(None, None, [], tmp_path / "p.png"))
    with pytest.raises(ConfigError, match="points"):
        calibrate.run(launch, None, calibrate.Asked(None, None, words[:3], tmp_path / "p.png"))
