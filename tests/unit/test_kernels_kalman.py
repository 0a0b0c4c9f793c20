import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perception.kernels import kalman
from tests import reference

WALK, ACCELERATION, NOISE, SPEED = 0.27, 1.03, 0.05, 1.9
px = st.floats(-2000, 2000)
side = st.floats(100, 200)
box = st.tuples(px, px, side, side)
dt = st.floats(0, 1)


def split(x, P):
    """Return the (20,) state of an (8,), (8, 8) one."""
    return np.concatenate(
        [[x[c], x[c + 4], P[c, c], P[c, c + 4], P[c + 4, c + 4]] for c in range(4)]
    )


@given(box, st.lists(st.tuples(dt, box), max_size=8))
def test_four_filters_are_the_8x8_filter(first, history):
    state = kalman.begin(first, NOISE, SPEED)
    x, P = reference.kalman_begin(first, NOISE, SPEED)
    for dt_s, seen in history:
        state = kalman.predict(state, dt_s, WALK, ACCELERATION)
        x, P = reference.kalman_predict(x, P, dt_s, WALK, ACCELERATION)
        np.testing.assert_allclose(state, split(x, P), rtol=1e-6, atol=1e-4)
        state = kalman.correct(state, seen, NOISE)
        x, P = reference.kalman_correct(x, P, seen, NOISE)
        np.testing.assert_allclose(state, split(x, P), rtol=1e-6, atol=1e-4)
        blocks = np.kron(np.ones((2, 2)), np.eye(4)) != 0
        assert np.abs(P[~blocks]).max() < 1e-6 * np.abs(P).max()


def test_no_time_changes_nothing():
    state = kalman.correct(kalman.begin((5, 6, 10, 20), NOISE, SPEED), (6, 6, 10, 20), NOISE)
    np.testing.assert_array_equal(kalman.predict(state, 0.0, WALK, ACCELERATION), state)


def test_two_half_steps_are_one_step():
    state = kalman.begin((5, 6, 10, 20), NOISE, SPEED)
    state[[1, 6]] = 30, -10
    once = kalman.predict(state, 0.5, WALK, ACCELERATION)
    twice = kalman.predict(
        kalman.predict(state, 0.25, WALK, ACCELERATION), 0.25, WALK, ACCELERATION
    )
    np.testing.assert_allclose(twice, once, rtol=1e-12)


def test_warp_turns_and_scales():
    state = kalman.begin((5, 6, 10, 20), NOISE, SPEED)
    state[[1, 6]] = 30, -10
    out = kalman.warp(state, [[0, -2, 100], [2, 0, 50]])
    assert out[[0, 5, 10, 15]].tolist() == [100 - 12, 50 + 10, 20, 40]
    assert out[[1, 6]].tolist() == [20, 60]
    assert out[2] == pytest.approx(4 * state[7])
    np.testing.assert_array_equal(kalman.warp(state, np.eye(2, 3)), state)


def test_every_form_of_input_uses_the_one_signature():
    plain = np.arange(1.0, 21.0)
    strided = np.repeat(plain, 2)[::2]
    frozen = plain.copy()
    frozen.flags.writeable = False
    want = kalman.predict(plain, 0.1, WALK, ACCELERATION)
    for form in (strided, frozen, plain.astype(np.float32), plain.tolist()):
        np.testing.assert_array_equal(kalman.predict(form, 0.1, WALK, ACCELERATION), want)
    assert plain.tolist() == np.arange(1.0, 21.0).tolist()
    for kernel in (kalman._predict, kalman._correct, kalman._begin, kalman._warp):
        assert len(kernel.signatures) == 1
    with pytest.raises(ValueError, match="shape"):
        kalman.predict(plain[:8], 0.1, WALK, ACCELERATION)
