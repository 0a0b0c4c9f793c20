import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.kernels import tracking
from perception.kernels.tracking import step
from perception.trackers import tracker_class
from perception.trackers.two_stage import MAX_DETECTIONS, TwoStageOptions, TwoStageTracker
from perception.wire import (
    CONFIRMED,
    LOST,
    REMOVED,
    TENTATIVE,
    Detections,
    Tracks,
    short_id,
)

MS = 1_000_000


def seen(*rows):
    """Detections of rows x1, y1, x2, y2 and, if given, score and class."""
    full = [(*r, *(0.9, 0)[len(r) - 4 :]) for r in rows]
    return Detections.of([r[:4] for r in full], [r[4] for r in full], [r[5] for r in full])


def check_sane(tracks: Tracks):
    m = len(tracks)
    for name in Tracks.__slots__:
        column = getattr(tracks, name)
        assert len(column) == m
        assert np.isfinite(column).all()
        assert column.flags.c_contiguous
        assert column.flags.writeable
    assert (np.diff(tracks.track_ids) > 0).all()
    assert (tracks.boxes[:, 2:] > tracks.boxes[:, :2]).all()
    assert (tracks.ages_s >= 0).all()
    assert (tracks.unseen_s >= 0).all()
    rows = tracks.detection_rows[tracks.detection_rows >= 0]
    assert len(set(rows.tolist())) == len(rows)


def walk(tracker, frames, step_ms=33, start=0):
    out = []
    for i, detections in enumerate(frames):
        out.append(tracker.update(detections, (start + i * step_ms) * MS))
        check_sane(out[-1])
    return out


def test_one_walker_is_one_track_with_its_speed():
    tracker = TwoStageTracker(epoch=7)
    frames = [seen((10 + 3 * i, 20, 60 + 3 * i, 140)) for i in range(40)]
    last = walk(tracker, frames, step_ms=100)[-1]
    assert last.track_ids.tolist() == [7 << 32 | 1]
    assert last.states.tolist() == [CONFIRMED]
    np.testing.assert_allclose(last.rates[0], [30, 0, 0, 0], atol=1)
    np.testing.assert_allclose(last.boxes[0], [127, 20, 177, 140], atol=1)
    assert last.ages_s[0] == pytest.approx(3.9)
    assert last.unseen_s[0] == 0
    assert last.detection_rows.tolist() == [0]


def test_seconds_not_frames():
    """The same movement at 30 Hz, at 10 Hz and with gaps gives the same speed and one id."""
    for times in (range(0, 3000, 33), range(0, 3000, 100), [0, 33, 100, 400, 450, 900, 933, 1400]):
        tracker = TwoStageTracker()
        for t in times:
            x = 0.06 * t
            tracks = tracker.update(seen((x, 0, x + 50, 120)), t * MS)
        assert tracks.track_ids.tolist() == [1]
        assert tracks.rates[0, 0] == pytest.approx(60, abs=6)


def test_lost_then_found_then_removed_once():
    options = TwoStageOptions()
    tracker = TwoStageTracker(options)
    walk(tracker, [seen((10, 10, 60, 130))] * 30)
    gone = walk(tracker, [Detections.none()] * 10, start=30 * 33)
    assert [t.states.tolist() for t in gone[:3]] == [[CONFIRMED], [CONFIRMED], [LOST]]
    assert gone[-1].states.tolist() == [LOST]
    assert gone[-1].unseen_s[0] == pytest.approx(0.33)
    assert gone[-1].detection_rows.tolist() == [-1]
    back = walk(tracker, [seen((10, 10, 60, 130))], start=40 * 33)[-1]
    assert (back.states[0], short_id(int(back.track_ids[0]))) == (CONFIRMED, 1)
    empty = walk(tracker, [Detections.none()] * 200, start=41 * 33)
    states = [t.states.tolist() for t in empty]
    removed = states.index([REMOVED])
    assert removed * 0.033 == pytest.approx(options.lost_s, abs=0.07)
    assert all(s == [LOST] for s in states[3:removed])
    assert all(s == [] for s in states[removed + 1 :])


