"""A drone's line as a user starts it: a live downlink with MAVLink, and the demo on its own."""

import contextlib
import json
import time

import numpy as np
import pytest
import yaml

from perception.wire import CONFIRMED, places
from tests import klv
from tests.flight import apart
from tests.flying import GROUND_M, HOME, PITCH, TARGETS, YAW, flying, free_port
from tests.line import ROOT, SLOW, perception_says, running, wait_until
from tests.unit.test_cot_tracks import Listener

OLD = places.OLD


def launch(video, mavlink):
    """Return launch/drone.yaml on other ports, with the test's detector."""
    whole = yaml.safe_load((ROOT / "launch" / "drone.yaml").read_text())
    camera = whole["cameras"]["down"]
    assert camera["source"] == "udp://127.0.0.1:5600"
    assert camera["telemetry"] == {"type": "mavlink", "url": "udp://127.0.0.1:14550"}
    camera |= {"source": f"udp://127.0.0.1:{video}"}
    camera["telemetry"]["url"] = f"udp://127.0.0.1:{mavlink}"
    del camera["detect"]
    camera["objects"] = ["car"]
    whole["output"]["video"] = False
    return {**whole, "detectors": {"default": {"type": "blobs"}}}


def wait_for(tracks, condition, what, timeout_s=40.0):
    """Return the first frame for which a condition holds."""
    deadline = time.monotonic() + timeout_s * SLOW
    for message in tracks:
        if condition(message):
            return message
        assert time.monotonic() < deadline, f"{what}: {message.view[:2]}, {message.tracks}"
    raise AssertionError("the run ended")


def placed(message):
    rows = message.tracks.states == CONFIRMED
    return (
        rows.sum() == len(TARGETS) and (message.tracks.place_codes[rows] == places.PLACE_GOOD).all()
    )


def stale(message):
    rows = message.tracks.states == CONFIRMED
    return rows.any() and (message.tracks.place_codes[rows] == OLD).all()


def live_file(line):
    return json.loads((line.folder / "targets-down.geojson").read_text())


@pytest.mark.fault("F35")
@pytest.mark.timeout(240 * SLOW)
def test_a_live_downlink_with_mavlink_places_its_tracks_until_telemetry_is_silent(home):
    video, mavlink, listener = free_port(), free_port(), Listener()
    whole = launch(video, mavlink)
    whole["output"]["cot"] = {"url": listener.url}
    with (
        contextlib.closing(listener),
        running(home, whole) as line,
        flying(video, mavlink) as drone,
    ):
        line.wait_ready()
        tracks = line.connect().tracks("down")
        message = wait_for(tracks, placed, "tracks with a place")
        for row in np.flatnonzero(message.tracks.states == CONFIRMED):
            place = message.tracks.row(row, message.names).place
            off = min(
                np.linalg.norm(apart(truth, (place.lat_deg, place.lon_deg))) for truth in TARGETS
            )
            assert off < place.major_m
            assert off < 12.0
            assert 0.5 < place.minor_m <= place.major_m < 60.0
            assert 0.0 <= place.bearing_deg < 180.0
        wait_until(lambda: len(live_file(line)["features"]) == 4, 10 * SLOW, "the live file")
        assert live_file(line)["reason"] is None
        events = listener.all_so_far()
        assert events
        for root, _ in events:
            at = float(root[0].attrib["lat"]), float(root[0].attrib["lon"])
            assert min(np.linalg.norm(apart(truth, at)) for truth in TARGETS) < 12.0

        drone.speaks = False
        sent = drone.frames
        wait_for(tracks, stale, "places that are stale")
        silent = wait_for(tracks, lambda m: True, "the next frame")
        assert places.REASONS[int(silent.view[0])] == "telemetry is too old"
        assert not silent.tracks.places.any()
        assert all(silent.tracks.row(r, {}).place is None for r in range(len(silent.tracks)))
        assert drone.frames > sent, "video goes on"
        wait_until(
            lambda: live_file(line)["reason"] == "telemetry is too old", 10 * SLOW, "the live file"
        )
        assert live_file(line)["features"] == []

        drone.speaks = True
        wait_for(tracks, placed, "places again")
        assert line.stop() == 0
        summary = line.summary()["cameras"]["down"]
        assert summary["unplaced"]["telemetry is too old"] > 0
        found = json.loads((line.folder / "map-down.geojson").read_text())["features"]
        targets = [f for f in found if f["properties"]["kind"] == "target"]
        assert len(targets) >= len(TARGETS)
        for target in targets:
            at = target["geometry"]["coordinates"][::-1]
            assert min(np.linalg.norm(apart(truth, at)) for truth in TARGETS) < 12.0
        (flight,) = [f for f in found if f["properties"]["kind"] == "flight"]
        for lon, lat in flight["geometry"]["coordinates"]:
            east, north = apart((*HOME, GROUND_M), (lat, lon))
            assert -1.0 < east < 41.0
            assert abs(north) < 1.0
        assert "default-src 'none'" in (line.folder / "map.html").read_text()


@pytest.mark.timeout(400 * SLOW)
def test_the_demo_of_a_drone_ends_with_a_map_that_is_true(tmp_path):
    said = perception_says("demo", "drone", "--output", tmp_path / "demo", timeout_s=380)
    assert said.returncode == 0, said.stdout + said.stderr
    folder = tmp_path / "demo" / "flight"
    assert f"open {folder}/map.html in a browser" in said.stdout.replace("\n", "")
    page = (folder / "map.html").read_text()
    features = json.loads((folder / "map-flight.geojson").read_text())["features"]
    kinds = [f["properties"]["kind"] for f in features]
    count = kinds.count("target")
    assert count >= 5
    assert {"flight", "footprint", "ellipse"} <= set(kinds)
    assert page.count('"kind": "target"') == count
    words = said.stdout.split(" targets on the map; in the 95 % ellipse of ")
    assert int(words[0].split()[-1]) == count
    assert int(words[1].split()[0]) >= 0.8 * count
    assert (folder / "annotated-flight.mp4").stat().st_size > 10_000


def klv_of(lat, lon, msl):
    """Return a packet of a vehicle that flies level to the east; its camera looks YAW, PITCH."""
    return klv.position(lat, lon, msl, yaw=90.0, azimuth=YAW - 90.0, elevation=PITCH)


@pytest.mark.timeout(240 * SLOW)
def test_klv_inside_a_live_stream_places_its_tracks_until_it_is_silent(home):
    video = free_port()
    camera = {
        "source": f"udp://127.0.0.1:{video}",
        "objects": ["car"],
        "telemetry": {"type": "klv"},
        "map": {"ground": {"height_m": GROUND_M}},
    }
    with running(home, {"cameras": {"down": camera}}) as line, flying(video, None, klv_of) as drone:
        line.wait_ready()
        tracks = line.connect().tracks("down")
        message = wait_for(tracks, placed, "tracks with a place")
        for row in np.flatnonzero(message.tracks.states == CONFIRMED):
            place = message.tracks.row(row, message.names).place
            at = place.lat_deg, place.lon_deg
            off = min(np.linalg.norm(apart(truth, at)) for truth in TARGETS)
            assert off < min(place.major_m, 4.0), place
        drone.speaks = False
        wait_for(tracks, stale, "places that are stale")
        drone.speaks = True
        wait_for(tracks, placed, "places again")
        assert line.stop() == 0
    unplaced = line.summary()["cameras"]["down"]["unplaced"]
    assert unplaced["telemetry is too old"] > 0
