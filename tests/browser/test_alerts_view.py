"""Alerts in a real browser."""

import json
from pathlib import Path
from typing import Any

import cv2

from tests.browsing import (
    BIT,
    BITS,
    FPS,
    NEEDS_CHROMIUM,
    SIZE,
    browser,
    file_camera,
    page_line,
    see,
    write_numbered,
)
from tests.line import SLOW, perception_says, wait_until

pytestmark = NEEDS_CHROMIUM
LOOP = 240
BEFORE = FPS
"""Pictures of a clip before its alert: 1 s."""
PLAYING = """
(() => {
  window.began = null;
  window.playing = null;
  document.addEventListener("pointerdown", () => {
    window.began = performance.now();
    window.playing = null;
  }, true);
  const known = new WeakSet();
  const look = (video) => {
    if (video.paused || video.seeking || window.playing || video.readyState < 2) return;
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    const pen = canvas.getContext("2d");
    pen.drawImage(video, 0, 0);
    const row = pen.getImageData(0, canvas.height - 8, BITS * 16, 1).data;
    let n = 0;
    for (let bit = 0; bit < BITS; bit++) n |= (row[(bit * 16 + 8) * 4] > 128 ? 1 : 0) << bit;
    window.playing = { n, ms: performance.now() - window.began };
  };
  const watch = () => {
    requestAnimationFrame(watch);
    const video = document.querySelector(".stage video");
    if (!video || known.has(video)) return;
    known.add(video);
    const each = () => {
      look(video);
      video.requestVideoFrameCallback(each);
    };
    video.requestVideoFrameCallback(each);
  };
  watch();
})();
""".replace("BITS", str(BITS))

WRITTEN = "fetch('/api/v1/alerts/KEY').then((a) => a.json()).then((a) => a.clip_from_s !== null)"


def number_in(picture: Path) -> int:
    """Return the number that is written as bits in a picture."""
    image = cv2.imread(str(picture))
    assert image is not None
    assert image.shape[:2] == SIZE[::-1]
    return sum(1 << bit for bit in range(BITS) if image[-8, bit * BIT + 8, 0] > 128)


def apart(n: int, wanted: int) -> int:
    """Return how many pictures two numbers are apart in the loop."""
    return abs((n - wanted + LOOP // 2) % LOOP - LOOP // 2)


def test_j4_from_a_click_on_an_alert_to_its_playing_clip(home: Path) -> None:
    """The first picture that plays comes <= 1 s after the click, <= .1 s from the wanted time.

    Key frames stand 4 s apart, the clip is wanted from 1 s before the alert. Each picture carries
    its number; that of the alert stands in its own picture.
    """
    clip = write_numbered(home / "clip.mp4", frames=LOOP)
    door = file_camera(
        clip,
        zones={"right": [[0.5, 0], [1, 0], [1, 1], [0.5, 1]]},
        rules={"inside": {"type": "zone", "zone": "right"}},
        record={"before_s": BEFORE / FPS, "after_s": 1},
    )
    with page_line(home, {"door": door}) as (line, address), browser() as chromium:
        page = chromium.page(address, script=PLAYING)

        def alerts() -> list[dict[str, Any]]:
            said = perception_says("alerts", "list", "--json", "--launch", line.file)
            return [json.loads(row)["alert"] for row in said.stdout.splitlines()]

        wait_until(lambda: len(alerts()) >= 5, 60 * SLOW, "five alerts")
        # Not the first of a loop: there the packets begin with the file.
        chosen = [one for one in alerts() if number_in(Path(one["snapshot"])) > 60][-3:]
        assert len(chosen) == 3
        seen: dict[str, tuple[int, float]] = {}
        for one in chosen:
            page.goto(f"{address}/#/alerts")
            see(page, WRITTEN.replace("KEY", one["key"]), "its clip")
            page.locator(f"[data-key='{one['key']}'] h3 a").click()
            found = see(page, "window.playing", "the clip plays")
            wanted = number_in(Path(one["snapshot"])) - BEFORE
            seen[one["key"]] = apart(found["n"], wanted), found["ms"]
            assert apart(found["n"], wanted) <= 0.1 * FPS, (found, wanted)
            assert found["ms"] <= 1000 * SLOW, found
        print(f"J4 alerts (pictures off, ms): {seen}")
        # The same in the recording: the link goes to 3 s before the alert.
        one = chosen[0]
        page.goto(f"{address}/#/alert/{one['key']}")
        page.get_by_role("link", name="Recording", exact=True).click()
        found = see(page, "window.playing", "the recording plays")
        print(f"J4 recording: {found}")
        wanted = number_in(Path(one["snapshot"])) - 3 * FPS
        assert apart(found["n"], wanted) <= 0.1 * FPS, (found, wanted)
        assert found["ms"] <= 1000 * SLOW, found
        assert not chromium.complaints, chromium.complaints
