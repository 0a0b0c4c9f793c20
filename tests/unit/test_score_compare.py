"""One result against another: better, worse, or cannot tell (E3)."""

import numpy as np
import pytest

from perception.score.card import Boxes, Difference, score_boxes
from perception.score.comparing import (
    CANNOT_TELL,
    WORSE,
    Blocks,
    compare_boxes,
    cut,
    difference,
)
from perception.score.labels import Labels
from perception.score.matching import average_precision, match
from perception.score.pairing import pair
from perception.score.precision import precision
from perception.score.tracking import Judge, tracking
from tests.labelled import FPS, result_of, walkers

pytest.importorskip("faster_coco_eval", reason="extra: eval")
pytest.importorskip("trackeval", reason="extra: eval")
SEEDS = 100


def boxes(truth: Labels, result: Labels) -> Boxes:
    return score_boxes(pair(truth, result))


@pytest.mark.parametrize("seed", range(4))
def test_the_matching_is_the_librarys(seed: int) -> None:
    """Each class's average precision by our matches is faster-coco-eval's, ignored labels too."""
    truth, result = walkers(seed), result_of(walkers(seed), seed + 50)
    truth.ignored[truth.tracks == 3] = True
    both = pair(truth, result)
    wanted = precision(both).by_class
    for k, left, right in both.classes():
        found = match(left, right)
        count = np.array([(~left.ignored).sum()], np.float64)
        (ours,) = average_precision(found, count, np.ones((1, len(found.rows))))
        assert ours == pytest.approx(wanted[both.names[k]], abs=1e-9)
    assert truth.ignored.any()


def test_weights_count_as_that_many_boxes() -> None:
    """A block drawn twice is the same as its footage twice, by the library."""
    truth, result = walkers(1), result_of(walkers(1), 2)
    half = truth.count // 2
    both = pair(truth, result)
    (k, left, right), *_ = both.classes()
    found = match(left, right)
    weights = np.where(found.at < half, 2.0, 1.0)
    count = float(np.where(left.at < half, 2.0, 1.0).sum())

    def twice(one: Labels) -> Labels:
        again = one.frames < half
        lifted = np.concatenate((one.frames, one.frames[again] + one.count))
        for name in ("tracks", "class_ids", "boxes", "scores", "ignored"):
            values = getattr(one, name)
            setattr(one, name, np.concatenate((values, values[again])))
        one.looked = np.arange(one.count + half)
        one.frames = lifted
        return one

    wanted = precision(pair(twice(truth), twice(result))).by_class[both.names[k]]
    # Equal scores may stand in another order: the doubled boxes come last there.
    (ours,) = average_precision(found, np.array([count]), weights[None])
    assert ours == pytest.approx(wanted, abs=2e-3)


def test_tracks_of_blocks_are_added_up_as_trackeval_does() -> None:
    """With each block once, HOTA and IDF1 are TrackEval's own sum over sequences."""
    from perception.score import comparing

    truth, result = walkers(2), result_of(walkers(2), 9)
    both = pair(truth, result)
    blocks = Blocks(np.arange(120) // 20, 6, 2.0)
    hota, idf1 = comparing._tracks(both, blocks, np.ones((1, 6)))
    judge, wanted = Judge(), list[tuple[float, float]]()
    for _, left, right in both.classes():
        parts = [judge.data(left, right, n, n + 20) for n in range(0, 120, 20)]
        sums = judge.hota.combine_sequences(
            {n: judge.hota.eval_sequence(one) for n, one in enumerate(parts)}
        )
        same = judge.identity.combine_sequences(
            {n: judge.identity.eval_sequence(one) for n, one in enumerate(parts)}
        )
        wanted.append((float(np.mean(sums["HOTA"])), float(same["IDF1"])))
    assert [float(hota[0]), float(idf1[0])] == pytest.approx(np.mean(wanted, axis=0), abs=1e-9)


def footage(seed: int) -> Labels:
    """13 minutes, a picture each 5 s: people who stay for 20 to 80 s."""
    return walkers(seed, frames=160, count=30, stay=(4, 16), names=("person",))


SECONDS = np.arange(160) * 5.0


@pytest.mark.timeout(900)
def test_e3_the_same_detector_twice_cannot_be_told_apart() -> None:
    """Two runs of one detector, whose noise differs: cannot tell in at least 95 of 100 seeds."""
    told = {"AP": 0, "HOTA": 0, "IDF1": 0}
    for seed in range(SEEDS):
        # A picture each 10 s here: a hundred footages take long enough.
        truth = walkers(seed, frames=80, count=30, stay=(2, 8), names=("person",))
        a, b = (boxes(truth, result_of(truth, 1000 * k + seed)) for k in (1, 2))
        for one in compare_boxes(a, b, cut(np.arange(80) * 10.0), seed):
            told[one.name] += one.word == CANNOT_TELL
    assert all(count >= 95 for count in told.values()), told


@pytest.mark.parametrize(
    ("fault", "measures"),
    [
        ({"score_noise": 0.2}, ["AP"]),
        ({"least": 0.8}, ["AP", "HOTA", "IDF1"]),
        ({"jitter": 0.14}, ["AP", "HOTA"]),
    ],
    ids=("noise of .2 on the scores", "threshold .2 higher", "boxes that fit worse"),
)
@pytest.mark.parametrize("seed", range(3))
def test_e3_a_worse_one_is_called_worse(
    fault: dict[str, float], measures: list[str], seed: int
) -> None:
    truth = footage(seed)
    least = 0.6 if "least" in fault else 0.0
    good = boxes(truth, result_of(truth, seed, false=1.0, least=least))
    bad = boxes(truth, result_of(truth, seed, **{"false": 1.0} | fault))
    words = {one.name: one.word for one in compare_boxes(bad, good, cut(SECONDS))}
    assert {words[name] for name in measures} == {WORSE}, words
    words = {one.name: one.word for one in compare_boxes(good, bad, cut(SECONDS))}
    assert {words[name] for name in measures} == {"better"}, words


def test_one_and_the_same_result_cannot_be_told_apart() -> None:
    truth = walkers(1)
    one = boxes(truth, result_of(truth, 4))
    for found in compare_boxes(one, one, cut(np.arange(120) / FPS * 10)):
        assert (found.difference, found.low, found.high) == (0, 0, 0)
        assert found.word == CANNOT_TELL


def test_blocks() -> None:
    """60 s each; a tenth of footage below 10 min, but 5 s at least."""
    long = cut(np.arange(0, 1800, 0.5))
    assert (long.count, long.seconds) == (30, 60.0)
    assert np.bincount(long.of).tolist() == [120] * 30
    short = cut(np.arange(0, 120, 0.1))
    assert (short.count, short.seconds) == (10, pytest.approx(12.0))
    assert cut(np.arange(0, 20, 0.1)).seconds == 5.0


def test_too_little_footage_is_not_judged() -> None:
    """Four blocks say nothing, whatever the difference."""
    samples = np.full(400, 0.9), np.full(400, 0.1)
    found: Difference = difference("AP", (0.9, 0.1), samples, 4)
    assert found.word == CANNOT_TELL
    assert difference("AP", (0.9, 0.1), samples, 10).word == "better"
    assert difference("missed", (9, 1), samples, 10, lower=True).word == WORSE


def test_tracking_is_none_without_tracks() -> None:
    truth, result = walkers(1), result_of(walkers(1), 4)
    result.tracks[:] = -1
    assert tracking(pair(truth, result)) is None
