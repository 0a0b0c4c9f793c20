"""Which processes a line has: one a camera, one a set of detectors, one each besides.

Imports plan and errors.
"""

import os
from collections.abc import Mapping

from perception.errors import unknown
from perception.launchfile import config
from perception.launchfile.config import Launch
from perception.launchfile.document import Document
from perception.wire.plan import ProcessPlan


def lay_out(
    launch: Launch, document: Document, detectors_of: Mapping[str, list[str]]
) -> list[ProcessPlan]:
    """Return the processes of a line: one a camera, one a set of detectors, one each besides."""
    names = list(detectors_of)
    used = list(dict.fromkeys(tuple(given) for given in detectors_of.values()))
    threads = launch.threads.detection or max(1, (_cores() - 1) // len(used))
    processes = [ProcessPlan(name=f"camera-{n}", kind="camera", cameras=[n]) for n in names]
    for group in used:
        served = [name for name in names if tuple(detectors_of[name]) == group]
        title = f"detection-{'-'.join(group)}"
        processes.append(ProcessPlan(name=title, kind="detection", cameras=served, threads=threads))
    processes.append(ProcessPlan(name="tracking", kind="tracking", cameras=names))
    processes.append(ProcessPlan(name="alert", kind="alert", cameras=names))
    laned = [name for name in names if launch.cameras[name].lanes is not None]
    if laned:
        processes.append(ProcessPlan(name="lanes", kind="lanes", cameras=laned))
    if launch.identity:
        asked = _asked(launch.identity, document, names)
        processes.append(ProcessPlan(name="identity", kind="identity", cameras=asked))
    recorded = [name for name in names if launch.cameras[name].record]
    if recorded:
        processes.append(ProcessPlan(name="recorder", kind="recorder", cameras=recorded))
    mapped = any(camera.telemetry for camera in launch.cameras.values())
    written = launch.output.video or launch.output.tracks or launch.output.kitti
    if written or launch.output.cot or mapped:
        processes.append(ProcessPlan(name="output", kind="output", cameras=names))
    if launch.web:
        processes.append(ProcessPlan(name="web", kind="web", cameras=names))
    return processes


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _asked(asked: config.Identity, document: Document, names: list[str]) -> list[str]:
    for name in asked.cameras or ():
        if name not in names:
            text = unknown(name, names, "cameras")
            raise document.error(("identity", "cameras"), text)
    return names if asked.cameras is None else [name for name in names if name in asked.cameras]
