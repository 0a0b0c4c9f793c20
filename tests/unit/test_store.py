import shutil
import sqlite3
import threading
import time

import msgspec
import psutil
import pytest

from perception.alerts import database, retention
from perception.alerts import store as module
from perception.alerts.database import MIGRATIONS
from perception.alerts.raised import count_raised
from perception.alerts.retention import Retention, prune
from perception.alerts.rows import Wrong
from perception.alerts.store import AlertStore
from perception.clock import NS_PER_S
from perception.errors import ConfigError, SinkError
from perception.sinks.snapshot import file_name
from tests.scenes import WALL_NS, alert


@pytest.fixture
def path(tmp_path):
    return tmp_path / "alerts.sqlite"


def one(path, *alerts, sinks=("jsonl",)):
    with AlertStore(path, sinks) as store:
        for a in alerts:
            assert store.commit(a.camera, a.frame_id, [a], lambda: {"seen": 1})


def test_what_was_committed_is_there_again(path):
    one(path, alert(1), alert(1, "cleared", frame=5), alert(2))
    with AlertStore(path, ["jsonl"]) as store:
        assert [k.alert for k in store.newest()] == [alert(2), alert(1, "cleared", frame=5)]
        progress = store.progress("door")
        assert progress is not None
        assert (progress.frame_id, progress.state) == (alert(2).frame_id, {"seen": 1})
        assert [(d.alert.track_id, d.alert.state) for d in store.outbox.pending("jsonl")] == [
            (1, "raised"),
            (1, "cleared"),
            (2, "raised"),
        ]
        assert store.outbox.pending("jsonl", limit=1)[0].tries == 0
        assert store.progress("yard") is None


def test_doing_it_again_changes_nothing(path):
    for _ in range(3):
        one(path, alert(1))
    with AlertStore(path, ["jsonl"]) as store:
        assert len(store.newest()) == len(store.outbox.pending("jsonl")) == 1
        store.outbox.delivered([store.outbox.pending("jsonl")[0].id])
    one(path, alert(1))
    with AlertStore(path, ["jsonl"]) as store:
        assert store.outbox.pending("jsonl") == []


def test_frames_without_alerts_are_written_once_a_second(path, monkeypatch):
    now = [0]
    monkeypatch.setattr(module.clock, "monotonic_ns", lambda: now[0])
    with AlertStore(path) as store:
        written = []
        for frame in range(100):
            now[0] = frame * 100_000_000
            written.append(store.commit("door", frame, [], lambda f=frame: {"frame": f}))
        assert sum(written) == 10
        assert store.progress("door").frame_id == 90
        assert store.commit("door", 99, [], lambda: {}, now=True)
        assert store.commit("yard", 0, [], lambda: {})
        assert store.progress("door").frame_id == 99


def test_state_is_not_asked_for_where_it_is_not_written(path):
    with AlertStore(path) as store:
        store.commit("door", 1, [], dict)
        assert not store.commit("door", 2, [], lambda: pytest.fail("asked"))


def test_a_state_that_is_no_json_leaves_nothing_half_written(path):
    with AlertStore(path, ["jsonl"]) as store:
        with pytest.raises(ValueError, match="JSON"):
            store.commit("door", 1, [alert(1)], lambda: {"x": float("nan")})
        assert store.newest() == []
        assert store.progress("door") is None


def test_acknowledge_show_and_resend_by_a_short_key(path):
    a, b = alert(1, key="abcd1" + "0" * 27), alert(2, key="abce1" + "0" * 27)
    one(path, a, b)
    with AlertStore(path) as store:
        store.acknowledge("abcd", 77)
        assert store.show("ABCD1").t_acked_wall_ns == 77
        assert store.show("abce").deliveries == {"jsonl": "pending"}
        ids = [d.id for d in store.outbox.pending("jsonl")]
        store.outbox.failed(ids[:1], "no route " * 100, dead=True)
        store.outbox.delivered(ids[1:])
        assert store.show("abcd").deliveries == {"jsonl": "dead"}
        assert store.outbox.counts() == {"jsonl": {"dead": 1, "delivered": 1}}
        assert store.resend("abcd") == store.resend("abce") == 1
        assert store.resend("abce") == 0
        assert len(store.outbox.pending("jsonl")) == 2


