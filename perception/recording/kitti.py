"""Tracks as KITTI's tracking text, which its development kit and TrackEval read.

Imports wire and the rest of this room.
"""

from pathlib import Path

from perception.recording.mot import Rising
from perception.recording.text import TextFile
from perception.wire import CONFIRMED, TrackMessage

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
"""KITTI's type of a class name; all others are Misc."""
_UNKNOWN_3D = "-1 -1 -1 -1000 -1000 -1000 -10"
"""Height, width, length m; x, y, z m; rotation: KITTI's own values for what is not known."""


class KittiWriter:
    """Writes `frame id type truncated occluded alpha x1 y1 x2 y2`, seven of 3D, `score`; px.

    frame: the source's frame number, from 0. Only confirmed tracks. Truncation, occlusion and all
    of 3D have KITTI's values for unknown: our metres are of the nearest point, KITTI's of the
    middle. Source of the format: the readme of KITTI's tracking development kit.
    """

    def __init__(self, path: str | Path) -> None:
        """path: made with its first message."""
        self.path = Path(path)
        self._file = TextFile(path)
        self._frames, self._ids = Rising(), Rising()

    def add(self, message: TrackMessage) -> None:
        """Write the rows of one frame. Raises SinkError where the file cannot be written."""
        rows = message.tracks
        frame = self._frames.number(message.stamp.frame_id)
        seen = rows.states == CONFIRMED
        lines = [
            f"{frame} {self._ids.number(track_id)} {self._type(message, class_id)} -1 -1 -10 "
            f"{x1:.2f} {y1:.2f} {x2:.2f} {y2:.2f} {_UNKNOWN_3D} {score:.4f}\n"
            for track_id, class_id, (x1, y1, x2, y2), score in zip(
                rows.track_ids[seen].tolist(),
                rows.class_ids[seen].tolist(),
                rows.boxes[seen].tolist(),
                rows.scores[seen].tolist(),
                strict=True,
            )
        ]
        self._file.write("".join(lines).encode())

    def close(self) -> None:
        """End the file. Raises SinkError where the rest cannot be written."""
        self._file.close()

    @staticmethod
    def _type(message: TrackMessage, class_id: int) -> str:
        return TYPES.get(message.names.get(class_id, "").lower(), "Misc")
