"""Hostile and broken files of labels: a ConfigError with file and place, never a crash."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from perception.errors import ConfigError
from perception.score import labels
from perception.score.formats import FORMS, read_labels, write_labels
from tests.labelled import walkers

BOX = 'outside="0" occluded="0" keyframe="1" xtl="1" ytl="1" xbr="9" ybr="9"'


def cvat(inside: str, head: str = "") -> str:
    return f'<?xml version="1.0"?>\n{head}<annotations>\n{inside}\n</annotations>'


def track(box: str) -> str:
    return cvat(f'<track id="1" label="person">\n{box}\n</track>')


def coco(**more: Any) -> str:
    file: dict[str, Any] = {
        "images": [{"id": 1}], "categories": [{"id": 1, "name": "person"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
    }  # fmt: skip
    return json.dumps(file | more)


def studio(*keys: dict[str, Any], **value: Any) -> str:
    region = {"type": "videorectangle", "value": {"sequence": list(keys), **value}}
    return json.dumps([{"data": {"video": "a.mp4"}, "annotations": [{"result": [region]}]}])


KEY = {"frame": 1, "x": 1, "y": 1, "width": 5, "height": 5, "enabled": True}
LAUGHS = '<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>\n'
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>\n'
ROW = {"image_id": 1, "category_id": 1}
CASES = [
    ("a.xml", cvat("", LAUGHS), r"a.xml:2: .*DOCTYPE"),
    ("a.xml", cvat("", OUTSIDE), r"a.xml:2: .*DOCTYPE"),
    ("a.xml", cvat("&x;"), r"a.xml:3: not XML: undefined entity"),
    ("a.xml", cvat("<track"), r"a.xml:4: not XML"),
    ("a.xml", "", r"a.xml:1: not XML: no element found"),
    ("a.xml", "<html></html>", r"<html> where CVAT has <annotations>"),
    ("a.xml", cvat('<image id="0"></image>'), r"CVAT for images"),
    ("a.xml", cvat("<a>" * 40), r"a.xml:3: elements in more than 32"),
    ("a.xml", cvat("<track/>"), r"a.xml:3: <track> has no id"),
    ("a.xml", track("<box/>"), r"a.xml:4: <box> has no frame"),
    ("a.xml", track(f'<box frame="-1" {BOX}/>'), r"a.xml:4: box frame: '-1' is not"),
    ("a.xml", track(f'<box frame="99999999" {BOX}/>'), r"a.xml:4: .*frame 99999999"),
    ("a.xml", track(f'<box frame="1" {BOX}/>\n<box frame="999999999" {BOX}/>'), r"a.xml:4: "),
    ("a.xml", track(f'<box frame="1" {BOX}/>\n<box frame="1" {BOX}/>'), r"a.xml:5: a second box"),
    ("a.xml", track(f'<box frame="1" {BOX.replace("9", "nan")}/>'), r"a.xml:4: .*not finite"),
    ("a.xml", track(f'<box frame="1" {BOX.replace("9", "x")}/>'), r"a.xml:4: box xbr: 'x'"),
    ("a.xml", track(f'<box frame="1" rotation="3" {BOX}/>'), r"a.xml:4: box rotation"),
    ("a.xml", cvat("<meta><task><size>1e9</size></task></meta>"), r"a.xml:3: size"),
    ("a.json", "{", r"a.json:1: not JSON"),
    ("a.json", '{"images": [],\n"annotations": [}', r"a.json:2: not JSON"),
    ("a.json", "[" * 100_000, r"a.json.*: not JSON"),
    ("a.json", coco(annotations=[ROW]), r"missing required field 'bbox' - at '\$.annotations\[0\]"),
    ("a.json", coco(annotations=[ROW | {"bbox": [1, 2, 3, "x"]}]), r"annotations\[0\].bbox\[3\]"),
    ("a.json", coco(annotations=[ROW | {"bbox": [1, 2, 3]}]), r"\$.annotations\[0\].bbox"),
    ("a.json", coco(annotations=[ROW | {"bbox": [1, 2, 1e300, 4]}]), r"annotations\[0\]: a side"),
    ("a.json", coco(images=[{"id": 2}]), r"annotations\[0\]: image_id 1 is not among"),
    ("a.json", coco(categories=[]), r"annotations\[0\]: category_id 1 is not among"),
    ("a.json", coco(images=[{"id": 1}, {"id": 1}]), r"images\[1\]: id 1 stands twice"),
    ("a.json", coco(images=[{"id": 1, "frame_id": -4}]), r"frame -4"),
    ("a.json", "[]", r"choose one of its videos"),
    ("a.json", '[{"image_id": 1}]', r"needs its COCO labels"),
    ("a.json", '[{"data": {}, "annotations": []}]', r"\$\[0\].annotations: the task is not"),
    ("a.json", studio({"frame": 1}), r"value: .*missing required field 'x' - at '\$.sequence\[0\]"),
    ("a.json", studio(KEY | {"frame": 0}), r"value.sequence\[0\]: frame 0"),
    ("a.json", studio(KEY | {"rotation": 9.0}), r"value.sequence\[0\]: a turned box"),
    ("a.json", studio(KEY, framesCount=10**9), r"value.framesCount: more than"),
    ("a.json", studio(KEY, KEY | {"frame": 10**9}), r"value.sequence\[0\]: frame 1000000000"),
    ("a.txt", "1,1,2,3,4,5,1\n1,2,x\n", r"a.txt:2: '1,2,x'"),
    ("a.txt", "0,1,2,3,4,5,1\n", r"a.txt:1: frames begin at 1"),
    ("a.txt", "1.5,1,2,3,4,5,1\n", r"a.txt:1: "),
    ("a.txt", "1,1,2,3,4,inf,1\n", r"a.txt:1: a number is not finite"),
    ("a.txt", "1,1,2,3,4,5,1\n1,1,2,3,4,5,1\n", r"a.txt:2: a second box of track 1"),
    ("a.txt", "1,1,2,3,4,5,1,77,1\n", r"a.txt:1: class 77"),
    ("a.txt", "999999999999,1,2,3,4,5,1\n", r"a.txt:1: frame"),
    ("a.csv", "", r"not .xml"),
    ("none.xml", None, r"none.xml: cannot be read: No such file"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "said"), CASES)
def test_a_broken_file_is_named_with_its_place(
    tmp_path: Path, name: str, text: str | None, said: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_labels(tmp_path / name)


def test_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MAX_ROWS", 50)
    path = tmp_path / "a.xml"
    path.write_text(track(f'<box frame="1" {BOX}/><box frame="4000000" {BOX}/>'))
    with pytest.raises(ConfigError, match="more than 50 boxes"):
        read_labels(path)
    monkeypatch.setattr(labels, "MAX_BYTES", 1 << 20)
    path.write_text(" " * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        read_labels(path)


@pytest.mark.parametrize("form", FORMS)
def test_bytes_changed_at_random_never_crash(tmp_path: Path, form: str) -> None:
    """Every change is read, or refused with a ConfigError: nothing else is raised."""
    random_of = random.Random(form)
    out = tmp_path / {"cvat": "a.xml", "mot": "a"}.get(form, "a.json")
    write_labels(out, walkers(1, frames=12, count=3), form)
    path = out / "gt" / "gt.txt" if form == "mot" else out
    whole = path.read_bytes()
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(random_of.randint(1, 4)):
            at = random_of.randrange(len(data))
            kind = random_of.randrange(3)
            if kind == 0:
                data[at] = random_of.randrange(256)
            elif kind == 1:
                del data[at : at + random_of.randint(1, 30)]
            else:
                data[at:at] = random_of.choice([b"-", b"9" * 30, b"\x00", b"<", b'"', b"1e999"])
        path.write_bytes(bytes(data))
        try:
            read_labels(out)
        except ConfigError:
            refused += 1
    assert refused > 50
