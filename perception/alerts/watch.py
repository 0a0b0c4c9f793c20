"""Alerts about the camera itself: offline, frozen, dark or covered, not recorded, late.

A stream can go on with one old picture and new time stamps. `look` is called about once a second
with the newest frame. Times are monotonic: there is no media time without frames. Imports the rest
of this room, wire and clock.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from perception.alerts.book import alert_key
from perception.clock import NS_PER_S
from perception.wire import Alert, AlertState

RULE = "camera"
KINDS = ("offline", "frozen", "dark", "recording", "late")
DARK_MEAN = 16.0
"""A picture is dark where its mean is below this (of 255). Black video is 0 to 16."""
FLAT_SPREAD = 4.0
"""A picture is covered where its standard deviation is below this."""
MARGIN = 1.5
"""Hysteresis: a dark picture is good again above MARGIN times the limits."""

Wait = Annotated[float, Field(ge=1.0, le=86_400.0, allow_inf_nan=False)]


class WatchOptions(BaseModel):
    """Seconds until each kind is raised, and seconds without it until it is cleared."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    offline_s: Wait = 8.0
    frozen_s: Wait = 10.0
    dark_s: Wait = 10.0
    recording_s: Wait = 5.0
    late_s: Wait = 1.0
    clear_s: Wait = 2.0


@dataclass(slots=True)
class _Trouble:
    """One kind of fault: how long it must last, and its open alert."""

    kind: str
    raise_ns: int
    clear_ns: int
    since_ns: int | None = None
    well_ns: int | None = None
    alert: Alert | None = None

    def feed(self, bad: bool, t_ns: int) -> bool | None:
        """Return True to raise the alert now, False to clear it, None for no change."""
        if bad:
            self.well_ns = None
            self.since_ns = t_ns if self.since_ns is None else self.since_ns
            return True if self.alert is None and t_ns - self.since_ns >= self.raise_ns else None
        self.since_ns = None
        self.well_ns = t_ns if self.well_ns is None else self.well_ns
        return False if self.alert is not None and t_ns - self.well_ns >= self.clear_ns else None


class CameraWatch:
    """Watches one camera. opened: its open alerts in the store, from before a restart."""

    def __init__(self, camera: str, options: WatchOptions, opened: Sequence[Alert] = ()) -> None:
        self.camera = camera
        seconds = (
            *(options.offline_s, options.frozen_s, options.dark_s),
            *(options.recording_s, options.late_s),
        )
        waits = zip(KINDS, seconds, strict=True)
        clear_ns = round(options.clear_s * NS_PER_S)
        self._troubles = {
            kind: _Trouble(kind, round(wait_s * NS_PER_S), clear_ns) for kind, wait_s in waits
        }
        for alert in opened:
            if alert.rule == RULE and alert.kind in self._troubles and alert.state != "cleared":
                self._troubles[alert.kind].alert = alert
        self._frame_id = -1
        self._size = (0, 0)
        self._mark: int | None = None
        self._dark = False

    def look(
        self,
        frame_id: int | None,
        image: NDArray[np.uint8] | None,
        t_ns: int,
        t_wall_ns: int,
        why: str = "",
    ) -> list[Alert]:
        """Return the alerts that change with the newest frame.

        frame_id, image: uint8 (H, W, 3) BGR; None where there is no new frame since the last call.
        t_ns: monotonic. why: the reason the source gives for having no frames. A camera without
        frames is offline, neither frozen nor dark.
        """
        fresh = frame_id is not None and image is not None and frame_id != self._frame_id
        changed = [("offline", self._troubles["offline"].feed(not fresh, t_ns))]
        if fresh and frame_id is not None and image is not None:
            self._frame_id, self._size = frame_id, (image.shape[1], image.shape[0])
            changed.append(("frozen", self._troubles["frozen"].feed(self._same(image), t_ns)))
            changed.append(("dark", self._troubles["dark"].feed(self._shows_nothing(image), t_ns)))
        alerts = [self._alert(kind, up, t_ns, t_wall_ns) for kind, up in changed if up is not None]
        for alert in alerts:
            if alert.kind == "offline" and alert.state == "raised" and why:
                alert.details["reason"] = why
        return alerts

    def report(self, kind: str, trouble: str, t_ns: int, t_wall_ns: int) -> list[Alert]:
        """Return the alert that changes with what others say. trouble: "" for none.

        kind: recording, late (frames older than the camera's budget).
        """
        up = self._troubles[kind].feed(bool(trouble), t_ns)
        if up is None:
            return []
        alert = self._alert(kind, up, t_ns, t_wall_ns)
        if up:
            alert.details["reason"] = trouble
        return [alert]

    def _same(self, image: NDArray[np.uint8]) -> bool:
        """Return whether the picture equals the last one bit by bit. Sensor noise prevents that."""
        last, self._mark = self._mark, zlib.crc32(np.ascontiguousarray(image).data)
        return last == self._mark

    def _shows_nothing(self, image: NDArray[np.uint8]) -> bool:
        thin = image[::8, ::8].astype(np.float32)
        mean, spread = float(thin.mean()), float(thin.mean(axis=2).std())
        factor = MARGIN if self._dark else 1.0
        self._dark = mean < DARK_MEAN * factor or spread < FLAT_SPREAD * factor
        return self._dark

    def _alert(self, kind: str, up: bool, t_ns: int, t_wall_ns: int) -> Alert:
        trouble = self._troubles[kind]
        if not up and trouble.alert is not None:
            lasted_s = round((t_wall_ns - trouble.alert.start_t_wall_ns) / NS_PER_S, 1)
            cleared = _changed(trouble.alert, "cleared", self._frame_id, t_wall_ns, lasted_s)
            trouble.alert = None
            return cleared
        width, height = self._size
        trouble.alert = Alert(
            key=alert_key(self.camera, f"{RULE}.{kind}", 0, t_wall_ns),
            camera=self.camera,
            rule=RULE,
            kind=kind,
            state="raised",
            track_id=0,
            class_name="camera",
            score=1.0,
            box=(0.0, 0.0, float(width), float(height)),
            frame_id=self._frame_id,
            start_t_media_ns=0,
            t_media_ns=0,
            start_t_wall_ns=t_wall_ns,
            t_wall_ns=t_wall_ns,
            details={
                "after_s": round(trouble.raise_ns / NS_PER_S, 1),
                "uptime_s": round(t_ns / NS_PER_S, 3),
            },
        )
        return trouble.alert


def _changed(
    alert: Alert, state: AlertState, frame_id: int, t_wall_ns: int, lasted_s: float
) -> Alert:
    details: dict[str, Any] = {**alert.details, "lasted_s": lasted_s}
    return msgspec.structs.replace(
        alert, state=state, frame_id=frame_id, t_wall_ns=t_wall_ns, details=details
    )