def test_gates_open_as_frames_lie_further_apart():
    for step_ms, ids in ((33, [1, 2]), (100, [1, 2]), (400, [1])):
        tracker = TwoStageTracker()
        walk(tracker, [seen((10, 10, 70, 130))] * 10, step_ms)
        tracks = walk(tracker, [seen((55, 10, 115, 130))], start=10 * step_ms)[-1]
        assert [short_id(int(i)) for i in tracks.track_ids] == ids


def test_low_scores_keep_a_track_but_start_none():
    tracker = TwoStageTracker()
    walk(tracker, [seen((10, 10, 60, 130))] * 10)
    faint = walk(
        tracker, [seen((10, 10, 60, 130, 0.3, 0), (300, 10, 360, 130, 0.3, 0))] * 5, 33, 330
    )
    assert all(t.states.tolist() == [CONFIRMED] for t in faint)
    assert faint[-1].scores[0] == pytest.approx(0.3)


def test_a_double_starts_no_track():
    walker, double = (10, 10, 60, 130, 0.9, 0), (12, 14, 64, 140, 0.8, 0)
    neighbour, other_class = (30, 10, 80, 130, 0.8, 0), (12, 14, 64, 140, 0.8, 1)
    for box, tracks in ((double, 1), (neighbour, 2), (other_class, 2)):
        tracker = TwoStageTracker()
        walk(tracker, [seen(walker)] * 5)
        assert len(walk(tracker, [seen(walker, box)], start=5 * 33)[-1]) == tracks


@pytest.mark.parametrize(("trust_s", "winner"), [(2.0, 1), (1e-6, 2)])
def test_of_two_tracks_the_older_one_has_the_better_claim(trust_s, winner):
    """Two stand side by side, one of them new; then one box is left, nearer to the new one."""
    tracker = TwoStageTracker(TwoStageOptions(trust_s=trust_s))
    walk(tracker, [seen((100, 100, 160, 280))] * 60)
    walk(tracker, [seen((100, 100, 160, 280), (136, 100, 196, 280))] * 6, start=60 * 33)
    tracks = tracker.update(seen((120, 100, 180, 280)), 66 * 33 * MS)
    assert [short_id(int(i)) for i in tracks.track_ids[tracks.detection_rows == 0]] == [winner]


@pytest.mark.parametrize(("gate_rise", "is_back"), [(0.5, False), (0.0, True)])
def test_among_others_a_weak_box_brings_nobody_back(gate_rise, is_back):
    """One is out of sight for a second; then a box of low score shows up, another track upon it."""
    for other, back in (((150, 100, 210, 280), is_back), ((400, 100, 460, 280), True)):
        tracker = TwoStageTracker(TwoStageOptions(gate_rise=gate_rise))
        walk(tracker, [seen((100, 100, 160, 280), other)] * 30)
        walk(tracker, [seen(other)] * 30, start=30 * 33)
        tracks = tracker.update(seen((108, 100, 168, 280, 0.3), other), 60 * 33 * MS)
        assert short_id(int(tracks.track_ids[0])) == 1
        assert (tracks.detection_rows[0] == 0) == back


LEFT = np.array([1400, 1490, 1600, 1680, 1795, 1890, 1985, 2100])
TOP = 600 + np.arange(8) % 3 * 8


def crowd(dx=0, dy=0):
    """Eight people, moved by dx, dy px."""
    x, y = LEFT + dx, TOP + dy
    return seen(*np.stack((x, y, x + 60, y + 180), axis=1).tolist())


def panned(dx=-12, dy=0):
    """A tracker that saw the crowd in 60 frames of a camera that pans, and its last result."""
    tracker = TwoStageTracker()
    return tracker, walk(tracker, [crowd(dx * k, dy * k) for k in range(60)])[-1]


@pytest.mark.parametrize(("dx", "dy"), [(-12, 0), (-9, 12)])
def test_over_a_gap_the_camera_moves_on(dx, dy):
    """A pan shifts all by about the way to the next one while no frame comes; who is who stays."""
    tracker, before = panned(dx, dy)
    assert abs(before.rates[:, :2]).max() < 60, "the pan is not taken for their own speed"
    for k, frame in ((67, 67), (75, 75), (75, 83)):  # a gap, another one, and one the camera stands
        tracks = tracker.update(crowd(dx * k, dy * k), frame * 33 * MS)
        check_sane(tracks)
        assert tracks.track_ids.tolist() == before.track_ids.tolist()
        assert tracks.detection_rows.tolist() == list(range(8))


