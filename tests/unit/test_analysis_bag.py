"""`analyze` on a ROS bag: a part of it, turned; own motion stands in the track lines."""

import json
from pathlib import Path

from perception.analysis import batch
from perception.launchfile import config
from tests.unit.test_sources_bag import START_NS, STEP_NS, Bag, H, W, as_bgr8

LAUNCH = """
cameras:
  front:
    source: {type: bag, path: other.mcap, topic: /a, odometry: /odom, rotate: 90, start_s: 0.15}
detectors:
  default: {type: motion, camera: fixed}
"""


def test_a_bag_is_analysed_with_the_options_of_the_launch_file(tmp_path: Path) -> None:
    with Bag(tmp_path / "drive", "mcap") as bag:
        for n in range(10):
            if n == 4:
                bag.odometry("Odometry", n, 13.5, 0.25)
            bag.image(n, as_bgr8(n))
            bag.image(n, as_bgr8(9 - n), topic="/b")
    file = tmp_path / "car.yaml"
    file.write_text(LAUNCH)
    launch, document = config.load(file)
    found = batch.recordings([tmp_path / "drive"])
    plans = batch.plans(found, launch, document, tmp_path / "out", video=False)
    (said,) = batch.run(plans, lambda *_: None).values()
    assert not isinstance(said, str), said
    (lines,) = (tmp_path / "out").glob("*/tracks-*.jsonl")
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [row["t_media_ns"] for row in rows] == [START_NS + n * STEP_NS for n in range(2, 10)]
    assert {(row["width"], row["height"]) for row in rows} == {(H, W)}
    assert [row.get("own") for row in rows] == [None] * 2 + [[13.5, 0.25]] * 6
