"""The page in a real browser: Debian's Chromium, driven by playwright. Skipped where there is none.

Each test starts a line of its own that serves the page, and does what a user does there.
"""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import quote

import av
import numpy as np
import pytest
import yaml

from perception.alerts.store import AlertStore
from tests.line import ROOT, SLOW, RunningLine, perception_says, running, synthetic, wait_until
from tests.page import PASSWORD
from tests.scenes import alert
from tests.servers import free_port

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
    pytest.mark.timeout(300),
]
WAIT_MS = 15_000 * SLOW
FPS, FRAMES, GOP, SIDE, BIT = 20, 60, 80, 40, 16
SIZE = (320, 240)
SERIOUS = ("serious", "critical")
VIEWS = (
    "live",
    "camera/door",
    "zones/door",
    "alerts",
    "recordings",
    "search/car",
    "system",
    "users",
    "account",
)


def square_at(n: int) -> tuple[int, int]:
    """Return where the coloured square of picture n begins, px."""
    return 10 + 4 * n, 60 + n


def write_numbered(path: Path, gop: int = GOP) -> Path:
    """Write an H.264 clip: a red square that moves, the picture's number as bits below."""
    blocks = np.random.default_rng(1).integers(60, 130, (SIZE[1] // 8, SIZE[0] // 8, 1), np.uint8)
    ground = np.ascontiguousarray(blocks.repeat(8, 0).repeat(8, 1).repeat(3, 2))
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height = SIZE
        stream.pix_fmt, stream.gop_size = "yuv420p", gop
        stream.options = {"preset": "ultrafast", "crf": "12", "bf": "0", "sc_threshold": "0"}
        for n in range(FRAMES):
            image = ground.copy()
            x, y = square_at(n)
            image[y : y + SIDE, x : x + SIDE] = (220, 40, 40)
            for bit in range(6):
                image[-BIT:, bit * BIT : (bit + 1) * BIT] = 255 if n >> bit & 1 else 0
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = n, Fraction(1, FPS)
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    return path


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


PLAYER = "document.querySelector('.view-camera')?.player"
COLLECT = """
(() => {
  const player = %s;
  window.seen = [];
  player.onpicture = ({ t, found }) => {
    const pen = player.canvas.getContext("2d", { willReadFrequently: true });
    const row = pen.getImageData(0, player.canvas.height - 8, 6 * 16, 1).data;
    let n = 0;
    for (let bit = 0; bit < 6; bit++) n |= (row[(bit * 16 + 8) * 4] > 128 ? 1 : 0) << bit;
    window.seen.push({ t, n, exact: found.exact, boxes: found.rows.map((track) => track.box) });
  };
  return true;
})()
""".replace("%s", PLAYER)


def test_i2_i4_boxes_belong_to_the_picture_under_them(home: Path) -> None:
    """300 pictures in exact mode: each has its own number and its own frame's boxes."""
    clip = write_numbered(home / "clip.mp4")
    with page_line(home, {"door": file_camera(clip)}) as (_, address), browser() as chromium:
        page = chromium.page(address)
        page.wait_for_selector(".tile .state:has-text('fps')")
        page.evaluate("""localStorage.setItem("camera-options", '{"mode": "exact"}')""")
        page.get_by_role("link", name="door").first.click()
        page.wait_for_selector(".view-camera .player")
        first_ms = see(page, f"{PLAYER}.firstMs", "a picture")
        assert first_ms <= 1000 * SLOW, f"the first picture came after {first_ms:.0f} ms (I4)"
        page.evaluate(COLLECT)
        see(page, "window.seen.length >= 320", "320 pictures", 60)
        seen = page.evaluate("window.seen")
        assert page.evaluate(f"{PLAYER}.Way.title") == "WebCodecs"
    seen = seen[10:]
    offsets = {(one["n"] - round(one["t"] * FPS / 1e6)) % FRAMES for one in seen}
    assert len(offsets) == 1, "every picture has the media time that its tracks have"
    exact = [one for one in seen if one["exact"]]
    assert len(exact) >= 0.9 * len(seen), f"{len(exact)} of {len(seen)} had their tracks in time"
    followed = [one for one in exact if one["n"] >= 6 and one["boxes"]]
    # Where the clip begins again the square is a new one, for .3 s of each 3 s.
    assert len(followed) >= 0.8 * len(exact), f"{len(followed)} of {len(exact)} had boxes"
    for one in followed:
        x, y = square_at(one["n"])
        x1, y1, x2, y2 = one["boxes"][-1]
        middle = ((x1 + x2) / 2 * SIZE[0], (y1 + y2) / 2 * SIZE[1])
        assert abs(middle[0] - x - SIDE / 2) < 3, one
        assert abs(middle[1] - y - SIDE / 2) < 3, one


NO_WEBCODECS = "delete window.VideoDecoder;"
NO_MSE = NO_WEBCODECS + "delete window.MediaSource; delete window.ManagedMediaSource;"


def test_i5_each_way_shows_pictures_and_says_why(home: Path) -> None:
    clip = write_numbered(home / "clip.mp4", gop=20)
    cameras = {"door": file_camera(clip), "shapes": synthetic()}
    resolver = "--host-resolver-rules=MAP cam.test 127.0.0.1"
    with (
        page_line(home, cameras, names=["cam.test"]) as (_, address),
        browser(resolver) as chromium,
    ):
        insecure = address.replace("127.0.0.1", "cam.test")
        for where, script, way, reason in (
            (address, "", "WebCodecs", ""),
            (address, NO_WEBCODECS, "MSE", "no VideoDecoder in this browser"),
            (insecure, "", "MSE", "no secure context"),
            (address, NO_MSE, "JPEG", "no MediaSource in this browser"),
        ):
            page = chromium.page(where, script=script)
            page.goto(f"{where}/#/camera/door")
            facts = page.locator(".view-camera .facts")
            playwright.expect(facts).to_contain_text(f"{way} ·")
            if reason:
                playwright.expect(facts).to_contain_text(reason)
            see(page, f"{PLAYER}.times.length >= 4", f"pictures by {way}")
            bright = see(page, BRIGHTNESS, "the picture is not black")
            assert bright > 40, (way, bright)
            page.goto(f"{where}/#/camera/shapes")
            playwright.expect(facts).to_contain_text("JPEG ·")
            playwright.expect(facts).to_contain_text("no packets of its own")
            see(page, f"{PLAYER}.times.length >= 4", "pictures of a camera without packets")
            page.context.close()
        assert not chromium.complaints, chromium.complaints


BRIGHTNESS = """
(() => {
  const player = %s;
  const from = player.Way.title === "MSE" ? player.video : player.canvas;
  const copy = document.createElement("canvas");
  copy.width = copy.height = 8;
  const pen = copy.getContext("2d");
  pen.drawImage(from, 0, 0, 8, 8);
  const data = pen.getImageData(0, 0, 8, 8).data;
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum += data[i];
  return sum / 64;
})()
""".replace("%s", PLAYER)


def test_j2_a_zone_drawn_in_the_browser_is_taken_by_the_line(home: Path) -> None:
    clip = write_numbered(home / "clip.mp4", gop=20)
    far = [[0.02, 0.02], [0.08, 0.02], [0.05, 0.06]]
    door = file_camera(
        clip, zones={"porch": far}, rules={"inside": {"type": "zone", "zone": "porch"}}
    )
    with page_line(home, {"door": door}) as (line, address), browser() as chromium:
        before = line.file.read_text().replace("name: line", "name: line  # ours")
        line.file.write_text(before)
        pids = line.note_pids()
        page = chromium.page(address)
        page.goto(f"{address}/#/zones/door")
        page.get_by_role("button", name="porch").click()
        see(page, "document.querySelectorAll('.drawing .point').length == 3", "three points")
        # Before the first picture the place has the shape of a usual one: 16 to 9.
        shape = "(b => Math.abs(b.width / b.height - %f) < .01)" % (SIZE[0] / SIZE[1])
        drawing = "document.querySelector('.drawing').getBoundingClientRect()"
        see(page, f"{shape}({drawing})", "a place of the picture's shape")
        area = page.locator(".drawing").bounding_box()
        for n, (x, y) in enumerate(((0.01, 0.01), (0.99, 0.01), (0.5, 0.99))):
            handle = page.locator(".drawing .point").nth(n).bounding_box()
            page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
            page.mouse.down()
            page.mouse.move(area["x"] + x * area["width"], area["y"] + y * area["height"], steps=4)
            page.mouse.up()
        page.locator(".drawing .point").nth(0).press("ArrowRight")
        page.get_by_role("button", name="Undo").click()
        page.get_by_role("button", name="Save").click()
        playwright.expect(page.locator(".view-zones")).to_contain_text("has taken it")
        after = line.file.read_text()
        start = before.index("porch:")
        end = before.index("rules:")
        assert after.startswith(before[:start])
        assert after.endswith(before[end:])
        points = yaml.safe_load(after)["cameras"]["door"]["zones"]["porch"]
        assert np.allclose(points, [[0.01, 0.01], [0.99, 0.01], [0.5, 0.99]], atol=0.02), points
        store = ("alerts", "list", "--json", "--launch", line.file)
        wait_until(lambda: perception_says(*store).stdout, 20 * SLOW, "an alert in the new zone")
        again = line.note_pids()
        assert {name for name in pids if pids[name] != again[name]} == {"alert"}
        line.file.write_text(after + "# another hand\n")
        page.get_by_role("button", name="Save").click()
        playwright.expect(page.get_by_role("alert")).to_contain_text("changed meanwhile")
        viewer = chromium.page(address, user="vic")
        viewer.goto(f"{address}/#/zones/door")
        playwright.expect(viewer.get_by_role("button", name="New zone")).to_be_disabled()
        chromium.complaints[:] = [text for text in chromium.complaints if "409" not in text]
        assert not chromium.complaints, chromium.complaints


def axe(page: Any) -> list[str]:
    """Return what axe-core finds serious in the page as it is."""
    checker = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = checker.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:120]}"
        for one in found
        if one["impact"] in SERIOUS
    ]


