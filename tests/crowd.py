"""Cars that drive to and fro over a line on a running line, as many as a test can count.

The pictures are pushed by the test and the `blobs` detector boxes each car exactly, so how many
alerts there have to be is known from outside: every car crosses the line with each pass, and is in
the zone behind it after every other.
"""

import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from perception.transport.bus import Inbox
from tests.line import SLOW, RunningLine

WIDTH, CAR, LANE = 480, (48, 24), 45
LEFT, RIGHT, STEP_PX = 0.44, 0.56, 8
REST = 4
"""Frames at each end, 0.2 s of media time: longer than a zone needs to believe it."""
FRAME_NS = 50_000_000
GATE = {"gate": {"points": [[0.5, 0.0], [0.5, 1.0]], "names": ["out", "in"]}}
YARD = {"yard": [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]}
RULES = {
    "crossed": {"type": "line", "line": "gate"},
    "inside": {"type": "zone", "zone": "yard", "enter_s": 0.1, "leave_s": 0.1},
}
CAMERA = {"source": "push", "lines": GATE, "zones": YARD, "rules": RULES}


class Crowd:
    """`cars` cars side by side, seen by a camera of a run. passes: how often they have crossed."""

    def __init__(self, line: RunningLine, camera: str = "door", cars: int = 4) -> None:
        self.cars, self.passes = cars, 0
        self._tracks = Inbox(line.run_dir, "tracks", [camera])
        self._pusher = line.connect().push(camera)
        self._n, self._x, self._closed = 0, LEFT, False
        self.rest(8)

    @property
    def crossings(self) -> int:
        """How many alerts of the line there have to be."""
        return self.passes * self.cars

    @property
    def visits(self) -> int:
        """How many alerts of the zone there have to be."""
        return (self.passes + 1) // 2 * self.cars

    def drive(self, frame_s: float = 0.0) -> None:
        """Cross the line once; frame_s: at least so long for each frame."""
        to = RIGHT if self._x < 0.5 else LEFT
        steps = round(abs(to - self._x) * WIDTH / STEP_PX)
        for x in np.linspace(self._x, to, steps + 1)[1:]:
            self._show(float(x), frame_s)
        self._x = to
        self.passes += 1
        self.rest(REST, frame_s)

    def rest(self, frames: int, frame_s: float = 0.0) -> None:
        """Stand still for some frames."""
        for _ in range(frames):
            self._show(self._x, frame_s)

    def _show(self, x: float, frame_s: float) -> None:
        """Show all at x; return when that frame was tracked."""
        image = np.full((self.cars * LANE + 20, WIDTH, 3), 90, np.uint8)
        left = round(x * WIDTH) - CAR[0] // 2
        for lane in range(self.cars):
            top = 15 + lane * LANE
            image[top : top + CAR[1], left : left + CAR[0]] = (0, 0, 220)
        for _ in range(10):
            self._n += 1
            self._pusher.send(image, self._n * FRAME_NS, timeout_s=5)
            if self._is_tracked():
                break
            # It found no listener: a publisher drops what nobody hears. Shown again.
        else:
            raise AssertionError("nothing is tracked")
        if frame_s:
            threading.Event().wait(frame_s)

    def _is_tracked(self) -> bool:
        """Wait for the tracks of the newest frame."""
        deadline = time.monotonic() + 1.0 * SLOW
        while time.monotonic() < deadline:
            for message in self._tracks.poll(50):
                if message.stamp.t_media_ns >= self._n * FRAME_NS:
                    return True
        return False

    def close(self) -> None:
        """Stop; safe to call twice."""
        if not self._closed:
            self._closed = True
            self._pusher.close()
            self._tracks.close()


class Stored:
    """What the store of a line holds, read by its own connection. states: of each alert by key."""

    def __init__(self, path: Path) -> None:
        db = sqlite3.connect(path)
        try:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            bodies = db.execute("SELECT body FROM alerts ORDER BY start_t_wall_ns").fetchall()
            self.outbox: list[tuple[str, str, str, int]] = db.execute(
                "SELECT sink, key || '-' || state || '-' || frame_id, status, tries FROM outbox "
                "ORDER BY id"
            ).fetchall()
        finally:
            db.close()
        self.alerts: list[dict[str, Any]] = [json.loads(body) for (body,) in bodies]
        self.keys = {alert["key"] for alert in self.alerts}

    def of(self, rule: str) -> list[dict[str, Any]]:
        """Return the alerts of a rule."""
        return [alert for alert in self.alerts if alert["rule"] == rule]

    def due(self, sink: str) -> list[str]:
        """Return the idempotency keys of all that a sink has to have, in order."""
        return [name for s, name, *_ in self.outbox if s == sink]

    def tries(self, sink: str) -> dict[str, int]:
        """Return how often each was sent to a sink."""
        return {name: tries for s, name, _, tries in self.outbox if s == sink}

    def undelivered(self) -> list[tuple[str, str, str, int]]:
        """Return the rows that have not arrived."""
        return [row for row in self.outbox if row[2] != "delivered"]


def name_of(alert: dict[str, Any]) -> str:
    """Return the idempotency key of an alert as a sink writes it."""
    return f"{alert['key']}-{alert['state']}-{alert['frame_id']}"
