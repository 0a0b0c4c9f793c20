"""Made footage with labels: objects that walk, a result with noise, and files of both by hand."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception.score.labels import Builder, Labels

SIZE = (1280, 720)
FPS = 10.0
NAMES = ("person", "car")


def walkers(
    seed: int,
    frames: int = 120,
    count: int = 8,
    *,
    size: tuple[int, int] = SIZE,
    stay: tuple[int, int] | None = None,
    names: tuple[str, ...] = ("person", "person", "car"),
) -> Labels:
    """Return labels of objects that come, walk and go.

    stay: frames at least and at most; default a quarter of all and more. names: classes in turn.
    """
    rng = np.random.default_rng(seed)
    made = Builder("truth.json")
    rows: list[tuple[int, int, str, list[float]]] = []
    for track in range(count):
        first = int(rng.integers(0, frames // 2))
        last = int(rng.integers(first + frames // 4, frames))
        if stay is not None:
            first = int(rng.integers(0, frames - stay[1]))
            last = first + int(rng.integers(*stay))
        x, y = rng.uniform(50, size[0] - 200), rng.uniform(50, size[1] - 250)
        w, h = rng.uniform(30, 90), rng.uniform(60, 160)
        vx, vy = rng.normal(0, 1.5, 2)
        name = names[track % len(names)]
        for n in range(first, last):
            box = [x + vx * (n - first), y + vy * (n - first), w, h]
            rows.append((n, track, name, box))
    for frame, track, name, box in sorted(rows):
        made.add(frame, track, name, box)
    return made.build(frames, size=size, rate_hz=FPS)


def result_of(
    truth: Labels,
    seed: int,
    *,
    jitter: float = 0.06,
    lost: float = 0.1,
    false: float = 0.3,
    score_noise: float = 0.0,
    least: float = 0.0,
    swaps: int = 2,
) -> Labels:
    """Return a result: boxes moved by `jitter` of their size, some lost, some false, ids swapped.

    score_noise: deviation added to scores. least: boxes of a lower score are left out. Two results
    of one seed are the same detector's: lost and false boxes are the same.
    """
    rng, noise = np.random.default_rng(seed), np.random.default_rng(seed + 10_000)
    made = Builder("result.json")
    count = int(truth.tracks.max()) + 1
    lifts = {t: int(rng.integers(0, truth.count)) for t in range(min(swaps, count))}
    for frame in range(truth.count):
        rows = np.flatnonzero(truth.frames == frame).tolist()
        for i in rows:
            if rng.random() < lost:
                continue
            x, y, w, h = truth.boxes[i].tolist()
            dx, dy, dw, dh = (rng.normal(0, jitter, 4)).tolist()
            box = [x + dx * w, y + dy * h, w * np.exp(dw), h * np.exp(dh)]
            track = int(truth.tracks[i])
            track += 100 if frame >= lifts.get(track, 1 << 30) else 0
            score = float(np.clip(rng.beta(6, 2), 0.01, 1.0))
            if score >= least:
                score += float(noise.normal(0, score_noise))
                made.add(frame, track, truth.names[truth.class_ids[i]], box, score=score)
        if rng.random() < false:
            x, y = rng.uniform(0, 1100), rng.uniform(0, 500)
            score = float(np.clip(rng.beta(2, 4), 0.01, 1.0))
            if score >= least:
                track = 1000 + frame // 15
                score += float(noise.normal(0, score_noise))
                name = truth.names[frame % len(truth.names)]
                made.add(frame, track, name, [x, y, 50.0, 120.0], score=score)
    return made.build(truth.count, size=truth.size, rate_hz=truth.rate_hz)


def write_mot(path: Path, labels: Labels, kept: NDArray[np.bool_], *, scores: bool) -> None:
    """Write some rows as MOTChallenge text of one class, for TrackEval's own reader."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        for i in np.flatnonzero(kept).tolist():
            where = ",".join(map(repr, labels.boxes[i].tolist()))
            seventh = repr(float(labels.scores[i])) if scores else "1"
            file.write(f"{labels.frames[i] + 1},{labels.tracks[i]},{where},{seventh},1,1\n")
