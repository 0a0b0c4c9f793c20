"""Live video in a real browser: boxes on their own pictures, each way to show it."""

from pathlib import Path

from tests.browsing import (
    FPS,
    FRAMES,
    NEEDS_CHROMIUM,
    PLAYER,
    SIDE,
    SIZE,
    WAIT_MS,
    browser,
    file_camera,
    page_line,
    playwright,
    see,
    shot,
    square_at,
    write_numbered,
)
from tests.line import SLOW, synthetic

pytestmark = NEEDS_CHROMIUM

COLLECT = """
(() => {
  const player = %s;
  window.seen = [];
  player.onpicture = ({ t, found }) => {
    const pen = player.canvas.getContext("2d", { willReadFrequently: true });
    const row = pen.getImageData(0, player.canvas.height - 8, 8 * 16, 1).data;
    let n = 0;
    for (let bit = 0; bit < 8; bit++) n |= (row[(bit * 16 + 8) * 4] > 128 ? 1 : 0) << bit;
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


def test_why_is_asked_of_a_spot_in_the_live_picture(home: Path) -> None:
    """The minute is still being written: what stands at the spot, and its rule, are told."""
    clip = write_numbered(home / "clip.mp4", gop=20, frames=1200)
    door = file_camera(
        clip,
        zones={"right": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]},
        rules={"inside": {"type": "zone", "zone": "right"}},
        record={},
    )
    with page_line(home, {"door": door}) as (_, address), browser() as chromium:
        page = chromium.page(address)
        page.goto(f"{address}/#/camera/door")
        confirmed = f"{PLAYER}?.shown?.found.rows.some((row) => row.state == 'confirmed')"
        see(page, confirmed, "an object")
        page.wait_for_timeout(2000)
        see(page, confirmed, "an object")
        page.get_by_role("button", name="Why here?").click()
        frozen = page.evaluate(f"{PLAYER}.shown")
        row = next(row for row in frozen["found"]["rows"] if row["state"] == "confirmed")
        x1, y1, x2, y2 = row["box"]
        area = page.locator(".player").bounding_box()
        page.wait_for_timeout(500)
        assert page.evaluate(f"{PLAYER}.shown.t") == frozen["t"], "the picture stands still"
        page.mouse.click(
            area["x"] + (x1 + x2) / 2 * area["width"], area["y"] + (y1 + y2) / 2 * area["height"]
        )
        said = page.locator(".view-camera pre.log")
        playwright.expect(said).to_contain_text("the detector looked at", timeout=WAIT_MS * 2)
        playwright.expect(said).to_contain_text("rule inside (zone)")
        shot(page, "camera-1440")
        stock = page.evaluate("fetch('/api/v1/recordings').then((a) => a.json())")
        assert stock["state"] == "none", "no segment is complete yet"
        see(page, f"{PLAYER}.shown.t > {frozen['t']}", "it goes on")
        assert not chromium.complaints, chromium.complaints
