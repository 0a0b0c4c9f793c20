"""What all benchmarks share: rows and their table, the machine, interleaving, workers of peers.

A benchmark is `python -m benchmarks.<name>`: it measures ours and its peers in the same run,
interleaved, prints one table and appends its rows as JSON lines. Peers live in an environment of
their own (`make bench-peers`) and are spoken to over a pipe; one that is not there is a row that
says so. Standard library only: workers import this in the peers' environment too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCAL = Path("benchmarks/results/local")
FOOTAGE = Path(os.environ.get("PERCEPTION_TEST_DATA") or ROOT.parent / "shared" / "data")
"""Where footage with labels is; what needs some says so where it is not there."""
PEER_VENVS = (".venv-ultralytics", ".venv-bench")
"""Where peers are looked for, in this order: the full install has the real torchvision."""
_PACKAGES = (
    *("numpy", "numba", "opencv-python", "pyzmq", "av", "openvino", "onnxruntime"),
    *("torch", "torchvision", "ultralytics", "iceoryx2"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison. ratio: ours to the peer's, as `target` names it; met: None where no target
    belongs to the row or the peer is not installed.
    """

    bench: str
    what: str
    unit: str
    ours: float | None
    peer: str = ""
    theirs: float | None = None
    ratio: float | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""


class Report:
    """The rows of one benchmark: printed as they come, written at the end."""

    def __init__(self, bench: str, out: Path | None = None) -> None:
        self.bench, self.rows = bench, list[Row]()
        self._out = out or ROOT / LOCAL / f"{bench}.jsonl"
        self._started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._load = os.getloadavg()[0]
        self._peers: dict[str, str] = {}

    def note_versions(self, found: Mapping[str, str]) -> None:
        """Add the versions that a peer's worker told."""
        self._peers.update(found)

    def add(
        self,
        what: str,
        unit: str,
        ours: float | None,
        peer: str = "",
        theirs: float | None = None,
        *,
        higher: bool = False,
        target: str = "",
        met: Callable[[float], bool] | None = None,
        of: str = "ratio",
        note: str = "",
    ) -> Row:
        """Add a row. higher: more is better (fps), so the ratio is ours / theirs; else theirs /
        ours, so that in both cases x2 means twice as good. met: of the ratio, or of: "ours".
        """
        ratio = None
        if ours and theirs:
            ratio = ours / theirs if higher else theirs / ours
        value = ratio if of == "ratio" else ours
        reached = met(value) if met is not None and value is not None else None
        row = Row(self.bench, what, unit, ours, peer, theirs, ratio, target, reached, note)
        self.rows.append(row)
        print(_line(row), flush=True)
        return row

    def missing(self, peer: str, why: str = "not installed: make bench-peers") -> None:
        """Say that a peer was not measured."""
        self.rows.append(Row(self.bench, "peer", "", None, peer, note=why))
        print(f"{self.bench}: {peer}: {why}", flush=True)

    def close(self) -> None:
        """Print the table and append the rows."""
        print(table(self.rows))
        head = {
            "time": self._started,
            "machine": machine(),
            "load": round(self._load, 2),
            "commit": commit(),
            "versions": {**versions(), **self._peers},
        }
        self._out.parent.mkdir(parents=True, exist_ok=True)
        with self._out.open("a") as file:
            for row in self.rows:
                said = {k: v for k, v in asdict(row).items() if v is not None and v != ""}
                said = {k: _short(v) if isinstance(v, float) else v for k, v in said.items()}
                file.write(json.dumps({**said, **head}) + "\n")


@contextlib.contextmanager
def report(bench: str, out: Path | None = None) -> Generator[Report]:
    """Give a Report and close it; what goes wrong becomes a row, never an exit code."""
    made = Report(bench, out)
    try:
        yield made
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the top of a benchmark: the others shall still run
        traceback.print_exc()
        made.missing("this benchmark", f"failed: {type(error).__name__}: {error}"[:300])
    finally:
        made.close()


