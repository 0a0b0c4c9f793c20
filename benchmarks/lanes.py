"""Lanes against labelled pictures and over clips: recall, precision, time; lanes where none are.

    python -m benchmarks.lanes --data DIR [--video CLIP ...] [--none CLIP ...] --json FILE

DIR holds pictures NNNN.png with masks NNNN_binary.png (TuSimple by way of lanenet-lane-detection).
Each picture is a first one: nothing is known of it. A lane pixel counts as found within 15 px of a
told line, a told pixel as right within 15 px of a lane pixel, both at 1280x720. Precision and
recall are the means over pictures. --video: clips of roads; how many frames have an own lane.
--none: clips of no road with lanes; no frame may have one. ms: CPU of a frame on one thread.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from perception.analysers import Analyser, analyser_class
from perception.pixels import Pixels
from perception.wire import LaneMessage, Stamp

WITHIN_PX = 15.0
WANTED = {"recall": 0.85, "precision": 0.85, "ms": 8.0}
REPEATS = 20


def main() -> int:
    """Print and write what was measured; return 1 where a wanted figure was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--video", type=Path, nargs="*", default=[])
    parser.add_argument("--none", type=Path, nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    pictures = [labelled(path) for path in sorted(arguments.data.glob("*_binary.png"))]
    if not pictures:
        sys.exit(f"{arguments.data}: no *_binary.png here")
    whole = {k: float(np.mean([one[k] for one in pictures])) for k in ("recall", "precision")}
    whole["ms"] = float(np.median([one["ms"] for one in pictures]))
    clips = [clip(path, lanes=True) for path in arguments.video]
    clips += [clip(path, lanes=False) for path in arguments.none]
    missed = [k for k in ("recall", "precision") if whole[k] < WANTED[k]]
    missed += ["ms"] if max([whole["ms"], *(one["ms"] for one in clips)]) > WANTED["ms"] else []
    missed += [f"lanes in {one['clip']}" for one in clips if not one["lanes"] and one["any"]]
    for one in (*pictures, *clips):
        print(one)
    print("all pictures", {k: round(v, 3) for k, v in whole.items()}, "wanted", WANTED)
    print("missed:", ", ".join(missed) or "nothing")
    if arguments.json:
        result = {"pictures": pictures, "whole": whole, "clips": clips, "missed": missed}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    return 1 if missed else 0


def finder() -> Analyser:
    """Return what `lanes: {}` makes."""
    cls = analyser_class("markings")
    made: Analyser = cls(cls.Options(), None)
    return made


def look(one: Analyser, image: Any, t_ns: int) -> LaneMessage:
    """Return the lanes of uint8 (H, W, 3) BGR at a media time."""
    stamp = Stamp(camera="ahead", frame_id=0, t_media_ns=t_ns, t_arrival_ns=0, t_wall_ns=0)
    said = one.analyse(one.prepare(Pixels(image)), stamp)
    assert isinstance(said, LaneMessage)
    return said


def labelled(mask_path: Path) -> dict[str, Any]:
    """Return recall, precision and ms of one labelled picture."""
    path = mask_path.with_name(mask_path.name.replace("_binary", ""))
    image = cv2.resize(cv2.imread(str(path)), (1280, 720))
    lanes = cv2.resize(cv2.imread(str(mask_path), cv2.IMREAD_GRAYSCALE), (1280, 720)) > 0
    said = look(finder(), image, 0)
    began = time.thread_time()
    for _ in range(REPEATS):
        look(finder(), image, 0)
    ms = (time.thread_time() - began) / REPEATS * 1e3
    told = np.zeros(lanes.shape, np.uint8)
    for line in said:
        cv2.polylines(told, [line.points.round().astype(np.int32)], False, 1, 1)
    recall, precision = score(told > 0, lanes)
    return {"picture": path.name, "recall": recall, "precision": precision, "ms": round(ms, 2)}


def score(told: Any, lanes: Any) -> tuple[float, float]:
    """Return recall and precision of told pixels, bool (H, W), against lane pixels."""
    if not told.any() or not lanes.any():
        return 0.0, float(not told.any() and not lanes.any())
    to_told = cv2.distanceTransform((~told).astype(np.uint8), cv2.DIST_L2, 5)
    to_lane = cv2.distanceTransform((~lanes).astype(np.uint8), cv2.DIST_L2, 5)
    recall = float((to_told[lanes] <= WITHIN_PX).mean())
    return round(recall, 4), round(float((to_lane[told] <= WITHIN_PX).mean()), 4)


def clip(path: Path, *, lanes: bool) -> dict[str, Any]:
    """Return of how many frames of a clip there is any line and an own lane, and ms a frame."""
    one, any_line, own, took = finder(), 0, 0, list[float]()
    for n, image in enumerate(frames(path)):
        began = time.thread_time()
        places = {line.place for line in look(one, image, n * 40_000_000)}
        took.append((time.thread_time() - began) * 1e3)
        any_line += bool(places)
        own += {-1, 1} <= places
    return {
        "clip": path.name,
        "lanes": lanes,
        "frames": len(took),
        "any": any_line,
        "own": own,
        "ms": round(float(np.median(took)), 2),
        "ms_p95": round(float(np.percentile(took, 95)), 2),
    }


def frames(path: Path) -> Iterator[Any]:
    """Yield the frames of a clip, uint8 (H, W, 3) BGR."""
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        sys.exit(f"{path}: cannot be opened")
    while (got := capture.read())[0]:
        yield got[1]


if __name__ == "__main__":
    sys.exit(main())
