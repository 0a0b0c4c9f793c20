"""A segment examined: every frame through a detector of any size, written into a file of its own.

What was recorded live is read only. Two runs write the same bytes: no clock is in the file. Run as
`python -m perception.analysis.examining SPEC.json`: takes jobs until there is none.
"""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from perception import logs
from perception.analysis.jobs import LEASE_S, Jobs
from perception.analysis.recorded import Part, Pictures, parts
from perception.detectors import prepare
from perception.errors import PerceptionError
from perception.footage import timeline
from perception.footage.catalog import Catalog
from perception.footage.messages import LoggedMessage, MessageFile, PacketLine
from perception.footage.rows import SegmentRow
from perception.geometry.camera_motion import CameraMotion
from perception.geometry.grey import small_grey
from perception.launchfile import build
from perception.pixels import Pixels
from perception.trackers.scene_cut import SceneCut
from perception.wire import DetectionMessage, Detections, Stamp, TrackMessage, Tracks
from perception.wire.codec import encode_record, record_table
from perception.wire.plan import Plan

JOBS = "jobs.sqlite"
_PART = ".part"


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker does. root: recordings; folder: of results. plan: of one camera.

    segments: paths, each a job. until_ns: CLOCK_MONOTONIC by which it ends; None: no budget.
    """

    root: str
    folder: str
    camera: str
    plan: Plan
    rotate: int | None
    segments: list[str]
    threads: int
    until_ns: int | None = None


class Examiner:
    """A detector that looks at every picture of segments, without motion gates or rate limits."""

    def __init__(self, plan: Plan, camera: str, threads: int, rotate: int | None) -> None:
        """Raises ModelError where the model cannot be had."""
        one = plan.cameras[camera]
        self._plan, self._camera, self._threads, self._rotate = plan, one, threads, rotate
        self._base = build.make_detector(plan, one.detectors, threads)

    def examine(self, part: Part, row: SegmentRow, file: Path, tick: Callable[[int], None]) -> int:
        """Write what is found in a segment; return the number of pictures.

        file: MCAP, whole or not there. Its `tracks` hold camera motion and cuts only. tick: called
        with pictures done. Raises OSError where the disk refuses.
        """
        detector = build.camera_detector(self._camera, self._base)
        keep = build.class_filter(detector, self._camera.objects)
        motion, scene = CameraMotion(), SceneCut()
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f"{file.name}.{os.getpid()}{_PART}")
        written, count = MessageFile(partial, self._camera.name, record_table), 0
        try:
            for line, pixels in Pictures(part, self._rotate).every(row):
                prepared = prepare(detector, pixels, line.t_media_ns)
                found = keep(detector.infer(prepared))
                names = {int(i): detector.names.get(int(i), str(i)) for i in found.class_ids}
                grey, size = small_grey(pixels), (pixels.width, pixels.height)
                warp = motion.estimate(grey, found.boxes, *size)
                for topic, message in _messages(
                    self._camera.name, line, pixels, found, names, warp, scene.is_cut(grey)
                ):
                    data = encode_record(message)
                    written.add(LoggedMessage(topic, line.t_wall_ns, line.t_media_ns, data))
                count += 1
                tick(count)
            written.finish({"path": row.path, "frames": count})
            partial.replace(file)
        except BaseException:
            written.abandon()
            partial.unlink(missing_ok=True)
            raise
        return count


def _messages(
    camera: str, line: PacketLine, pixels: Pixels, found: Detections, names: dict[int, str],
    warp: np.ndarray[tuple[int, int], np.dtype[np.float32]], cut: bool,
) -> list[tuple[str, DetectionMessage | TrackMessage]]:  # fmt: skip
    stamp = Stamp(
        camera=camera, frame_id=line.packet_id, t_media_ns=line.t_media_ns,
        t_arrival_ns=line.t_arrival_ns, t_wall_ns=line.t_wall_ns,
    )  # fmt: skip
    seen = DetectionMessage(
        stamp=stamp, width=pixels.width, height=pixels.height, names=names, dropped={},
        t_taken_ns=0, t_detected_ns=0, inference_ns=0, detections=found,
        grey=np.empty((0, 0), np.uint8),
    )  # fmt: skip
    moved = TrackMessage(
        stamp=stamp, width=pixels.width, height=pixels.height, names={}, dropped={},
        t_detected_ns=0, t_tracked_ns=0, tracks=Tracks.none(), warp=warp, cut=cut,
    )  # fmt: skip
    return [("detections", seen), ("tracks", moved)]


def work(spec: Spec, say: Callable[[str], None]) -> None:
    """Take jobs of a spec until there is none or the time is up.

    A segment that would not be done in time is not begun, except the first.
    """
    worker, root, folder = str(os.getpid()), Path(spec.root), Path(spec.folder)
    catalog, jobs = Catalog(root, create=False), Jobs(folder / JOBS)
    names, per_frame = set(spec.segments), 0.0
    examiner = Examiner(spec.plan, spec.camera, spec.threads, spec.rotate)
    try:
        while True:
            left = _left_s(spec)
            if per_frame and left is not None and left <= 0.0:
                return
            name = jobs.take(worker, names)
            if name is None:
                return
            row = timeline.segment(catalog, name)
            if row is None:
                jobs.refuse(name, worker, "it was deleted meanwhile")
                continue
            if per_frame and left is not None and per_frame * row.frames > left:
                jobs.release(worker)
                return
            per_frame = _one(jobs, worker, examiner, root, folder, row, say) or per_frame
    finally:
        jobs.close()
        catalog.close()


def _one(
    jobs: Jobs, worker: str, examiner: Examiner, root: Path, folder: Path, row: SegmentRow,
    say: Callable[[str], None],
) -> float | None:  # fmt: skip
    """Examine a segment; return s a picture, None where that is not known."""
    begun = renewed = time.monotonic()

    def tick(done: int) -> None:
        nonlocal renewed
        if time.monotonic() - renewed > LEASE_S / 6:
            renewed = time.monotonic()
            jobs.renew(row.path, worker)
        if done % 10 == 0:
            say(f"{row.path} {done}")

    try:
        (part,) = parts(root, [row])
        count = examiner.examine(part, row, folder / f"{row.path}.mcap", tick)
    except (PerceptionError, OSError) as error:
        jobs.refuse(row.path, worker, str(error))
        return None
    jobs.finish(row.path, worker)
    say(f"{row.path} {count}")
    return (time.monotonic() - begun) / count if count else None


def _left_s(spec: Spec) -> float | None:
    if spec.until_ns is None:
        return None
    return (spec.until_ns - time.monotonic_ns()) / 1e9


if __name__ == "__main__":
    try:
        work(
            msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Spec),
            lambda said: print(said, flush=True),
        )
    except PerceptionError as error:
        print(logs.mask(str(error)), file=sys.stderr)
        sys.exit(error.exit_code)
