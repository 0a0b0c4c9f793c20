"""One result against another on the same footage: differences that chance does not explain.

Paired bootstrap over blocks of 60 s (both results lose and gain the same blocks): its deviation,
and Student's t for as many blocks, give a 99 % interval. Tracks are cut at the edges of blocks for
the deviation only. Sources: Efron and Tibshirani 1993, ch. 6; Koehn 2004 (ACL W04-3250). Imports
the rest of this room.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception.score.alerts import Alerted, time_of
from perception.score.card import Boxes, Difference
from perception.score.matching import average_precision, match
from perception.score.pairing import Pair
from perception.score.tracking import Judge

BLOCK_S, LEAST_S, FEWEST = 60.0, 5.0, 6
DRAWS = 400
CONFIDENCE = 0.99
BETTER, WORSE, CANNOT_TELL = "better", "worse", "cannot tell"


@dataclass(frozen=True)
class Blocks:
    """of: int64 (frames,), the block of each frame, from 0. count. seconds: length of a block."""

    of: NDArray[np.int64]
    count: int
    seconds: float


def cut(seconds: NDArray[np.float64]) -> Blocks:
    """Return the blocks of frames by their times: of 60 s, of footage below 10 min a tenth of it.

    seconds: float64 (f,), rising.
    """
    step = float(np.median(np.diff(seconds))) if len(seconds) > 1 else 0.0
    whole = float(seconds[-1] - seconds[0]) + step
    length = min(BLOCK_S, max(LEAST_S, whole / 10))
    # Sums of steps may end a hair below an edge.
    number = np.floor((seconds - seconds[0]) / length + 1e-6).astype(np.int64)
    unique, of = np.unique(number, return_inverse=True)
    return Blocks(of.reshape(-1).astype(np.int64), len(unique), length)


def draws(count: int, seed: int = 0) -> NDArray[np.float64]:
    """Return how often each block is in each resample: float64 (DRAWS, count)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(count, np.full(count, 1.0 / count), DRAWS).astype(np.float64)


def difference(
    name: str,
    values: tuple[float, float],
    samples: tuple[NDArray[np.float64], NDArray[np.float64]],
    count: int,
    *,
    lower: bool = False,
) -> Difference:
    """Return a difference and what it says. samples: float64 (DRAWS,) of each result."""
    from scipy.stats import t

    many = samples[0] - samples[1]
    many = many[np.isfinite(many)]
    here = values[0] - values[1]
    if count < FEWEST or len(many) < DRAWS // 2 or not np.isfinite(here):
        nan = float("nan")
        return Difference(name, *values, nan, nan, CANNOT_TELL, lower)
    reach = float(many.std(ddof=1)) * float(t.ppf((1 + CONFIDENCE) / 2, count - 1))
    low, high = here - reach, here + reach
    word = CANNOT_TELL
    if low > 1e-12 or high < -1e-12:
        word = WORSE if (here < 0) != lower else BETTER
    return Difference(name, *values, low, high, word, lower)


def compare_boxes(a: Boxes, b: Boxes, blocks: Blocks, seed: int = 0) -> list[Difference]:
    """Return the differences of AP, HOTA and IDF1. Both have the same frames."""
    drawn = draws(blocks.count, seed)
    ap = tuple(_precisions(one.pair, blocks, drawn) for one in (a, b))
    made = [difference("AP", (a.precision.ap, b.precision.ap), (ap[0], ap[1]), blocks.count)]
    if a.tracking is not None and b.tracking is not None:
        left, right = (_tracks(one.pair, blocks, drawn) for one in (a, b))
        for k, name in enumerate(("HOTA", "IDF1")):
            of = [(one.hota, one.idf1)[k] for one in (a.tracking, b.tracking)]
            made.append(difference(name, (of[0], of[1]), (left[k], right[k]), blocks.count))
    return made


