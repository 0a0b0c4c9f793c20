"""From a launch file to a plan: every stage's options checked, the processes laid out.

Everything that can be known to be wrong before a process starts is found here, and named with file,
line and key.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from perception import analysers, assets, detectors, identity, rules, sinks, sources, trackers
from perception.alerts.watch import WatchOptions
from perception.errors import ConfigError, PerceptionError, unknown
from perception.identity.gallery import Gallery
from perception.launchfile import config
from perception.launchfile.build import make_rule, make_tracker
from perception.launchfile.config import Launch
from perception.launchfile.document import Document, Path_
from perception.launchfile.layout import lay_out
from perception.launchfile.mapping import resolve_cot, resolve_map, resolve_telemetry
from perception.rules.zones import Line, Zone
from perception.sources.spec import parse as parse_source
from perception.wire.plan import CameraPlan, IdentityPlan, Plan, RecordingsPlan, StagePlan

ASSET = "asset:"
SWEEP_S = 2.0
"""With `detect: auto`, where the launch file says nothing else."""


def resolve(launch: Launch, document: Document, *, realtime: bool = True) -> Plan:
    """Check every stage's options and lay out the processes.

    realtime: files are played as cameras; otherwise they are read frame by frame (analyze).
    Raises ConfigError with file, line and key.
    """
    cameras = {name: _camera(name, launch, document, realtime=realtime) for name in launch.cameras}
    used = list(dict.fromkeys(n for camera in cameras.values() for n in camera.detectors))
    found = {
        name: _detector(name, options, document)
        for name, options in launch.detectors.items()
        if name in used
    }
    for name, camera in cameras.items():
        _check_objects(name, camera, [found[n] for n in camera.detectors], document)
    plan = Plan(
        name=launch.name,
        file=document.file,
        cameras=cameras,
        detectors=found,
        tracker=_tracker(launch, document),
        sinks={
            name: _stage(document, ("alerts", "sinks", name), options, sinks.sink_class, name)
            for name, options in launch.alerts.sinks.items()
        },
        store=str(launch.store),
        folder=str(launch.folder),
        video=launch.output.video,
        tracks=launch.output.tracks,
        kitti=launch.output.kitti,
        cot=resolve_cot(launch.output.cot, document),
        metrics_port=launch.metrics.port,
        processes=lay_out(launch, document, {n: c.detectors for n, c in cameras.items()}),
        identity=_identity(launch.identity, document) if launch.identity else None,
        retain_days=launch.alerts.retain_days,
        recordings=_recordings(launch),
        web=launch.web.plan() if launch.web else None,
    )
    _check_tracker(plan, document)
    return plan


def _stage(
    document: Document,
    path: Path_,
    given: dict[str, Any],
    find: Callable[[str], Any],
    default: str,
) -> StagePlan:
    """Return a stage of the launch file with its type found and its options validated."""
    options = dict(given)
    kind = options.pop("type", default)
    try:
        cls = find(str(kind))
    except ConfigError as error:
        raise document.error((*path, "type"), str(error)) from None
    checked = document.validate(cls.Options, options, path)
    return StagePlan(type=str(kind), options=checked.model_dump(mode="json", exclude_unset=True))


def _detector(name: str, options: dict[str, Any], document: Document) -> StagePlan:
    """Return a detector's stage, its model an asset's name or a file that is there."""
    path = ("detectors", name)
    stage = _stage(document, path, options, detectors.detector_class, "onnx")
    model = stage.options.get("model")
    if isinstance(model, str) and model not in assets.ASSETS and not Path(model).is_file():
        known = assets.names("weights" if stage.type == "ultralytics" else "model")
        text = f"no such file; nor is it a known model: {unknown(model, known, 'models')}"
        raise document.error((*path, "model"), text)
    return stage


def _check_objects(
    name: str, camera: CameraPlan, stages: list[StagePlan], document: Document
) -> None:
    """Refuse objects that no detector can know; those of other models are tried at loading."""
    from perception.detectors.heads import COCO_NAMES  # brings Numba, which few processes need
    from perception.detectors.motion import NAME

    known: list[str] = []
    for stage in stages:
        models = assets.names("model") if stage.type == "onnx" else []
        is_coco = stage.options.get("model", models[:1] and models[0]) in models
        if stage.type == "motion":
            known.append(NAME)
        elif is_coco and "names" not in stage.options:
            known += COCO_NAMES
        else:
            return
    for i, wanted in enumerate(camera.objects or []):
        if wanted not in known:
            place = ("cameras", name, "objects", i)
            raise document.error(place, unknown(wanted, known, "objects of its detectors"))


def _tracker(launch: Launch, document: Document) -> StagePlan:
    return _stage(document, ("track",), dict(launch.track), trackers.tracker_class, "two_stage")


def _check_tracker(plan: Plan, document: Document) -> None:
    """Refuse options of the tracker that contradict the score levels of a camera's detector."""
    for camera in plan.cameras.values():
        try:
            make_tracker(plan, camera.name, 0)
        except ValidationError as error:
            text = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
            raise document.error(("track",), f"{text} (camera {camera.name})") from None


