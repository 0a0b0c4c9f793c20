"""One camera's detections -> tracks: camera motion, scene cuts and a tracker, live and in analysis.

Imports wire and below.
"""

from perception import clock
from perception.geometry.looming import Looming
from perception.trackers import Tracker
from perception.trackers.camera_motion import CameraMotion
from perception.trackers.scene_cut import SceneCut
from perception.wire import CONFIRMED, DetectionMessage, TrackMessage


class Follower:
    """Follows what one camera sees. confirmed, cuts: tracks confirmed and scene cuts so far."""

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.confirmed = self.cuts = 0
        self._motion = CameraMotion()
        self._scene = SceneCut()
        self._looming = Looming()
        self._names: dict[int, str] = {}
        self._known: set[int] = set()

    def follow(self, message: DetectionMessage, dropped: int = 0) -> TrackMessage:
        """Return the tracks after a frame's detections.

        dropped: frames between the last one and this that were not detected.
        """
        self._names.update(message.names)
        found = message.detections
        warp = self._motion.estimate(message.grey, found.boxes, message.width, message.height)
        cut = self._scene.is_cut(message.grey)
        if cut:
            self.tracker.end_all()
            self.cuts += 1
        t_ns = message.stamp.t_media_ns
        tracks = self.tracker.update(found, t_ns, warp, dropped)
        tracks.closings = self._looming.update(tracks, found, t_ns, message.width, message.height)
        confirmed = set(tracks.track_ids[tracks.states == CONFIRMED].tolist())
        self.confirmed += len(confirmed - self._known)
        self._known = (self._known | confirmed) & set(tracks.track_ids.tolist())
        return TrackMessage(
            stamp=message.stamp,
            width=message.width,
            height=message.height,
            names={i: self._names.get(i, str(i)) for i in set(tracks.class_ids.tolist())},
            dropped=message.dropped,
            t_detected_ns=message.t_detected_ns,
            t_tracked_ns=clock.monotonic_ns(),
            tracks=tracks,
            warp=warp,
            cut=cut,
        )
