"""What a second pass over tracks gains, on labelled suites (D1): HOTA, IDF1, IDSW by TrackEval.

The product's tracker forward on given detections, as benchmarks.tracking; then gaps filled and
boxes smoothed by perception.analysis.smoothing with one configuration for all suites.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import harness, suites
from benchmarks.harness import FOOTAGE
from perception.analysis.smoothing import collect, fill, smooth
from perception.trackers.two_stage import TwoStageTracker
from perception.wire import CONFIRMED, Detections, Stamp, TrackMessage, short_id

TARGETS = {"mot17val": 0.3, "mot15": 0.4, "kitti": 0.9}
"""HOTA that the second pass must gain."""


def messages(sequence: suites.Sequence) -> list[TrackMessage]:
    """Return what the tracker says of a sequence, forward."""
    tracker, out = TwoStageTracker(), list[TrackMessage]()
    frames = zip(sequence.detections, sequence.warps, sequence.times_ns, strict=True)
    for n, (rows, warp, t_ns) in enumerate(frames):
        seen = Detections.of(rows[:, :4], rows[:, 4], np.zeros(len(rows)))
        stamp = Stamp(camera="s", frame_id=n, t_media_ns=t_ns, t_arrival_ns=0, t_wall_ns=0)
        out.append(
            TrackMessage(
                stamp=stamp, width=sequence.width, height=sequence.height, names={0: "object"},
                dropped={}, t_detected_ns=0, t_tracked_ns=0,
                tracks=tracker.update(seen, t_ns, warp), warp=np.eye(2, 3, dtype=np.float32),
            )
        )  # fmt: skip
    return out


def live(said: list[TrackMessage]) -> list[NDArray[np.float64]]:
    """Return id and box of confirmed tracks, by frame."""
    out = list[NDArray[np.float64]]()
    for message in said:
        tracks = message.tracks
        keep = tracks.states == CONFIRMED
        ids = [short_id(int(i)) for i in tracks.track_ids[keep]]
        out.append(np.column_stack((ids, tracks.boxes[keep])).reshape(-1, 5).astype(np.float64))
    return out


def second(said: list[TrackMessage], **how: Any) -> list[NDArray[np.float64]]:
    """Return id and box of tracks after the second pass, by frame."""
    times = np.array([m.stamp.t_media_ns for m in said], np.int64)
    rows: list[list[list[float]]] = [[] for _ in said]
    for visit in collect(said, heads=how.get("heads", True)):
        done = fill(visit, times, np.zeros_like(times)) if how.get("fill", True) else visit
        done = smooth(done) if how.get("smooth", True) else done
        for n, box in zip(
            np.searchsorted(times, done.t_ns).tolist(), done.boxes.tolist(), strict=True
        ):
            rows[n].append([short_id(done.track_id), *box])
    return [np.array(one, np.float64).reshape(-1, 5) for one in rows]


def main() -> None:
    """Score each suite forward and after each step of the second pass."""
    asked = harness.options("deep", __doc__)
    with harness.report("deep", asked.out) as made:
        for suite, target in TARGETS.items():
            folder = FOOTAGE / "mot" / suite
            if not folder.is_dir():
                made.missing(f"D1 {suite}", "needs labelled suites: set PERCEPTION_TEST_DATA")
                continue
            judge = suites.Judge(suite)
            gmc = suite == "mot17val"
            loaded = [suites.load(folder, n, gmc=gmc) for n in suites.sequence_names(folder)]
            said = {one.name: messages(one) for one in loaded}
            base: dict[str, float] = {}
            for name, make in {
                "forward": live,
                "filled": lambda m: second(m, heads=False, smooth=False),
                "filled, heads": lambda m: second(m, smooth=False),
                "filled, smoothed": lambda m: second(m, heads=False),
                "filled, heads, smoothed": second,
            }.items():
                parts = {s.name: judge.sequence(s, make(said[s.name])) for s in loaded}
                score = judge.summary(parts)["combined"]
                base = base or score
                gain = score["HOTA"] - base["HOTA"]
                last = name == "filled, heads, smoothed"
                reached = gain >= target and score["IDSW"] <= base["IDSW"]
                made.add(
                    f"{'D1 ' if last else ''}{suite} {name}", "HOTA", round(score["HOTA"], 2),
                    "forward", round(base["HOTA"], 2), of="ours", higher=True,
                    target=f"+{target} HOTA, IDSW not higher" if last else "",
                    met=(lambda _, r=reached: r) if last else None,
                    note=f"{gain:+.2f}; IDF1 {score['IDF1']:.2f}, IDSW {score['IDSW']:.0f}",
                )  # fmt: skip


if __name__ == "__main__":
    main()
