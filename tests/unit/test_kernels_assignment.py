import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from perception.kernels import assignment, association
from tests import reference

tables = hnp.arrays(
    np.float64,
    st.tuples(st.integers(0, 9), st.integers(0, 9)),
    elements=st.one_of(st.floats(-1, 1), st.sampled_from([0.0, 0.5, 1.0, np.nan])),
)
corner = st.floats(0, 100, width=32)
boxes = st.lists(st.tuples(corner, corner, corner, corner), max_size=12).map(
    lambda rows: [(min(a, c), min(b, d), max(a, c) + 1, max(b, d) + 1) for a, b, c, d in rows]
)


@given(tables, st.sampled_from([0.0, 0.2, 0.5]))
def test_total_is_scipys(table, gate):
    rows, columns = assignment.assign(table, gate)
    assert (np.diff(rows) > 0).all()
    assert len(set(columns.tolist())) == len(columns)
    assert (table[rows, columns] > gate).all()
    total = (table[rows, columns] - gate).sum()
    assert total == pytest.approx(reference.best_total(table, gate), abs=1e-9)


@pytest.mark.parametrize("share", [1.0, 0.1, 0.02])
def test_large_tables_are_scipys(share):
    rng = np.random.default_rng(3)
    table = rng.random((150, 200)) * (rng.random((150, 200)) < share)
    rows, columns = assignment.assign(table, 0.1)
    total = (table[rows, columns] - 0.1).sum()
    assert total == pytest.approx(reference.best_total(table, 0.1), abs=1e-9)


def test_assignment_takes_every_form():
    plain = np.random.default_rng(1).random((5, 6)).astype(np.float32).astype(np.float64)
    frozen = plain.copy()
    frozen.flags.writeable = False
    want = assignment.assign(plain)
    for form in (frozen, np.asfortranarray(plain), plain.astype(np.float32), plain.tolist()):
        got = assignment.assign(form)
        assert [g.tolist() for g in got] == [w.tolist() for w in want]
    for empty in (np.zeros((0, 4)), np.zeros((4, 0)), []):
        assert [len(part) for part in assignment.assign(empty)] == [0, 0]
    assert len(assignment._assign.signatures) == 1


@given(boxes, boxes)
def test_sweep_finds_every_pair_once(a, b):
    pairs, overlaps = association.overlapping_pairs(a, b)
    want = reference.overlapping_pairs(a, b)
    keys = [tuple(p) for p in pairs.tolist()]
    assert sorted(keys) == sorted(want)
    for key, overlap in zip(keys, overlaps.tolist(), strict=True):
        assert overlap == pytest.approx(want[key], rel=1e-9)


def test_sweep_of_a_heap_and_of_nothing():
    heap = np.tile([0.0, 0.0, 10.0, 10.0], (50, 1)) + np.arange(50)[:, None] / 10
    pairs, _ = association.overlapping_pairs(heap, heap)
    assert len(pairs) == 2500
    assert [len(part) for part in association.overlapping_pairs([], heap)] == [0, 0]
    assert len(association._sweep.signatures) == 1
