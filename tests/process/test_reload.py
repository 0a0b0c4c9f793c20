"""A changed launch file taken into a running line (F29)."""

import time
from pathlib import Path

import pytest
import yaml

from tests.line import SLOW, perception_says, running, synthetic, wait_until

FAR = [[0.98, 0.0], [1.0, 0.0], [1.0, 0.02]]
ALL = [[0, 0], [1, 0], [1, 1], [0, 1]]


@pytest.mark.fault("F29")
@pytest.mark.timeout(180)
def test_f29_zones_change_and_cameras_and_detection_go_on(home: Path) -> None:
    camera = {
        **synthetic(), "zones": {"porch": FAR}, "record": {},
        "rules": {"inside": {"type": "zone", "zone": "porch"}},
    }  # fmt: skip
    launch = {"cameras": {"front": camera}, "recordings": {"min_free_gb": 0.1}}
    with running(home, launch) as line:
        line.wait_ready()
        before = line.note_pids()
        frames = line.connect().tracks("front", every=True)
        first = next(frames)
        time.sleep(2)
        listed = perception_says("alerts", "list", "--json", "--launch", line.file)
        assert listed.stdout == "", "nothing is in the far corner"

        good = line.file.read_text()
        for bad, says in (
            (good.replace("zone: porch", "zone: prch"), "did you mean 'porch'"),
            (good.replace("type: zone", "type: zon"), "rules.inside.type: 'zon'"),
            (good.replace("fps: 12", "fps: 6"), "a change of source needs a new start"),
            (good.replace("front:", "back:"), "other cameras need a new start"),
            ("]", "not YAML"),
        ):
            line.file.write_text(bad)
            said = perception_says("reload")
            assert said.returncode == 2, said
            assert said.stdout.startswith("not taken: "), said
            assert says in " ".join(said.stdout.split()), said
        assert line.note_pids() == before

        changed = yaml.safe_load(good)
        changed["cameras"]["front"]["zones"]["porch"] = ALL
        line.file.write_text(yaml.safe_dump(changed, sort_keys=False))
        said = perception_says("reload")
        assert (said.returncode, said.stdout.strip()) == (0, "taken"), said
        again = perception_says("reload")
        assert again.stdout.strip() == "nothing has changed", again
        wait_until(
            lambda: perception_says("alerts", "list", "--json", "--launch", line.file).stdout,
            20 * SLOW,
            "an alert in the new zone",
        )
        after = line.note_pids()
        assert {name for name in before if before[name] != after[name]} == {"alert"}
        ids = [first.message_id]
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            ids.append(next(frames).message_id)
        assert ids == list(range(ids[0], ids[0] + len(ids))), "no frame was missed"
        frames.close()
        line.stop()
        assert "failed" not in line.says
