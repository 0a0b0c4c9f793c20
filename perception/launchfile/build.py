"""The stages that a plan names, made: sources, detectors, trackers, rules, sinks, recognisers.

The one place where options of a plan become objects, for processes and analysis alike.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from perception import analysers, detectors, identity, rules, sinks, sources, trackers
from perception.detectors.combined import Combined
from perception.detectors.levels import ScoreLevels, tracker_options
from perception.errors import ConfigError, unknown
from perception.geometry.calibration import Calibration
from perception.identity.decide import Thresholds
from perception.identity.faces import FaceFinder
from perception.identity.gallery import Gallery, Templates
from perception.identity.who import Recogniser
from perception.rules.zones import Line, Zone
from perception.sources.image_times import find_times
from perception.sources.pacing import Paced
from perception.wire import Detections
from perception.wire.plan import CameraPlan, Plan, StagePlan

if TYPE_CHECKING:
    from perception.geometry import Ground
    from perception.sources.metadata import MetadataTap
    from perception.sources.tap import PacketTap
    from perception.trackers.follow import Follower, RecordedMotion

MIN_SLOTS = 4
DEFAULT_FPS = 30.0


def make_rule(
    name: str, stage: StagePlan, zones: Mapping[str, Zone], lines: Mapping[str, Line]
) -> rules.Rule:
    """Return a rule. Raises ConfigError where it names a zone or line that is not there."""
    cls = rules.rule_class(stage.type)
    return cls(name, cls.Options.model_validate(stage.options), zones, lines)


def make_source(
    camera: CameraPlan,
    run_dir: Path | None,
    tap: "PacketTap | None" = None,
    metadata: "MetadataTap | None" = None,
) -> sources.Source:
    """Return the camera's source, not yet opened; a file that plays in real time is paced.

    tap: takes the coded packets, metadata: the data beside the video, where the source has them.
    """
    cls = sources.source_class(camera.source.type)
    options = cls.Options.model_validate(camera.source.options)
    source: sources.Source = cls(options, camera=camera.name, run_dir=run_dir)
    if tap is not None:
        from perception.sources.tap import Tapped  # brings PyAV: camera processes only

        if isinstance(source, Tapped):
            source.tap = tap
    if metadata is not None:
        from perception.sources.metadata import HasMetadata

        if isinstance(source, HasMetadata):
            source.metadata = metadata
    return Paced(source) if getattr(options, "realtime", False) else source


def wants_metadata(camera: CameraPlan) -> bool:
    """Whether the camera's telemetry comes inside its own live stream."""
    telemetry = camera.telemetry
    is_inside = telemetry is not None and telemetry.type == "klv"
    return is_inside and camera.source.type in sources.WITH_METADATA


def make_detector(plan: Plan, names: Sequence[str], threads: int) -> detectors.Detector:
    """Return the detectors of these names as one, loaded and warm. Raises ModelError."""
    made: list[detectors.Detector] = []
    for name in names:
        stage = plan.detectors[name]
        cls = detectors.detector_class(stage.type)
        made.append(cls(cls.Options.model_validate(stage.options), threads=threads))
    return made[0] if len(made) == 1 else Combined(made)


def camera_detector(camera: CameraPlan, detector: detectors.Detector) -> detectors.Detector:
    """Return the detector for one camera: its own where it remembers pictures."""
    own = detectors.for_camera(detector)
    if camera.tiles is not None:
        from perception.detectors.tiles import TiledDetector  # brings OpenCV and Numba

        if isinstance(own, Combined):
            return own.with_first(TiledDetector(own.first, **camera.tiles))
        return TiledDetector(own, **camera.tiles)
    if camera.sweep_s is None:
        return own
    from perception.detectors.attention import AttentiveDetector  # brings OpenCV and Numba

    keep = class_filter(own, camera.objects)
    return AttentiveDetector(own, sweep_s=camera.sweep_s, keep=keep)


def make_analysers(camera: CameraPlan) -> list[analysers.Analyser]:
    """Return what looks at a camera's pictures beside its detectors. Raises ModelError."""
    made: list[analysers.Analyser] = []
    for stage in filter(None, (camera.lanes,)):
        cls = analysers.analyser_class(stage.type)
        given = camera.calibration
        calibration = None if given is None else Calibration.model_validate(given)
        made.append(cls(cls.Options.model_validate(stage.options), calibration))
    return made