@pytest.mark.parametrize("gap", [5, 7, 12, 18])
@pytest.mark.parametrize("graze", [5, 30])
def test_one_box_moves_no_camera(gap, graze):
    """The pan has stopped in a gap; in the way of where one would be now there is something."""
    tracker, before = panned()
    still, t = -12 * 59, 59 + gap
    x = LEFT[0] + still - 12 * gap
    something = seen((x - 60 + graze, 600, x + graze, 780))
    tracker.update(something, t * 33 * MS)
    tracks = tracker.update(crowd(still), (t + 1) * 33 * MS)
    assert set(before.track_ids.tolist()) <= set(tracks.track_ids[tracks.detection_rows >= 0])


@pytest.mark.parametrize("is_cut", [True, False], ids=["cut", "all have left"])
def test_a_pan_ends_with_its_scene(is_cut):
    tracker, _ = panned()
    t = 60 * 33
    if is_cut:
        tracker.end_all()
    for _ in range(100):
        tracker.update(seen(), t * MS)
        t += 33
    tracker.update(seen((500, 600, 560, 780)), (t + 200) * MS)
    # The pace that has ended would bring the first one here.
    tracks = tracker.update(seen((427, 600, 487, 780)), (t + 400) * MS)
    assert len(tracks) == 2


def test_a_clear_box_is_confirmed_at_once():
    """Scored above .9, over no track that is missing, hardly over one that is in sight."""
    still, gone = (100, 100, 160, 280), (400, 100, 460, 280)
    for box, is_sure in (
        ((700, 100, 760, 280, 0.95), True),
        ((700, 100, 760, 280, 0.85), False),
        ((130, 100, 190, 280, 0.95), False),
        ((136, 100, 196, 280, 0.95), True),
        ((455, 120, 515, 300, 0.95), False),
        ((465, 120, 525, 300, 0.95), True),
    ):
        cases = (({}, is_sure), ({"sure_score": 1.0}, False), ({"confirm_s": 0.1}, False))
        for options, sure in cases:
            tracker = TwoStageTracker(TwoStageOptions(**options))
            walk(tracker, [seen(still, gone)] * 20)
            walk(tracker, [seen(still)] * 3, start=20 * 33)
            tracks = tracker.update(seen(still, box), 23 * 33 * MS)
            assert [short_id(int(i)) for i in tracks.track_ids] == [1, 2, 3]
            assert (tracks.states[2] == CONFIRMED) == sure, (box, options)


def test_of_two_boxes_on_one_another_one_is_confirmed_at_once():
    tracker = TwoStageTracker()
    walk(tracker, [seen((100, 100, 160, 280))] * 5)
    both = (700, 100, 760, 280, 0.95), (705, 100, 770, 285, 0.93)
    tracks = tracker.update(seen((100, 100, 160, 280), *both), 5 * 33 * MS)
    assert tracks.states.tolist() == [CONFIRMED, CONFIRMED, TENTATIVE]


def test_who_just_failed_is_missing_and_who_was_cut_off_is_not():
    still, here = (100, 100, 160, 280), (110, 100, 170, 280, 0.95)
    tracker = TwoStageTracker()
    walk(tracker, [seen(still)] * 20)
    tracker.update(seen(still, (700, 100, 760, 280, 0.75)), 20 * 33 * MS)
    tracks = tracker.update(seen(still, (750, 100, 810, 280, 0.95)), 21 * 33 * MS)
    assert tracks.states.tolist() == [CONFIRMED, REMOVED, TENTATIVE]
    tracker.end_all()
    tracks = tracker.update(seen(here), 22 * 33 * MS)
    assert tracks.states.tolist() == [REMOVED, REMOVED, CONFIRMED]