def test_wrong_stays_through_later_states_and_goes_with_its_alert(path):
    one(path, alert(1), alert(2))
    with AlertStore(path) as store:
        store.mark_wrong(alert(1).key, "anna", 5)
        store.mark_wrong(alert(1).key, "vic", 7)
        store.put(alert(1, "cleared", frame=5))
        assert store.show(alert(1).key).wrong == Wrong("vic", 7)
        assert [kept.alert.key for kept in store.page(9, ["door"], wrong=True)] == [alert(1).key]
        store.unmark_wrong(alert(1).key)
        assert store.show(alert(1).key).wrong is None
        assert store.page(9, None, wrong=True) == []


@pytest.mark.parametrize("key", ["abc", "", "ab*d", "abcd' OR 1", "zzzz", "abc?"])
def test_a_key_that_fits_no_alert_is_named(path, key):
    one(path, alert(1, key="abcd1" + "0" * 27))
    with AlertStore(path) as store, pytest.raises(ConfigError, match="key"):
        store.show(key)


def test_a_key_that_fits_two_alerts_is_refused(path):
    one(path, alert(1), alert(2))
    with AlertStore(path) as store, pytest.raises(ConfigError, match="more than one alert"):
        store.acknowledge("0000", 1)


def test_a_later_state_keeps_the_picture(path):
    raised = alert(1, snapshot="/a.jpg", picture_offset_ms=3.0)
    one(path, raised, alert(1, "updated", frame=5), alert(1, "cleared", frame=9))
    with AlertStore(path, ["jsonl"]) as store:
        assert store.show(raised.key).alert.snapshot == "/a.jpg"
        assert [d.alert.snapshot for d in store.outbox.pending("jsonl")] == ["/a.jpg"] * 3
        store.put(alert(1, "updated", frame=10, snapshot="/b.jpg"))
        assert store.show(raised.key).alert.snapshot == "/b.jpg"


def test_marks_are_the_first_alerts_of_steps(path):
    times = (3, 12, 14, 17, 30, 99)
    one(path, *(alert(n, start_t_wall_ns=1000 + t) for n, t in enumerate(times)))
    one(path, alert(50, camera="yard", start_t_wall_ns=1013))
    with AlertStore(path) as store:
        marks = store.marks("door", 1000, 1050, 10)
        assert [(one.start_t_wall_ns, one.alerts) for one in marks] == [
            (1003, 1),
            (1012, 3),
            (1030, 1),
        ]
        assert marks[1] == (f"{1:032x}", "entered", "zone", 1012, 3)
        assert store.marks("door", 1013, 1015, 10)[0].key == f"{2:032x}"


def test_open_alerts_of_a_rule(path):
    with AlertStore(path, ["jsonl"]) as store:
        for a in (alert(1), alert(2), alert(1, "cleared", frame=3), alert(4, camera="yard")):
            store.put(a)
        assert store.open_alerts("door", "entered") == [alert(2)]
        assert store.open_alerts("door", "camera") == []
        assert len(store.outbox.pending("jsonl")) == 4
        assert store.progress("door") is None


def test_newest_of_one_camera(path):
    one(path, alert(1), alert(2, camera="yard"), alert(3))
    with AlertStore(path) as store:
        assert [k.alert.track_id for k in store.newest(camera="door")] == [3, 1]
        assert [k.alert.track_id for k in store.newest(limit=1)] == [3]


def test_may_be_used_from_several_threads(path):
    with AlertStore(path, ["jsonl"]) as store:
        threads = [
            threading.Thread(
                target=lambda c=c: [
                    store.commit(c, n, [alert(n, camera=c, key=f"{c}{n:030x}")], dict)
                    for n in range(20)
                ]
            )
            for c in ("ca", "cb", "cc")
        ]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(store.newest(limit=100)) == len(store.outbox.pending("jsonl")) == 60


def test_a_missing_folder_is_made(tmp_path):
    one(tmp_path / "a" / "b" / "alerts.sqlite", alert(1))


