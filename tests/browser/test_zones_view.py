"""Zones drawn in a real browser."""

from pathlib import Path

import numpy as np
import yaml

from tests.browsing import (
    NEEDS_CHROMIUM,
    SIZE,
    browser,
    file_camera,
    page_line,
    playwright,
    see,
    write_numbered,
)
from tests.line import SLOW, perception_says, wait_until

pytestmark = NEEDS_CHROMIUM


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
