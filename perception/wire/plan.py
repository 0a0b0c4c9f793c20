"""A launch file resolved: which processes run, on which stages with which options.

A plan is data that travels as JSON (0600, in the run's directory) to every process: launchfile's
resolve.py makes it, build.py makes what it names. Imports errors.
"""

from pathlib import Path
from typing import Any, Literal

import msgspec

from perception.errors import ConfigError, unknown


class StagePlan(msgspec.Struct, frozen=True, kw_only=True):
    """A stage by type, with its validated options as JSON values."""

    type: str
    options: dict[str, Any] = {}


class CameraPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One camera. zones, lines and rules are validated, still as JSON values.

    detectors: names, at least one; where boxes of two overlap the first one's is kept.
    sweep_s: `detect: auto` with a look at the whole picture at least so often; None: every frame.
    tiles: options of tiles, None: the whole picture on one canvas.
    budget_ms: age after the rules that is counted and told, None: none. fresh_ms: an older frame
    is skipped where the next one is due, None: never.
    record: options of its recording, None: it is not recorded. has_packets: whether its source can
    hand on coded packets; else what is recorded is encoded from its frames.
    """

    name: str
    source: StagePlan
    detectors: list[str]
    rate_hz: float | None
    sweep_s: float | None = None
    tiles: dict[str, Any] | None = None
    objects: list[str] | None
    zones: dict[str, Any]
    lines: dict[str, Any]
    rules: dict[str, StagePlan]
    keep_s: float
    budget_ms: float | None = None
    fresh_ms: float | None = None
    watch: dict[str, Any] | None = None
    record: dict[str, Any] | None = None
    has_packets: bool = False
    telemetry: StagePlan | None = None
    map: dict[str, Any] | None = None
    calibration: dict[str, Any] | None = None
    lanes: StagePlan | None = None


class IdentityPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Who people are. gallery, key: as given; None: the user's own."""

    gallery: str | None
    key: str | None
    embedder: StagePlan
    deadline_s: float
    min_faces: int
    rate_hz: float


class RecordingsPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Where cameras are recorded and when segments are deleted. max_bytes None: no limit."""

    folder: str
    max_bytes: int | None
    min_free_bytes: int
    half_life_days: float


class WebPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How the page is served. scheme: how browsers reach it. proxied: a reverse proxy of this host
    stands before it. names: further host names. certificate, key: PEM files; None: its own.
    folder: of users, sessions and its own certificate; None: the user's."""

    host: str
    port: int
    scheme: Literal["http", "https"]
    proxied: bool = False
    names: list[str] = []
    certificate: str | None = None
    key: str | None = None
    folder: str | None = None


class ProcessPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One process: name, kind (a row of PROCESSES), the cameras it serves, its threads."""

    name: str
    kind: str
    cameras: list[str]
    threads: int = 1


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole line."""

    name: str
    file: str
    cameras: dict[str, CameraPlan]
    detectors: dict[str, StagePlan]
    tracker: StagePlan
    sinks: dict[str, StagePlan]
    store: str
    folder: str
    video: bool
    tracks: bool
    metrics_port: int | None
    processes: list[ProcessPlan]
    identity: IdentityPlan | None = None
    retain_days: float = 0.0
    recordings: RecordingsPlan | None = None
    web: WebPlan | None = None
    kitti: bool = False
    cot: dict[str, Any] | None = None

    def cameras_of(self, kind: str) -> list[str]:
        """Return the cameras that processes of a kind serve; none where there is no such one."""
        return [name for p in self.processes if p.kind == kind for name in p.cameras]

    def packet_readers(self, camera: str) -> int:
        """Return how many processes take a camera's coded packets."""
        kinds = ("recorder", "web")
        return sum(p.kind in kinds and camera in p.cameras for p in self.processes)

    def map_page(self, camera: str) -> str | None:
        """Return the name of a camera's map page; None where it has no telemetry."""
        mapped = [name for name, plan in self.cameras.items() if plan.telemetry is not None]
        if camera not in mapped:
            return None
        return "map.html" if len(mapped) == 1 else f"map-{camera}.html"

    def process(self, name: str) -> ProcessPlan:
        """Return a process by name. Raises ConfigError, which names those there are."""
        for process in self.processes:
            if process.name == name:
                return process
        known = [process.name for process in self.processes]
        raise ConfigError(unknown(name, known, "processes of this line"))


def encode(plan: Plan) -> bytes:
    """Return the plan as JSON."""
    return msgspec.json.encode(plan)


def write(plan: Plan, path: Path) -> None:
    """Write the plan into a file that only its owner can read, whole or not at all."""
    part = path.with_suffix(".part")
    part.touch(0o600)
    part.write_bytes(encode(plan))
    part.replace(path)


def decode(data: bytes) -> Plan:
    """Return the plan in JSON bytes. Raises ConfigError where they are no plan."""
    try:
        return msgspec.json.decode(data, type=Plan)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"not a plan of this version: {error}") from None
