import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from perception.rules.zones import MAX_POINTS, MIN_AREA, Line, Zone

SQUARE = [[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]


def test_fractions_become_pixels():
    assert Zone.model_validate(SQUARE).pixels(1000, 500).tolist() == [
        [100, 50],
        [900, 50],
        [900, 450],
        [100, 450],
    ]


def test_a_mapping_is_as_good_as_the_bare_list():
    assert Zone.model_validate({"points": SQUARE}) == Zone.model_validate(SQUARE)


def test_a_closed_ring_is_the_same_polygon():
    assert Zone.model_validate([*SQUARE, SQUARE[0]]) == Zone.model_validate(SQUARE)


@pytest.mark.parametrize(
    ("points", "reason"),
    [
        (SQUARE[:2], "at least 3"),
        ([], "at least 3"),
        ([SQUARE[0], SQUARE[1], [1.2, 0.5]], "fractions of the picture"),
        ([SQUARE[0], SQUARE[1], [-0.1, 0.5]], "greater than or equal to 0"),
        ([SQUARE[0], SQUARE[1], [math.nan, 0.5]], "finite"),
        ([SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3]], "cross or touch"),
        ([SQUARE[0], SQUARE[1], SQUARE[1], SQUARE[2]], "twice in a row"),
        ([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]], "no area"),
        ([[0.1, 0.1], [0.9, 0.1], [0.5, 0.1], [0.5, 0.6]], "fold back"),
        ([[0.1, 0.1], [0.5, 0.1], [0.5, 0.5], [0.3, 0.1], [0.1, 0.5]], "cross or touch"),
        ([[0.5, 0.5, 0.5]] * 3, "at most 2"),
        ("0.1,0.2,0.3", "valid tuple"),
        ([[i / 1000, 0.1 + i % 2 / 10] for i in range(MAX_POINTS + 1)], "at most 200"),
    ],
)
@pytest.mark.fault("H12")
def test_what_is_no_polygon_is_refused_with_the_reason(points, reason):
    with pytest.raises(ValidationError, match=reason):
        Zone.model_validate(points if isinstance(points, list) else {"points": points})


def test_unknown_keys_are_refused():
    with pytest.raises(ValidationError, match="colour"):
        Zone.model_validate({"points": SQUARE, "colour": "red"})


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=9))
def test_a_star_around_its_centre_is_taken_in_order_of_angle(points):
    """Any points sorted by angle around their middle make a polygon that does not cross itself."""
    middle = np.mean(points, axis=0)
    angles = {round(math.atan2(y - middle[1], x - middle[0]), 3): (x, y) for x, y in points}
    ring = [angles[a] for a in sorted(angles)]
    gaps = np.diff([*sorted(angles), sorted(angles)[0] + 2 * math.pi])
    away = min(math.dist(p, middle) for p in ring)
    if len(ring) < 3 or gaps.max() > 3.0 or gaps.min() < 0.05 or away < 0.05:
        return
    assert len(Zone.model_validate(ring).points) == len(ring)


def test_a_line_has_two_named_ways():
    line = Line.model_validate({"points": [[0, 0.5], [1, 0.5]], "names": ["down", "up"]})
    assert line.names == ("down", "up")
    assert Line.model_validate([[0, 0.5], [1, 0.5]]).names == ("left_to_right", "right_to_left")
    assert line.pixels(10, 20).tolist() == [[0, 10], [10, 10]]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ({"points": [[0, 0]]}, "points"),
        ({"points": [[0.5, 0.5], [0.5, 0.5]]}, "no length"),
        ({"points": [[0, 0], [1, 2]]}, "fractions of the picture"),
        ({"points": [[0, 0], [1, 1]], "names": ["in", "in"]}, "both ways"),
        ({"points": [[0, 0], [1, 1]], "names": ["", "in"]}, "at least 1"),
    ],
)
def test_what_is_no_line_is_refused_with_the_reason(line, reason):
    with pytest.raises(ValidationError, match=reason):
        Line.model_validate(line)


def test_the_least_area_is_of_the_polygon_itself():
    """A square of side a has a^2: just above the least is taken, just below is refused."""
    for share, is_taken in ((1.05, True), (0.95, False)):
        side = (MIN_AREA * share) ** 0.5
        points = [[0, 0], [side, 0], [side, side], [0, side]]
        if is_taken:
            assert Zone.model_validate(points).points
        else:
            with pytest.raises(ValidationError):
                Zone.model_validate(points)
