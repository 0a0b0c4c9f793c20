"""What is drawn is where it belongs, in its colour, at every size; nothing makes it raise."""

import cv2
import numpy as np
import pymap3d
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception import draw
from perception import wire as m
from perception.draw import places
from tests.flight import pixel_of, rotation

BOX = (100.0, 80.0, 180.0, 200.0)


def canvas(width=320, height=240):
    return np.full((height, width, 3), 90, np.uint8)


def message(boxes=(BOX,), states=None, t_ms=0, warp=None, first_id=7, size=(320, 240)):
    n = len(boxes)
    return m.TrackMessage(
        stamp=m.Stamp(
            camera="front",
            frame_id=m.make_id(3, 12),
            t_media_ns=t_ms * 1_000_000,
            t_arrival_ns=0,
            t_wall_ns=0,
        ),
        width=size[0],
        height=size[1],
        names={2: "car"},
        dropped={},
        t_detected_ns=0,
        t_tracked_ns=0,
        tracks=m.Tracks(
            track_ids=np.arange(n) + m.make_id(5, first_id),
            boxes=np.array(boxes, np.float32).reshape(-1, 4),
            rates=np.zeros((n, 4), np.float32),
            class_ids=np.full(n, 2, np.int32),
            scores=np.full(n, 0.87, np.float32),
            states=np.array([m.CONFIRMED] * n if states is None else states, np.uint8),
            ages_s=np.ones(n, np.float32),
            unseen_s=np.zeros(n, np.float32),
            detection_rows=np.zeros(n, np.int32),
        ),
        warp=np.eye(2, 3, dtype=np.float32) if warp is None else np.array(warp, np.float32),
    )


def alert(**changes):
    values = {
        "key": "k",
        "camera": "front",
        "rule": "gate",
        "kind": "zone",
        "state": "raised",
        "track_id": m.make_id(5, 7),
        "class_name": "car",
        "score": 0.9,
        "box": BOX,
        "frame_id": 1,
        "start_t_media_ns": 0,
        "t_media_ns": 0,
        "start_t_wall_ns": 0,
        "t_wall_ns": 0,
    }
    return m.Alert(**(values | changes))


def near(image, x, y, colour, reach=3):
    """Say whether a pixel of about that colour stands near x, y."""
    part = image[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return bool((np.abs(part.astype(int) - colour).max(axis=2) < 40).any())


@pytest.mark.parametrize("size", [(160, 120), (320, 240), (854, 480), (3840, 2160)])
def test_a_box_stands_where_the_track_is_at_every_size(size):
    image = canvas(*size)
    draw.tracks(image, message())
    colour = draw.colour_of(m.make_id(5, 7))
    x, y = size[0] / 320, size[1] / 240
    for px, py in ((100, 150), (180, 150), (140, 200)):
        assert near(image, round(px * x), round(py * y), colour)
    assert (image[round(140 * y), round(140 * x)] == 90).all()
    above = image[round(60 * y) : round(78 * y), round(100 * x) : round(180 * x)]
    assert (above != 90).any()


def test_states_look_different():
    def edge(state):
        image = canvas()
        draw.tracks(image, message(states=[state]))
        return (image[90:190, 97:104] != 90).any(axis=(1, 2)), (image[40:76] != 90).any()

    solid, labelled = edge(m.CONFIRMED)
    assert solid.all()
    assert labelled
    thin, labelled = edge(m.TENTATIVE)
    assert thin.all()
    assert not labelled
    dashed, labelled = edge(m.LOST)
    assert dashed.any()
    assert not dashed.all()
    assert not labelled
    assert not edge(m.REMOVED)[0].any()


def test_colours_follow_the_track_and_are_told_apart():
    assert draw.colour_of(m.make_id(1, 7)) == draw.colour_of(m.make_id(9, 7))
    pairs = np.array(draw.PALETTE, float)
    apart = np.abs(pairs[:, None] - pairs[None]).sum(axis=2) + 1e3 * np.eye(len(pairs))
    assert apart.min() > 60


def test_trails_keep_one_second_and_move_with_the_camera():
    trails = draw.Trails(1.0)
    for k in range(30):
        points = trails.update(message(t_ms=k * 100))
    (trail,) = points.values()
    assert len(trail) == 11
    assert trail[-1].tolist() == [140, 200, 1]
    assert trail[0, 2] == pytest.approx(0)
    points = trails.update(message(t_ms=3000, warp=[[1, 0, 10], [0, 1, -5]]))
    (trail,) = points.values()
    assert trail[0, :2].tolist() == [150, 195]
    assert trail[-1, :2].tolist() == [140, 200]
    assert trails.update(message(boxes=[], t_ms=3100)) == {}


def test_trails_begin_anew_where_media_time_goes_back():
    trails = draw.Trails(1.0)
    trails.update(message(t_ms=5000))
    assert len(trails.update(message(t_ms=100))[m.make_id(5, 7)]) == 1


def test_a_trail_is_seen():
    image, trails = canvas(), draw.Trails(1.0)
    for k in range(9):
        points = trails.update(message([(20 + 10 * k, 80, 60 + 10 * k, 200)], t_ms=100 * k))
    draw.tracks(image, message([(100, 80, 140, 200)]), points)
    assert (image[195:205, 50:90] != 90).any()


def test_a_zone_is_tinted_inside_and_untouched_outside():
    image = canvas()
    draw.zones(image, {"door": [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]})
    assert (image[150, 160] != 90).any()
    assert np.abs(image[150, 160].astype(int) - 90).max() < 60
    assert (image[200:, :] == 90).all()
    assert near(image, 239, 150, draw.ZONE)


@pytest.mark.parametrize(
    ("line", "tip"),
    [
        (((0.2, 0.5), (0.8, 0.5)), (160, 130)),
        (((0.8, 0.5), (0.2, 0.5)), (160, 108)),
        (((0.5, 0.2), (0.5, 0.8)), (149, 120)),
    ],
)
def test_the_arrow_points_from_the_left_side_to_the_right(line, tip):
    image = canvas()
    draw.lines(image, {"gate": line})
    assert near(image, *tip, draw.LINE)
    mirrored = (2 * 160 - tip[0], 2 * 119 - tip[1])
    assert not near(image, *mirrored, draw.LINE)


def test_alerts_halo_the_track_where_it_is_now_and_leave_out_cleared_ones():
    image = canvas()
    draw.alerts(image, [alert(state="cleared")])
    assert (image == 90).all()
    draw.alerts(image, [alert(box=(0, 0, 9, 9))], message())
    assert near(image, 97, 150, draw.ALERT)
    assert near(image, 183, 150, draw.ALERT)
    image = canvas()
    draw.alerts(image, [alert()])
    assert near(image, 97, 150, draw.ALERT)
    draw.alerts(image, [alert(rule=f"rule-{i}") for i in range(100)])


def test_the_overlay_says_camera_time_age_and_counts(monkeypatch):
    texts = []
    put = cv2.putText
    monkeypatch.setattr(
        cv2, "putText", lambda image, text, *rest: (texts.append(text), put(image, text, *rest))
    )
    draw.overlay(canvas(), message(t_ms=83_456).stamp, 42.4, {"gate in": 12})
    assert texts == ["front  01:23.456  #12  age 42 ms", "gate in  12"]


def test_a_painter_draws_all_of_it_in_place():
    image = canvas()
    painter = draw.Painter({"z": [(0, 0.5), (1, 0.5), (1, 1)]}, {"l": ((0, 0.9), (1, 0.9))})
    for k in range(3):
        painter.paint(image, message(t_ms=40 * k), [alert()], {"in": k}, 12.0)
    assert near(image, 100, 150, draw.colour_of(7))
    assert near(image, 300, 215, draw.LINE)


def test_detections_are_drawn_with_their_labels():
    image = canvas()
    draw.boxes(image, np.array([BOX], np.float32), ["car 0.9"], [0])
    assert near(image, 100, 150, draw.PALETTE[0])


NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=3), st.integers(1, 40))
def test_no_box_and_no_size_makes_it_raise(boxes, side):
    image = canvas(side, 41 - side)
    painter = draw.Painter(
        {"z": [(-3, -3), (4, 0.5), (0.5, 5)], "off": [(2, 2), (3, 2), (3, 3)]},
        {"l": ((0.5, 0.5), (0.5, 0.5)), "m": ((-9, 0), (9, 1))},
    )
    for k in range(2):
        states = [k, m.LOST, m.CONFIRMED][: len(boxes)]
        painter.paint(
            image, message(boxes, states, t_ms=k), [alert(box=b) for b in boxes], {"a": 1}
        )


