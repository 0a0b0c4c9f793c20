"""A process of a line as the supervisor sees it; whole lines in tests/process and tests/faults."""

import subprocess

import pytest

from perception.supervision.child import Child
from perception.wire.plan import ProcessPlan
from tests.line import BACK_S, wait_until


@pytest.mark.parametrize("hurry", [True, False])
def test_one_that_had_only_just_begun_may_end_by_the_signal(tmp_path, hurry, monkeypatch):
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda _, **__: popen(["sleep", "60"]))
    with (tmp_path / "log.jsonl").open("ab") as log:
        child = Child(ProcessPlan(name="tracking", kind="tracking", cameras=[]), tmp_path, log)
        child.start()
        child.ask_to_stop(hurry=hurry)

        def is_over():
            child.step()
            return child.is_over

        wait_until(is_over, BACK_S, "it has ended")
    assert (child.state, child.why) == ("done", "")
