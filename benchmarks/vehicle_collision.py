"""The `collision` part of benchmarks/vehicle.py: the rule against threats by KITTI's labels.

A true threat is an object below TTC_S whose middle is within CORRIDOR_M of the middle of the own
path, while the vehicle drives faster than LEAST_SPEED. Speed and yaw rate are those that let most
labelled objects stand still (benchmarks/kitti.py) and are given to the rule as user code would.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from kitti import FIT_FRAMES, FRAME_S, Object, overlaps, own_motion
from numpy.typing import NDArray

from perception.rules.collision import CollisionRule
from perception.wire import Stamp, TrackMessage, Tracks

TTC_S, CORRIDOR_M, LEAST_SPEED = 2.0, 1.2, 3.0
SAME_OBJECT = 0.3
"""IoU of a track's box with a label from which on it is that object."""
TARGETS = {"raised": 0.9, "lead": 0.8, "false_in_10_min": 2.0}


@dataclass(slots=True)
class Threats:
    """What a sequence has: true threats, those raised, leads told and true in s, false alerts."""

    seconds: float = 0.0
    true: int = 0
    raised: int = 0
    told_s: float = 0.0
    true_s: float = 0.0
    false: int = 0


class Watch:
    """Runs the rule on a sequence's tracks, frame by frame; `judge` says how it did."""

    def __init__(self, objects: list[Object], size: tuple[int, int]) -> None:
        self._objects, self._size = objects, size
        self._rule = CollisionRule("threat", CollisionRule.Options(), {}, {})
        self._frames: list[int] = []
        self._alerts: list[tuple[int, int | None]] = []
        self._threats: dict[int, list[int]] = {}
        self._contact: dict[int, float] = {}

    def take(self, frame: int, tracks: Tracks) -> None:
        """Take one frame's tracks, closings and metres filled in."""
        self._frames.append(frame)
        own = self._own(frame)
        self._note_threats(frame, own)
        t_ns = round(frame * FRAME_S * 1e9)
        stamp = Stamp(camera="kitti", frame_id=frame, t_media_ns=t_ns, t_arrival_ns=0, t_wall_ns=0)
        message = TrackMessage(
            stamp=stamp,
            width=self._size[0],
            height=self._size[1],
            names={0: "car"},
            dropped={},
            t_detected_ns=0,
            t_tracked_ns=0,
            tracks=tracks,
            warp=np.eye(2, 3, dtype=np.float32),
            own_speed_m_s=own[0] if own else None,
            own_yaw_rate=own[1] if own else None,
        )
        for event in self._rule.update(message):
            if event.phase == "begin":
                self._alerts.append((frame, self._object(frame, np.array(event.box))))

    def _own(self, frame: int) -> tuple[float, float] | None:
        """Return the own motion, the median of the frames around: labels of a turn are noisy."""
        near = range(frame - FIT_FRAMES, frame + FIT_FRAMES + 1)
        known = [own for f in near if (own := own_motion(self._objects, f)) is not None]
        if len(known) <= FIT_FRAMES:
            return None
        speed, yaw = np.median(np.array(known), axis=0).tolist()
        return speed, yaw

    def judge(self) -> Threats:
        """Return the counts. An alert is false where its object is no threat within TTC_S of it."""
        near, out = round(TTC_S / FRAME_S), Threats(seconds=len(self._frames) * FRAME_S)
        for one, frames in self._threats.items():
            out.true += 1
            told = [f for f, which in self._alerts if which == one and f <= frames[-1]]
            end = frames[0] + self._contact[one] / FRAME_S
            if told:
                out.raised += 1
                out.told_s += min(end - told[0], end - frames[0]) * FRAME_S
                out.true_s += (end - frames[0]) * FRAME_S
        for frame, which in self._alerts:
            meant = [] if which is None else self._threats.get(which, [])
            out.false += not any(abs(frame - f) <= near for f in meant)
        return out

    def _note_threats(self, frame: int, own: tuple[float, float] | None) -> None:
        if own is None or own[0] <= LEAST_SPEED:
            return
        for k, one in enumerate(self._objects):
            truth = one.truth(frame)
            if truth is None or truth[1] >= 0.0 or truth[0] <= 0.0:
                continue
            x, z, _ = one.places[frame]
            side = x + own[1] / own[0] * z * z / 2.0
            ttc_s = truth[0] / -truth[1]
            if ttc_s < TTC_S and abs(side) <= CORRIDOR_M:
                self._threats.setdefault(k, []).append(frame)
                self._contact.setdefault(k, ttc_s)

    def _object(self, frame: int, box: NDArray[np.float64]) -> int | None:
        here = [k for k, one in enumerate(self._objects) if frame in one.boxes]
        if not here:
            return None
        shares = overlaps(box, np.array([self._objects[k].boxes[frame] for k in here]))
        return here[int(shares.argmax())] if shares.max() >= SAME_OBJECT else None


def figures(all_: list[Threats]) -> dict[str, Any]:
    """Return the figures over all sequences; shares are None where there is no true threat."""
    true, raised = sum(t.true for t in all_), sum(t.raised for t in all_)
    seconds, false = sum(t.seconds for t in all_), sum(t.false for t in all_)
    told, lead = sum(t.told_s for t in all_), sum(t.true_s for t in all_)
    return {
        "minutes": round(seconds / 60.0, 2),
        "true_threats": true,
        "raised": round(raised / true, 3) if true else None,
        "raised_target": TARGETS["raised"],
        "lead": round(told / lead, 3) if lead else None,
        "lead_target": TARGETS["lead"],
        "false": false,
        "false_in_10_min": round(false / seconds * 600.0, 2),
        "false_in_10_min_target": TARGETS["false_in_10_min"],
    }
