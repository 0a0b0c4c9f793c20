"""The score card's alerts: the numbers are exactly the faults that were put in (E2)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from perception.commands.app import app
from perception.errors import ConfigError
from perception.score.alerts import per_day, score_alerts
from perception.score.results import Raised, read_alerts
from perception.score.visits import read_visits
from perception.sinks.jsonl import JsonlSink
from tests.scenes import alert

pytest.importorskip("scipy", reason="extra: eval")
S = 1_000_000_000


def raised(n: int, seconds: float, **more: Any) -> Raised:
    told: dict[str, Any] = {"camera": "door", "rule": "visitor", "kind": "visit"} | more
    t_ns = round(seconds * S)
    return Raised(key=f"k{n}", t_media_ns=t_ns, t_wall_ns=t_ns, **told)


def write_visits(path: Path, rows: list[tuple[float, float, str]]) -> Path:
    lines = [f"door,{start},{end},{who},visitor\n" for start, end, who in rows]
    path.write_text("camera,from,to,who,kind\n" + "".join(lines))
    return path


def test_e2_late_doubled_and_missed_are_told_exactly(tmp_path: Path) -> None:
    rows = [(60.0 * n, 60.0 * n + 20, "") for n in range(1, 21)]
    visits = read_visits(write_visits(tmp_path / "v.csv", rows))
    told: list[Raised] = []
    for n, (start, _, _) in enumerate(rows):
        if n == 11:
            continue
        told.append(raised(n, start + (3.1 if n == 3 else 0.4)))
        if n == 7:
            told.append(raised(100, start + 9.0))
    found = score_alerts(visits, told, hours=0.5)
    assert [visit.start_ns // S for visit in found.missed] == [720]
    assert [(visit.start_ns // S, round(delay, 6)) for visit, _, delay in found.late] == [
        (240, 3.1)
    ]
    assert [visit.start_ns // S for visit, _ in found.repeated] == [480]
    assert (found.doubled, len(found.false), len(found.found)) == (1, 0, 19)
    assert found.delay(50) == pytest.approx(0.4)
    delays = sorted([0.4] * 18 + [3.1])
    assert found.delay(95) == pytest.approx(np.percentile(delays, 95))


@pytest.mark.parametrize("seed", range(20))
def test_e2_any_faults_of_any_visits(tmp_path: Path, seed: int) -> None:
    """Visits close together, faults at random: each count is what was put in."""
    rng = np.random.default_rng(seed)
    names = ["anna", "ben", "unknown", ""]
    rows, told, wanted = list[tuple[float, float, str]](), list[Raised](), dict[str, int]()
    at = 30.0

    def put(kind: str) -> None:
        wanted[kind] = wanted.get(kind, 0) + 1

    for n in range(60):
        end = at + float(rng.uniform(4, 30))
        who = names[int(rng.integers(4))]
        rows.append((at, end, who))
        fault = ("", "missed", "late", "doubled", "wrong", "undecided", "unnamed")[rng.integers(7)]
        if fault in ("wrong", "undecided", "unnamed") and who in ("", "unknown"):
            fault = ""
        if fault:
            put(fault)
        if fault != "missed":
            delay = float(rng.uniform(2.1, 3.9)) if fault == "late" else float(rng.uniform(0, 1.9))
            said = {"wrong": "carl", "undecided": "undecided", "unnamed": "unknown"}.get(fault, who)
            known = {"undecided": None, "unnamed": False}.get(fault, said not in ("unknown", ""))
            told.append(raised(n, at + delay, who=said, known=known))
        if fault == "doubled":
            told.append(raised(1000 + n, at + 3.5, who=who))
        gap = float(rng.uniform(14, 40))
        if rng.random() < 0.3:
            told.append(raised(2000 + n, end + 7.0))
            put("false")
        at = end + gap
    order = rng.permutation(len(told)).tolist()
    found = score_alerts(
        read_visits(write_visits(tmp_path / "v.csv", rows)), [told[i] for i in order], hours=1
    )
    counts = {
        "missed": len(found.missed), "late": len(found.late), "doubled": found.doubled,
        "false": len(found.false), "wrong": len(found.wrong), "unnamed": len(found.unnamed),
        "undecided": len(found.undecided),
    }  # fmt: skip
    assert {name: count for name, count in counts.items() if count} == wanted


def test_people_who_come_together_are_two_visits(tmp_path: Path) -> None:
    """The alert of one is not counted as the second alert of the other."""
    visits = read_visits(write_visits(tmp_path / "v.csv", [(10, 30, ""), (11, 14, "")]))
    found = score_alerts(visits, [raised(1, 11.4), raised(2, 12.0)], hours=1)
    assert (len(found.found), len(found.missed), found.doubled) == (2, 0, 0)
    found = score_alerts(visits, [raised(1, 11.4)], hours=1)
    assert [visit.start_ns // S for visit in found.missed] == [10]


def test_the_interval_of_a_rate() -> None:
    """Known values of the exact interval: 0 events 0 to 3.689, 3 events 0.619 to 8.767."""
    assert per_day(0, 24.0) == pytest.approx((0, 0, 3.6889), abs=1e-3)
    assert per_day(3, 24.0) == pytest.approx((3, 0.6187, 8.7673), abs=1e-3)
    assert per_day(3, 12.0)[0] == 6
    assert all(value != value for value in per_day(1, float("nan")))


def test_alerts_of_other_rules_are_left_out(tmp_path: Path) -> None:
    visits = read_visits(write_visits(tmp_path / "v.csv", [(10, 30, "")]))
    found = score_alerts(visits, [raised(1, 10.5), raised(2, 29, rule="waiting", kind="dwell")])
    assert (len(found.false), found.doubled) == (0, 0)
    assert found.notes == ["alerts of rules that no visit names are left out: waiting"]


def test_times_of_visits_are_seconds_clock_or_utc(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text("from,to\n12.5,0:31\n1:02:03.5,1:02:40\n")
    read = read_visits(path)
    assert [(v.start_ns / S, v.end_ns / S) for v in read.rows] == [(12.5, 31), (3723.5, 3760)]
    assert not read.wall
    path.write_text("from;to;who\n2026-11-27T14:05:30;2026-11-27T15:06:00+01:00;anna\n")
    read = read_visits(path)
    assert read.wall
    assert (read.rows[0].end_ns - read.rows[0].start_ns) / S == 30
    assert read.rows[0].start_ns == 1795788330 * S


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "v.csv: is empty"),
        ("who,to\n", "v.csv:1: .*at least from and to"),
        ("from,to,whom\n", "v.csv:1: 'whom' is not one of .*did you mean 'who'"),
        ("from,to\n1,2\n3,x\n", "v.csv:3: 'x' is neither"),
        ("from,to\n5,2\n", "v.csv:2: to: ends before"),
        ("from,to\n1,2\n2026-11-27T14:05:30,2026-11-27T14:05:31\n", "v.csv:3: seconds and UTC"),
        ("from,to\n-1,2\n", "v.csv:2: '-1' is neither"),
        ("from,to\n1,nan\n", "v.csv:2: 'nan' is neither"),
        ("from,to\n1\n", "v.csv:2: '' is neither"),
    ],
)
def test_a_broken_file_of_visits(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_visits(tmp_path / "v.csv")


def test_the_file_that_the_sink_writes_is_read(tmp_path: Path) -> None:
    """Raised once, named by a later update; a line that a kill cut short is left out."""
    sink = JsonlSink(JsonlSink.Options(), tmp_path)
    sink.send(alert(S), None)
    sink.send(alert(S, state="updated", details={"who": "anna", "known": True}), None)
    path = tmp_path / "alerts.jsonl"
    with path.open("a") as file:
        file.write('{"key": "x", "camera"')
    (one,) = read_alerts(path)
    assert (one.who, one.known) == ("anna", True)
    assert one.t_media_ns == alert(S).t_media_ns
    path.write_text('{"key": "x"}\n' + path.read_text())
    with pytest.raises(ConfigError, match=r"alerts.jsonl:1: not an alert"):
        read_alerts(path)


def test_the_command_scores_alerts(tmp_path: Path) -> None:
    sink = JsonlSink(JsonlSink.Options(), tmp_path)
    first = alert(S)
    sink.send(first, None)
    start = first.t_media_ns / S - 0.5
    write_visits(tmp_path / "v.csv", [(start, start + 9, ""), (start + 100, start + 109, "")])
    text = (tmp_path / "v.csv").read_text()
    (tmp_path / "v.csv").write_text(text.replace("door", first.camera).replace("visitor", ""))
    args = ["score", str(tmp_path), "--visits", str(tmp_path / "v.csv"), "--hours", "2"]
    done = CliRunner().invoke(app, [*args, "--json", str(tmp_path / "card.json")])
    assert done.exit_code == 0, done.output
    card = json.loads((tmp_path / "card.json").read_text())["alerts"]
    assert (card["visits"], card["missed"], card["false"], card["hours"]) == (2, 1, 0, 2)
    assert card["delay_p50_s"] == pytest.approx(0.5)
    assert "missed" in done.output
