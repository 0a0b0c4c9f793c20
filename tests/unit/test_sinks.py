import json
import os
import resource
import signal

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from perception.errors import ConfigError, SinkError
from perception.sinks import SINKS, sink_class
from perception.wire import make_id
from tests.scenes import alert, written

PICTURE = np.full((90, 160, 3), (200, 160, 90), np.uint8)


def make(kind, folder, **options):
    cls = sink_class(kind)
    return cls(cls.Options(**options), folder)


@pytest.mark.parametrize("kind", ["jsonl", "snapshot"])
class TestEveryFileSink:
    def test_takes_every_state_twice_with_and_without_picture(self, kind, tmp_path):
        sink = make(kind, tmp_path)
        for state in ("raised", "updated", "cleared"):
            for picture in (None, PICTURE):
                sink.send(alert(1, state), picture)

    def test_refuses_unknown_options(self, kind):
        with pytest.raises(ValidationError, match="nonsense"):
            sink_class(kind).Options(nonsense=1)

    def test_a_folder_that_cannot_be_written_is_named(self, kind, tmp_path):
        (tmp_path / "file").write_text("x")
        sink = make(kind, tmp_path / "file")
        with pytest.raises(SinkError, match=r"Not a directory|File exists"):
            sink.send(alert(1), PICTURE)

    def test_a_full_disk_fails_alone_and_leaves_nothing_half_written(self, kind, tmp_path):
        sink = make(kind, tmp_path)
        sink.send(alert(1), PICTURE)
        files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        (size,) = (len(data) for data in files.values())
        with file_size_limit(size + 50 if kind == "jsonl" else 50), pytest.raises(SinkError):
            sink.send(alert(2), PICTURE)
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == files
        sink.send(alert(2), PICTURE)