def make_tracker(plan: Plan, camera: str, epoch: int) -> trackers.Tracker:
    """Return a new tracker for a camera, its score thresholds those of the camera's detector.

    Options of the plan override these. Raises pydantic's ValidationError where they contradict.
    """
    kind, options = plan.tracker.type, plan.tracker.options
    stage = plan.detectors[plan.cameras[camera].detectors[0]]
    given = stage.options.get("levels")
    levels = None if given is None else ScoreLevels.model_validate(given)
    known = tracker_options(str(stage.options.get("model", stage.type)), levels)
    if kind == "two_stage" and is_stills(plan.cameras[camera]):
        kind, options = "none", {}
    if kind == "two_stage":
        options = {**known, **options}
    elif kind == "none":
        options = {"score": known["new_score"], **options}
    cls = trackers.tracker_class(kind)
    return cls(cls.Options.model_validate(options), epoch=epoch)


def is_stills(camera: CameraPlan) -> bool:
    """Whether the camera's pictures have nothing to do with each other.

    So it is for images without `fps`, `timestamps` or a file of times beside them.
    """
    if camera.source.type != "images":
        return False
    given = camera.source.options
    if given.get("fps") is not None or given.get("timestamps") is not None:
        return False
    return find_times(Path(str(given["path"])).expanduser()) is None


def make_follower(
    plan: Plan, camera: str, epoch: int, recorded: "RecordedMotion | None" = None
) -> "Follower":
    """Return what turns a camera's detections into tracks; see make_tracker, Follower."""
    from perception.trackers.follow import Follower  # brings OpenCV and Numba: tracking only

    one = plan.cameras[camera]
    ground = make_ground(one.calibration)
    tracker = make_tracker(plan, camera, epoch)
    return Follower(tracker, ground=ground, alone=is_stills(one), recorded=recorded)


def make_ground(options: Mapping[str, object] | None) -> "Ground | None":
    """Return what finds metres for the options of `calibration:`; None for None."""
    if options is None:
        return None
    from perception.geometry.ahead import Ahead  # brings OpenCV: tracking only
    from perception.geometry.calibration import Calibration
    from perception.geometry.plane import Plane

    calibration = Calibration.model_validate(options)
    return Plane(calibration) if calibration.points is not None else Ahead(calibration)


def make_rules(camera: CameraPlan) -> list[rules.Rule]:
    """Return the camera's rules."""
    zones = {key: Zone.model_validate(value) for key, value in camera.zones.items()}
    lines = {key: Line.model_validate(value) for key, value in camera.lines.items()}
    return [make_rule(key, stage, zones, lines) for key, stage in camera.rules.items()]


def make_sinks(plan: Plan) -> dict[str, sinks.Sink]:
    """Return the plan's sinks by name; they write into the plan's folder."""
    made: dict[str, sinks.Sink] = {}
    for name, stage in plan.sinks.items():
        cls = sinks.sink_class(stage.type)
        options = cls.Options.model_validate(stage.options)
        made[name] = cls(options, folder=Path(plan.folder))
    return made


def make_recognisers(what: Plan, cameras: Sequence[str]) -> dict[str, Recogniser]:
    """Return what tells who people are for those cameras that ask; models shared, gallery read.

    Raises ModelError or ConfigError.
    """
    asked = what.identity
    wanted = [name for name in cameras if name in what.cameras_of("identity")]
    if asked is None or not wanted:
        return {}
    cls = identity.embedder_class(asked.embedder.type)
    embedder: identity.Embedder = cls(cls.Options.model_validate(asked.embedder.options))
    thresholds = Thresholds(embedder.accept, embedder.reject, asked.min_faces, asked.deadline_s)
    folder = Path(asked.gallery) if asked.gallery else None
    templates = Templates.of(Gallery(folder, asked.key).people(), embedder.model)
    finder = FaceFinder()
    return {
        name: Recogniser(finder, embedder, thresholds, templates, asked.rate_hz) for name in wanted
    }


def slots_for(camera: CameraPlan, fps: float | None) -> int:
    """Return the depth of a camera's ring: its rate times keep_s."""
    return max(MIN_SLOTS, math.ceil((fps or DEFAULT_FPS) * camera.keep_s) + 2)


def class_filter(
    detector: detectors.Detector, objects: list[str] | None
) -> Callable[[Detections], Detections]:
    """Return what keeps the objects that a camera asks for; None: all.

    Raises ConfigError where the detector does not know one of them.
    """
    if objects is None:
        return lambda found: found
    for name in objects:
        if name not in detector.names.values():
            known = detector.names.values()
            raise ConfigError(unknown(name, known, "objects this model knows"))
    ids = [class_id for class_id, name in detector.names.items() if name in objects]

    def keep(found: Detections) -> Detections:
        rows = np.isin(found.class_ids, ids)
        return Detections(found.boxes[rows], found.scores[rows], found.class_ids[rows])

    return keep
