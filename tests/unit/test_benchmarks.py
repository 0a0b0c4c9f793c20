"""The benchmarks' own arithmetic, rows and workers; what they measure is not tested here."""

import json
import sys

import numpy as np
import pytest

from benchmarks import harness
from benchmarks.harness import Report, Worker, report
from benchmarks.streams import number_of, numbered
from perception.wire import Detections


def test_less_is_better_and_more_is_better_both_read_as_times_as_good(tmp_path):
    made = Report("x", tmp_path / "x.jsonl")
    assert made.add("time", "ms", 10.0, "peer", 30.0).ratio == pytest.approx(3)
    assert made.add("rate", "/s", 30.0, "peer", 10.0, higher=True).ratio == pytest.approx(3)


@pytest.mark.parametrize(("ours", "met"), [(10.0, True), (40.0, False)])
def test_a_target_is_judged_on_ratio_or_value(tmp_path, ours, met):
    made = Report("x", tmp_path / "x.jsonl")
    by_ratio = made.add("a", "ms", ours, "peer", 30.0, target="x2", met=lambda r: r >= 2)
    by_value = made.add("b", "ms", ours, target="at most 20", met=lambda v: v <= 20, of="ours")
    assert (by_ratio.met, by_value.met) == (met, met)


def test_rows_are_appended_as_json_lines_with_machine_versions_and_commit(tmp_path):
    path = tmp_path / "deep" / "x.jsonl"
    for _ in range(2):
        with report("x", path) as made:
            made.add("time", "ms", 1.0)
            made.missing("a peer")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(rows) == 4
    assert rows[1]["note"].startswith("not installed")
    assert all({"machine", "versions", "commit", "time", "load"} <= set(row) for row in rows)


def test_a_benchmark_that_fails_is_a_row_and_no_error(tmp_path, capsys):
    with report("x", tmp_path / "x.jsonl"):
        raise RuntimeError("no such camera")
    capsys.readouterr()
    assert "no such camera" in (tmp_path / "x.jsonl").read_text()


def test_contenders_take_turns_in_an_order_that_turns():
    order: list[str] = []
    found = harness.interleave({n: lambda n=n: order.append(n) or len(order) for n in "abc"}, 3)
    assert order == list("abcbcacab")
    assert found["a"] == [1, 6, 8]


def test_percentile_is_the_nearest_rank():
    values = [float(n) for n in range(1, 101)]
    assert harness.percentile(values, 95) == 95
    assert harness.percentile(values, 100) == 100
    assert np.isnan(harness.percentile([], 50))


def test_a_peer_that_is_not_installed_is_none():
    assert harness.peer_python("no_such_package_of_anyone") is None


def test_a_worker_answers_raises_what_failed_and_ends(tmp_path):
    module = tmp_path / "echo_worker.py"
    module.write_text(
        "from benchmarks import harness\n"
        "def double(n): print('noise'); return 2 * n\n"
        "def fail(): raise ValueError('of purpose')\n"
        "harness.serve({'double': double, 'fail': fail})\n"
    )
    env = {"PYTHONPATH": f"{tmp_path}:{harness.ROOT}"}
    with Worker("echo_worker", None, env) as worker:
        assert worker.call("double", n=21) == 42
        with pytest.raises(RuntimeError, match="of purpose"):
            worker.call("fail")
        assert worker.call("double", n=1) == 2


@pytest.mark.parametrize("n", [0, 1, 599, 4095])
def test_a_numbered_picture_bears_its_number(n):
    assert number_of(numbered(n, 240, 512)) == n


def _boxes(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4].copy(), table[:, 4].copy(), table[:, 5].astype(np.int32))


def test_average_precision_of_the_same_boxes_is_one_and_of_none_is_zero():
    from benchmarks.inference import average_precision

    truth = _boxes((0, 0, 10, 10, 0.9, 1), (50, 50, 90, 90, 0.3, 2))
    assert average_precision([truth], [truth], 0.95) == pytest.approx(1)
    assert average_precision([truth], [_boxes()], 0.5) == 0


def test_average_precision_sees_misses_wrong_classes_and_ignores_doubt():
    from benchmarks.inference import average_precision

    truth = _boxes((0, 0, 10, 10, 0.9, 1), (50, 50, 90, 90, 0.8, 2), (0, 50, 9, 59, 0.2, 1))
    half = _boxes((0, 0, 10, 10, 0.9, 1), (50, 50, 90, 90, 0.8, 7))
    assert average_precision([truth], [half], 0.5) == pytest.approx(51 / 101)
    doubt = _boxes((0, 50, 9, 59, 0.95, 1), (0, 0, 10, 10, 0.9, 1), (50, 50, 90, 90, 0.8, 2))
    assert average_precision([truth], [doubt], 0.5) == pytest.approx(1)


@pytest.mark.parametrize("candidates", [0, 50, 300])
def test_all_contenders_of_postprocess_find_the_same_boxes(candidates):
    from benchmarks import postprocess

    head = postprocess.yolo_head(candidates)
    mine = postprocess.rows(postprocess.ours(head))
    assert len(mine) > 0 or candidates == 0
    for other in (postprocess.numpy_only, postprocess.numpy_and_cv2):
        assert postprocess.differs(mine, postprocess.rows(other(head))) == ""


def test_a_frame_of_the_hop_arrives_whole(tmp_path):
    from benchmarks import transport

    # Beside other tests the machine may be too busy for one of the measurements.
    cells = (transport.measure_cell("ours one copy", "480p", 1, 20) for _ in range(5))
    cell = next(c for c in cells if c["received"] == pytest.approx(1, abs=0.11))
    assert 0 < cell["p50_us"] < 1e6


def test_the_suite_names_modules_that_exist():
    import importlib.util

    from benchmarks.__main__ import SUITE

    assert all(importlib.util.find_spec(f"benchmarks.{name}") for name in SUITE)
    assert sys.version_info >= (3, 11)