def test_j1_what_a_user_does_in_each_view(home: Path) -> None:
    clip = write_numbered(home / "clip.mp4", gop=20)
    rules = {"inside": {"type": "zone", "zone": "all"}}
    zones = {"all": [[0, 0], [1, 0], [1, 1], [0, 1]]}
    door = file_camera(clip, zones=zones, rules=rules, record={"before_s": 1, "after_s": 1})
    cameras = {"door": door, "a-camera-with-quite-a-long-name-000001": synthetic(fps=4)}
    with page_line(home, cameras) as (line, address), browser() as chromium:
        page = chromium.page(address, user=None)
        page.get_by_label("Name").fill("anna")
        page.get_by_label("Password").fill("wrong password")
        page.get_by_role("button", name="Log in").click()
        playwright.expect(page.get_by_role("alert")).to_contain_text("not right")
        chromium.complaints.clear()  # the browser itself reports the 401
        page.context.close()
        page = chromium.page(address)
        tiles = page.locator(".tile")
        playwright.expect(tiles).to_have_count(2)
        playwright.expect(tiles.first.locator(".state")).to_contain_text("fps")
        alerts_view(page, line)
        recordings(page)
        search(page)
        system(page)
        users(page, chromium, address)
        account(page)
        findings = {
            f"{view} {width} {scheme}": found
            for width, scheme in ((1440, "light"), (1440, "dark"), (360, "light"), (360, "dark"))
            for view, found in looked_at(chromium, address, width, scheme)
        }
        chromium.complaints[:] = [text for text in chromium.complaints if "404" not in text]
        assert not any(findings.values()), json.dumps(findings, indent=1)
        assert not chromium.complaints, chromium.complaints


