"""Make the visits' detections anew: `python -m tests.golden.visits FOLDER`, the folder of footage.

What the analysis would hand to its tracker, as numbers: persons found by yolo11n (896 px long side,
f32, scores from 0.1), camera motion, scene cuts; all of full-size BGR, not of planes. The footage
itself never enters the repository.
"""

import sys
from pathlib import Path
from typing import Any

import av
import numpy as np

from perception.detectors.model import OnnxDetector, OnnxOptions
from perception.geometry.camera_motion import CameraMotion
from perception.geometry.grey import small_grey
from perception.trackers.scene_cut import SceneCut

HERE = Path(__file__).parent
CLIPS = {
    "visits-one-by-one": "doorway/intel_one_by_one_person.mp4",
    "visits-car-park": "surveillance/intel_person_bicycle_car.mp4",
    "visits-cuts": "doorway/whitehouse_faces_cuts.mp4",
}


def numbers(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the persons of each frame of a clip, and how the camera moved."""
    detector = OnnxDetector(OnnxOptions(size=896, score=0.1, classes=["person"]), threads=2)
    motion, cuts = CameraMotion(), SceneCut()
    rows, times, warps, cut_at = list[list[float]](), list[int](), list[Any](), list[bool]()
    size = (0, 0)
    with av.open(str(path)) as container:
        stream: Any = container.streams.video[0]
        for n, frame in enumerate(container.decode(stream)):
            image = frame.to_ndarray(format="bgr24")
            size = image.shape[1], image.shape[0]
            found, grey = detector.detect(image), small_grey(image)
            rows += [
                [n, *box, score]
                for box, score in zip(found.boxes.tolist(), found.scores.tolist(), strict=True)
            ]
            times.append(round(float(frame.pts * stream.time_base) * 1e9))
            warps.append(motion.estimate(grey, found.boxes, *size))
            cut_at.append(cuts.is_cut(grey))
    table = np.array(rows)
    return {
        "frame": table[:, 0].astype(np.int16),
        "boxes": table[:, 1:5].astype(np.float32),
        "scores": table[:, 5].astype(np.float32),
        "t_media_ns": np.array(times, np.int64) - times[0],
        "warps": np.array(warps, np.float32),
        "cuts": np.array(cut_at),
        "size": np.array(size, np.int64),
    }


if __name__ == "__main__":
    for name, clip in CLIPS.items():
        found = numbers(Path(sys.argv[1]) / "video" / clip)
        np.savez_compressed(HERE / f"{name}.npz", **found)
        print(name, len(found["frame"]), "persons in", len(found["t_media_ns"]), "frames")
