"""summary.json: the summary of a run. The table in the terminal is made in summary_table.py.

The structs below are its schema; `schema()` returns it as JSON Schema. Durations are in s or ms,
memory in bytes. Imports metrics, clock and errors.
"""

import math
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import msgspec
from msgspec import Meta

from perception.errors import SinkError, SourceError
from perception.metrics import Histogram

FORMAT = 1
_PACKAGES = (
    *("perception-line", "numpy", "numba", "opencv-python", "av", "pyzmq"),
    *("openvino", "onnxruntime", "ultralytics"),
)

Count = Annotated[int, Meta(ge=0)]
Milliseconds = Annotated[float | None, Meta(description="ms; null where nothing was counted")]


class Ages(msgspec.Struct, frozen=True, kw_only=True):
    """Age of the frames at one step: time since the decoder returned them."""

    count: Count = 0
    p50_ms: Milliseconds = None
    p95_ms: Milliseconds = None
    p99_ms: Milliseconds = None

    @classmethod
    def of(cls, times: Histogram | Mapping[int, int]) -> Self:
        """Return the percentiles of a histogram or of its sparse form."""
        histogram = times if isinstance(times, Histogram) else Histogram.from_sparse(times)

        def percentile(p: float) -> float | None:
            ms = histogram.percentile(p)
            return None if math.isnan(ms) else round(ms, 2)

        return cls(
            count=histogram.count,
            p50_ms=percentile(50),
            p95_ms=percentile(95),
            p99_ms=percentile(99),
        )


class CameraSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The frames of one camera and their results."""

    source: Annotated[str, Meta(description="as given, passwords masked")]
    frames_read: Annotated[int, Meta(ge=0, description="frames that the source gave")]
    frames_detected: Annotated[int, Meta(ge=0, description="frames the detector has looked at")]
    frames_tracked: Annotated[int, Meta(ge=0, description="frames the tracker has dealt with")]
    dropped: Annotated[
        dict[str, Count], Meta(description="frames read but not detected or tracked, by cause")
    ] = {}
    damaged: Annotated[
        dict[str, Count],
        Meta(
            description="frames damaged by a loss: direct: not looked at; carried: predicted from "
            "a damaged one"
        ),
    ] = {}
    looks: Annotated[
        dict[str, Count],
        Meta(
            description="with `detect: auto`: frames of which the network saw the whole, or parts, "
            "or nothing (still); with tiles: how many it saw, and how many it left for later"
        ),
    ] = {}
    missed: Annotated[
        dict[str, Count],
        Meta(
            description="frames tracked whose tracks never came to a process behind tracking, by "
            "process and cause: lost on the way, or away: it was starting again or given up"
        ),
    ] = {}
    tracks_confirmed: Annotated[int, Meta(ge=0, description="tracks that were ever confirmed")]
    unplaced: Annotated[
        dict[str, Count],
        Meta(description="with telemetry: frames whose tracks have no place on earth, by reason"),
    ] = {}
    clock_offset: Annotated[
        dict[str, float],
        Meta(
            description="where telemetry has a gyro: seconds to add to its time for the video's, "
            "sigma_s, and the share of the picture's turns that it explains; it is not applied"
        ),
    ] = {}
    crossings: Annotated[
        dict[str, dict[str, Count]], Meta(description="by rule, then by direction")
    ] = {}
    alerts: Annotated[dict[str, Count], Meta(description="alerts raised, by rule")] = {}
    age_at_detection: Ages = Ages()
    age_at_track: Ages = Ages()
    age_at_alert: Ages = Ages()
    problems: Annotated[
        list[str], Meta(description="what went wrong, one sentence each: repairs, files given up")
    ] = []


class ProcessSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the run, all its starts added up."""

    pids: Annotated[list[int], Meta(description="one a start, in order")]
    cpu_s: Annotated[float, Meta(ge=0, description="CPU seconds, all starts and threads")]
    peak_memory_bytes: Annotated[int, Meta(ge=0, description="largest resident set of any start")]
    exit_code: Annotated[
        int | None, Meta(description="of the last start; negative: a signal; null: not ended")
    ]
    restarts: Annotated[int, Meta(ge=0, description="starts after the first")] = 0


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A model that was used."""

    name: str
    licence: str
    runtime: Annotated[str, Meta(description="what ran it, with its precision")]


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The run itself."""

    name: str
    mode: Literal["run", "analyze"]
    started: Annotated[str, Meta(description="UTC, ISO 8601")]
    duration_s: Annotated[float, Meta(ge=0)]
    exit_code: Annotated[int, Meta(description="what the program ended with")] = 0
    versions: dict[str, str] = {}
    models: dict[str, ModelSummary] = {}


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of summary.json."""

    format: Annotated[int, Meta(description="version of this schema")] = FORMAT
    run: RunSummary
    cameras: dict[str, CameraSummary] = {}
    processes: dict[str, ProcessSummary] = {}

    def write(self, path: str | Path) -> None:
        """Write the summary as JSON, atomically. Raises SinkError."""
        path = Path(path)
        part = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")
            part.replace(path)
        except OSError as error:
            raise SinkError(f"cannot write {path}: {error.strerror or error}") from error

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the summary in a file. Raises SourceError if it is missing or no summary."""
        try:
            return msgspec.json.decode(Path(path).read_bytes(), type=cls)
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror or error}") from None
        except (msgspec.MsgspecError, ValueError) as error:
            raise SourceError(f"{path} is not a summary: {error}") from None


def schema() -> dict[str, Any]:
    """Return the JSON Schema of summary.json."""
    return msgspec.json.schema(Summary)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages that influence results."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