def _precisions(pair: Pair, blocks: Blocks, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the average precision of each resample: float64 (draws,)."""
    parts: list[NDArray[np.float64]] = []
    for _, truth, result in pair.classes():
        found = match(truth, result)
        counts = np.bincount(blocks.of[truth.at[~truth.ignored]], minlength=blocks.count)
        weights = drawn[:, blocks.of[found.at]]
        parts.append(average_precision(found, drawn @ counts, weights))
    if not parts:
        return np.full(len(drawn), np.nan)
    values = np.array(parts)
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(0) / np.maximum(known.sum(0), 1)


def _tracks(
    pair: Pair, blocks: Blocks, drawn: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return HOTA and IDF1 of each resample, from TrackEval's counts of each block."""
    judge = Judge()
    edges = np.searchsorted(blocks.of, np.arange(blocks.count + 1)).tolist()
    hotas, idf1s = list[NDArray[np.float64]](), list[NDArray[np.float64]]()
    for _, truth, result in pair.classes():
        rows: list[NDArray[np.float64]] = []
        for first, last in itertools.pairwise(edges):
            data = judge.data(truth, result, first, last)
            hota, same = judge.hota.eval_sequence(data), judge.identity.eval_sequence(data)
            right = np.asarray(hota["HOTA_TP"], np.float64)
            rows.append(np.concatenate((
                right, right + hota["HOTA_FN"] + hota["HOTA_FP"], right * hota["AssA"],
                [same["IDTP"], same["IDFN"] + same["IDFP"]],
            )))  # fmt: skip
        sums = drawn @ np.array(rows)
        n = (sums.shape[1] - 2) // 3
        right, every, associated = sums[:, :n], sums[:, n : 2 * n], sums[:, 2 * n : 3 * n]
        deta, assa = right / np.maximum(1.0, every), associated / np.maximum(1.0, right)
        hotas.append(np.sqrt(deta * assa).mean(axis=1))
        idf1s.append(sums[:, -2] / np.maximum(1.0, sums[:, -2] + 0.5 * sums[:, -1]))
    return np.mean(hotas, axis=0), np.mean(idf1s, axis=0)


def compare_alerts(
    a: Alerted, b: Alerted, wall: bool, origins_ns: tuple[int, int], seed: int = 0
) -> list[Difference]:
    """Return the differences of missed visits, false and repeated alerts, and the mean delay."""
    starts = [visit.start_ns for visit in a.visits]
    both = ((a, origins_ns[0]), (b, origins_ns[1]))
    spans = [time_of(x, wall, origin) for one, origin in both for x in one.false]
    every = np.array([*starts, *spans], np.float64) / 1e9
    if not len(every):
        return []
    first = float(every.min())
    whole = max(a.hours * 3600 if a.hours > 0 else 0.0, float(every.max()) - first)
    length = min(BLOCK_S, max(LEAST_S, whole / 10))
    count = max(1, int(whole // length) + 1)
    drawn = draws(count, seed)

    def per(times_ns: Sequence[int], amounts: Sequence[float] | None = None) -> NDArray[np.float64]:
        at = ((np.array(times_ns, np.float64) / 1e9 - first) // length).astype(np.int64)
        return np.bincount(np.clip(at, 0, count - 1), amounts, minlength=count).astype(np.float64)

    made: list[Difference] = []
    of = [_counts(one, wall, origin, per) for one, origin in both]
    for k, name in enumerate(("missed visits", "false alerts", "repeated alerts")):
        sums = [drawn @ one[k] for one in of]
        values = float(of[0][k].sum()), float(of[1][k].sum())
        made.append(difference(name, values, (sums[0], sums[1]), count, lower=True))
    with np.errstate(divide="ignore", invalid="ignore"):
        means = [(drawn @ one[3]) / (drawn @ one[4]) for one in of]
        told = [float(one[3].sum() / one[4].sum()) for one in of]
    name = "mean delay, s"
    made.append(difference(name, (told[0], told[1]), (means[0], means[1]), count, lower=True))
    return made


def _counts(
    one: Alerted, wall: bool, origin: int, per: Callable[..., NDArray[np.float64]]
) -> list[NDArray[np.float64]]:
    found = [visit.start_ns for visit, _, _ in one.found]
    return [
        per([visit.start_ns for visit in one.missed]),
        per([time_of(alert, wall, origin) for alert in one.false]),
        per([visit.start_ns for visit, _ in one.repeated]),
        per(found, [delay for _, _, delay in one.found]),
        per(found),
    ]