def test_a_newer_version_is_left_alone(path):
    one(path, alert(1))
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="newer perception"):
        AlertStore(path)
    with AlertStore(path, beside=True) as store:
        store.commit("door", 1, [alert(2)], dict)
    own = path.with_name(f"alerts.v{len(MIGRATIONS)}.sqlite")
    assert store.path == own
    with AlertStore(path) as store:
        assert [kept.alert.track_id for kept in store.newest(10)] == [2]
    assert path.read_bytes() == before
    db = sqlite3.connect(own)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(ConfigError, match="newer perception"):
        AlertStore(path, beside=True)


def test_another_programs_database_is_refused(path):
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE photos (id)")
    db.commit()
    db.close()
    with pytest.raises(ConfigError, match="another program's"):
        AlertStore(path)


@pytest.mark.parametrize("damage", ["header", "middle", "text"])
def test_a_corrupt_file_is_set_aside_and_named(path, damage):
    one(path, *(alert(n, details={"text": "x" * 3000}) for n in range(100)))
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[:100] = b"\xff" * 100
    elif damage == "middle":
        data[4096 * 3 : 4096 * 20] = b"\xa5" * (4096 * 17)
    else:
        data = bytearray(b"this is no database, it is a letter\n" * 200)
    path.write_bytes(data)
    for number in (1, 2):
        with AlertStore(path, ["jsonl"]) as store:
            assert store.set_aside == path.with_name(f"alerts.sqlite.corrupt-{number}")
            assert store.newest() == []
            store.commit("door", 1, [alert(1)], dict)
        assert store.set_aside.read_bytes() == bytes(data)
        path.write_bytes(data)


def test_a_locked_database_is_waited_for_then_named(path, monkeypatch):
    monkeypatch.setattr(database, "LOCK_WAIT_S", 0.2)
    with AlertStore(path, ["jsonl"]) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkError, match=r"alerts\.sqlite: database is locked"):
            store.commit("door", 1, [alert(1)], dict)
        other.execute("COMMIT")
        assert store.commit("door", 1, [alert(1)], dict)
        other.close()


def test_a_lock_that_is_short_is_not_noticed(path):
    with AlertStore(path, ["jsonl"]) as store:
        other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.2, lambda: other.execute("COMMIT"))
        timer.start()
        assert store.commit("door", 1, [alert(1)], dict)
        timer.join()
        other.close()


