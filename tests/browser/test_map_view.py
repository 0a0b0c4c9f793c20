"""The map of a drone in a real browser."""

import re
from pathlib import Path

import msgspec
import pymap3d

from perception.geo.placer import Placer
from tests.browsing import NEEDS_CHROMIUM, axe, browser, playwright, see, served, shot
from tests.flight import Steady, ground_point, pixel_of, state_of
from tests.page import Page, make_page
from tests.servers import free_port
from tests.unit.test_geo_ground import SIZE, focal, message
from tests.unit.test_map_files import OPTIONS

pytestmark = NEEDS_CHROMIUM
LOOK = (20.0, -60.0, 0.0)


def fly(page: Page) -> tuple[float, float, float]:
    """Let `door` fly 180 m to the east, 100 m above a car that stands; return the car's place."""
    truth = ground_point((48.0, 11.0, 100.0), 20.0, 60.0)

    def state(t_ns):
        lon = 11.0 + t_ns * 3e-13
        return state_of((48.0, lon, 100.0), LOOK, 60.0)

    placer = Placer(Steady(state), OPTIONS)
    for n in range(80):
        t_ns = n * 100_000_000
        now = state(t_ns)
        x, y = pixel_of(truth, (now.lat_deg, now.lon_deg, 100.0), LOOK, focal(60.0), SIZE)
        said = message([(x - 5, y - 5, x + 5, y + 5)], t_ns)
        said.stamp = msgspec.structs.replace(said.stamp, camera="door")
        said.names = {0: "car"}
        placer.place(said)
        page.site.hub.take(said)
    return truth


def test_the_map_shows_where_a_drone_flew_and_what_it_saw(home: Path) -> None:
    page = make_page(home, mapped=("door",), scheme="http", port=free_port())
    truth = fly(page)
    with served(page) as address, browser() as chromium:
        for width, scheme in ((1440, "light"), (1440, "dark"), (360, "dark"), (360, "light")):
            shown = chromium.page(address, user="a", width=width, scheme=scheme)
            shown.get_by_role("link", name="Map", exact=True).click()
            see(shown, "document.querySelector('.map .target')", "the target")
            playwright.expect(shown.locator(".facts")).to_contain_text("80 of 80 frames")
            shown.wait_for_timeout(300)
            assert not axe(shown)
            assert shown.evaluate("document.documentElement.scrollWidth") <= width
            shot(shown, f"map-{width}-{scheme}")
        # Metres from the camera to the car in the drawing, beside those of pymap3d.
        drone = shown.locator(".map .drone").get_attribute("transform")
        x, y = map(float, re.findall(r"translate\((\S+) (\S+?)\)", drone)[0])
        car = shown.locator(".map .target")
        east = float(car.get_attribute("cx")) - x
        north = y - float(car.get_attribute("cy"))
        flight = page.site.hub.flights["door"]
        assert flight.view is not None
        eye = (flight.view.lat_deg, flight.view.lon_deg, 0.0)
        e, n, _ = pymap3d.geodetic2enu(truth[0], truth[1], 0.0, *eye)
        assert abs(east - e) < 5, (east, e)
        assert abs(north - n) < 5, (north, n)
        assert shown.locator(".map .flight").count() == 1
        assert shown.locator(".map .ellipse").count() == 1
        assert shown.locator(".map .footprint").count() >= 3
        shown.get_by_role("button", name="car").click()
        playwright.expect(shown.locator(".map .target")).to_have_class("target on")
        other = chromium.page(address, user="b")
        playwright.expect(other.get_by_role("link", name="Alerts", exact=True)).to_be_visible()
        playwright.expect(other.get_by_role("link", name="Map", exact=True)).to_have_count(0)
        assert not chromium.complaints, chromium.complaints
