"""A camera's `telemetry:` and `map:`: checked, and made into what puts its tracks on the ground.

Geolocation brings Numba, so it is imported where it is made.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from perception import telemetry
from perception.errors import ConfigError, SourceError
from perception.launchfile.document import Document, Path_
from perception.sinks.cot_tracks import TrackOptions
from perception.wire.plan import CameraPlan, StagePlan

if TYPE_CHECKING:
    from perception.geo.placer import Placer
    from perception.telemetry.feed import TelemetryFeed


def resolve_telemetry(given: dict[str, Any], document: Document, path: Path_) -> StagePlan:
    """Return the reader of telemetry with its options checked. Raises ConfigError."""
    options = dict(given)
    kind = str(options.pop("type", ""))
    if not kind:
        known = ", ".join(telemetry.TELEMETRY)
        raise document.error(path, f"needs a type: {known}")
    try:
        cls = telemetry.telemetry_class(kind)
    except ConfigError as error:
        raise document.error((*path, "type"), str(error)) from None
    checked = document.validate(cls.Options, options, path)
    return StagePlan(type=kind, options=checked.model_dump(mode="json", exclude_unset=True))


def resolve_map(given: dict[str, Any], document: Document, path: Path_) -> dict[str, Any]:
    """Return the options of the map, checked. Raises ConfigError."""
    from perception.geo.options import MapOptions

    checked = document.validate(MapOptions, given, path)
    return checked.model_dump(mode="json", exclude_unset=True)


def resolve_cot(given: dict[str, Any] | None, document: Document) -> dict[str, Any] | None:
    """Return the options of tracks as Cursor-on-Target, checked; None where nobody asks."""
    if given is None:
        return None
    checked = document.validate(TrackOptions, given, ("output", "cot"))
    return checked.model_dump(mode="json", exclude_unset=True)


def make_feed(camera: CameraPlan) -> "tuple[TelemetryFeed, str] | None":
    """Return a camera's telemetry, opened, and why it could not be; None where it has none."""
    from perception.launchfile.build import wants_metadata
    from perception.telemetry import Inside
    from perception.telemetry.feed import TelemetryFeed
    from perception.telemetry.stills import StillsXmp

    stage = camera.telemetry
    if stage is None:
        return None
    cls = telemetry.telemetry_class(stage.type)
    options = cls.Options.model_validate(stage.options)
    is_file = camera.source.type in ("video", "images")
    video = Path(str(camera.source.options["path"])) if is_file else None
    reader = cls(options, video=video)
    if isinstance(reader, StillsXmp):
        reader.pictures = _pictures(camera)
    if isinstance(reader, Inside):
        reader.inside = wants_metadata(camera)
    why = ""
    try:
        reader.open()
    except SourceError as error:
        why = reader.why = f"telemetry: {error}"
    return TelemetryFeed(reader, options), why


def _pictures(camera: CameraPlan) -> "list[tuple[Path, int]]":
    """Return the pictures of a camera and their media times in ns; none where it has no files."""
    from perception.sources.images import ImagesSource, picture_times

    if camera.source.type != "images":
        return []
    options = {
        k: v for k, v in camera.source.options.items() if k in ImagesSource.Options.model_fields
    }
    try:
        return picture_times(ImagesSource.Options.model_validate(options))
    except SourceError:
        return []  # the source says why


def make_placer(camera: CameraPlan) -> "tuple[Placer, TelemetryFeed, str] | None":
    """Return what places a camera's tracks, its telemetry and why that cannot be had.

    None where the camera has no telemetry. Raises ConfigError where the terrain cannot be read.
    """
    made = make_feed(camera)
    if made is None:
        return None
    from perception.geo.options import MapOptions
    from perception.geo.placer import Placer

    feed, why = made
    return Placer(feed, MapOptions.model_validate(camera.map or {})), feed, why
