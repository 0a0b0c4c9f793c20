"""The score card's boxes and tracks: equal to the libraries, through every form of labels (E1)."""

import configparser
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from perception.commands.app import app
from perception.score.formats import FORMS, read_labels, write_labels
from perception.score.labels import Labels
from perception.score.pairing import pair
from perception.score.precision import precision
from perception.score.tracking import tracking
from tests.labelled import FPS, NAMES, SIZE, result_of, walkers, write_mot

coco_eval = pytest.importorskip("faster_coco_eval", reason="extra: eval")
trackeval = pytest.importorskip("trackeval", reason="extra: eval")


def coco_direct(folder: Path, truth: Labels, result: Labels) -> list[float]:
    """Return AP, AP50, AP75 by faster-coco-eval from two files, written here."""
    ids = {name: n for n, name in enumerate(NAMES, 1)}
    rows = [
        [
            {
                "id": i + 1, "image_id": int(one.frames[i]) + 1, "iscrowd": 0,
                "category_id": ids[one.names[one.class_ids[i]]], "bbox": one.boxes[i].tolist(),
                "area": float(one.boxes[i, 2] * one.boxes[i, 3]), "score": float(one.scores[i]),
            }
            for i in range(len(one))
        ]
        for one in (truth, result)
    ]  # fmt: skip
    file = {
        "images": [{"id": n + 1, "width": 1280, "height": 720} for n in range(truth.count)],
        "categories": [{"id": n, "name": name} for name, n in ids.items()],
        "annotations": rows[0],
    }
    (folder / "gt.json").write_text(json.dumps(file))
    (folder / "dt.json").write_text(json.dumps(rows[1]))
    gt = coco_eval.COCO(str(folder / "gt.json"))
    run = coco_eval.COCOeval_faster(
        gt, gt.loadRes(str(folder / "dt.json")), "bbox", print_function=lambda *_: None
    )
    run.run()
    said = run.stats_as_dict
    return [said["AP_all"], said["AP_50"], said["AP_75"]]


def trackeval_direct(folder: Path, truth: Labels, result: Labels, name: str) -> list[float]:
    """Return HOTA and IDF1 of a class by TrackEval's own evaluator from files."""
    sequence = folder / name / "gt" / "seq"
    kept = [np.array([n == name for n in one.names])[one.class_ids] for one in (truth, result)]
    write_mot(sequence / "gt" / "gt.txt", truth, kept[0], scores=False)
    write_mot(
        folder / name / "trackers" / "mine" / "data" / "seq.txt", result, kept[1], scores=True
    )
    ini = configparser.ConfigParser()
    ini["Sequence"] = {"name": "seq", "seqLength": str(truth.count)}
    with (sequence / "seqinfo.ini").open("w") as file:
        ini.write(file)
    (folder / name / "seqmap.txt").write_text("name\nseq\n")
    data = trackeval.datasets.MotChallenge2DBox({
        "GT_FOLDER": str(folder / name / "gt"), "SKIP_SPLIT_FOL": True, "PRINT_CONFIG": False,
        "TRACKERS_FOLDER": str(folder / name / "trackers"), "TRACKERS_TO_EVAL": ["mine"],
        "SEQMAP_FILE": str(folder / name / "seqmap.txt"), "BENCHMARK": "MOT17",
        "OUTPUT_FOLDER": str(folder / name / "out"),
    })  # fmt: skip
    quiet = {"PRINT_CONFIG": False}
    run = trackeval.Evaluator({
        **quiet, "PRINT_RESULTS": False, "TIME_PROGRESS": False, "OUTPUT_SUMMARY": False,
        "OUTPUT_DETAILED": False, "PLOT_CURVES": False, "BREAK_ON_ERROR": True,
        "LOG_ON_ERROR": None,
    })  # fmt: skip
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.Identity(quiet)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said: Any = run.evaluate([data], metrics)[0]
    found = said["MotChallenge2DBox"]["mine"]["seq"]["pedestrian"]
    return [float(np.mean(found["HOTA"]["HOTA"])), float(found["Identity"]["IDF1"])]


