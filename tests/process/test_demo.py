"""What the README promises first: the demo on its two clips, and its count against the eye's."""

import json
from pathlib import Path

import av
import pytest

from perception import assets
from tests.line import ROOT, SLOW, perception_says

CROSSINGS_BY_EYE = 10
"""Vehicles whose front reaches the line in launch/demo.yaml while `highway` plays; counted on 30
stills of an annotated analysis, 12 frames apart."""


@pytest.mark.timeout(180 * SLOW)
def test_the_demo_does_what_it_says(tmp_path: Path) -> None:
    done = perception_says("demo", "--output", tmp_path / "demo", timeout_s=150)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((tmp_path / "demo/summary.json").read_bytes())
    for name, frames in (("highway", 360), ("market", 1799)):
        camera = summary["cameras"][name]
        assert camera["frames_read"] == frames
        assert camera["frames_tracked"] + sum(camera["dropped"].values()) == frames
        assert camera["alerts"]
        with av.open(str(tmp_path / f"demo/annotated-{name}.mp4")) as video:
            assert sum(1 for _ in video.decode(video=0)) <= camera["frames_tracked"]
        for made in (f"tracks-{name}.jsonl", f"mot-{name}.txt"):
            assert (tmp_path / "demo" / made).stat().st_size
    alerts = [json.loads(x) for x in (tmp_path / "demo/alerts.jsonl").read_text().splitlines()]
    raised = [alert for alert in alerts if alert["state"] == "raised"]
    assert all(Path(alert["snapshot"]).is_file() for alert in raised)
    assert {process["exit_code"] for process in summary["processes"].values()} == {0}


@pytest.mark.timeout(120 * SLOW)
def test_crossings_are_those_that_the_eye_counts(tmp_path: Path) -> None:
    clip, file = assets.fetch("highway"), tmp_path / "highway.yaml"
    whole = (ROOT / "launch/demo.yaml").read_text()
    one = whole.partition("  market:")[0] + "detectors:" + whole.partition("detectors:")[2]
    file.write_text(one)
    done = perception_says(
        "analyze", clip, "--launch", file, "--output", tmp_path, "--no-video", timeout_s=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = tmp_path.glob("*/summary.json")
    (camera,) = json.loads(found.read_bytes())["cameras"].values()
    counted = sum(camera["crossings"]["crossing"].values())
    assert abs(counted - CROSSINGS_BY_EYE) <= 0.1 * CROSSINGS_BY_EYE
    alerts = [json.loads(x) for x in (found.parent / "alerts.jsonl").read_text().splitlines()]
    assert all(Path(alert["snapshot"]).is_file() for alert in alerts)
