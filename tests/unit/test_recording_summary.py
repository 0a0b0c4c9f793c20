"""summary.json: written whole, read back, described by its schema, shown as a table."""

import io
import json

import pytest
from rich.console import Console

from perception.errors import SinkError, SourceError
from perception.metrics import Histogram
from perception.recording import summary as s
from perception.recording import summary_table


def ages(*milliseconds):
    histogram = Histogram()
    for ms in milliseconds:
        histogram.add(ms * 1_000_000)
    return s.Ages.of(histogram)


@pytest.fixture
def full():
    return s.Summary(
        run=s.RunSummary(
            name="demo",
            mode="run",
            started="2026-01-02T03:04:05Z",
            duration_s=61.5,
            versions=s.versions(),
            models={
                "default": s.ModelSummary(name="yolo11n", licence="AGPL-3.0", runtime="OpenVINO")
            },
        ),
        cameras={
            "highway": s.CameraSummary(
                source="asset:highway",
                frames_read=360,
                frames_detected=243,
                frames_tracked=243,
                dropped={"newer_frame": 116, "slot_overwritten": 1},
                tracks_confirmed=41,
                crossings={"road": {"towards": 12, "away": 9}},
                alerts={"road": 21},
                age_at_detection=ages(40, 50, 60),
                problems=["annotated-highway.mp4: no space left on device"],
            )
        },
        processes={
            "detection": s.ProcessSummary(
                pids=[11, 12], cpu_s=30.5, peak_memory_bytes=321_000_000, exit_code=-9, restarts=1
            )
        },
    )


def test_what_is_loaded_is_what_was_written(tmp_path, full):
    path = tmp_path / "demo" / "summary.json"
    full.write(path)
    assert s.Summary.load(path) == full
    plain = json.loads(path.read_text())
    assert plain["cameras"]["highway"]["dropped"] == {"newer_frame": 116, "slot_overwritten": 1}
    assert plain["cameras"]["highway"]["age_at_alert"]["p50_ms"] is None
    assert plain["cameras"]["highway"]["age_at_detection"]["p50_ms"] == pytest.approx(50, rel=0.03)
    assert [file.name for file in path.parent.iterdir()] == ["summary.json"]


def test_what_cannot_be_written_or_read_is_named(tmp_path, full):
    (tmp_path / "file").write_text("{}")
    with pytest.raises(SinkError, match=r"file.summary\.json"):
        full.write(tmp_path / "file" / "summary.json")
    with pytest.raises(SourceError, match="none"):
        s.Summary.load(tmp_path / "none")
    with pytest.raises(SourceError, match=r"file is not a summary: .*run"):
        s.Summary.load(tmp_path / "file")


def test_schema_describes_every_field():
    parts = s.schema()["$defs"]
    assert set(parts["CameraSummary"]["properties"]) == set(s.CameraSummary.__struct_fields__)
    assert parts["ProcessSummary"]["properties"]["cpu_s"]["description"]


def test_versions_name_python_and_this_package():
    assert {"python", "perception-line", "numpy"} <= set(s.versions())


@pytest.mark.parametrize("width", [80, 100])
def test_table_shows_each_number_within_the_terminal(full, width):
    console = Console(width=width, file=io.StringIO())
    console.print(summary_table.table(full))
    text = console.file.getvalue()
    for part in ("360", "newer frame 116", "towards 12", "road 21", "321", "-9", "no space", "41"):
        assert part in text
    assert max(map(len, text.splitlines())) <= width


def test_table_of_nothing_is_the_head_alone():
    console = Console(width=80, file=io.StringIO())
    run = s.RunSummary(name="x", mode="analyze", started="", duration_s=0, exit_code=3)
    console.print(summary_table.table(s.Summary(run=run)))
    assert "exit 3" in console.file.getvalue()
