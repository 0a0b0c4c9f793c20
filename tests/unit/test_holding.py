"""What one run has to itself; across processes in tests/process/test_line.py."""

import pytest

from perception.errors import ConfigError
from perception.supervision.locks import StoreLock


@pytest.mark.fault("F32")
def test_a_store_is_held_by_one_run_under_whatever_name(tmp_path):
    store = tmp_path / "new" / "alerts.sqlite"
    held = StoreLock(store, "door")
    (tmp_path / "link").symlink_to(store.parent)
    for other in (store, tmp_path / "link" / "alerts.sqlite"):
        with pytest.raises(ConfigError, match="run door writes its alerts there: name another"):
            StoreLock(other, "yard")
    StoreLock(store.with_name("other.sqlite"), "yard").close()
    for _ in range(2):
        held.close()
    assert list(store.parent.iterdir()) == []
    StoreLock(store, "yard").close()


def test_what_a_killed_run_left_is_taken(tmp_path):
    (tmp_path / ".alerts.sqlite.lock").write_text("a run with a long name that was killed")
    held = StoreLock(tmp_path / "alerts.sqlite", "door")
    with pytest.raises(ConfigError, match="run door writes"):
        StoreLock(tmp_path / "alerts.sqlite", "yard")
    held.close()


def test_a_folder_that_cannot_be_written_is_the_alert_process_to_tell(tmp_path):
    (tmp_path / "file").write_text("")
    StoreLock(tmp_path / "file" / "alerts.sqlite", "door").close()