def test_a_flash_is_given_up_soon():
    """Seen once, .2 s; seen twice, as long as any track."""
    for times, most_s in ((1, 0.2), (2, 2.0)):
        tracker = TwoStageTracker()
        tracker.update(seen(), 0)
        walk(tracker, [seen((700, 100, 760, 280, 0.95))] * times, start=33)
        later = walk(tracker, [seen()] * 70, start=33 + 33 * times)
        longest = max(t.unseen_s[0] for t in later if len(t) and t.states[0] != REMOVED)
        assert most_s - 0.034 < longest <= most_s


def test_who_is_covered_is_believed_longer():
    """Lost after .075 s in the open, after .2 s behind somebody."""
    one = (104, 110, 150, 250)
    for other, frames in (((106, 100, 160, 280), 6), ((400, 100, 460, 280), 2)):
        tracker = TwoStageTracker()
        walk(tracker, [seen(one, other)] * 30)
        later = walk(tracker, [seen(other)] * 8, start=30 * 33)
        assert [int(t.states[0]) for t in later] == [CONFIRMED] * frames + [LOST] * (8 - frames)
        assert all(t.states[1] == CONFIRMED for t in later)


def test_classes_do_not_mix_unless_asked():
    for mix, ids in ((False, 2), (True, 1), ([[2, 5, 7]], 1), ([[2, 5], [7]], 2)):
        tracker = TwoStageTracker(TwoStageOptions(mix_classes=mix))
        # An overlap of .5: with .7 it would be one object whose class the detector changed.
        walk(tracker, [seen((10, 10, 110, 80, 0.9, 2))] * 10)
        tracks = walk(tracker, [seen((43, 10, 143, 80, 0.9, 7))] * 3, start=330)[-1]
        assert len(tracks) == ids
        if ids == 1:
            assert tracks.class_ids.tolist() == [2]
            tracks = walk(tracker, [seen((43, 10, 143, 80, 0.9, 7))] * 20, start=430)[-1]
            assert tracks.class_ids.tolist() == [7]


def test_warp_carries_tracks_along():
    tracker = TwoStageTracker()
    walk(tracker, [seen((100, 100, 150, 220))] * 10)
    shift = np.array([[1, 0, 200], [0, 1, -40]], np.float32)
    tracks = tracker.update(seen((300, 60, 350, 180)), 330 * MS, shift)
    assert tracks.track_ids.tolist() == [1]
    np.testing.assert_allclose(tracks.rates[0], 0, atol=1)
    for bad in (np.full((2, 3), np.nan), np.zeros((2, 3)), np.eye(2, 3) * 50):
        check_sane(tracker.update(seen((300, 60, 350, 180)), 363 * MS, bad))
    assert tracker.counters["bad_warp"] == 3


def test_bad_boxes_are_counted():
    tracker = TwoStageTracker()
    tracks = tracker.update(
        seen(
            (np.nan, 0, 10, 10),
            (0, 0, np.inf, 10),
            (10, 10, 5, 20),
            (10, 10, 10, 20),
            (30, 30, 60, 90),
            (30, 30, 60, 90),
            (-1e9, 0, 50, 1e30),
            (0, 0, 10, 10, np.nan, 0),
        ),
        0,
    )
    check_sane(tracks)
    assert len(tracks) == 2
    counts = tracker.counters
    assert counts["not_finite"] == 3
    assert counts["degenerate"] == 2
    assert counts["duplicate"] == 1
    assert counts["clipped"] == 2


@pytest.mark.parametrize("n", [5_000, 100_000])
def test_thousands_of_boxes(n):
    rng = np.random.default_rng(0)
    corners = rng.random((n, 2)) * 4000
    tracker = TwoStageTracker()
    for i in range(3):
        boxes = np.hstack((corners, corners + 20)) + i
        tracks = tracker.update(Detections.of(boxes, rng.random(n), np.zeros(n)), i * 33 * MS)
        check_sane(tracks)
    assert len(tracks) <= 10_000
    assert tracker.counters["over_limit"] == 3 * (n - MAX_DETECTIONS)


