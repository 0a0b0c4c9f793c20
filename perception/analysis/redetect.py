"""The detector run again on the pictures of a recording. Imports launchfile and below."""

import dataclasses
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.analysis import differences
from perception.analysis.differences import Stage
from perception.analysis.recorded import Part, Pictures
from perception.detectors import prepare
from perception.footage import manifest
from perception.geometry.camera_motion import CameraMotion
from perception.geometry.grey import small_grey
from perception.launchfile import build
from perception.pixels import Pixels
from perception.trackers.scene_cut import SceneCut
from perception.wire import DetectionMessage, Detections, TrackMessage
from perception.wire.plan import Plan


class Redetector:
    """Detects again in the frames that were detected live; exact where the pictures are.

    chained: other options than those recorded; nothing is compared then.
    """

    def __init__(
        self, part: Part, plan: Plan, recorded: Plan, *, threads: int, chained: bool
    ) -> None:
        self.stage, self.motion = Stage("detections"), Stage("camera motion")
        self._flow = _Flow()
        camera = plan.cameras[part.camera]
        rotate = recorded.cameras[part.camera].source.options.get("rotate")
        self._pictures = Pictures(part, rotate)
        self._chained = chained
        self._encoded = not camera.has_packets
        detector = build.make_detector(plan, camera.detectors, threads)
        self._detector = build.camera_detector(camera, detector)
        self._keep = build.class_filter(detector, camera.objects)
        self._remembers = self._detector is not detector
        self._clocked = bool(camera.tiles and camera.tiles.get("budget_ms"))
        self._last: int | None = None
        self._is_known = not self._remembers
        said: dict[str, Any] = part.manifest or {}
        self._exact = said.get("isa", "") == manifest.instruction_set()

    def take(
        self, was: DetectionMessage, tracked: TrackMessage, *, inside: bool
    ) -> DetectionMessage:
        """Return the message to go on with: what was recorded, or with `chained` what is found.

        tracked: what tracking made of it, with the camera's motion.
        """
        lost = differences.was_lost(was, self._last)
        self._last = was.message_id
        if was.message_id & 0xFFFFFFFF == 0:
            self._is_known = True
        elif lost:
            self._is_known = not self._remembers
        pixels = self._pictures.at(was.stamp.t_media_ns)
        if pixels is None:
            self.stage.note("the picture was not recorded", int(inside))
            self._flow.forget()
            return was
        grey = small_grey(pixels)
        crc = zlib.crc32(grey.tobytes())
        found = self._found(was, pixels)
        if self._chained:
            self.stage.add(None)
            names = self._detector.names
            return dataclasses.replace(
                was,
                detections=found,
                names={i: names.get(i, str(i)) for i in set(found.class_ids.tolist())},
            )
        moved = self._flow.moved(was, tracked, grey)
        if inside:
            self._compare(was, found, crc)
            if moved is not None and crc == was.grey_crc:
                said = differences.of_motion(tracked, *moved)
                self.motion.add(said and f"{differences.place(was, 'motion')}: {said}")
        return was

    def _found(self, was: DetectionMessage, pixels: Pixels) -> Detections:
        """Return what is found; nothing in a picture with data missing, as in the live line."""
        if was.damage == "direct":
            return Detections.none()
        prepared = prepare(self._detector, pixels, was.stamp.t_media_ns)
        return self._keep(self._detector.infer(prepared))

    def _compare(self, was: DetectionMessage, found: Detections, crc: int) -> None:
        if was.grey_crc and crc != was.grey_crc:
            if self._encoded:
                self.stage.note("encoded for recording: not the pictures that were detected in")
                return
            self.stage.add(f"{differences.place(was, 'picture')}: not the one that was seen")
        elif self._clocked:
            self.stage.note("tiles with a time budget: their choice depends on the clock")
        elif not self._is_known:
            self.stage.note("the detector remembers pictures from before the recording")
        else:
            said = differences.of_detections(was.detections, found, exact=self._exact)
            self.stage.add(said and f"{differences.place(was, 'detection')}: {said}")


class _Flow:
    """Camera motion and scene cuts, from the start of a tracker on; unknown after a gap."""

    def __init__(self) -> None:
        self._parts: tuple[CameraMotion, SceneCut] | None = None
        self._size = (0, 0)
        self._last: int | None = None

    def forget(self) -> None:
        """A picture is missing: nothing is known from here on."""
        self._parts = None

    def moved(
        self, found: DetectionMessage, tracked: TrackMessage, grey: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], bool] | None:
        """Return warp and cut of a picture; None where they are not known."""
        size = found.width, found.height
        lost, self._last = differences.was_lost(tracked, self._last), tracked.message_id
        if tracked.message_id & 0xFFFFFFFF == 0:
            self._parts = CameraMotion(), SceneCut()
        elif lost or size != self._size:
            self._parts = None
        self._size = size
        if self._parts is None:
            return None
        if found.damage == "direct":  # the follower leaves it out too
            return np.eye(2, 3, dtype=np.float32), False
        motion, scene = self._parts
        return motion.estimate(grey, found.detections.boxes, *size), scene.is_cut(grey)
