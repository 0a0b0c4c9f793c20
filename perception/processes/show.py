"""The window: newest tracked frame of each camera, in a process of its own, never in the way."""

import cv2
import numpy as np

from perception.draw import Painter
from perception.processes.runtime import IDLE_MS, Runtime
from perception.rules.zones import Line, Zone
from perception.transport.bus import Inbox
from perception.transport.ring import RingReader
from perception.transport.rundir import ring_base


def run(runtime: Runtime) -> None:
    """Show until the run stops or q is pressed."""
    names = runtime.process.cameras
    inbox = Inbox(runtime.run_dir, "tracks", names, newest=True)
    reader = RingReader()
    painters: dict[str, Painter] = {}
    for name in names:
        camera = runtime.plan.cameras[name]
        painters[name] = Painter(
            {k: Zone.model_validate(v).points for k, v in camera.zones.items()},
            {k: Line.model_validate(v).points for k, v in camera.lines.items()},
        )
    runtime.ready(inbox)
    try:
        while not runtime.stopping:
            runtime.turn()
            for message in inbox.poll(IDLE_MS):
                name = message.stamp.camera
                base = ring_base(runtime.run_dir, name)
                picture = reader.picture(base, message.stamp.frame_id)
                if picture is not None:
                    image = np.ascontiguousarray(picture.image)
                    painters[name].paint(image, message, (), None, message.age_ms)
                    cv2.imshow(f"{runtime.plan.name}: {name}", image)
                    runtime.metrics.count(f"shown.{name}")
            if cv2.waitKey(1) & 0xFF == ord("q"):
                return
    finally:
        inbox.close()
        cv2.destroyAllWindows()
