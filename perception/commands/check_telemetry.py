"""What `perception check` says of a recorded camera's telemetry. Command line only."""

from dataclasses import asdict

from msgspec.structs import replace

from perception.analysis.offset import MAX_FRAMES, NOT_FOUND, OffsetWatch
from perception.errors import PerceptionError, SourceEnded
from perception.geometry.grey import small_grey
from perception.launchfile import build
from perception.launchfile.mapping import make_feed
from perception.recording.summary_table import offset_text
from perception.sources import AllocatePlanes
from perception.telemetry import telemetry_class
from perception.telemetry.feed import TelemetryFeed
from perception.telemetry.finding import LIVE
from perception.wire.plan import CameraPlan


def telemetry_notes(camera: CameraPlan) -> list[str]:
    """Return sentences about a camera's telemetry; none where it has none.

    A log is read whole. Where it has a gyro, the first 30 s of the recording are decoded and the
    offset between both clocks is told. Live telemetry is not listened to: a line may be running.
    """
    stage = camera.telemetry
    if stage is None:
        return []
    name = camera.name
    is_live = stage.type in LIVE or build.wants_metadata(camera)
    if is_live:
        options = telemetry_class(stage.type).Options.model_validate(stage.options)
        place = str(getattr(options, "url", "inside the stream"))
        return [f"{name}: telemetry {stage.type}, {place}: listened to while the line runs"]
    made = make_feed(camera)
    assert made is not None
    feed, why = made
    try:
        if why:
            return [f"{name}: {why}"]
        said = ", ".join(f"{key.replace('_', ' ')} {n}" for key, n in feed.counters.items() if n)
        return [f"{name}: telemetry {stage.type}: {said or 'read'}", *_offset(camera, feed)]
    finally:
        feed.close()


def _offset(camera: CameraPlan, feed: TelemetryFeed) -> list[str]:
    watch = OffsetWatch(feed)
    if not watch.has_gyro:
        return []
    options = {**camera.source.options, "realtime": False}
    unpaced = replace(camera, source=replace(camera.source, options=options))
    frames, allocate = 0, AllocatePlanes()
    try:
        source = build.make_source(unpaced, None)
        source.open()
        try:
            while frames < MAX_FRAMES:
                frame = source.read(allocate)
                if frame is not None:
                    watch.see(frame.t_media_ns, small_grey(frame.pixels))
                    frames += 1
        except SourceEnded:
            pass
        finally:
            source.close()
    except PerceptionError as error:
        return [f"{camera.name}: {error}"]
    found = watch.find()
    return [f"{camera.name}: {NOT_FOUND if found is None else offset_text(asdict(found))}"]
