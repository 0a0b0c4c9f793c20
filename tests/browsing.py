"""Chromium for tests of the page, and what it shows: a line with its page, or a page alone."""

import asyncio
import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from perception.web.server import make_server
from tests.line import SLOW, RunningLine, perception_says, running, wait_until
from tests.page import PASSWORD, Page
from tests.servers import free_port

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NEEDS_CHROMIUM = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
    pytest.mark.timeout(300),
]
WAIT_MS = 15_000 * SLOW
FPS, FRAMES, GOP, SIDE, BIT, BITS = 20, 60, 80, 40, 16, 8
SIZE = (320, 240)
SERIOUS = ("serious", "critical")
PLAYER = "document.querySelector('.view-camera')?.player"


def square_at(n: int) -> tuple[int, int]:
    """Return where the coloured square of picture n begins, px."""
    return 10 + 4 * (n % 60), 60 + n % 60


def write_numbered(path: Path, gop: int = GOP, frames: int = FRAMES) -> Path:
    """Write an H.264 clip: a red square that moves, the picture's number as bits below."""
    blocks = np.random.default_rng(1).integers(60, 130, (SIZE[1] // 8, SIZE[0] // 8, 1), np.uint8)
    ground = np.ascontiguousarray(blocks.repeat(8, 0).repeat(8, 1).repeat(3, 2))
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height = SIZE
        stream.pix_fmt, stream.gop_size = "yuv420p", gop
        stream.options = {"preset": "ultrafast", "crf": "12", "bf": "0", "sc_threshold": "0"}
        for n in range(frames):
            image = ground.copy()
            x, y = square_at(n)
            image[y : y + SIDE, x : x + SIDE] = (220, 40, 40)
            for bit in range(BITS):
                image[-BIT:, bit * BIT : (bit + 1) * BIT] = 255 if n >> bit & 1 else 0
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, FPS)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


def number_of(image: Any) -> int:
    """Return the number in a picture, uint8[height, width, 3]."""
    return sum(1 << bit for bit in range(BITS) if image[-BIT // 2, bit * BIT + BIT // 2, 0] > 128)


def file_camera(path: Path, **more: Any) -> dict[str, Any]:
    return {"source": {"type": "video", "path": str(path), "loop": True}, **more}


@contextlib.contextmanager
def page_line(
    home: Path, cameras: dict[str, Any], *, launch: dict[str, Any] | None = None, **web: Any
) -> Iterator[tuple[RunningLine, str]]:
    """Start a line that serves its page over plain http on loopback; give it and its address."""
    port = free_port()
    served = {"http": True, "port": port, "folder": str(home / "users"), **web}
    whole = {"cameras": cameras, "web": served, "recordings": {"min_free_gb": 0.1}}
    with running(home, {**whole, **(launch or {})}) as line:
        line.wait_ready()
        for name, role in (("anna", "admin"), ("vic", "viewer")):
            said = perception_says(
                "users", "add", name, "--role", role, "--launch", line.file, typed=f"{PASSWORD}\n"
            )
            assert said.returncode == 0, said
        yield line, f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def served(page: Page) -> Iterator[str]:
    """Serve a page without a line over plain http on loopback; give its address."""
    server = make_server(page.app, page.site)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started, 10 * SLOW, "the server")
        yield f"http://127.0.0.1:{page.site.plan.port}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


class Browser:
    """A browser's pages; `complaints` are console errors, failed requests, foreign requests."""

    def __init__(self, chromium: Any) -> None:
        self._chromium = chromium
        self.complaints: list[str] = []
        self.bytes = 0

    def page(
        self, address: str, *, width: int = 1440, scheme: str = "dark", script: str = "",
        user: str | None = "anna",
    ) -> Any:  # fmt: skip
        """Return a page, logged in."""
        context = self._chromium.new_context(
            viewport={"width": width, "height": 900 if width > 500 else 740}, color_scheme=scheme
        )
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        if script:
            page.add_init_script(script)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._foreign(request, address))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.goto(address)
        if user:
            page.get_by_label("Name").fill(user)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            page.wait_for_selector("header")
        return page

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _foreign(self, request: Any, address: str) -> None:
        if not request.url.startswith((address, "blob:", "data:", address.replace("http", "ws"))):
            self.complaints.append(f"request to {request.url}")


@contextlib.contextmanager
def browser(*arguments: str) -> Iterator[Browser]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *arguments]
        )
        yield Browser(chromium)
        chromium.close()


def see(page: Any, expression: str, what: str, timeout_s: float = 20.0) -> Any:
    """Return the first true value of a JavaScript expression."""
    return wait_until(lambda: page.evaluate(expression), timeout_s * SLOW, what)


def axe(page: Any) -> list[str]:
    """Return what axe-core finds serious in the page as it is."""
    checker = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = checker.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:120]}"
        for one in found
        if one["impact"] in SERIOUS
    ]


def shot(page: Any, name: str) -> None:
    """Keep a picture of a view where PERCEPTION_SCREENS names a folder."""
    folder = os.environ.get("PERCEPTION_SCREENS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")