def test_a_crowd_comes_and_goes():
    """Room grows for a crowd and shrinks again; who was there before keeps the id."""
    rng = np.random.default_rng(5)
    tracker, here = TwoStageTracker(), np.array([[10, 10, 60, 130]])
    crowd = np.tile(200 + rng.random((4_500, 2)) * 6_000, 2) + np.array([0, 0, 30, 80])
    for i, boxes in enumerate((here, np.vstack((here, crowd)), here) * 2):
        detections = Detections.of(boxes, np.full(len(boxes), 0.9), np.zeros(len(boxes)))
        tracks = tracker.update(detections, i * 33 * MS)
        check_sane(tracks)
        assert short_id(int(tracks.track_ids[0])) == 1
        assert tracks.detection_rows[0] == 0


def test_time_that_stands_still_goes_back_or_jumps():
    tracker = TwoStageTracker()
    box = seen((10, 10, 60, 130))
    walk(tracker, [box] * 5)
    for t_ms, counter in ((132, "time_still"), (50, "time_back")):
        tracks = tracker.update(box, t_ms * MS)
        check_sane(tracks)
        assert tracks.states.tolist() == [CONFIRMED]
        assert tracker.counters[counter] == 1
    tracks = tracker.update(box, 3_600_000 * MS)
    check_sane(tracks)
    assert tracker.counters["time_gap"] == 1
    assert REMOVED in tracks.states.tolist()


@pytest.mark.parametrize("form", ["read-only", "strided", "float64", "list"])
def test_every_form_of_input(form):
    boxes = np.array([[10, 10, 60, 130], [200, 10, 260, 130]], np.float32)
    scores, classes = np.array([0.9, 0.8], np.float32), np.zeros(2, np.int32)
    want = walk(TwoStageTracker(), [Detections(boxes, scores, classes)] * 3)[-1]
    if form == "read-only":
        for a in (boxes, scores, classes):
            a.flags.writeable = False
    elif form == "strided":
        boxes, scores, classes = (np.repeat(a, 2, axis=0)[::2] for a in (boxes, scores, classes))
    elif form == "float64":
        boxes, scores, classes = boxes.astype(float), scores.astype(float), classes.astype(float)
    else:
        boxes, scores, classes = boxes.tolist(), scores.tolist(), classes.tolist()
    got = walk(TwoStageTracker(), [Detections(boxes, scores, classes)] * 3)[-1]
    for name in Tracks.__slots__:
        np.testing.assert_allclose(getattr(got, name), getattr(want, name), rtol=1e-6)
    assert len(step.signatures) == 1


wild = st.one_of(
    st.floats(-50, 300, width=32),
    st.floats(width=32),
    st.sampled_from([0.0, 100.0, np.nan, np.inf, -np.inf, 3e38]),
)
wild_row = st.tuples(wild, wild, wild, wild, st.floats(-1, 2, width=32), st.integers(-5, 90))
tame_row = st.tuples(
    *[st.floats(0, 100)] * 2, *[st.floats(101, 200)] * 2, st.floats(0, 1), st.integers(0, 2)
)
times = st.one_of(
    st.integers(0, 200 * MS), st.sampled_from([0, -1, -(10**9), 3600 * 10**9, -3600 * 10**9])
)
affine = st.one_of(
    st.none(),
    st.lists(wild, min_size=6, max_size=6).map(lambda v: np.reshape(v, (2, 3))),
    st.just(np.array([[1, 0.01, 5], [-0.01, 1, -3]], np.float32)),
)
history = st.lists(
    st.tuples(st.lists(st.one_of(wild_row, tame_row), max_size=8), times, affine), max_size=15
)


@settings(deadline=None)
@given(history, st.booleans())
def test_any_history_is_survived_and_repeated_exactly(frames, mix):
    def play():
        tracker, t, out = TwoStageTracker(TwoStageOptions(mix_classes=mix), epoch=1), 0, []
        for rows, gone, warp in frames:
            t += gone
            with np.errstate(all="ignore"):
                tracks = tracker.update(seen(*rows), t, warp, dropped=1)
            check_sane(tracks)
            assert len(tracks) <= 10_000
            out.append(b"".join(getattr(tracks, n).tobytes() for n in Tracks.__slots__))
        assert all(v >= 0 for v in tracker.counters.values())
        return out

    assert play() == play()