class file_size_limit:
    """No file of this process may grow beyond `size` bytes: writing fails with EFBIG."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.before[1]))

    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)
        signal.signal(signal.SIGXFSZ, self.handler)


def lines(path):
    return [written(line) for line in path.read_bytes().splitlines()]


class TestJsonl:
    def test_one_line_for_each_state(self, tmp_path):
        sink = make("jsonl", tmp_path, path="out/alerts.jsonl", fsync=False)
        states = [alert(1), alert(2), alert(1, "cleared")]
        for a in states:
            sink.send(a, None)
        assert lines(tmp_path / "out" / "alerts.jsonl") == states

    def test_ids_that_a_browser_keeps(self, tmp_path):
        sink = make("jsonl", tmp_path, fsync=False)
        for n in (0, 12, 13):
            sink.send(alert(n, track_id=make_id(217_345_678, n)), None)
        text = (tmp_path / "alerts.jsonl").read_text()
        said = [json.loads(line, parse_int=float) for line in text.splitlines()]
        assert said[1]["track_id"] == said[2]["track_id"], "digits are lost"
        assert [one["track"] for one in said] == [None, "217345678-12", "217345678-13"]
        assert [one["frame"] for one in said] == ["1-0", "1-12", "1-13"]

    def test_a_name_with_a_line_break_stays_one_line(self, tmp_path):
        sink = make("jsonl", tmp_path)
        sink.send(alert(1, class_name="a\nb\x1b[31m\u2028"), None)
        assert len(sink.path.read_text().split("\n")) == 2

    @pytest.mark.parametrize("cut", [1, 2, 50, 200])
    def test_a_torn_last_line_is_cut_off(self, tmp_path, cut):
        sink = make("jsonl", tmp_path)
        sink.send(alert(1), None)
        sink.send(alert(2), None)
        os.truncate(sink.path, sink.path.stat().st_size - cut)
        sink.send(alert(3), None)
        kept = [a.track_id for a in lines(sink.path)]
        assert kept == ([1, 2, 3] if cut == 1 else [1, 3])  # a whole line only lacks its end

    def test_a_file_that_was_torn_in_its_first_line(self, tmp_path):
        sink = make("jsonl", tmp_path)
        sink.path.write_bytes(b'{"key":"12')
        sink.send(alert(3), None)
        assert [a.track_id for a in lines(sink.path)] == [3]

    def test_the_file_may_be_moved_away(self, tmp_path):
        sink = make("jsonl", tmp_path)
        sink.send(alert(1), None)
        sink.path.rename(tmp_path / "old.jsonl")
        sink.send(alert(2), None)
        assert [a.track_id for a in lines(sink.path)] == [2]

    def test_every_line_is_plain_json(self, tmp_path):
        sink = make("jsonl", tmp_path)
        sink.send(alert(1, details={"direction": "in", "count": 3, "who": None}), None)
        assert json.loads(sink.path.read_text())["details"]["count"] == 3


class TestSnapshot:
    def test_a_picture_at_the_raise_and_of_a_better_look(self, tmp_path):
        sink = make("snapshot", tmp_path)
        for state in ("updated", "cleared"):
            sink.send(alert(1, state), PICTURE)
        assert list(tmp_path.rglob("*.jpg")) == []
        sink.send(alert(1, "updated", details={"better_look": True}), PICTURE)
        sink.send(alert(1), PICTURE)
        (path,) = tmp_path.rglob("*.jpg")
        assert path.name == "door-20231114T221320.000Z-00000000.jpg"
        assert cv2.imread(str(path)).shape == PICTURE.shape

    def test_filters_hold_for_pictures_too(self, tmp_path):
        better = {"zone": "path", "better_look": True}
        sink = make("snapshot", tmp_path, only={"zone": "path"}, once=True)
        assert sink.wants(alert(1))
        assert not sink.wants(alert(1, details={"zone": "yard"}))
        assert not sink.wants(alert(1, "updated", details=better))
        assert make("snapshot", tmp_path).wants(alert(1, "updated", details=better))
        with pytest.raises(ValidationError, match="has no `cooldown_s`"):
            make("snapshot", tmp_path, cooldown_s=60)

    def test_the_same_alert_is_the_same_file(self, tmp_path):
        sink = make("snapshot", tmp_path)
        assert sink.save(alert(1), PICTURE) == sink.save(alert(1), PICTURE)
        assert len(list(tmp_path.rglob("*"))) == 2

    def test_the_box_is_drawn_on_a_copy(self, tmp_path):
        a, before = alert(1, box=(20.0, 30.0, 80.0, 80.0)), PICTURE.copy()
        drawn = cv2.imread(str(make("snapshot", tmp_path / "a", quality=100).save(a, PICTURE)))
        plain = make("snapshot", tmp_path / "b", quality=100, draw=False).save(a, PICTURE)
        assert (before == PICTURE).all()
        assert np.abs(cv2.imread(str(plain)).astype(int) - PICTURE).mean() < 3
        edge = np.s_[30:80, 16:21]
        assert np.abs(drawn[edge].astype(int) - PICTURE[edge]).mean() > 40

    @pytest.mark.parametrize(
        "box", [(-50.0, -50.0, 900.0, 900.0), (80.0, 80.0, 20.0, 20.0), (1e9, 1e9, 2e9, 2e9)]
    )
    def test_a_box_outside_the_picture_is_clipped(self, tmp_path, box):
        assert make("snapshot", tmp_path).save(alert(1, box=box), PICTURE).exists()

    def test_a_picture_of_a_reader_is_taken_as_it_is(self, tmp_path):
        picture = PICTURE[:, ::-1]
        picture.setflags(write=False)
        assert make("snapshot", tmp_path).save(alert(1), picture).exists()

    @pytest.mark.parametrize("camera", ["../../etc", "a/b", "x" * 60, "-rf", "\u202e", "a\nb", "."])
    def test_names_are_safe(self, tmp_path, camera):
        a = alert(1, camera=camera, class_name="<script>\n", rule="../x")
        path = make("snapshot", tmp_path).save(a, PICTURE)
        assert path.resolve().parent == (tmp_path / "snapshots").resolve()
        assert path.name.isascii()
        assert not set(path.name) & set("/\\\n\0<>:*?\"'| ")

    def test_an_empty_picture_is_named(self, tmp_path):
        with pytest.raises(SinkError, match="JPEG"):
            make("snapshot", tmp_path).save(alert(1), np.zeros((0, 0, 3), np.uint8))


def test_an_unknown_sink_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'jsonl'"):
        sink_class("json")


@pytest.mark.parametrize("kind", SINKS)
def test_every_row_can_be_imported(kind):
    assert sink_class(kind).Options.model_config["extra"] == "forbid"