def seen_from(yaw, pitch, roll=0.0):
    return m.View(46.5, 6.6, 500.0, 100.0, yaw, pitch, roll, None, 60.0, None)


@pytest.mark.parametrize(
    ("yaw", "pitch", "right", "down"),
    [
        (0, -90, 0, -1), (90, -90, -1, 0), (180, -90, 0, 1), (-90, -90, 1, 0),
        (0, -30, 0, -1), (180, -30, 0, 1), (90, -30, -1, 0),
    ],
)  # fmt: skip
def test_north_is_where_a_point_to_the_north_is_seen(yaw, pitch, right, down):
    assert places.north_of(seen_from(yaw, pitch)) == pytest.approx((right, down), abs=1e-9)


def test_north_agrees_with_the_simulator():
    """Two points on the ground, the second 1 m to the north of the first."""
    eye, look, focal, size = (46.5, 6.6, 500.0), (33.0, -50.0, 8.0), 800.0, (1280, 720)
    aim = rotation(*look) @ np.array([1.0, 0.0, 0.0])
    east, north, up = aim[1], aim[0], -aim[2]
    first = pymap3d.enu2geodetic(east * 100 / -up, north * 100 / -up, -100.0, *eye)
    second = pymap3d.enu2geodetic(east * 100 / -up, north * 100 / -up + 1.0, -100.0, *eye)
    way = pixel_of(second, eye, look, focal, size) - pixel_of(first, eye, look, focal, size)
    assert places.north_of(seen_from(*look)) == pytest.approx(way / np.linalg.norm(way), abs=0.02)


def test_level_to_the_north_there_is_no_arrow():
    assert places.north_of(seen_from(0, 0)) is None
    image = canvas(640, 480)
    places.view(image, seen_from(0, 0))
    assert (image[:400] == 90).all()
    places.view(image, seen_from(0, -60))
    assert (image[380:, 560:] > 200).any()


def test_a_picture_with_a_place_bears_its_coordinates():
    image, said = canvas(640, 480), message(size=(640, 480))
    draw.Painter().paint(image, said)
    assert (image[-20:, :200] == 90).all()
    said.view[:10] = 1, 46.5, 6.6, 500, 100, 0, -60, 0, 0, 60
    draw.Painter().paint(image, said)
    assert (image[-12:, :200] < 60).any()
