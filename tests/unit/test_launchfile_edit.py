"""Changes of a launch file's text: one span and nothing else (J2)."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from perception.errors import ConfigError
from perception.launchfile.document import parse
from perception.launchfile.edit import KEEP, changed, save, tag_of

SQUARE = [[0.1, 0.2], [0.9, 0.2], [0.5, 0.75]]
FILES = {
    "block": """\
# a door
name: house   # of mine
cameras:
  door:
    source: "rtsp://cam/1"    # quoted
    zones:                     # by the feet
      porch: [[0.25, 0.45], [0.75, 0.45],   # two
              [0.95, 1.0]]   # end of the porch
      # the garden comes later
      path:
        - [0.1, 0.1]
        - [0.2, 0.1]   # corner
        - [0.2, 0.3]

    rules:
      in: {type: zone, zone: porch}
  yard: {source: push, zones: {a: [[0, 0], [1, 0], [1, 1]], 'b': [[0,0],[1,0],[0,1]]}, rules: {}}
  bare:
    source: push
  nothing: {source: push}
  empty:
    source: push
    zones:
  emptied:
    zones: {}
    source: push   # last
# the end
""",
    "windows": "cameras:\r\n  door:\r\n    source: push\r\n    zones:\r\n"
    "      porch: [[0, 0], [1, 0], [1, 1]]  # here\r\nname: x\r\n",
    "no newline at the end": "cameras: {door: {source: push}}",
    "unicode": "# Tür – Haustür\ncameras:\n  door:\n    source: push # ü\n    zones:\n"
    "      porch: [[0, 0], [1, 0], [1, 1]] # Tür\n",
}
PLACES = [
    ("block", "door", "porch"), ("block", "door", "path"), ("block", "door", "new"),
    ("block", "yard", "a"), ("block", "yard", "b"), ("block", "yard", "c"),
    ("block", "bare", "new"), ("block", "nothing", "new"), ("block", "empty", "new"),
    ("block", "emptied", "new"), ("windows", "door", "porch"), ("windows", "door", "new"),
    ("no newline at the end", "door", "new"), ("unicode", "door", "porch"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "camera", "zone"), PLACES)
def test_j2_one_span_changes_and_nothing_else(file, camera, zone):
    text = FILES[file]
    made = changed(text, ("cameras", camera, "zones", zone), SQUARE)
    assert parse(made).data["cameras"][camera]["zones"][zone] == SQUARE
    before, after = text, made
    while before and after and before[0] == after[0]:
        before, after = before[1:], after[1:]
    while before and after and before[-1] == after[-1]:
        before, after = before[:-1], after[:-1]
    assert before.count("#") <= (2 if zone == "porch" and file == "block" else 1)
    for line in text.splitlines():
        if "#" in line and "two" not in line and "corner" not in line:
            assert line[line.index("#") :] in made


@pytest.mark.parametrize(
    ("file", "camera", "zone"), [p for p in PLACES if p[2] != "new" and p[2] != "c"]
)
def test_an_entry_is_removed(file, camera, zone):
    made = changed(FILES[file], ("cameras", camera, "zones", zone), None)
    left = parse(FILES[file]).data["cameras"]
    del left[camera]["zones"][zone]
    assert parse(made).data["cameras"] == left


def zones():
    point = st.lists(st.floats(0, 1).map(lambda v: round(v, 4)), min_size=2, max_size=2)
    return st.lists(point, min_size=3, max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.one_of(zones(), st.none())), max_size=8))
def test_j2_any_number_of_changes_keeps_the_rest(steps):
    """Comments, quotes and order stay; the file can be read after each change."""
    texts = dict(FILES)
    for (file, camera, zone), value in steps:
        before = parse(texts[file]).data["cameras"]
        known = (before[camera].get("zones") or {}).get(zone)
        place = ("cameras", camera, "zones", zone)
        if value is None and known is None:
            with pytest.raises(ConfigError):
                changed(texts[file], place, None)
            continue
        made = changed(texts[file], place, value)
        after = parse(made).data
        for other, camera_before in before.items():
            rest = dict(after["cameras"][other])
            rest_before = dict(camera_before)
            if other == camera:
                rest.pop("zones", None)
                rest_before.pop("zones", None)
            assert rest == rest_before
        for comment in ("# a door", "# of mine", "# quoted", "# the end", "# last", "# Tür – Haus"):
            assert (comment in made) == (comment in texts[file])
        texts[file] = made


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("cameras: [1]", ("cameras", "door", "zones", "a")),
        ("cameras: 5", ("cameras", "door")),
        ("[]", ("cameras",)),
    ],
)
def test_what_is_no_mapping_is_refused(text, place):
    with pytest.raises(ConfigError):
        changed(text, place, SQUARE)


def test_saving_keeps_old_versions_and_sees_other_hands(tmp_path: Path):
    path = tmp_path / "line.yaml"
    path.write_text("a: 0\n")
    path.chmod(0o640)
    for n in range(1, 15):
        text = path.read_text()
        save(path, f"a: {n}\n", tag_of(text), tmp_path / "old")
    assert yaml.safe_load(path.read_text()) == {"a": 14}
    assert path.stat().st_mode & 0o777 == 0o640
    kept = sorted((tmp_path / "old").iterdir())
    assert [old.read_text() for old in kept] == [f"a: {n}\n" for n in range(14 - KEEP, 14)]
    with pytest.raises(ConfigError, match="changed meanwhile"):
        save(path, "a: 99\n", tag_of("a: 13\n"), tmp_path / "old")
    assert path.read_text() == "a: 14\n"
