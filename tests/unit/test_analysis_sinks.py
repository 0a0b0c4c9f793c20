from pathlib import Path

from perception.analysis import batch
from perception.launchfile import config

LAUNCH = """
cameras:
  door: {source: push, rules: {visitor: {type: visit}}}
alerts:
  sinks:
    jsonl: {}
    pictures: {type: snapshot}
    phone: {type: webhook, url: "http://127.0.0.1:1/"}
"""


def test_analyzing_a_recording_calls_nobody(tmp_path: Path) -> None:
    file = tmp_path / "door.yaml"
    file.write_text(LAUNCH)
    launch, document = config.load(file)
    video = tmp_path / "a.mp4"
    video.write_bytes(b"")
    (plan,) = batch.plans(
        [video], launch=launch, document=document, output=tmp_path, video=False
    ).values()
    assert sorted(plan.sinks) == ["jsonl", "pictures"]
