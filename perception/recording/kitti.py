"""Writes tracks in KITTI's tracking format, which its development kit and TrackEval read.

Imports the rest of this room.
"""

from perception.recording.mot import LabelWriter

TYPES = {
    "person": "Pedestrian",
    "pedestrian": "Pedestrian",
    "bicycle": "Cyclist",
    "cyclist": "Cyclist",
    "car": "Car",
    "van": "Van",
    "truck": "Truck",
    "train": "Tram",
    "tram": "Tram",
}
"""KITTI's type by class name. All other classes are Misc."""
_UNKNOWN_3D = "-1 -1 -1 -1000 -1000 -1000 -10"
"""KITTI's values for unknown height, width, length m; x, y, z m; rotation."""


class KittiWriter(LabelWriter):
    """Writes `frame id type truncated occluded alpha x1 y1 x2 y2`, seven 3D values, `score`; px.

    frame: number of the frame in the source, from 0. Truncation, occlusion and the 3D values are
    written as unknown: KITTI's positions are of the centre of an object, ours of its nearest point.
    Source of the format: the readme of KITTI's tracking development kit.
    """

    def line(
        self, frame: int, track_id: int, class_name: str, box: list[float], score: float
    ) -> str:
        """Return a line of KITTI's tracking labels."""
        kind = TYPES.get(class_name.lower(), "Misc")
        where = " ".join(f"{side:.2f}" for side in box)
        return f"{frame} {track_id} {kind} -1 -1 -10 {where} {_UNKNOWN_3D} {score:.4f}"
