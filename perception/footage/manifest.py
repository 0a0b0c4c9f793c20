"""What ran when something was recorded: the camera's stages, versions, models, instruction set.

It stands in the journal of every segment, so that one alone can be replayed. No address, password,
sink or gallery is in it. Imports wire, assets and clock.
"""

import hashlib
import os
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from perception import assets
from perception.wire import JournalMessage, Stamp
from perception.wire.codec import encode_record
from perception.wire.journal import to_text
from perception.wire.plan import Plan, StagePlan

_PACKAGES = (
    "perception-line", "numpy", "numba", "opencv-python", "openvino", "onnxruntime", "av",
)  # fmt: skip
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "sve")
_ISA = "ONEDNN_MAX_CPU_ISA"


def describe(plan: Plan, camera: str) -> dict[str, Any]:
    """Return plan, versions, hashes of models and instruction set, as JSON values."""
    return {
        "plan": msgspec.to_builtins(bare(plan, camera)),
        "versions": versions(),
        "models": models(plan, camera),
        "isa": instruction_set(),
    }


def entry(plan: Plan, camera: str) -> bytes:
    """Return the journal's entry of a segment, as it is recorded."""
    stamp = Stamp(camera=camera, frame_id=0, t_media_ns=0, t_arrival_ns=0, t_wall_ns=0)
    said = to_text(describe(plan, camera))
    return encode_record(
        JournalMessage(stamp=stamp, process="recorder", kind="manifest", message_id=0, data=said)
    )


def bare(plan: Plan, camera: str) -> Plan:
    """Return the plan of one camera without anything secret, nor where anything is."""
    one = plan.cameras[camera]
    kept = {k: v for k, v in one.source.options.items() if k in ("rotate", "fps")}
    hidden = msgspec.structs.replace(
        one,
        source=StagePlan(type=one.source.type, options=kept),
        telemetry=one.telemetry and StagePlan(type=one.telemetry.type),
        record=None,
    )
    return msgspec.structs.replace(
        plan,
        cameras={camera: hidden},
        detectors={name: plan.detectors[name] for name in one.detectors},
        sinks={},
        store="",
        folder="",
        identity=plan.identity and msgspec.structs.replace(plan.identity, gallery=None, key=None),
        recordings=None,
        web=None,
    )


def versions() -> dict[str, str]:
    """Return the versions of what decides results, of those packages that are installed."""
    found: dict[str, str] = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def models(plan: Plan, camera: str) -> dict[str, str]:
    """Return the SHA-256 of each model file of a camera's detectors, by detector."""
    found: dict[str, str] = {}
    for name in plan.cameras[camera].detectors:
        model = str(plan.detectors[name].options.get("model", ""))
        path = assets.cached(model) if model in assets.ASSETS else Path(model)
        if model and path is not None and path.is_file():
            with path.open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def instruction_set() -> str:
    """Return the instructions that networks use here: results differ in their last bits by them."""
    flags = set[str]()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("flags", "Features")):
            flags = set(line.partition(":")[2].split())
            break
    limit = os.environ.get(_ISA)
    return " ".join([f for f in _FLAGS if f in flags] + ([f"limited to {limit}"] if limit else []))