def test_what_cannot_be_a_file_is_named(tmp_path):
    with pytest.raises(SinkError, match="unable to open"):
        AlertStore(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(SinkError, match=r"Not a directory|File exists"):
        AlertStore(tmp_path / "file" / "alerts.sqlite")


def test_a_state_that_cannot_be_read_is_none(path):
    one(path, alert(1))
    db = sqlite3.connect(path)
    db.execute("UPDATE progress SET state = '{torn'")
    db.commit()
    db.close()
    with AlertStore(path) as store:
        assert store.progress("door") is None


def test_what_a_sink_has_to_remember(path):
    with AlertStore(path, ["mqtt", "jsonl"]) as store:
        for a in (
            alert(1),
            alert(2),
            alert(1, "cleared", frame=5),
            alert(3, rule="left", frame=6),
            alert(3, "updated", rule="left", frame=7),
            alert(4, rule="crossed", kind="line", frame=8),
            alert(5, rule="crossed", kind="line", frame=9),
            alert(6, frame=10),
        ):
            store.put(a)
        ids = [d.id for d in store.outbox.pending("mqtt")]
        store.outbox.delivered([i for i in ids if i not in (ids[4], ids[7])])
        store.outbox.failed([ids[7]], "down")
        told = [(a.track_id, a.state) for a in store.outbox.told("mqtt")]
        assert told == [(2, "raised"), (1, "cleared"), (3, "raised"), (5, "raised")]
        assert store.outbox.told("jsonl") == []


class TestAFileThatGoesAway:
    def files(self, path):
        return sorted(p.name for p in path.parent.iterdir())

    @pytest.mark.parametrize("gone", [("", "-wal", "-shm"), ("",), ("-wal",), ("-wal", "-shm")])
    def test_is_written_again_with_all_it_held(self, path, gone):
        with AlertStore(path, ["jsonl"]) as store:
            store.commit("door", 1, [alert(1), alert(2)], lambda: {"seen": 1})
            store.outbox.delivered([store.outbox.pending("jsonl")[0].id])
            for end in gone:
                path.with_name(path.name + end).unlink()
            with pytest.raises(SinkError, match="nothing is lost"):
                store.put(alert(3))
            store.put(alert(3))
            with AlertStore(path) as other:
                assert {k.alert.track_id for k in other.newest()} == {1, 2, 3}
                assert other.outbox.counts() == {"jsonl": {"delivered": 1, "pending": 2}}
                assert other.progress("door").state == {"seen": 1}
        with AlertStore(path) as store:
            assert len(store.newest()) == 3

    def test_with_its_folder(self, tmp_path):
        path = tmp_path / "out" / "alerts.sqlite"
        with AlertStore(path, ["jsonl"]) as store:
            store.put(alert(1))
            shutil.rmtree(path.parent)
            with pytest.raises(SinkError, match="removed while in use"):
                store.put(alert(2))
            store.put(alert(2))
        with AlertStore(path) as store:
            assert len(store.newest()) == 2

    def test_and_another_that_takes_its_place_is_kept(self, path):
        other = path.with_name("other")
        one(other, alert(9))
        content = other.read_bytes()
        with AlertStore(path, ["jsonl"]) as store:
            store.put(alert(1))
            other.rename(path)
            with pytest.raises(SinkError, match=r"replaced while in use .*\.replaced-1 now"):
                store.put(alert(2))
            store.put(alert(2))
            assert [k.alert.track_id for k in store.newest()] == [2, 1]
            one(other, alert(9))
            other.rename(path)
            store.put(alert(3))  # no fight: its place is left alone for a minute
            assert not path.with_name("alerts.sqlite.replaced-2").exists()
        assert path.with_name("alerts.sqlite.replaced-1").read_bytes() == content
        assert path.with_name("alerts.sqlite.replaced-2").exists()
        with AlertStore(path) as store:
            assert [k.alert.track_id for k in store.newest()] == [3, 2, 1]

    def test_twice_within_seconds_then_once_more_before_the_end(self, path):
        with AlertStore(path, ["jsonl"]) as store:
            store.put(alert(1))
            for n in (2, 3):
                path.unlink()
                with pytest.raises(SinkError, match="removed while in use"):
                    store.put(alert(n))
                store.put(alert(n))
            for file in path.parent.iterdir():
                file.unlink()
        with AlertStore(path) as store:
            assert [k.alert.track_id for k in store.newest()] == [3, 2, 1]

    def test_one_that_only_reads_writes_nothing_again(self, path):
        one(path, alert(1))
        with AlertStore(path) as store:
            assert len(store.newest()) == 1
            for file in path.parent.iterdir():
                file.unlink()
        assert self.files(path) == []

    def test_where_it_cannot_be_written_again_it_is_tried_again(self, tmp_path):
        path = tmp_path / "out" / "alerts.sqlite"
        with AlertStore(path) as store:
            store.put(alert(1))
            shutil.rmtree(path.parent)
            path.parent.write_text("in the way")
            for _ in range(3):
                with pytest.raises(SinkError, match=r"File exists|Not a directory"):
                    store.put(alert(2))
            path.parent.unlink()
            with pytest.raises(SinkError, match="nothing is lost"):
                store.put(alert(2))
            store.put(alert(2))
            assert len(store.newest()) == 2


def test_a_file_that_turns_out_corrupt_while_in_use_is_set_aside(path):
    with AlertStore(path, ["jsonl"]) as store:
        spoil(path, store)
        with pytest.raises(SinkError, match="corrupt-1, begun anew"):
            store.outbox.counts()
        assert store.set_aside == path.with_name("alerts.sqlite.corrupt-1")
        store.commit("door", 2, [alert(1)], dict)
        assert len(store.newest()) == 1


def spoil(path, store):
    """Fill a store that is open, then overwrite its pages."""
    store.commit("door", 1, [alert(n, details={"text": "x" * 3000}) for n in range(2000)], dict)
    store.database.read("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(path.stat().st_size - 4096))


@pytest.mark.parametrize("newer", [False, True])
def test_a_foreign_file_met_while_running_is_told_and_waited_for(path, newer, monkeypatch):
    other = path.with_name("other")
    db = sqlite3.connect(other)
    db.execute("CREATE TABLE photos (id)")
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1 if newer else 0}")
    db.commit()
    db.close()
    with AlertStore(path, ["jsonl"]) as store:
        spoil(path, store)
        move = database._move_aside

        def move_and_replace(path, why):
            aside = move(path, why)
            other.rename(path)
            return aside

        monkeypatch.setattr(database, "_move_aside", move_and_replace)
        for _ in range(3):
            with pytest.raises(SinkError, match="newer perception" if newer else "another"):
                store.outbox.counts()
        path.unlink()
        store.commit("door", 2, [alert(1)], dict)
        assert len(store.newest()) == 1


def test_a_store_begun_anew_uses_no_row_number_again(path):
    with AlertStore(path, ["jsonl"]) as store:
        store.put(alert(9))
        before = store.outbox.pending("jsonl")[0].id
        spoil(path, store)
        with pytest.raises(SinkError, match="begun anew"):
            store.outbox.counts()
        store.put(alert(1))
        store.outbox.delivered(range(before, before + 3000))
        assert [row.alert.track_id for row in store.outbox.pending("jsonl")] == [1]


def test_threads_that_meet_a_lock_wait_one_at_a_time(path):
    with AlertStore(path, ["jsonl"]) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()

        def write(n):
            with pytest.raises(SinkError, match="locked"):
                store.put(alert(n))

        threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert time.monotonic() - began < 2 * database.LOCK_WAIT_S + 0.5
        other.execute("COMMIT")
        other.close()
        store.put(alert(1))


DAY_NS = 86_400_000_000_000


class TestRetention:
    def old(self, store, *alerts):
        """Put alerts whose last state is 10 days before the others'."""
        for a in alerts:
            t_ns = WALL_NS - 10 * DAY_NS
            store.put(msgspec.structs.replace(a, start_t_wall_ns=t_ns, t_wall_ns=t_ns))

    def left(self, store):
        return sorted(kept.alert.track_id for kept in store.newest(10_000))

    def test_only_what_is_over_delivered_and_old_goes(self, path):
        with AlertStore(path, ["jsonl", "mqtt"]) as store:
            self.old(store, alert(1), alert(1, "cleared", frame=9))
            self.old(store, alert(2))
            self.old(store, alert(3, kind="line"), alert(4, "cleared"), alert(5, "cleared"))
            self.old(store, alert(6))
            store.put(alert(7, "cleared"))
            store.put(alert(6, "cleared", frame=20))  # began long ago, over now
            waits, dead = (
                next(d.id for d in store.outbox.pending("mqtt") if d.alert.track_id == n)
                for n in (4, 5)
            )
            for sink in store.sinks:
                store.outbox.delivered(
                    [d.id for d in store.outbox.pending(sink) if d.id not in (waits, dead)]
                )
            store.outbox.failed([dead], "never", dead=True)
            assert prune(store.database, WALL_NS - DAY_NS, 100) == (2, [])
            assert self.left(store) == [2, 4, 5, 6, 7]
            assert {k for (k,) in store.database.read("SELECT key FROM outbox")} == {
                alert(n).key for n in (2, 4, 5, 6, 7)
            }
            store.outbox.delivered([waits])
            assert prune(store.database, WALL_NS - DAY_NS, 100) == (1, [])
            assert prune(store.database, WALL_NS - DAY_NS, 100) == (0, [])

    def test_a_few_at_a_time_then_every_hour(self, path):
        with AlertStore(path) as store:
            self.old(store, *(alert(n, "cleared") for n in range(250)))
            keeper = Retention(store.database, 1.0, 0)
            counts = [keeper.turn(s * NS_PER_S, WALL_NS) for s in range(40)]
            assert counts[:30] == [0] * 30
            assert counts[30:33] == [100, 100, 50]
            self.old(store, alert(999, "cleared"))
            assert sum(keeper.turn(s * NS_PER_S, WALL_NS) for s in range(40, 3600, 10)) == 0
            assert keeper.turn(3700 * NS_PER_S, WALL_NS) == 1

    def test_pictures_go_with_their_alerts_and_no_other_file_does(self, path, tmp_path):
        folder = tmp_path / "snapshots"
        folder.mkdir()
        (folder / "mine.jpg").touch()
        then = {"start_t_wall_ns": WALL_NS - 10 * DAY_NS}
        key = "{:08x}".format
        paths = [folder / file_name(alert(n, key=key(n), **then)) for n in (1, 2, 3)]
        for name in paths:
            name.touch()
        with AlertStore(path) as store:
            for n, named in ((1, paths[0]), (2, folder / "mine.jpg"), (3, None), (4, paths[2])):
                self.old(store, alert(n, "cleared", key=key(n), snapshot=named and str(named)))
            self.old(store, alert(5, "cleared", snapshot=str(folder / "gone.jpg")))
            assert prune(store.database, WALL_NS - DAY_NS, 100) == (5, [])
        assert sorted(folder.iterdir()) == sorted([*paths[1:], folder / "mine.jpg"])

    def test_a_picture_that_cannot_be_removed_keeps_its_alert_alone(self, path, tmp_path):
        then = {"start_t_wall_ns": WALL_NS - 10 * DAY_NS}
        picture = tmp_path / file_name(alert(1, **then))
        picture.mkdir()
        with AlertStore(path) as store:
            self.old(store, alert(1, "cleared", snapshot=str(picture)))
            self.old(store, alert(2, "cleared"))
            count, stuck = prune(store.database, WALL_NS - DAY_NS, 100)
            assert count == 1
            assert picture.name in str(stuck[0])
            assert self.left(store) == [1]
            picture.rmdir()
            assert prune(store.database, WALL_NS - DAY_NS, 100) == (1, [])

    def test_pictures_that_cannot_be_removed_do_not_hold_up_the_others(self, path, tmp_path):
        then = {"start_t_wall_ns": WALL_NS - 10 * DAY_NS}
        with AlertStore(path) as store:
            for n in range(120):
                key = f"{n:08x}"
                picture = tmp_path / file_name(alert(n, key=key, **then))
                picture.mkdir()
                self.old(store, alert(n, "cleared", key=key, snapshot=str(picture)))
            self.old(store, *(alert(n, "cleared") for n in range(120, 150)))
            keeper = Retention(store.database, 1.0, 0)
            told = 0
            for s in range(40):
                try:
                    keeper.turn(s * NS_PER_S, WALL_NS)
                except SinkError:
                    told += 1
            assert told == 2
            assert self.left(store) == list(range(120))

    def test_for_ever(self, path):
        with AlertStore(path) as store:
            self.old(store, alert(1, "cleared"))
            assert Retention(store.database, 0.0, 0).turn(1 << 60, 1 << 62) == 0
            assert self.left(store) == [1]

    def test_a_store_that_is_held_is_tried_again_soon(self, path):
        with AlertStore(path) as store:
            self.old(store, alert(1, "cleared"))
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            keeper = Retention(store.database, 1.0, 0)
            with pytest.raises(SinkError, match="locked"):
                keeper.turn(30 * NS_PER_S, WALL_NS)
            other.execute("COMMIT")
            other.close()
            assert keeper.turn(41 * NS_PER_S, WALL_NS) == 1


def test_a_store_of_the_first_version_is_brought_up_to_date(path):
    db = sqlite3.connect(path)
    for statement in MIGRATIONS[0]:
        db.execute(statement)
    db.execute("PRAGMA user_version = 1")
    db.commit()
    db.close()
    one(path, alert(1))
    with AlertStore(path) as store:
        assert store.database.read("PRAGMA user_version") == [(len(MIGRATIONS),)]
        assert store.show(alert(1).key).deliveries == {"jsonl": "pending"}


def test_a_day_of_retention_is_a_day():
    assert retention.DAY_NS == 24 * 60 * 60 * 1_000_000_000


def test_a_closed_store_holds_no_file(path):
    one(path, alert(1))
    store = AlertStore(path, ["jsonl"])
    store.newest()
    store.close()
    assert not [file.path for file in psutil.Process().open_files() if str(path) in file.path]
    with pytest.raises(SinkError):
        store.newest()


def test_alerts_are_counted_without_a_file_left_beside_the_store(path):
    one(path, alert(1), alert(2), alert(3, "cleared", frame=5))
    before = sorted(path.parent.iterdir())
    counts = count_raised(path, 0)
    assert sum(counts.values()) == 3
    assert {camera for camera, _ in counts} == {"door"}
    assert count_raised(path, 2 * WALL_NS) == {}
    assert count_raised(path.with_name("none.sqlite"), 0) == {}
    assert sorted(path.parent.iterdir()) == before