def options(bench: str, doc: str | None, **more: tuple[type, Any, str]) -> argparse.Namespace:
    """Parse the command line: --short, --out and what `more` names (type, default, help)."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{bench}", description=doc)
    parser.add_argument("--short", action="store_true", help="a quarter of the rounds")
    parser.add_argument("--out", type=Path, help=f"JSON lines, default {LOCAL}/{bench}.jsonl")
    for name, (kind, default, text) in more.items():
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{text} ({default})")
    return parser.parse_args()


def table(rows: Sequence[Row]) -> str:
    """Return rows as a Markdown table."""
    head = ("what", "ours", "peer", "peer's", "ratio", "target", "met")
    cells = [
        (
            f"{row.bench}: {row.what}",
            number(row.ours, row.unit),
            row.peer,
            number(row.theirs, row.unit),
            "" if row.ratio is None else f"x{row.ratio:.2f}",
            row.target,
            row.note if row.met is None else ("yes" if row.met else "NO"),
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]

    def line(values: Sequence[str]) -> str:
        return f"| {' | '.join(v.ljust(w) for v, w in zip(values, widths, strict=True))} |"

    return "\n".join([line(head), line(["-" * w for w in widths]), *map(line, cells)])


def number(value: float | None, unit: str = "") -> str:
    """Return a number for people, three digits or so."""
    if value is None or not math.isfinite(value):
        return ""
    size = abs(value)
    places = 0 if size >= 100 or size == 0 else 1 if size >= 10 else 2 if size >= 1 else 4
    return f"{value:,.{places}f} {unit}".strip()


def _short(value: float) -> float:
    return float(f"{value:.5g}") if math.isfinite(value) else 0.0


def _line(row: Row) -> str:
    parts = [f"{row.bench}: {row.what}: {number(row.ours, row.unit)}"]
    if row.peer:
        parts.append(f"{row.peer} {number(row.theirs, row.unit)}")
    if row.ratio is not None:
        parts.append(f"x{row.ratio:.2f}")
    if row.target:
        parts.append(f"[{row.target}: {'-' if row.met is None else 'yes' if row.met else 'NO'}]")
    return "  ".join([*parts, row.note])


@cache
def machine() -> str:
    """Return the CPU and its features that matter, cores, memory."""
    info = Path("/proc/cpuinfo").read_text()
    fields = dict(
        (part.strip() for part in line.split(":", 1))
        for line in info.split("\n\n")[0].splitlines()
        if ":" in line
    )
    flags = set(fields.get("flags", "").split())
    has = [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if f in flags]
    name = f"{fields.get('model name', platform.machine())} family {fields.get('cpu family', '?')}"
    return f"{name} model {fields.get('model', '?')}, {os.cpu_count()} cores, {' '.join(has)}"


@cache
def commit() -> str:
    """Return the commit the product stands at, + where files of it differ."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
        return done.stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("diff", "HEAD", "perception") else "")


def versions() -> dict[str, str]:
    """Return versions of Python and of what is installed here of _PACKAGES."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def median(values: Sequence[float]) -> float:
    """Return the median; NaN for none."""
    return statistics.median(values) if values else math.nan


def percentile(values: Sequence[float], p: float) -> float:
    """Return the smallest value that p % of them do not exceed; NaN for none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(len(values) * p / 100) - 1)]


def ratio_of_rounds(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """Return the median of the ratios of each round: what was slow for both cancels out."""
    return median([a / b for a, b in zip(theirs, ours, strict=True) if b > 0])


def interleave(contenders: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[Any]]:
    """Call every contender once a round, in an order that turns, and return what each gave."""
    names = list(contenders)
    results: dict[str, list[Any]] = {name: [] for name in names}
    for n in range(rounds):
        for i in range(len(names)):
            name = names[(i + n) % len(names)]
            results[name].append(contenders[name]())
    return results


def seconds_a_call(function: Callable[[], Any], least_s: float = 0.02, calls: int = 200) -> float:
    """Return the median of the wall seconds of calls made for least_s, at most `calls`."""
    times: list[float] = []
    end = time.perf_counter() + least_s
    while len(times) < calls and (time.perf_counter() < end or len(times) < 3):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return median(times)


@cache
def peer_python(*modules: str) -> Path | None:
    """Return the Python of the first peer environment that has all these modules, or None."""
    given = os.environ.get("PERCEPTION_PEERS")
    for folder in [given] if given else PEER_VENVS:
        python = ROOT / folder / "bin/python"
        test = f"import importlib.util as u, sys; sys.exit(not all(map(u.find_spec, {modules!r})))"
        if python.exists() and not subprocess.run([str(python), "-c", test]).returncode:
            return python
    return None


class Worker:
    """Functions of a module `python -m MODULE` in another process and environment.

    call: run one, wait, return what it gave. It ends with the block it is used in.
    """

    def __init__(
        self, module: str, python: Path | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self._process = subprocess.Popen(
            [str(python or sys.executable), "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            text=True,
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def call(self, name: str, **arguments: Any) -> Any:
        """Return what the function gave; RuntimeError with what it raised."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"worker ended with {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def serve(functions: Mapping[str, Callable[..., Any]]) -> None:
    """Answer the calls of a Worker until it hangs up; what functions print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"result": functions[name](**arguments)}
        except Exception as error:  # the other side raises it
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:500]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
