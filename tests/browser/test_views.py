"""Each view of the page in a real browser, done what a user does there; how it looks.

Each test starts a line of its own that serves the page.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from perception.alerts.store import AlertStore
from tests.browsing import (
    NEEDS_CHROMIUM,
    PLAYER,
    WAIT_MS,
    Browser,
    axe,
    browser,
    file_camera,
    page_line,
    playwright,
    see,
    write_numbered,
)
from tests.line import ROOT, SLOW, RunningLine, perception_says, synthetic, wait_until
from tests.page import PASSWORD
from tests.scenes import alert

pytestmark = NEEDS_CHROMIUM

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
