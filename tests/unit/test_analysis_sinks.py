from pathlib import Path
from typing import Any

from perception.analysis import batch
from perception.launchfile import config
from perception.sinks.when import SinkFilter, When
from tests.scenes import alert

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


def _alert(n: int, state: str = "raised", t_s: float = 0.0, rule: str = "visitor", **changes: Any):
    t_ns = round(t_s * 1e9)
    return alert(n, state, rule=rule, start_t_media_ns=t_ns, t_media_ns=t_ns, **changes)


def test_a_file_hears_of_what_its_filters_let_pass() -> None:
    heard = SinkFilter(When(only={"rule": "visitor"}))
    assert heard.sends(_alert(1))
    assert not heard.sends(_alert(2, rule="other"))
    assert heard.sends(_alert(1, "cleared"))
    assert not heard.sends(_alert(2, "cleared", rule="other"))


def test_once_and_cooldown_are_by_media_time() -> None:
    once = SinkFilter(When(once=True))
    told = [once.sends(_alert(1, state)) for state in ("raised", "updated", "cleared")]
    assert told == [True, False, False]
    rest = SinkFilter(When(cooldown_s=10))
    assert rest.sends(_alert(1, t_s=0.0))
    assert rest.sends(_alert(1, "cleared", t_s=0.0))
    assert not rest.sends(_alert(2, t_s=5.0))
    assert not rest.sends(_alert(2, "cleared", t_s=5.0))
    assert rest.sends(_alert(3, t_s=11.0))
