"""Data beside a camera's video to tracking, which knows telemetry; part of the camera process."""

import numpy as np

from perception import clock
from perception.processes.runtime import Runtime
from perception.sources.metadata import MetadataTap
from perception.transport.bus import Publisher
from perception.wire import MetadataMessage, Stamp, make_id


class MetadataLine:
    """Publishes what a tap has taken."""

    def __init__(self, runtime: Runtime, camera: str) -> None:
        self.tap = MetadataTap()
        self._runtime, self._name, self._n = runtime, camera, 0
        self._publisher = Publisher(runtime.run_dir, "metadata", camera)

    def send(self) -> None:
        """Send what has come; packets that were lost are counted."""
        for one in self.tap.take():
            stamp = Stamp(
                camera=self._name,
                frame_id=make_id(self._runtime.epoch, self._n),
                t_media_ns=one.t_media_ns,
                t_arrival_ns=one.t_arrival_ns,
                t_wall_ns=clock.wall_ns() - (clock.monotonic_ns() - one.t_arrival_ns),
            )
            data = np.frombuffer(one.data, np.uint8)
            self._publisher.send(MetadataMessage(stamp=stamp, data=data))
            self._n += 1
        self._runtime.metrics.counters[f"source.{self._name}.metadata_lost"] = self.tap.lost

    def close(self) -> None:
        """Stop sending."""
        self._publisher.close()