def test_order_of_detections_does_not_matter():
    rng = np.random.default_rng(4)
    corners = rng.random((40, 2)) * 600
    sorted_, shuffled = TwoStageTracker(), TwoStageTracker()
    for i in range(20):
        boxes = np.hstack((corners, corners + np.array((40, 90)))) + rng.normal(0, 2, (40, 4))
        scores, order = rng.uniform(0.3, 1, 40), rng.permutation(40)
        a = sorted_.update(Detections.of(boxes, scores, np.zeros(40)), i * 33 * MS)
        b = shuffled.update(Detections.of(boxes[order], scores[order], np.zeros(40)), i * 33 * MS)
        for name in Tracks.__slots__:
            if name != "detection_rows":
                np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        seen = b.detection_rows >= 0
        assert (order[b.detection_rows[seen]] == a.detection_rows[seen]).all()


def test_a_shaking_camera_keeps_its_ids():
    """Eight walkers and a picture that jumps by half a person every frame: no affine is given."""
    rng = np.random.default_rng(6)
    tracker = TwoStageTracker()
    places = np.column_stack((np.arange(8) * 150.0, rng.random(8) * 300))
    for i in range(60):
        at = places + (rng.normal(0, 12, 2) if i > 10 else 0.0)
        boxes = np.hstack((at, at + np.array((40, 100))))
        tracks = tracker.update(Detections.of(boxes, np.full(8, 0.9), np.zeros(8)), i * 33 * MS)
        places += [1.0, 0.0]
    assert [short_id(int(i)) for i in tracks.track_ids] == list(range(1, 9))


def test_numbas_cache_is_renewed_when_an_inner_kernel_changes():
    digest = hashlib.sha256()
    folder = Path(tracking.__file__).parent
    for name in ("assignment", "association", "kalman", "track_*"):
        for path in sorted(folder.glob(f"{name}.py")):
            digest.update(path.read_bytes())
    assert digest.hexdigest()[:12] == tracking.BUILT_FROM


def test_the_table_names_it():
    assert tracker_class("two_stage") is TwoStageTracker


def test_every_row_has_its_place():
    """Compiled code checks no bounds: here the same code runs as plain Python, which does."""
    code = """
import numpy as np
from perception.wire import Detections
from perception.trackers.two_stage import TwoStageTracker
for n in (127, 128, 129, 255, 256, 257, 511, 512, 513):
    tracker = TwoStageTracker()
    corner = np.stack(np.divmod(np.arange(n), 32), axis=1) * 50.0
    for frame, pan in ((0, 0), (1, 6), (2, 12), (3, 18), (11, 66)):
        boxes = np.hstack((corner, corner + 30)) + pan
        seen = Detections.of(boxes, np.full(n, 0.95), np.zeros(n))
        tracks = tracker.update(seen, frame * 40_000_000)
    assert len(tracks) == n and (np.diff(tracks.track_ids) > 0).all(), n
"""
    subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        cwd=Path(__file__).parents[2],
        check=True,
        timeout=100,
    )


def test_a_sure_box_that_vanishes_again_and_again_is_no_longer_sure():
    """Of 21 false boxes with a score of .95, each in one frame, a few are confirmed, then none."""
    tracker, confirmed = TwoStageTracker(), 0
    still = (100, 100, 160, 280)
    walk(tracker, [seen(still)] * 5)
    for n in range(21):
        x = 300 + 100 * (n % 5)
        tracks = tracker.update(seen(still, (x, 300, x + 60, 480, 0.95)), (5 + 3 * n) * 33 * MS)
        confirmed += int((tracks.states[1:] == CONFIRMED).sum())
        for k in (1, 2):
            tracker.update(seen(still), (5 + 3 * n + k) * 33 * MS)
    assert confirmed <= 4, "failures count once their tracks are removed, after .2 s"


def test_sure_boxes_that_come_again_stay_sure():
    tracker, confirmed = TwoStageTracker(), 0
    still = (100, 100, 160, 280)
    walk(tracker, [seen(still)] * 5)
    for n in range(21):
        box = (300 + 100 * (n % 5), 300, 360 + 100 * (n % 5), 480, 0.95)
        start = 5 + 70 * n
        tracks = tracker.update(seen(still, box), start * 33 * MS)
        confirmed += int(tracks.states[-1] == CONFIRMED)
        for k in range(1, 70):
            tracker.update(seen(still, box) if k < 3 else seen(still), (start + k) * 33 * MS)
    assert confirmed == 21