def _identity(asked: config.Identity, document: Document) -> IdentityPlan:
    """Return who-is-who resolved; the gallery is opened here, so that a wrong key is told now."""
    gallery = asked.gallery and str(asked.gallery)
    try:
        Gallery(asked.gallery, asked.key)
    except ConfigError as error:
        raise document.error(("identity",), error.text) from None
    return IdentityPlan(
        gallery=gallery,
        key=asked.key,
        embedder=_stage(
            document, ("identity", "embedder"), asked.embedder, identity.embedder_class, "sface"
        ),
        deadline_s=asked.deadline_s,
        min_faces=asked.min_faces,
        rate_hz=asked.rate_hz,
    )


def _camera(name: str, launch: Launch, document: Document, *, realtime: bool) -> CameraPlan:
    camera, path = launch.cameras[name], ("cameras", name)
    chosen = camera.detect.detectors or [camera.detect.detector]
    key = "detectors" if camera.detect.detectors else "detector"
    for detector in chosen:
        if detector not in launch.detectors:
            text = unknown(detector, launch.detectors, "detectors")
            raise document.error((*path, "detect", key), text)
    if len(set(chosen)) < len(chosen):
        raise document.error((*path, "detect", key), f"{chosen}: a detector is named twice")
    zones = {
        key: document.validate(Zone, value, (*path, "zones", key))
        for key, value in camera.zones.items()
    }
    lines = {
        key: document.validate(Line, value, (*path, "lines", key))
        for key, value in camera.lines.items()
    }
    stages: dict[str, StagePlan] = {}
    for key, options in camera.rules.items():
        place = (*path, "rules", key)
        if "type" not in options:
            raise document.error(place, f"needs a type: {', '.join(rules.RULES)}")
        stages[key] = _stage(document, place, options, rules.rule_class, "")
        for wanted in stages[key].options.get("objects", ()):
            if camera.objects is not None and wanted not in camera.objects:
                text = unknown(wanted, camera.objects, "objects of this camera")
                raise document.error((*place, "objects"), text)
        asks = "min_km_h" if stages[key].options.get("min_km_h") else None
        asks = "type" if stages[key].type == "collision" else asks
        if asks and camera.calibration is None:
            raise document.error((*place, asks), "needs a `calibration:` of this camera")
        if stages[key].type == "departure" and camera.lanes is None:
            raise document.error((*place, "type"), "needs `lanes: {}` of this camera")
        try:
            make_rule(key, stages[key], zones, lines)
        except ConfigError as error:
            raise document.error(place, error.text) from None
    source = _source(camera.source, document, (*path, "source"), realtime=realtime)
    return CameraPlan(
        name=name,
        source=source,
        has_packets=source.type in sources.WITH_PACKETS,
        detectors=chosen,
        rate_hz=camera.detect.rate_hz,
        sweep_s=_sweep_s(camera.detect, launch, document, path),
        tiles=_tiles(camera.detect, launch, document, path, realtime=realtime),
        objects=camera.objects,
        zones={key: zone.model_dump(mode="json") for key, zone in zones.items()},
        lines={key: line.model_dump(mode="json") for key, line in lines.items()},
        rules=stages,
        keep_s=camera.keep_s,
        budget_ms=camera.budget_ms,
        fresh_ms=camera.fresh_ms,
        record=camera.record and camera.record.model_dump(),
        telemetry=None
        if camera.telemetry is None
        else resolve_telemetry(camera.telemetry, document, (*path, "telemetry")),
        map=None if camera.map is None else resolve_map(camera.map, document, (*path, "map")),
        lanes=None
        if camera.lanes is None
        else _stage(document, (*path, "lanes"), camera.lanes, analysers.analyser_class, "markings"),
        calibration=camera.calibration
        and camera.calibration.model_dump(mode="json", exclude_unset=True),
        watch=None
        if camera.watch is None
        else document.validate(WatchOptions, camera.watch, (*path, "watch")).model_dump(),
    )