@pytest.mark.parametrize("form", FORMS)
def test_e1_equal_to_the_libraries_through_every_form(
    tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    truth, result = walkers(3), result_of(walkers(3), 5)
    wanted = coco_direct(tmp_path, truth, result)
    by_class = {name: trackeval_direct(tmp_path, truth, result, name) for name in NAMES}
    capsys.readouterr()
    path = tmp_path / {"cvat": "l.xml", "mot": "l"}.get(form, "l.json")
    write_labels(path, truth, form)
    back = read_labels(path)
    twice = tmp_path / f"twice{path.suffix}"
    write_labels(twice, back, form)
    write_labels(tmp_path / "r.json", result, "coco")
    for labels in (back, read_labels(twice)):
        both = pair(labels, read_labels(tmp_path / "r.json", truth=False))
        assert len(both.truth) == len(truth)
        ap, tracks = precision(both), tracking(both)
        assert tracks is not None
        assert np.allclose([ap.ap, ap.ap50, ap.ap75], wanted, rtol=0, atol=1e-9)
        for name, (hota, idf1) in by_class.items():
            assert np.allclose(tracks.by_class[name], (hota, idf1), rtol=0, atol=1e-9)
        mean = np.mean(list(by_class.values()), axis=0)
        assert np.allclose([tracks.hota, tracks.idf1], mean, rtol=0, atol=1e-9)
    assert 0.2 < wanted[0] < 0.9, "the result is neither perfect nor empty"
    assert all(0.2 < value < 0.95 for values in by_class.values() for value in values)


@pytest.mark.parametrize("form", ["coco", "mot"])
def test_e1_a_result_keeps_its_scores(tmp_path: Path, form: str) -> None:
    """AP depends on the order of the scores: a result comes through the forms that have them."""
    truth, result = walkers(4), result_of(walkers(4), 6)
    wanted = coco_direct(tmp_path, truth, result)
    if form == "mot":
        from perception.score import mot

        mot.write(tmp_path / "r", result, scores=True)
        read = read_labels(tmp_path / "r", truth=False)
    else:
        write_labels(tmp_path / "r.json", result, "coco")
        read = read_labels(tmp_path / "r.json", truth=False)
    ap = precision(pair(truth, read))
    assert np.allclose([ap.ap, ap.ap50, ap.ap75], wanted, rtol=0, atol=1e-9)


def test_e1_distractors_of_motchallenge_count_neither_way(tmp_path: Path) -> None:
    """A result on a distractor (class 8) is left out, as TrackEval's own reader does."""
    truth, result = walkers(7, count=6), result_of(walkers(7, count=6), 8)
    truth.names, result.names = ["person"] * 2, ["person"] * 2
    kept = np.ones(len(truth), bool)
    wanted = trackeval_direct(tmp_path, truth, result, "person")
    path = tmp_path / "person" / "gt" / "seq" / "gt" / "gt.txt"
    lines = path.read_text().splitlines()
    off = truth.tracks == 1
    assert 0 < off.sum() < kept.sum()
    for i in np.flatnonzero(off):
        lines[i] = lines[i].removesuffix(",1,1,1") + ",0,8,1"
    path.write_text("\n".join(lines) + "\n")
    found = pair(read_labels(path), result)
    tracks = tracking(found)
    assert tracks is not None
    direct = trackeval_again(tmp_path, "person")
    assert direct != wanted
    assert np.allclose([tracks.hota, tracks.idf1], direct, rtol=0, atol=1e-9)


def trackeval_again(folder: Path, name: str) -> list[float]:
    data = trackeval.datasets.MotChallenge2DBox({
        "GT_FOLDER": str(folder / name / "gt"), "SKIP_SPLIT_FOL": True, "PRINT_CONFIG": False,
        "TRACKERS_FOLDER": str(folder / name / "trackers"), "TRACKERS_TO_EVAL": ["mine"],
        "SEQMAP_FILE": str(folder / name / "seqmap.txt"), "BENCHMARK": "MOT17",
    })  # fmt: skip
    raw = data.get_raw_seq_data("mine", "seq")
    seen = data.get_preprocessed_seq_data(raw, "pedestrian")
    hota = trackeval.metrics.HOTA().eval_sequence(seen)
    identity = trackeval.metrics.Identity({"PRINT_CONFIG": False}).eval_sequence(seen)
    return [float(np.mean(hota["HOTA"])), float(identity["IDF1"])]


def test_cvat_fills_between_key_frames_and_stops_outside(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(
        """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><size>12</size><original_size><width>640</width><height>480</height></original_size>
</task></meta>
<track id="4" label="person" source="manual">
<box frame="2" outside="0" occluded="1" keyframe="1" xtl="10" ytl="20" xbr="30" ybr="60"></box>
<box frame="4" outside="0" occluded="0" keyframe="1" xtl="20" ytl="20" xbr="50" ybr="60"></box>
<box frame="5" outside="1" occluded="0" keyframe="1" xtl="20" ytl="20" xbr="50" ybr="60"></box>
<box frame="8" outside="0" occluded="0" keyframe="1" xtl="5" ytl="5" xbr="15" ybr="15"></box>
<polygon frame="8" outside="0" occluded="0" keyframe="1" points="1,1;2,2;3,1"></polygon>
</track></annotations>"""
    )
    found = read_labels(path)
    assert found.frames.tolist() == [2, 3, 4, 8]
    assert found.boxes.tolist() == [
        [10, 20, 20, 40], [15, 20, 25, 40], [20, 20, 30, 40], [5, 5, 10, 10],
    ]  # fmt: skip
    assert set(found.tracks.tolist()) == {4}
    assert found.names == ["person"]
    assert found.looked.tolist() == list(range(12))
    assert found.size == (640, 480)
    assert found.notes == ["1 shapes that are no boxes are left out"]


def test_label_studio_key_frames(tmp_path: Path) -> None:
    """Enabled goes on to the next key frame, or to the end; disabled is there for one frame."""

    def key(frame: int, x: float, enabled: bool) -> dict[str, Any]:
        return {"frame": frame, "x": x, "y": 10, "width": 20, "height": 40, "enabled": enabled,
                "rotation": 0, "time": frame / 10}  # fmt: skip

    def region(*keys: dict[str, Any]) -> dict[str, Any]:
        return {"id": "a", "type": "videorectangle", "from_name": "box", "to_name": "video",
                "value": {"framesCount": 10, "duration": 1.0, "sequence": list(keys),
                          "labels": ["person"]}}  # fmt: skip

    task = {
        "id": 1, "data": {"video": "/data/upload/1/door.mp4"},
        "annotations": [
            {"result": [region(key(1, 0, True))], "was_cancelled": True},
            {"result": [
                region(key(1, 10, True), key(3, 20, False), key(6, 30, False), key(9, 40, True)),
                {"id": "b", "type": "choices", "value": {"choices": ["day"]}},
            ]},
        ],
    }  # fmt: skip
    path = tmp_path / "ls.json"
    path.write_text(json.dumps([task]))
    found = read_labels(path)
    assert found.frames.tolist() == [0, 1, 2, 5, 8, 9]
    assert found.boxes[:, 0].tolist() == [10, 15, 20, 30, 40, 40]
    assert found.rate_hz == 10
    assert found.percent
    pixels = found.in_pixels((200, 100))
    assert pixels.boxes[1].tolist() == [30, 10, 40, 40]


def test_coco_with_videos_asks_for_one(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    file = {
        "videos": [{"id": 1, "name": "day"}, {"id": 2, "name": "night"}],
        "images": [
            {"id": 7, "video_id": 1, "frame_id": 0}, {"id": 8, "video_id": 2, "frame_id": 3},
        ],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [
            {"id": 1, "image_id": 8, "category_id": 1, "bbox": [1, 2, 3, 4],
             "attributes": {"track_id": 5}},
        ],
    }  # fmt: skip
    path.write_text(json.dumps(file))
    with pytest.raises(Exception, match="--video: day, night"):
        read_labels(path)
    found = read_labels(path, video="night")
    assert found.frames.tolist() == [3]
    assert found.tracks.tolist() == [5]


def test_pictures_are_found_by_their_names(tmp_path: Path) -> None:
    """The stills of `analyze` stand in another order than those of the labels."""

    def file(names: list[str], boxes: list[list[float]]) -> dict[str, Any]:
        return {
            "images": [{"id": n, "file_name": name} for n, name in enumerate(names)],
            "categories": [{"id": 1, "name": "person"}],
            "annotations": [
                {"id": n, "image_id": n, "category_id": 1, "bbox": box, "score": 0.5}
                for n, box in enumerate(boxes)
            ],
        }  # fmt: skip

    boxes = [[10.0 * n, 5.0, 20.0, 30.0] for n in range(4)]
    (tmp_path / "t.json").write_text(json.dumps(file(["a.jpg", "b.jpg", "c.jpg"], boxes[:3])))
    names = ["x/c.jpg", "x/a.jpg", "x/d.jpg"]
    mine = [boxes[2], boxes[0], boxes[3]]
    (tmp_path / "r.json").write_text(json.dumps(file(names, mine)))
    truth = read_labels(tmp_path / "t.json")
    both = pair(truth, read_labels(tmp_path / "r.json", truth=False))
    assert both.frames.tolist() == [0, 2]
    assert both.not_looked == 1
    assert precision(both).ap == pytest.approx(1.0)
    assert tracking(both) is None


def test_the_command_writes_table_and_json(tmp_path: Path) -> None:
    truth, result = walkers(3), result_of(walkers(3), 5)
    write_labels(tmp_path / "labels.xml", truth, "cvat")
    write_labels(tmp_path / "result.json", result, "coco")
    args = ["score", str(tmp_path / "result.json"), "--truth", str(tmp_path / "labels.xml")]
    done = CliRunner().invoke(app, [*args, "--json", str(tmp_path / "card.json")])
    assert done.exit_code == 0, done.output
    card = json.loads((tmp_path / "card.json").read_text())
    wanted = coco_direct(tmp_path, truth, result)
    assert card["boxes"]["AP"] == pytest.approx(wanted[0], abs=1e-9)
    assert card["frames"] == {"labelled": 120, "scored": 120, "not_looked_at": 0}
    assert f"{100 * card['tracks']['HOTA']:.1f}" in done.output
    assert "person" in done.output


def test_labels_become_those_of_another_tool(tmp_path: Path) -> None:
    truth = walkers(3)
    write_labels(tmp_path / "labels.xml", truth, "cvat")
    done = CliRunner().invoke(
        app, ["labels", str(tmp_path / "labels.xml"), str(tmp_path / "out" / "coco.json")]
    )
    assert done.exit_code == 0, done.output
    back = read_labels(tmp_path / "out" / "coco.json")
    assert np.allclose(back.boxes, truth.boxes, atol=1e-9)
    assert back.tracks.tolist() == truth.tracks.tolist()
    assert (back.size, FPS) == (SIZE, 10.0)