def looked_at(
    chromium: Browser, address: str, width: int, scheme: str
) -> Iterator[tuple[str, list[str]]]:
    """Yield what is wrong with each view: axe's serious findings, scrolling sideways."""
    page = chromium.page(address, width=width, scheme=scheme)
    for view in VIEWS:
        page.goto(f"{address}/#/{view}")
        page.wait_for_selector(f".view-{view.split('/')[0]} h1")
        page.wait_for_timeout(300)
        found = axe(page)
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            found.append(f"{wide} px wide")
        yield view, found
    page.context.close()


def alerts_view(page: Any, line: RunningLine) -> None:
    page.get_by_role("link", name="Alerts", exact=True).click()
    card = page.locator(".card").first
    playwright.expect(card).to_contain_text("inside at all")
    see(page, "document.querySelector('.card img')?.naturalWidth > 0", "the alert's picture")
    key = card.get_attribute("data-key")
    count = page.locator(".card").count()
    page.locator(f"[data-key='{key}']").get_by_role("button", name="Seen").click()
    playwright.expect(page.locator(f"[data-key='{key}']")).to_contain_text("seen")
    said = perception_says("alerts", "list", "--json", "--launch", line.file)
    kept = [json.loads(row) for row in said.stdout.splitlines()]
    (noted,) = [row["t_acked_wall_ns"] for row in kept if row["alert"]["key"] == key]
    assert noted is not None
    wait_until(
        lambda: page.locator(".card").count() > count, 20 * SLOW, "a new alert comes by itself"
    )
    with_clip = see(page, CLIP_WRITTEN, "an alert whose clip is written")
    page.locator(f"[data-key='{with_clip}'] h3 a").click()
    page.wait_for_selector(".view-alert video")
    begun = time.monotonic()
    page.reload()
    see(page, "document.querySelector('.view-alert video')?.currentTime > 0", "the clip plays")
    assert time.monotonic() - begun < 3 * SLOW, "from a click to a playing clip (J4)"


