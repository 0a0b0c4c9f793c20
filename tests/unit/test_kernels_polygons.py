import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.kernels import MODULES, polygons
from tests import reference

SQUARE = [(0, 0), (4, 0), (4, 4), (0, 4)]
# Quarters of small numbers: their cross products are exact in float64, so borders really are met.
grid = st.integers(-12, 12).map(lambda n: n / 4)
wild = st.one_of(grid, st.sampled_from([np.nan, np.inf, -np.inf]))
point, wild_point = st.tuples(grid, grid), st.tuples(wild, wild)


@given(st.lists(wild_point, max_size=8), st.lists(point, max_size=8))
def test_inside_is_its_twin(points, polygon):
    got = polygons.inside(points, polygon)
    assert got.dtype == np.bool_
    assert got.tolist() == reference.inside(points, polygon)


@given(
    st.lists(st.tuples(point, point), min_size=1, max_size=8),
    st.tuples(st.floats(0.1, 3), st.floats(-9, 9)),
)
def test_inside_does_not_depend_on_where_or_how_large(pairs, change):
    points, polygon = (np.array([pair[k] for pair in pairs]) for k in (0, 1))
    away = np.abs(points[:, None] - polygon[None]).min(initial=9)
    if away < 0.1:  # borders move by rounding
        return
    scale, shift = 2.0 ** round(change[0]), round(change[1])
    moved = polygons.inside(points * scale + shift, polygon * scale + shift)
    assert moved.tolist() == polygons.inside(points, polygon).tolist()


@given(st.lists(st.tuples(wild_point, wild_point), max_size=8), st.tuples(point, point))
def test_crossings_are_their_twin(moves, line):
    starts, ends = [m[0] for m in moves], [m[1] for m in moves]
    got = polygons.crossings(starts, ends, line)
    assert got.dtype == np.int8
    assert got.tolist() == reference.crossings(starts, ends, line)


@given(st.lists(st.tuples(point, point), max_size=8), st.tuples(point, point))
def test_going_back_undoes_a_crossing(moves, line):
    starts, ends = [m[0] for m in moves], [m[1] for m in moves]
    there, back = polygons.crossings(starts, ends, line), polygons.crossings(ends, starts, line)
    assert (there + back).tolist() == [0] * len(moves)


@given(st.integers(0, 2**32 - 1))
def test_a_closed_path_crosses_a_closed_fence_as_often_out_as_in(seed):
    points = np.random.default_rng(seed).uniform(-1, 1, (12, 2))
    fence, path = points[:3], np.vstack([points[3:], points[3]])
    lines = [(fence[i - 1], fence[i]) for i in range(3)]
    assert sum(int(polygons.crossings(path[:-1], path[1:], line).sum()) for line in lines) == 0


@given(point, point, st.floats(0, 1), st.tuples(point, point))
def test_a_path_that_stops_on_the_line_crosses_it_once(p, q, part, line):
    (ax, ay), (bx, by) = line
    quarter = round(part * 4) / 4
    stop = (ax + quarter * (bx - ax), ay + quarter * (by - ay))  # exact: all are sixteenths
    path = [p, stop, stop, q]
    total = int(polygons.crossings(path[:-1], path[1:], line).sum())
    assert abs(total) <= 1
    sides = [reference._cross(*line, end) >= 0 for end in (p, q)]
    assert total == 0 or total == int(sides[1]) - int(sides[0])


@pytest.mark.parametrize("point", [*SQUARE, (2, 0), (4, 1), (2, 4), (0, 3), (2, 2)])
def test_corners_edges_and_the_middle_are_inside(point):
    assert polygons.inside([point], SQUARE).all()
    assert polygons.inside([point], SQUARE[::-1]).all()


@pytest.mark.parametrize("point", [(5, 0), (-1, 4), (5, 4), (2, -1e-9), (4.0000001, 2), (-3, 0)])
def test_beside_is_outside(point):
    assert not polygons.inside([point], SQUARE).any()


