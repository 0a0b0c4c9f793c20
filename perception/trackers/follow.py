"""Tracks of one camera: camera motion, scene cuts, tracker and metres, for each detection message.

Live lines, analysis and replay use it. Imports wire and below.
"""

from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception import clock
from perception.geometry import Ground
from perception.geometry.camera_motion import CameraMotion
from perception.geometry.looming import Looming
from perception.kernels.boxes import carry_boxes
from perception.trackers import Tracker, keeping
from perception.trackers.scene_cut import SceneCut
from perception.trackers.size_change import Affine, find_affine, shrink_affine
from perception.wire import CONFIRMED, DetectionMessage, OwnMotion, TrackMessage


class Motion(Protocol):
    """Estimates the camera motion; see geometry/camera_motion.py."""

    def estimate(
        self, grey: NDArray[np.uint8], boxes: ArrayLike, width: int, height: int
    ) -> NDArray[np.float32]: ...
    def carry(self, grey: NDArray[np.uint8], boxes: ArrayLike, width: int, height: int) -> None: ...


class Scene(Protocol):
    """Tells whether a picture shows another scene; see scene_cut.py."""

    def is_cut(self, grey: NDArray[np.uint8]) -> bool: ...
    def carry(self, grey: NDArray[np.uint8]) -> None: ...


class RecordedMotion:
    """Camera motion and scene cuts as recorded, for a replay without pictures.

    The caller sets `warp` and `cut` before each message.
    """

    def __init__(self) -> None:
        self.warp, self.cut = np.eye(2, 3, dtype=np.float32), False

    def estimate(
        self, grey: NDArray[np.uint8], boxes: ArrayLike, width: int, height: int
    ) -> NDArray[np.float32]:
        """Return the recorded warp."""
        del grey, boxes, width, height
        return self.warp

    def is_cut(self, grey: NDArray[np.uint8]) -> bool:
        """Return the recorded cut."""
        del grey
        return self.cut

    def carry(self, grey: NDArray[np.uint8], *args: Any, **kwargs: Any) -> None:
        """Do nothing: without pictures there is nothing to map."""


class Follower:
    """Turns the detection messages of one camera into track messages.

    confirmed, cuts: number of tracks confirmed and of scene cuts so far.
    """

    def __init__(
        self,
        tracker: Tracker,
        *,
        ground: Ground | None = None,
        alone: bool = False,
        recorded: RecordedMotion | None = None,
    ) -> None:
        """ground: converts to metres, for a camera with `calibration:`. alone: every picture is
        another scene, as in a folder of stills. recorded: used instead of the grey pictures."""
        self.tracker = tracker
        self._ground = ground
        self._alone = alone
        self.confirmed = self.cuts = 0
        self._motion: Motion = recorded or CameraMotion()
        self._scene: Scene = recorded or SceneCut()
        self._looming = Looming()
        self._last: DetectionMessage | None = None
        self._names: dict[int, str] = {}
        self._known: set[int] = set()

    def follow(
        self, message: DetectionMessage, dropped: int = 0, own: OwnMotion | None = None
    ) -> TrackMessage:
        """Return the tracks after the detections of one frame.

        dropped: frames between the last message and this one that no detector saw. own: speed and
        yaw rate of the vehicle that carries the camera; None: unknown.
        """
        self._names.update(message.names)
        found = message.detections
        carried, is_other = self._resize(message)
        size = message.width, message.height
        incomplete = message.damage == "direct"
        if self._alone or incomplete:
            warp = np.eye(2, 3, dtype=np.float32)
        else:
            warp = self._motion.estimate(message.grey, found.boxes, *size)
        cut = is_other or self._alone or (not incomplete and self._scene.is_cut(message.grey))
        if cut:
            self.tracker.end_all()
            self.cuts += not self._alone
        t_ns = message.stamp.t_media_ns
        tracks = self.tracker.update(found, t_ns, warp, dropped)
        tracks.closings = self._looming.update(tracks, found, t_ns, *size)
        if self._ground is not None:
            tracks.metres = self._ground.update(tracks, found, t_ns, size, self._names)
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
            warp=warp if carried is None else _after(warp, carried),
            cut=cut,
            own_speed_m_s=own.speed_m_s if own else None,
            own_yaw_rate=own.yaw_rate if own else None,
            damage=message.damage,
        )

    def state(self) -> dict[str, Any] | None:
        """Return the state for `restore`. None: a part (of an extension) has no `state` or `kept`.

        The last grey picture is left out, so the first camera motion after `restore` is unknown.
        """
        parts = [keeping.state(part) for part in self._parts]
        if None in parts:
            return None
        names = {str(i): name for i, name in self._names.items()}
        return {"parts": parts, "names": names, "known": sorted(self._known)}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state. Raises ValueError, KeyError or TypeError if it does not fit."""
        for part, kept in zip(self._parts, state["parts"], strict=True):
            keeping.restore(part, kept)
        self._names = {int(i): str(name) for i, name in state["names"].items()}
        self._known = {int(i) for i in state["known"]}

    @property
    def _parts(self) -> list[Any]:
        parts = [self.tracker, self._looming, self._ground]
        return [part for part in parts if part is not None]

    def _resize(self, message: DetectionMessage) -> tuple[Affine | None, bool]:
        """Where the picture's size has changed, map all that is stored in px to the new size.

        Return the affine from px of the last picture to px of this one (None: same size, or another
        scene), and whether this picture shows another scene.
        """
        last, self._last = self._last, None if self._alone else message
        size = message.width, message.height
        if last is None or (last.width, last.height) == size:
            return None, False
        last_size, grey = (last.width, last.height), message.grey
        affine = find_affine(last.grey, grey, last_size, size)
        if affine is None:
            return None, True
        small = shrink_affine(affine, last.grey, grey, last_size, size)
        moved = np.asarray(
            cv2.warpAffine(last.grey, small, grey.shape[::-1], borderMode=cv2.BORDER_REPLICATE),
            np.uint8,
        )
        self._motion.carry(moved, carry_boxes(last.detections.boxes, affine), *size)
        self._scene.carry(moved)
        self.tracker.carry(affine)
        self._looming.carry(affine)
        return affine, False


def missed_frames(frame_id: int, last_id: int) -> int:
    """Return how many frame ids lie between two. 0 where the camera was restarted in between."""
    return frame_id - last_id - 1 if frame_id >> 32 == last_id >> 32 else 0


def _after(warp: NDArray[np.float32], carried: Affine) -> NDArray[np.float32]:
    """Return the affine that applies `carried` and then `warp`: float32 (2, 3)."""
    return (np.vstack([warp, [0, 0, 1]]) @ np.vstack([carried, [0, 0, 1]]))[:2].astype(np.float32)