def _recordings(launch: Launch) -> RecordingsPlan | None:
    """Return where cameras are recorded; None where none is."""
    if not any(camera.record for camera in launch.cameras.values()):
        return None
    asked = launch.recordings
    return RecordingsPlan(
        folder=str(launch.footage),
        max_bytes=None if asked.max_gb is None else round(asked.max_gb * 1e9),
        min_free_bytes=round(asked.min_free_gb * 1e9),
        half_life_days=asked.half_life_days,
    )


def _sweep_s(
    detect: config.Detect, launch: Launch, document: Document, path: Path_
) -> float | None:
    """Return how often the whole picture is looked at; None: every frame is."""
    if detect.mode != "auto":
        return None
    if detect.detectors:
        text = "mode auto takes one detector; a moving camera has no use for it"
        raise document.error((*path, "detect", "detectors"), text)
    kind = launch.detectors[detect.detector].get("type", "onnx")
    if kind != "onnx":
        text = f"mode auto needs a detector of type onnx, {detect.detector} is {kind}"
        raise document.error((*path, "detect"), text)
    return SWEEP_S if detect.sweep_s is None else detect.sweep_s


def _tiles(
    detect: config.Detect, launch: Launch, document: Document, path: Path_, *, realtime: bool
) -> dict[str, Any] | None:
    """Return the options of tiles, checked against the first detector; None: no tiles.

    Analysis has no budget: its results must not depend on how fast the machine is.
    """
    if detect.tiles is None:
        return None
    first = (detect.detectors or [detect.detector])[0]
    kind = launch.detectors[first].get("type", "onnx")
    if kind != "onnx":
        text = f"tiles need a first detector of type onnx, {first} is {kind}"
        raise document.error((*path, "detect", "tiles"), text)
    options = detect.tiles.model_dump(mode="json")
    return options if realtime else {**options, "budget_ms": None}


def _source(given: Any, document: Document, path: Path_, *, realtime: bool) -> StagePlan:
    try:
        kind, options = parse_source(_with_asset(given))
        cls = sources.source_class(kind)
    except PerceptionError as error:
        raise document.error(path, str(error)) from None
    if "realtime" in cls.Options.model_fields:
        options = {"realtime": realtime, **options}
    checked = document.validate(cls.Options, options, path)
    return StagePlan(type=kind, options=checked.model_dump(mode="json", exclude_unset=True))


def _with_asset(given: Any) -> Any:
    """Replace asset:NAME by the path of the clip, which is fetched where it is not cached."""
    if isinstance(given, dict):
        fields: dict[str, Any] = given
        return {
            key: _with_asset(value) if key == "path" else value for key, value in fields.items()
        }
    if isinstance(given, str) and given.startswith(ASSET):
        return str(assets.resolve(given.removeprefix(ASSET), "clip"))
    return given