CLIP_WRITTEN = """
(async () => {
  for (const card of [...document.querySelectorAll(".card")].reverse()) {
    const address = `/api/v1/alerts/${card.dataset.key}/clip.mp4`;
    const answer = await fetch(address, { headers: { range: "bytes=0-99" } });
    if (answer.ok) return card.dataset.key;
  }
  return null;
})()
"""


def recordings(page: Any) -> None:
    page.get_by_role("link", name="Recordings", exact=True).click()
    canvas = page.locator("canvas.timeline")
    canvas.wait_for()
    area = canvas.bounding_box()
    row = page.locator(".names span", has_text="door").first.bounding_box()
    # A minute is a few pixels here; the newest seconds of the strip are still being written.
    page.mouse.click(area["x"] + area["width"] - 14, row["y"] + row["height"] / 2)
    see(page, "document.querySelector('.view-recordings video')?.currentTime > 0", "it plays")
    page.get_by_role("button", name="Protect").click()
    playwright.expect(page.locator(".view-recordings .facts .badge")).to_have_text("protected")
    page.get_by_role("button", name="Why now?").click()
    said = page.locator(".view-recordings pre.log")
    playwright.expect(said).to_contain_text("the detector looked at", timeout=WAIT_MS)


def search(page: Any) -> None:
    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_label("words").fill("car at all at noon")
    page.get_by_role("button", name="Search", exact=True).click()
    playwright.expect(page.locator(".understood")).to_contain_text("noon not understood")


def system(page: Any) -> None:
    page.get_by_role("link", name="System", exact=True).click()
    playwright.expect(page.locator(".view-system")).to_contain_text("age when tracked")
    playwright.expect(page.locator(".view-system")).to_contain_text("camera-door")
    playwright.expect(page.locator(".log")).to_contain_text("ready")


def users(page: Any, chromium: Browser, address: str) -> None:
    page.get_by_role("link", name="Users", exact=True).click()
    form = page.locator("form.panel")
    form.get_by_role("textbox", name="Name").fill("bob")
    form.get_by_label("Password").fill(PASSWORD)
    form.get_by_label("all, also later ones").uncheck()
    form.get_by_role("checkbox", name="door").check()
    form.get_by_role("button", name="Add").click()
    playwright.expect(page.locator(".view-users")).to_contain_text("Added bob.")
    other = chromium.page(address, user="bob")
    playwright.expect(other.locator(".tile")).to_have_count(1)
    playwright.expect(other.get_by_role("link", name="Users", exact=True)).to_have_count(0)
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("article", has_text="bob").get_by_role("button", name="Remove").click()
    playwright.expect(page.locator(".view-users")).to_contain_text("Removed bob.")
    other.get_by_role("link", name="Alerts", exact=True).click()
    playwright.expect(other.get_by_role("button", name="Log in")).to_be_visible()
    other.context.close()
    chromium.complaints[:] = [
        text for text in chromium.complaints if "401" not in text and "dialog: Remove" not in text
    ]


def account(page: Any) -> None:
    page.get_by_role("link", name="anna").click()
    page.get_by_placeholder("what it is for").fill("my script")
    page.get_by_role("button", name="Make one, to look only").click()
    playwright.expect(page.locator("code.token")).to_contain_text("pct_")


HOSTILE = "<img src=x onerror=alert(1)>"


def test_k2_hostile_names_are_text_in_every_view(home: Path) -> None:
    """What somebody else can name (a class, a person, a zone) never becomes a part of the page."""
    with page_line(home, {"door": synthetic(fps=4)}) as (line, address), browser() as chromium:
        store = AlertStore(line.folder / "alerts.sqlite", beside=True)
        details = {"zone": HOSTILE, "who": HOSTILE, "known": True, HOSTILE: HOSTILE}
        made = alert(7, class_name=HOSTILE, details=details, start_t_wall_ns=time.time_ns())
        store.commit("door", 1, [made], dict, now=True)
        store.close()
        page = chromium.page(address)
        for view, shown in (
            ("alerts", HOSTILE),
            (f"alert/{made.key}", HOSTILE),
            (f"search/{quote(HOSTILE)}", "Search"),
            (f"camera/{quote(HOSTILE)}", HOSTILE),
            (f"zones/{quote(HOSTILE)}", HOSTILE),
            (f"alert/{quote(HOSTILE)}", "there is none"),
            (f"recordings/{quote(HOSTILE)}/1", "Recordings"),
            (quote(HOSTILE), "door"),
        ):
            page.goto(f"{address}/#/{view}")
            playwright.expect(page.locator("main")).to_contain_text(shown)
            page.wait_for_timeout(200)
            assert page.locator("img[onerror], img[src=x]").count() == 0, view
        left = [text for text in chromium.complaints if "404" not in text]
        assert not left, left