def test_scores_above_one_are_one_and_counted():
    """A score of 1e9 takes no box of another track at a slight overlap."""
    a, b = (100, 100, 160, 280), (156, 100, 216, 280)
    honest, boasting = TwoStageTracker(), TwoStageTracker()
    for n in range(10):
        honest.update(seen((*a, 0.9), (*b, 1.0)), n * 33 * MS)
        boasting.update(seen((*a, 0.9), (*b, 1e9)), n * 33 * MS)
    last = [t.update(seen((*b, s)), 10 * 33 * MS) for t, s in ((honest, 1.0), (boasting, 1e9))]
    assert last[0].states.tolist() == last[1].states.tolist()
    assert last[0].detection_rows.tolist() == last[1].detection_rows.tolist() == [-1, 0]
    assert boasting.counters["clipped"] == 11
    assert last[1].scores.max() <= 1.0


@pytest.mark.parametrize("wrong", ["time", "warp", "shape"])
def test_a_call_that_raises_changes_nothing(wrong):
    box = (100, 100, 160, 280)
    one, other = TwoStageTracker(), TwoStageTracker()
    for tracker in (one, other):
        walk(tracker, [seen(box)] * 5)
    found = seen(box)
    t_ns = float("nan") if wrong == "time" else 5 * 33 * MS
    warp = np.eye(3, dtype=np.float32) if wrong == "warp" else None
    if wrong == "shape":
        found = Detections(found.boxes, found.scores[:0], found.class_ids)
    with pytest.raises(ValueError, match="NaN" if wrong == "time" else "shape|agree"):
        one.update(found, t_ns, warp)
    for n in (5, 6):
        moved = seen((100 + n, 100, 160 + n, 280))
        a, b = (t.update(moved, n * 33 * MS) for t in (one, other))
        assert a.boxes.tobytes() == b.boxes.tobytes()
        assert a.ages_s.tobytes() == b.ages_s.tobytes()


@pytest.mark.parametrize(
    ("warp", "is_motion"),
    [
        ([[1, 0, 5], [0, 1, 0]], True),
        ([[0.9, 0.3, 5], [-0.3, 0.9, 0]], True),
        ([[1, 5, 0], [0, 1, 0]], False),
        ([[3, 0, 0], [0, 0.4, 0]], False),
        ([[-1, 0, 0], [0, 1, 0]], False),
        ([[1, 0, 1e6], [0, 1, 0]], False),
        ([[np.nan, 0, 0], [0, 1, 0]], False),
    ],
)
def test_a_warp_that_no_camera_makes_is_refused_and_counted(warp, is_motion):
    tracker = TwoStageTracker()
    walk(tracker, [seen((100, 100, 160, 280))] * 3)
    tracker.update(seen((100, 100, 160, 280)), 99 * MS, np.array(warp, np.float32))
    assert tracker.counters["bad_warp"] == (not is_motion)


def test_a_low_score_above_the_high_one_is_refused():
    with pytest.raises(ValueError, match=r"low_score 0\.7 is above high_score 0\.6"):
        TwoStageOptions(low_score=0.7)


def test_a_class_that_flips_does_not_double_the_object():
    tracker = TwoStageTracker()
    for n in range(40):
        box = np.array([[100 + 2 * n, 100, 260 + 2 * n, 200]], np.float32)
        tracks = tracker.update(Detections.of(box, [0.9], [2 if n % 2 else 7]), n * 33 * MS)
        assert len(tracks) == 1, n
    assert short_id(int(tracks.track_ids[0])) == 1


def test_confirm_s_is_seconds_of_media_time():
    tracker = TwoStageTracker(TwoStageOptions(confirm_s=0.3, sure_score=1.0))
    said = walk(tracker, [seen((10, 10, 40, 90))] * 6, step_ms=100)
    assert [int(tracks.states[0]) for tracks in said] == [TENTATIVE] * 3 + [CONFIRMED] * 3