@pytest.mark.parametrize("polygon", [[], [(1, 1)], [(0, 0), (2, 2)], [(np.nan, 0), (1, 0), (0, 1)]])
def test_no_polygon_contains_nothing(polygon):
    assert polygons.inside([(1, 1), (0, 0)], polygon).tolist() == [False, False]


def test_a_polygon_of_no_area_contains_its_border():
    flat = [(0, 0), (4, 0), (2, 0)]
    assert polygons.inside([(3, 0), (5, 0), (3, 1)], flat).tolist() == [True, False, False]


def test_a_path_through_the_joint_of_two_lines_crosses_one():
    moves = [(2.0, -1.0)], [(2.0, 1.0)]
    lines = [((0, 0), (2, 0)), ((2, 0), (4, 0))]
    assert sum(abs(int(polygons.crossings(*moves, line)[0])) for line in lines) == 1


def test_left_to_right_as_on_the_screen():
    walker = [(0, 0), (10, 0)]  # walks to the right of the picture; below it is the right hand
    assert polygons.crossings([(5, -1)], [(5, 1)], walker).tolist() == [1]
    assert polygons.crossings([(5, 1)], [(5, -1)], walker).tolist() == [-1]


@given(st.lists(st.tuples(wild_point, wild_point), max_size=6), st.lists(point, max_size=6))
def test_reach_is_its_twin(moves, polygon):
    points, speeds = [m[0] for m in moves], [m[1] for m in moves]
    got = polygons.entry_times(points, speeds, polygon)
    assert got.tolist() == pytest.approx(reference.reach(points, speeds, polygon))


def test_reach_says_when():
    points, speeds = [(-3, 2), (2, 2), (-3, 2), (-3, 2), (2, 9)], [(2, 0), (9, 0), (-1, 0)]
    speeds += [(0, 0), (0, -5)]
    assert polygons.entry_times(points, speeds, SQUARE).tolist() == [1.5, 0, np.inf, np.inf, 1]


def forms(values):
    array = np.array(values, np.float64)
    fixed = array.copy()
    fixed.setflags(write=False)
    wide = np.zeros((len(array) * 2, 5))
    wide[::2, 1:3] = array
    return [
        values,
        array,
        fixed,
        wide[::2, 1:3],
        np.asfortranarray(array),
        array.astype(np.float32),
    ]


def test_any_array_like_gives_the_same_and_no_new_signature():
    points, ends = [(1, 1), (9, 9)], [(9, 1), (1, 9)]
    for p in forms(points):
        for s in forms(SQUARE):
            assert polygons.inside(p, s).tolist() == [True, False]
        assert polygons.crossings(p, ends, forms([(4, 0), (4, 4)])[2]).tolist() == [-1, 0]
        assert polygons.entry_times(p, ends, forms(SQUARE)[2])[0] == 0
    for kernel in (polygons._inside, polygons._crossings, polygons._entry_times):
        assert len(kernel.signatures) == 1


def test_nothing_in_nothing_out():
    assert polygons.inside([], SQUARE).shape == (0,)
    assert polygons.crossings([], [], [(0, 0), (1, 1)]).shape == (0,)


@pytest.mark.parametrize("bad", [[1, 2, 3], [(1, 2, 3)], np.zeros((2, 2, 2))])
def test_wrong_shapes_are_refused(bad):
    with pytest.raises(ValueError, match="shape"):
        polygons.inside(bad, SQUARE)
    with pytest.raises(ValueError, match="shape"):
        polygons.crossings(bad, bad, [(0, 0), (1, 1)])


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="1 starts, 2 ends"):
        polygons.crossings([(0, 0)], [(0, 0), (1, 1)], [(0, 0), (1, 1)])


def test_is_warmed():
    assert "perception.kernels.polygons" in MODULES