@pytest.mark.footage
def test_somebody_is_enrolled_from_an_alert(home: Path, footage: Path) -> None:
    clip = footage / "video/doorway/whitehouse_faces_cuts.mp4"
    door = {
        "source": {"type": "video", "path": str(clip), "loop": True}, "objects": ["person"],
        "zones": {"all": [[0, 0], [1, 0], [1, 1], [0, 1]]},
        "rules": {"inside": {"type": "zone", "zone": "all"}},
    }  # fmt: skip
    gallery = {"gallery": str(home / "gallery"), "key": str(home / "own.key")}
    launch = {"identity": gallery, "detectors": {"default": {"model": "yolo11n"}}}
    with page_line(home, {"door": door}, launch=launch) as (_, address), browser() as chromium:
        page = chromium.page(address)
        page.goto(f"{address}/#/people")
        playwright.expect(page.locator(".view-people")).to_contain_text("Nobody is enrolled")
        tried: list[str] = []

        def enrolled() -> bool:
            found = page.evaluate("fetch('/api/v1/alerts?limit=200').then((a) => a.json())")
            for one in found["items"]:
                if one["key"] in tried or not one["has_picture"] or "who" not in one["details"]:
                    continue
                tried.append(one["key"])
                page.goto(f"{address}/#/alert/{one['key']}")
                page.get_by_label("name").fill("Jo Doe")
                page.get_by_role("button", name="This is").click()
                answer = page.locator(".view-alert aside .notice").last
                playwright.expect(answer).not_to_contain_text("looking", timeout=WAIT_MS * 3)
                if "1 picture" in answer.inner_text():
                    return True
            return False

        wait_until(enrolled, 90 * SLOW, "an alert whose picture has a good face")
        page.goto(f"{address}/#/people")
        playwright.expect(page.locator(".view-people")).to_contain_text("Jo Doe 1 picture")
        page.once("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Erase").click()
        playwright.expect(page.locator(".view-people")).to_contain_text("Erased Jo Doe.")
        playwright.expect(page.locator(".view-people")).to_contain_text("Nobody is enrolled")


def test_the_pictures_of_readme(home: Path) -> None:
    """The demo's clips, desk and phone; kept where PERCEPTION_SCREENS names a folder."""
    folder = Path(os.environ.get("PERCEPTION_SCREENS", home / "screens"))
    folder.mkdir(parents=True, exist_ok=True)
    plan = yaml.safe_load((ROOT / "launch" / "demo.yaml").read_text())
    for camera in plan["cameras"].values():
        camera["source"] = {"type": "video", "path": camera["source"], "loop": True}
        camera["record"] = {}
    launch = {"name": "demo", "detectors": plan["detectors"]}
    with page_line(home, plan["cameras"], launch=launch) as (_, address), browser() as chromium:
        page = chromium.page(address, width=1280)
        page.wait_for_timeout(25_000)
        page.goto(f"{address}/#/camera/market")
        see(page, f"{PLAYER}?.shown?.found.rows.length > 5", "people")
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / "page-camera.jpg", type="jpeg", quality=80)
        page.goto(f"{address}/#/zones/market")
        page.get_by_role("button", name="path").click()
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / "page-zones.jpg", type="jpeg", quality=80)
        page.goto(f"{address}/#/alerts")
        page.wait_for_selector(".card img")
        page.wait_for_timeout(1500)
        page.screenshot(path=folder / "page-alerts.jpg", type="jpeg", quality=80)
        page.goto(f"{address}/#/recordings")
        canvas = page.locator("canvas.timeline")
        canvas.wait_for()
        area = canvas.bounding_box()
        page.mouse.click(area["x"] + area["width"] - 8, area["y"] + 15)
        page.wait_for_timeout(2500)
        page.screenshot(path=folder / "page-recordings.jpg", type="jpeg", quality=80)
        phone = chromium.page(address, width=360, scheme="light")
        phone.wait_for_timeout(4000)
        phone.screenshot(path=folder / "phone-live.jpg", type="jpeg", quality=80)
        assert {path.stat().st_size > 10_000 for path in folder.glob("*.jpg")} == {True}
