"""A reader's series at media time, and what a summary says of it.

Imports the rest of this room.
"""

from dataclasses import replace

from perception.clock import to_ns
from perception.geo.state import State
from perception.telemetry import Inside, Telemetry, TelemetryOptions


class TelemetryFeed:
    """What geo.camera.Feed asks for, of an open reader."""

    def __init__(self, reader: Telemetry, options: TelemetryOptions) -> None:
        self._reader, self._options = reader, options
        self._offset_ns = to_ns(options.offset_s)
        self.sigmas = reader.sigmas

    @property
    def why(self) -> str:
        """Why nothing can be had now."""
        return self._reader.why

    @property
    def alone(self) -> bool:
        """Whether the states are of stills, which say nothing of each other."""
        return self._reader.series.alone

    def at(self, t_ns: int) -> tuple[State, dict[str, float]]:
        """Return the state at a media time and the age of each piece in s."""
        if self._reader.why:
            return State(t_ns=t_ns), {}
        found, ages = self._reader.series.at(t_ns - self._offset_ns, self._options.max_age_s)
        return replace(found, t_ns=t_ns), ages

    def take(self, data: bytes, t_ns: int) -> None:
        """Take data that came inside the video, at its media time, where the reader is of such."""
        if isinstance(self._reader, Inside):
            self._reader.take(data, t_ns)

    @property
    def counters(self) -> dict[str, int]:
        """What was read and refused, by name."""
        refused = {f"refused: {why}": n for why, n in self._reader.series.refused.items()}
        return {**self._reader.counters, **refused}

    @property
    def gyro(self) -> list[tuple[float, tuple[float, float, float]]]:
        """Time in s and rates in rad/s, in video time; empty where the reader has none."""
        shift = self._options.offset_s
        return [(t_s + shift, rates) for t_s, rates in getattr(self._reader, "gyro", ())]

    def close(self) -> None:
        """Stop listening."""
        self._reader.close()
