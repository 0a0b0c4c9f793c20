"""The kernels of lanes against slow twins and against ridges whose place is known."""

import numpy as np
import pytest

from perception.kernels import lanes as kernels

RNG = np.random.default_rng(5)
LEAST = 8.0371
"""No response of small integers is so near to it that float32 and float64 disagree."""


def slow_ridges(rows, below, across, least):
    """Say the same as kernels.ridges: one response for each px, then one ridge for each run."""
    found = []
    for r, row in enumerate(rows.astype(float)):
        half = max(1, int(np.floor(across * below[r] / 2 + 0.5)))
        core, gap = max(1, (half + 1) // 2), half + 1 + half // 2
        reach = gap + 2 * half + 1
        if 2 * reach >= len(row):
            continue
        response = np.zeros(len(row))
        for x in range(reach, len(row) - reach):
            middle = row[x - core + 1 : x + core].mean()
            left = row[x - gap - 2 * half : x - gap + 1].mean()
            right = row[x + gap : x + gap + 2 * half + 1].mean()
            value = middle - max(left, right) - 0.5 * abs(left - right)
            response[x] = value if value >= least else 0.0
        kept, x = 0, 0
        while x < len(row) and kept < kernels.MAX_IN_ROW:
            run = x
            while run < len(row) and response[run] > 0:
                run += 1
            if run > x and run - x <= 3 * half + 2:
                weights = response[x:run]
                found.append(
                    (r, (weights * np.arange(x, run)).sum() / weights.sum(), weights.max())
                )
                kept += 1
            x = run + 1
    return np.array(found).reshape(-1, 3)


def slow_vote(points, ways, width, height):
    """Say the same as kernels.vote."""
    scores = []
    for vx, vy, c in ways:
        bins = np.zeros(kernels.BINS)
        for x, y, weight in points:
            d = y - vy
            if d < kernels.NEAREST * height:
                continue
            foot = vx + (x - vx - c / d) / d * (height - vy)
            at = (foot + width) * (kernels.BINS - 1) / (3 * width)
            low = int(np.floor(at))
            if 0 <= low < kernels.BINS - 1:
                bins[low] += weight * (low + 1 - at)
                bins[low + 1] += weight * (at - low)
        smooth = np.convolve(bins, [1, 2, 1], "valid")
        scores.append((smooth**2).sum())
    return np.array(scores)


def slow_chains(points):
    """Say the same as kernels.chains."""
    chains, labels = [], []
    ys = sorted(set(points[:, 1]))
    for p, (x, y, _) in enumerate(points):
        at = ys.index(y)
        best, cost = None, 1.0
        for chain in chains:
            last = chain[-1]
            if at == 0 or points[last, 1] != ys[at - 1]:
                continue
            lx, ly = points[last, :2]
            down = y - ly
            if len(chain) >= 2:
                fx, fy = points[chain[0], :2]
                slope = (lx - fx) / (ly - fy)
                miss = abs(x - lx - slope * down)
                room = kernels.MISS_PX + 0.25 * abs(slope) * down * 2 / len(chain)
            else:
                miss, room = abs(x - lx), kernels.MISS_PX + kernels.MAX_SLOPE * down
            if miss / room < cost:
                best, cost = chain, miss / room
        if best is None:
            chains.append([p])
        else:
            best.append(p)
    labels = np.zeros(len(points), int)
    for chain in chains:
        labels[chain] = chain[0]
    return labels, {c[0]: (*points[c[0], :2], *points[c[-1], :2], len(c)) for c in chains}


@pytest.mark.parametrize("seed", range(6))
def test_ridges_are_those_of_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    rows = rng.integers(60, 90, (9, 240)).astype(np.uint8)
    for r in range(9):
        for x in rng.integers(0, 230, 3):
            rows[r, x : x + 2 + r] = rng.integers(90, 255)
    below = np.linspace(8, 120, 9)
    fast = kernels.ridges(rows, below, 0.1, LEAST)
    slow = slow_ridges(rows, below, 0.1, LEAST)
    assert fast.shape == slow.shape
    np.testing.assert_allclose(fast, slow, rtol=1e-4, atol=1e-3)
    assert len(fast)


def test_a_stripe_is_one_ridge_in_its_middle():
    rows = np.full((1, 200), 70, np.uint8)
    rows[0, 100:111] = 170
    (found,) = kernels.ridges(rows, np.array([110.0]), 0.1, 8.0)
    assert found[1] == pytest.approx(105, abs=0.1)
    assert found[2] == pytest.approx(100, abs=1)


@pytest.mark.parametrize("edge", [[(0, 100, 170)], [(60, 140, 170)], [(100, 101, 170)]])
def test_an_edge_a_wide_band_and_a_speck_are_no_markings(edge):
    rows = np.full((1, 200), 70, np.uint8)
    for start, end, value in edge:
        rows[0, start:end] = value
    found = kernels.ridges(rows, np.array([220.0]), 0.1, 20.0)
    assert len(found) == 0


def test_no_rows_have_no_ridges():
    assert kernels.ridges(np.zeros((0, 50), np.uint8), np.zeros(0), 0.1, 8.0).shape == (0, 3)


@pytest.mark.parametrize("count", [0, 1, 80])
def test_votes_are_those_of_the_slow_twin(count):
    points = np.column_stack(
        [RNG.uniform(0, 640, count), RNG.uniform(150, 360, count), RNG.uniform(8, 40, count)]
    ).reshape(-1, 3)
    ways = np.array([[320.0, 170.0, 0.0], [300.0, 160.0, 400.0], [350.0, 180.0, -900.0]])
    fast = kernels.vote(points, ways, 640, 360)
    np.testing.assert_allclose(fast, slow_vote(points, ways, 640, 360), rtol=1e-9)


def test_the_road_that_is_there_has_most_votes():
    d = np.arange(20.0, 180.0, 4)
    points = np.vstack(
        [
            np.column_stack([330 + s * d + 500 / d, 170 + d, np.full(len(d), 20.0)])
            for s in (-1.2, 1.3)
        ]
    )
    ways = np.array([[330.0, 170.0, c] for c in (-500.0, 0.0, 500.0, 1000.0)])
    assert kernels.vote(points, ways, 640, 360).argmax() == 2


@pytest.mark.parametrize("seed", range(5))
def test_chains_are_those_of_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    points = []
    for y in range(100, 160, 3):
        points += [(200 + 1.5 * (y - 100) + rng.normal(0, 0.4), y, 20.0)]
        points += [(x, y, 9.0) for x in rng.uniform(0, 640, 3)]
    points = np.array(points)
    labels, ends = kernels.chains(points)
    slow, slow_ends = slow_chains(points)
    assert labels.tolist() == slow.tolist()
    for first, row in slow_ends.items():
        np.testing.assert_allclose(ends[first], row)


def test_a_line_is_one_chain():
    y = np.arange(100.0, 200.0, 4)
    points = np.column_stack([300 - 0.8 * (y - 100), y, np.full(len(y), 20.0)])
    labels, ends = kernels.chains(points)
    assert set(labels) == {0}
    np.testing.assert_allclose(ends[0], [300, 100, 300 - 0.8 * 96, 196, 25])
    empty, none = kernels.chains(np.zeros((0, 3)))
    assert (empty.shape, none.shape) == ((0,), (0, 5))
