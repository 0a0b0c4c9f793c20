"""What summary.json says of alerts: each once, also those that only the store knows."""

import shutil

from perception.alerts.database import MIGRATIONS
from perception.alerts.store import AlertStore
from perception.supervision.alert_count import RaisedAlerts
from tests.scenes import WALL_NS, alert


def commit(path, *alerts):
    with AlertStore(path) as store:
        for a in alerts:
            store.put(a)


def test_an_alert_that_was_stored_and_not_heard_is_counted(tmp_path):
    path = tmp_path / "alerts.sqlite"
    raised = RaisedAlerts(["door"], path, WALL_NS - 1)
    assert raised.is_news(alert(1))
    assert not raised.is_news(alert(1))
    commit(path, alert(1), alert(1, "cleared", frame=3), alert(2))
    assert raised.counts() == {"door": {"entered": 2}}


def test_an_alert_that_was_heard_and_not_stored_is_counted(tmp_path):
    raised = RaisedAlerts(["door", "yard"], tmp_path / "none" / "alerts.sqlite", 0)
    assert raised.is_news(alert(1))
    assert raised.counts() == {"door": {"entered": 1}, "yard": {}}


def test_alerts_of_earlier_runs_are_not_counted(tmp_path):
    path = tmp_path / "alerts.sqlite"
    commit(path, alert(1), alert(2))
    later = RaisedAlerts(["door"], path, WALL_NS + 3600 * 10**9)
    set_back = RaisedAlerts(["door"], path, 0)
    commit(path, alert(3))
    assert later.counts() == {"door": {}}
    assert set_back.counts() == {"door": {"entered": 1}}


def test_the_file_beside_a_newer_store_is_counted(tmp_path):
    path = tmp_path / "alerts.sqlite"
    raised = RaisedAlerts(["door"], path, 0)
    commit(path, alert(1))
    shutil.move(path, tmp_path / f"alerts.v{len(MIGRATIONS)}.sqlite")
    path.write_bytes(b"no database")
    assert raised.counts() == {"door": {"entered": 1}}
