import json

import pytest
from typer.testing import CliRunner

from perception.alerts.store import AlertStore
from perception.commands.app import app
from perception.errors import ConfigError
from tests.scenes import alert

KEY = alert(1).key


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "recordings" / "door" / "alerts.sqlite"
    with AlertStore(path, ["jsonl"]) as store:
        for n in (1, 2, 3):
            a = alert(
                n,
                key=f"{n}abc{n:028x}",
                class_name="[red]person",
                camera="door" if n < 3 else "yard",
            )
            store.commit(a.camera, a.frame_id, [a], dict)
    return path


def run(*args):
    result = CliRunner().invoke(app, ["alerts", *map(str, args)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_list_shows_the_newest_first_and_what_became_of_them(store):
    lines = [json.loads(line) for line in run("list", "--store", store, "--json").splitlines()]
    assert [line["alert"]["track_id"] for line in lines] == [3, 2, 1]
    assert lines[0]["deliveries"] == {"jsonl": "pending"}
    assert len(run("list", "--store", store, "--json", "--camera", "yard").splitlines()) == 1
    assert len(run("list", "--store", store, "--json", "--limit", 2).splitlines()) == 2
    text = run("list", "--store", store)
    assert "1abc0000" in text
    assert "yard" in text


def test_the_store_of_the_newest_run_here_is_taken(store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(run("list", "--json").splitlines()) == 3
    launch = tmp_path / "door.yaml"
    launch.write_text("cameras: {a: {source: push}}\n")
    assert len(run("list", "--json", "--launch", launch).splitlines()) == 3
    monkeypatch.chdir("/")
    with pytest.raises(ConfigError, match="no run here has alerts"):
        run("list")


def test_show_ack_and_resend(store):
    assert "[red]person" in run("show", "1abc", "--store", store)
    assert "no" in run("show", "1abc", "--store", store)
    assert "1abc0000: seen" in run("ack", "1abc", "--store", store)
    assert json.loads(run("show", "1abc", "--json", "--store", store))["t_acked_wall_ns"] > 0
    with AlertStore(store) as opened:
        sink = opened.show("1abc").deliveries
        opened.outbox.failed([row.id for row in opened.outbox.pending(*sink)], "down", dead=True)
    assert "1 deliveries wait" in run("resend", "1abc", "--store", store)


def test_what_a_user_called_wrong_is_told(store):
    with AlertStore(store) as opened:
        opened.mark_wrong("1abc", "anna", 1_800_000_000 * 10**9)
    told = {
        row["alert"]["key"][:4]: row["wrong"]
        for row in map(json.loads, run("list", "--store", store, "--json").splitlines())
    }
    said = {"user": "anna", "t_wall_ns": 1_800_000_000 * 10**9}
    assert told == {"1abc": said, "2abc": None, "3abc": None}
    assert run("list", "--store", store).count("wrong") == 1
    assert "anna, 2027-01-15 08:00:00" in run("show", "1abc", "--store", store)


def test_a_key_or_store_that_is_not_there_is_named_and_nothing_made(store, tmp_path):
    with pytest.raises(ConfigError, match="begins with 'ffff'"):
        run("show", "ffff", "--store", store)
    with pytest.raises(ConfigError, match="there is no such file"):
        run("list", "--store", tmp_path / "x.sqlite")
    assert not (tmp_path / "x.sqlite").exists()
