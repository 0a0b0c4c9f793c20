"""The models of a launch file.

Stages own their options (a class's `Options`), so a stage's part of the file is kept here as a
plain mapping and validated by resolve.py with `Document.validate`. Imports geometry, errors.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from perception.geometry.calibration import Calibration
from perception.launchfile.document import NAME_PATTERN, Document, parse, read_text
from perception.launchfile.page import UserPath, Web

Name = Annotated[str, Field(pattern=NAME_PATTERN)]

Options = dict[str, Any]


class _Base(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Tiles(_Base):
    """A large picture looked at in tiles, so that small objects keep their pixels."""

    budget_ms: Annotated[float, Field(ge=1, le=60_000)] | None = Field(
        default=80.0,
        description="time for the tiles of one frame, ms; null: all tiles of every frame",
    )
    size: Annotated[int, Field(ge=64, le=4096, multiple_of=2)] = Field(
        default=512, description="side of a tile, px of the picture"
    )
    overlap: Annotated[float, Field(ge=0.0, le=0.5)] = Field(
        default=0.2, description="share of a side that neighbours have in common at least"
    )
    sweep_s: Annotated[float, Field(gt=0, le=600)] = Field(
        default=1.0, description="a tile that was not looked at for so long goes first, s"
    )


class Detect(_Base):
    """What is detected in a camera's frames, by which detector and how often."""

    detector: Name = "default"
    detectors: Annotated[list[Name], Field(min_length=1, max_length=8)] | None = Field(
        default=None,
        description="several instead of one: where boxes overlap the first one's is kept",
    )
    rate_hz: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None,
        description="at most so many frames a second are detected; the tracker bridges",
    )
    mode: Literal["every", "auto"] = Field(
        default="every",
        description="auto, for a fixed view: the network looks at what has changed only",
    )
    sweep_s: Annotated[float, Field(ge=0.1, le=600)] | None = Field(
        default=None,
        description="with mode auto: the whole picture is looked at at least so often, s; 2",
    )

    tiles: Tiles | None = Field(
        default=None, description="small objects in a large picture; {} for the defaults"
    )

    @model_validator(mode="after")
    def _tiles_or_auto(self) -> Self:
        if self.tiles is not None and self.mode == "auto":
            raise ValueError("tiles are for a moving camera, mode auto for a fixed one: take one")
        return self

    @model_validator(mode="after")
    def _sweep_is_of_auto(self) -> Self:
        if self.sweep_s is not None and self.mode != "auto":
            raise ValueError("sweep_s belongs to `mode: auto`")
        return self


def _with_mode(given: object) -> object:
    """Return `detect: auto` as the mapping that it stands for."""
    if not isinstance(given, str):
        return given
    if given != "auto":
        raise ValueError(f"{given!r}: expected auto, or a mapping")
    return {"mode": given}


class Record(_Base):
    """What is recorded of a camera: its own packets, all messages, a clip of each alert."""

    clips: bool = Field(default=True, description="an MP4 of each alert, not encoded again")
    before_s: Annotated[float, Field(ge=0, le=60)] = Field(
        default=5.0, description="seconds of a clip before its alert"
    )
    after_s: Annotated[float, Field(ge=0, le=300)] = Field(
        default=5.0, description="seconds of a clip after its alert"
    )


class Recordings(_Base):
    """Where recordings are and how much room they may take."""

    folder: UserPath | None = Field(
        default=None, description="folder; <output.folder>/footage, where not given"
    )
    max_gb: Annotated[float, Field(gt=0, le=1e6)] | None = Field(
        default=None, description="1e9 bytes that they may take; then the least valuable go"
    )
    min_free_gb: Annotated[float, Field(ge=0.1, le=1e6)] = Field(
        default=5.0, description="1e9 bytes of the disk that stay free"
    )
    half_life_days: Annotated[float, Field(gt=0, le=36_500)] = Field(
        default=7.0, description="days after which a segment is worth half as much"
    )


class Camera(_Base):
    """One camera: where its frames come from and what is to be noticed in them."""

    source: str | int | Options = Field(
        description="path, asset:NAME, rtsp://, tcp://, http://, index, folder, push, or a mapping"
    )
    detect: Annotated[
        Detect,
        BeforeValidator(_with_mode, json_schema_input_type=Literal["auto"] | Detect),
    ] = Field(default=Detect(), description="auto, or a mapping")
    objects: list[str] | None = Field(
        default=None, description="classes to keep; all where not given"
    )
    zones: dict[Name, Any] = Field(
        default={}, description="name -> polygon, points as fractions of 0..1"
    )
    lines: dict[Name, Any] = Field(
        default={}, description="name -> line, points as fractions of 0..1"
    )
    rules: dict[Name, Options] = Field(
        default={}, description="name -> rule with its type and options"
    )
    calibration: Calibration | None = Field(
        default=None,
        description="focal length, height and pitch of the camera, or four points: gives metres",
    )
    lanes: Options | None = Field(
        default=None, description="{} finds the lines of a road's lanes; see docs/vehicle.md"
    )
    budget_ms: Annotated[float, Field(gt=0, le=60_000)] | None = Field(
        default=None,
        description="a frame that is older after the rules is counted and told, ms",
    )
    fresh_ms: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None,
        description="a frame that waited longer for the network is skipped where the next one is "
        "due within as long, ms: younger results, fewer of them; null: never. Has no effect where "
        "one network serves several cameras",
    )
    keep_s: Annotated[float, Field(ge=0.1, le=30)] = Field(
        default=0.7, description="seconds that frames stay in shared memory for late readers"
    )
    record: Record | None = Field(
        default=None,
        description="{} records the camera under `perception run`; see docs/recording.md",
    )
    telemetry: Options | None = Field(
        default=None,
        description="what the vehicle says of itself: type (mavlink, dji_srt, klv, ...), options",
    )
    map: Options | None = Field(
        default=None, description="how pixels become places: lens, mount_deg, ground, sigmas"
    )
    watch: Options | None = Field(
        default=None,
        description="alerts where the camera is offline, frozen or dark; {} for the defaults",
    )


