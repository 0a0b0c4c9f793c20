"""A page without a line: two cameras, an alert and a recorded segment of each, some users."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from starlette.testclient import TestClient

from perception.alerts.store import AlertStore
from perception.footage.catalog import Catalog
from perception.footage.rows import SegmentRow, TrackRow
from perception.recording.ledger import Ledger
from perception.web.app import make_app
from perception.web.hub import Hub
from perception.web.site import Site
from perception.web.users_file import UsersFile
from perception.wire.plan import (
    CameraPlan,
    Plan,
    ProcessPlan,
    RecordingsPlan,
    StagePlan,
    WebPlan,
)
from tests.scenes import WALL_NS, alert

S = 1_000_000_000
PASSWORD = "correct horse battery"
CAMERAS = ("door", "yard")
JPEG = b"\xff\xd8\xff picture of "
HEADERS = {"x-perception": "1"}
ADDRESS = "https://localhost:8443"


def camera(name: str) -> CameraPlan:
    """Return a camera's plan."""
    return CameraPlan(
        name=name,
        source=StagePlan(type="rtsp", options={"url": f"rtsp://me:canary-{name}@cam/1"}),
        detectors=["default"], rate_hz=None, objects=["person"],
        zones={f"{name}-zone": {"points": [[0, 0], [1, 0], [1, 1]]}}, lines={}, rules={},
        keep_s=1.0, record={}, has_packets=True,
    )  # fmt: skip


def segment(name: str, n: int = 0) -> SegmentRow:
    """Return the n-th segment of a camera, 60 s long."""
    start = WALL_NS + n * 60 * S
    track = TrackRow(
        track_id=7 + n, class_name="person", start_wall_ns=start, end_wall_ns=start + 5 * S,
        zones=[f"{name}-zone"],
    )  # fmt: skip
    return SegmentRow(
        path=f"{name}/day/{name}-{n}", camera=name, run="", stream=0, start_wall_ns=start,
        end_wall_ns=start + 60 * S, start_media_ns=0, end_media_ns=60 * S, first_packet=0,
        last_packet=9, frames=10, video_bytes=9, message_bytes=1, codec="h264", width=64,
        height=48, timescale=90_000, base_pts=0, objects={"person": 1}, tracks=[track],
    )  # fmt: skip


@dataclass
class Page:
    """The site and its app. clients of the same app do not share cookies."""

    site: Site
    app: Any

    def client(self, name: str | None = None, **more: Any) -> TestClient:
        """Return a client; logged in where a user is named."""
        made = TestClient(self.app, base_url=ADDRESS, client=("10.0.0.7", 5000), **more)
        if name is not None:
            given = {"name": name, "password": PASSWORD}
            answer = made.post("/api/v1/account/login", json=given, headers=HEADERS)
            assert answer.status_code == 200, answer.text
        return made

    def token(self, user: str, role: str = "viewer", cameras: Any = None, days: float = 1) -> str:
        """Return a token of a user."""
        return self.site.sessions.new_token(user, "test", role, cameras, days)


def make_page(
    folder: Path, cameras: Sequence[str] = CAMERAS, mapped: Sequence[str] = (), **changes: Any
) -> Page:
    """Return a page with users a (viewer of door), b (viewer of yard), o (operator), r (admin).

    mapped: cameras with telemetry. changes: of WebPlan.
    """
    footage = folder / "out" / "footage"
    for name in cameras:
        (footage / name / "day").mkdir(parents=True)
        for suffix in (".mp4", ".jpg"):
            (footage / f"{segment(name).path}{suffix}").write_bytes(JPEG + name.encode())
        (folder / "out" / f"{name}.jpg").write_bytes(JPEG + name.encode())
    catalog = Catalog(footage)
    store = AlertStore(folder / "out" / "alerts.sqlite")
    for n, name in enumerate(cameras, 1):
        catalog.add(segment(name))
        picture = str(folder / "out" / f"{name}.jpg")
        one = alert(n, camera=name, snapshot=picture, details={"clip": picture, "zone": name})
        store.commit(name, 1, [one], dict)
    catalog.close()
    store.close()
    plan = Plan(
        name="line", file="line.yaml", cameras={name: camera(name) for name in cameras},
        detectors={}, tracker=StagePlan(type="two_stage"), sinks={},
        store=str(folder / "out" / "alerts.sqlite"), folder=str(folder / "out"), video=False,
        tracks=False, metrics_port=None,
        processes=[ProcessPlan(name="web", kind="web", cameras=list(cameras))],
        recordings=RecordingsPlan(
            folder=str(footage), max_bytes=None, min_free_bytes=1, half_life_days=7.0
        ),
        web=WebPlan(host="127.0.0.1", port=8443, scheme="https"),
    )  # fmt: skip
    (folder / "run").mkdir()
    web = msgspec.structs.replace(plan.web, **changes) if plan.web else None
    assert web is not None
    hub = Hub(cameras, "boot", mapped)
    site = Site(plan, web, folder / "run", UsersFile(folder / "users"), hub)
    for name, role, seen in (
        ("a", "viewer", ["door"]), ("b", "viewer", ["yard"]),
        ("o", "operator", None), ("r", "admin", None),
    ):  # fmt: skip
        site.accounts.add(name, PASSWORD, role, seen)
    return Page(site, make_app(site, Ledger()))
