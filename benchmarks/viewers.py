"""Who looks at a page in benchmarks: viewers that read, viewers that are stuck, a real browser.

`python -m benchmarks.viewers` is the worker: a process of its own, so that looking never holds up
what is looked at.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import statistics
import threading
import time
from typing import Any

from benchmarks.streams import BITS, SQUARE

READ = """
(() => {
  const player = document.querySelector(".view-camera").player;
  window.seen = [];
  player.onpicture = () => {
    const pen = player.canvas.getContext("2d", { willReadFrequently: true });
    const row = pen.getImageData(0, SQUARE / 2, BITS * SQUARE, 1).data;
    let n = 0;
    for (let bit = 0; bit < BITS; bit++) {
      n |= (row[(bit * SQUARE + SQUARE / 2) * 4] > 128 ? 1 : 0) << bit;
    }
    window.seen.push([n, performance.timeOrigin + performance.now(), player.delays.at(-1) / 1000]);
  };
})()
""".replace("SQUARE", str(SQUARE)).replace("BITS", str(BITS))


class Viewers:
    """Connections to one page. port, token: where, and who looks."""

    def __init__(self) -> None:
        os.nice(19)  # they stand for other hosts: the line goes first
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._tls = ssl.create_default_context()
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        self._got: dict[int, int] = {}
        self._closed = 0
        self._tasks: list[asyncio.Task[None]] = []

    def open(self, count: int, port: int, token: str, camera: str, reads: bool = True) -> None:
        """Open so many connections; those that do not read are stuck from the first picture on."""

        def begin() -> None:
            for _ in range(count):
                one = self._view(len(self._tasks), port, token, camera, reads)
                self._tasks.append(self._loop.create_task(one))

        self._loop.call_soon_threadsafe(begin)

    def got(self) -> dict[str, int]:
        """Return how many messages came by connection, and how many were closed."""
        return {**{str(n): count for n, count in self._got.items()}, "closed": self._closed}

    def close(self) -> None:
        """Close all."""
        for task in self._tasks:
            self._loop.call_soon_threadsafe(task.cancel)
        self._tasks.clear()

    def logins(self, count: int, seconds: float, port: int, right: list[str]) -> dict[str, Any]:
        """Try wrong passwords from one address, then a right one from another one of loopback."""
        import http.client

        codes: dict[int, int] = {}
        begun = time.monotonic()

        def post(name: str, password: str, source: str) -> int:
            link = http.client.HTTPSConnection(
                "127.0.0.1", port, context=self._tls, source_address=(source, 0), timeout=30
            )
            body = json.dumps({"name": name, "password": password})
            headers = {"content-type": "application/json", "x-perception": "1"}
            link.request("POST", "/api/v1/account/login", body, headers)
            status = link.getresponse().status
            link.close()
            return status

        took = 0.0
        for n in range(count):
            time.sleep(max(0.0, begun + n * seconds / count - time.monotonic()))
            code = post(right[0], f"wrong {n}", "127.0.0.2")
            codes[code] = codes.get(code, 0) + 1
            if n == count // 2:
                start = time.monotonic()
                code = post(*right, "127.0.0.3")
                took = time.monotonic() - start
                codes[code] = codes.get(code, 0) + 1
        return {"codes": {str(k): v for k, v in codes.items()}, "right_s": took}

    def browse(
        self, address: str, user: list[str], camera: str, seconds: float
    ) -> list[list[float]]:
        """Look at a camera in Chromium; return number, wall ms and ms since the packet came."""
        from playwright.sync_api import sync_playwright

        with sync_playwright() as driver:
            chromium = driver.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = chromium.new_context(ignore_https_errors=True).new_page()
            page.goto(address)
            page.get_by_label("Name").fill(user[0])
            page.get_by_label("Password").fill(user[1])
            page.get_by_role("button", name="Log in").click()
            page.wait_for_selector(".tile")
            page.goto(f"{address}/#/camera/{camera}")
            while not page.evaluate("document.querySelector('.view-camera')?.player?.shown"):
                page.wait_for_timeout(100)
            page.wait_for_timeout(2000)
            page.evaluate(READ)
            page.wait_for_timeout(seconds * 1000)
            seen = page.evaluate("window.seen")
            chromium.close()
        return seen

    async def _view(self, n: int, port: int, token: str, camera: str, reads: bool) -> None:
        from websockets.asyncio.client import connect
        from websockets.exceptions import ConnectionClosed

        try:
            async with connect(
                f"wss://127.0.0.1:{port}/api/v1/live", ssl=self._tls, compression=None,
                additional_headers={"Authorization": f"Bearer {token}"}, max_size=16 << 20,
                max_queue=None if reads else 1, ping_interval=None,
            ) as socket:  # fmt: skip
                await socket.send(json.dumps({"watch": camera}))
                if not reads:
                    await socket.recv()
                    await socket.wait_closed()
                    self._closed += 1
                    return
                async for _ in socket:
                    self._got[n] = self._got.get(n, 0) + 1
        except (ConnectionClosed, OSError):
            self._closed += 1


def percentiles(values: list[float]) -> tuple[float, float]:
    """Return p50 and p95."""
    steps = statistics.quantiles(values, n=20)
    return steps[9], steps[18]


def main() -> None:
    """Serve."""
    from benchmarks import harness

    viewers = Viewers()
    names = ("open", "got", "close", "logins", "browse")
    harness.serve({name: getattr(viewers, name) for name in names})


if __name__ == "__main__":
    main()