class Alerts(_Base):
    """Where alerts are kept and sent."""

    store: UserPath | None = Field(
        default=None, description="SQLite file; <output.folder>/alerts.sqlite"
    )
    retain_days: Annotated[float, Field(ge=0, le=36_500)] = Field(
        default=365.0,
        description="days that alerts, when over and delivered, stay with their pictures; 0: ever",
    )
    sinks: dict[Name, Options] = Field(
        default_factory=lambda: {"jsonl": {}, "snapshot": {}},
        description="name -> sink with its type (its name, where not given) and options",
    )


class Identity(_Base):
    """Who people are: faces of their tracks against a gallery of people that you enrolled."""

    gallery: UserPath | None = Field(
        default=None, description="folder of the gallery; the user's own, where not given"
    )
    key: str | None = Field(
        default=None, description="key file (mode 0600), or the key itself as ${NAME}"
    )
    embedder: Options = Field(default={}, description="type (sface, onnx) and its options")
    cameras: Annotated[list[Name], Field(min_length=1)] | None = Field(
        default=None, description="all, where not given"
    )
    deadline_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=2.0, description="what is not decided by then is said to be undecided"
    )
    min_faces: Annotated[int, Field(ge=1, le=6)] = Field(
        default=3, description="usable faces before anybody is named; twice as many: a stranger"
    )
    rate_hz: Annotated[float, Field(gt=0, le=60)] = Field(
        default=10.0, description="looks a second at a person who is not decided yet"
    )


class Output(_Base):
    """What a run leaves behind."""

    folder: UserPath | None = Field(default=None, description="recordings/<name>, where not given")
    video: bool = Field(default=False, description="write annotated-<camera>.mp4")
    tracks: bool = Field(
        default=False, description="write tracks-<camera>.jsonl and mot-<camera>.txt"
    )
    kitti: bool = Field(
        default=False, description="write kitti-<camera>.txt, KITTI's tracking labels"
    )
    cot: Options | None = Field(default=None, description="tracks as Cursor-on-Target: url, ...")


class Metrics(_Base):
    """Prometheus text for whoever asks on this host."""

    port: Annotated[int, Field(ge=1, le=65535)] | None = None


class Threads(_Base):
    """Threads of each detection process; None: shared out among cores by the plan."""

    detection: Annotated[int, Field(ge=1, le=256)] | None = None


class Launch(_Base):
    """A whole launch file."""

    name: Name = "line"
    cameras: Annotated[dict[Name, Camera], Field(min_length=1)]
    detectors: dict[Name, Options] = Field(default_factory=lambda: {"default": {}})
    track: Options = Field(default={}, description="tracker type and options")
    alerts: Alerts = Field(default_factory=Alerts)
    identity: Identity | None = Field(
        default=None, description="who people are; not asked, where not given"
    )
    recordings: Recordings = Field(default_factory=Recordings)
    output: Output = Output()
    metrics: Metrics = Metrics()
    web: Web | None = Field(default=None, description="{} serves the page; see docs/web.md")
    threads: Threads = Threads()

    @property
    def folder(self) -> Path:
        """Where its results go."""
        return self.output.folder or Path("recordings") / self.name

    @property
    def footage(self) -> Path:
        """Where its recordings are."""
        return self.recordings.folder or self.folder / "footage"

    @property
    def store(self) -> Path:
        """Where its alerts are kept."""
        return self.alerts.store or self.folder / "alerts.sqlite"


def load(path: str | Path) -> tuple[Launch, Document]:
    """Read and check a launch file; its name is the file's stem where it gives none.

    Raises ConfigError with file, line and key: unreadable, too large or too deep, not YAML, twice
    the same key, an unknown key (with the nearest known), a wrong value, a secret not set.
    """
    return load_text(read_text(Path(path)), str(path))


def load_text(text: str, path: str) -> tuple[Launch, Document]:
    """Check the text of a launch file as `load` does. path: for errors and its name."""
    document = parse(text, path)
    launch = document.validate(Launch, document.data)
    if "name" not in launch.model_fields_set:
        stem = re.sub(r"[^A-Za-z0-9_-]", "-", Path(path).stem)[:40].lstrip("-_")
        launch = launch.model_copy(update={"name": stem or "line"})
    return launch, document
