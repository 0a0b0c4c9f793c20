"""Users, sessions, tokens, lock-out: in the file, and over the API."""

import stat
import threading
import time
from types import SimpleNamespace

import pytest

from perception import clock
from perception.errors import ConfigError
from perception.web import lockout, passwords
from perception.web.accounts import Accounts, LockedOut, WrongPassword
from perception.web.sessions import Sessions
from perception.web.users_file import NAME, UsersFile
from tests.page import HEADERS, PASSWORD, make_page

NEW = "another good one"


@pytest.fixture
def accounts(memory):
    made = Accounts(UsersFile(memory / "users"))
    made.add("anna", PASSWORD, "admin")
    yield made
    made.file.close()


@pytest.fixture
def later(monkeypatch):
    """Let the wall clock be moved: later.s seconds."""
    moved = SimpleNamespace(s=0.0)
    monkeypatch.setattr(clock, "wall_ns", lambda: time.time_ns() + round(moved.s * 1e9))
    return moved


def wrong(accounts, times, user="anna", address="10.0.0.1"):
    for _ in range(times):
        with pytest.raises(WrongPassword):
            accounts.check(user, "no", address)


def test_the_file_is_its_owners_only_and_holds_no_password(accounts):
    path = accounts.file.folder / NAME
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(accounts.file.folder.stat().st_mode) == 0o700
    sessions = Sessions(accounts.file)
    secret = sessions.start("anna", "10.0.0.1")
    token = sessions.new_token("anna", "t", "viewer", None, 1)
    accounts.file.read("PRAGMA wal_checkpoint(TRUNCATE)")
    data = path.read_bytes()
    for kept in (PASSWORD, secret, token):
        assert kept.encode() not in data
    assert b"$argon2id$v=19$m=19456,t=2,p=1$" in data


@pytest.mark.parametrize("name", ["", "a b", "../x", "-x", "x" * 41, "ä", "a\n"])
def test_a_name_that_is_none_is_refused(accounts, name):
    with pytest.raises(ConfigError, match="as a user's name"):
        accounts.add(name, PASSWORD, "viewer")


def test_passwords_have_limits(accounts):
    for password in ("short", "x" * 257):
        with pytest.raises(ConfigError, match="10 to 256 characters"):
            accounts.add("bob", password, "viewer")
    assert not passwords.matches(passwords.NOBODY, "x" * 100_000)
    assert not passwords.matches("no hash", PASSWORD)


def test_the_last_admin_stays(accounts):
    for change in (
        lambda: accounts.remove("anna"),
        lambda: accounts.change("anna", "viewer", None),
    ):
        with pytest.raises(ConfigError, match="the last admin"):
            change()
    accounts.add("bob", PASSWORD, "admin")
    accounts.remove("anna")
    assert [user.name for user in accounts.users()] == ["bob"]


def test_what_changes_a_user_ends_sessions_and_tokens(accounts):
    accounts.add("bob", PASSWORD, "viewer")
    sessions = Sessions(accounts.file)
    for change in (
        lambda: accounts.change("bob", "viewer", ["door"]),
        lambda: accounts.set_password("bob", NEW),
        lambda: accounts.remove("bob"),
    ):
        secret = sessions.start("bob", "10.0.0.1")
        token = sessions.new_token("bob", "t", "viewer", ["door"], 1)
        assert sessions.find(secret)
        assert sessions.find_token(token)
        change()
        assert sessions.find(secret) is None
        assert sessions.find_token(token) is None


def test_a_token_may_no_more_than_its_user(accounts):
    accounts.add("bob", PASSWORD, "viewer", ["door"])
    sessions = Sessions(accounts.file)
    for role, cameras in (("operator", ["door"]), ("viewer", None), ("viewer", ["door", "yard"])):
        with pytest.raises(ConfigError):
            sessions.new_token("bob", "t", role, cameras, 1)
    found = sessions.find_token(sessions.new_token("bob", "t", "viewer", ["door"], 1))
    assert found is not None
    assert (found.sees("door"), found.sees("yard"), found.may("operator")) == (True, False, False)


def test_sessions_end_by_idleness_and_by_age(accounts, later):
    sessions = Sessions(accounts.file)
    secret = sessions.start("anna", "10.0.0.1")
    for day in (6, 12, 18, 24, 29):
        later.s = day * 86_400
        assert sessions.find(secret), day
    later.s = 30.1 * 86_400
    assert sessions.find(secret) is None
    other = sessions.start("anna", "10.0.0.1")
    later.s += 7.1 * 86_400
    assert sessions.find(other) is None


def test_a_lock_out_grows_and_survives_a_restart(accounts, later):
    wrong(accounts, lockout.FREE)
    with pytest.raises(LockedOut) as locked:
        accounts.check("anna", PASSWORD, "10.0.0.1")
    assert 58 <= locked.value.retry_after_s <= 60
    again = Accounts(UsersFile(accounts.file.folder))
    with pytest.raises(LockedOut):
        again.check("anna", PASSWORD, "10.0.0.1")
    later.s = 61
    wrong(again, 1)
    with pytest.raises(LockedOut) as locked:
        again.check("anna", PASSWORD, "10.0.0.1")
    assert 118 <= locked.value.retry_after_s <= 120
    later.s += 121
    again.check("anna", PASSWORD, "10.0.0.1")
    wrong(again, 1)  # begun anew
    again.file.close()


def test_a_lock_out_elsewhere_holds_up_nobody(accounts):
    wrong(accounts, lockout.FREE)
    accounts.check("anna", PASSWORD, "10.0.0.2")


def test_many_addresses_lock_out_new_ones_only(accounts):
    accounts.check("anna", PASSWORD, "10.0.0.2")
    with accounts.file.change() as db:
        for n in range(lockout.A_USER):
            lockout.failed(db, "anna", f"10.1.0.{n}")
    with pytest.raises(LockedOut):
        accounts.check("anna", PASSWORD, "10.9.9.9")
    accounts.check("anna", PASSWORD, "10.0.0.2")
    accounts.set_password("anna", NEW)  # at the console
    accounts.check("anna", NEW, "10.9.9.9")


def test_who_does_not_exist_takes_as_long(accounts):
    def took(user):
        start = time.perf_counter()
        with pytest.raises(WrongPassword):
            accounts.check(user, "no", f"10.0.{user}.{time.time_ns()}")
        return time.perf_counter() - start

    known, nobody = (min(took(user) for _ in range(3)) for user in ("anna", "nobody"))
    assert nobody > known / 3


def test_the_first_user_needs_the_link_and_this_host(memory):
    page = make_page(memory)
    for user in ("a", "b", "o"):
        page.site.accounts.remove(user)
    with page.site.users.change() as db:
        db.execute("DELETE FROM user")
    assert page.client().get("/api/v1/account").json()["state"] == "first"
    invite = page.site.accounts.invite()
    given = {"name": "me", "password": PASSWORD, "invite": invite}
    far = page.client()
    assert far.post("/api/v1/account/first", json=given, headers=HEADERS).status_code == 403
    from starlette.testclient import TestClient

    near = TestClient(page.app, base_url="https://localhost:8443", client=("127.0.0.1", 1))
    bad = {**given, "invite": "no"}
    assert near.post("/api/v1/account/first", json=bad, headers=HEADERS).status_code == 403
    made = near.post("/api/v1/account/first", json=given, headers=HEADERS)
    assert (made.status_code, made.json()["role"]) == (200, "admin")
    again = near.post("/api/v1/account/first", json={**given, "name": "x"}, headers=HEADERS)
    assert again.status_code == 403


def test_log_in_look_change_password_log_out(memory):
    page = make_page(memory)
    client = page.client()
    bad = client.post(
        "/api/v1/account/login", json={"name": "a", "password": "no"}, headers=HEADERS
    )
    assert bad.status_code == 401
    assert "set-cookie" not in bad.headers
    given = {"name": "a", "password": PASSWORD}
    cookie = client.post("/api/v1/account/login", json=given, headers=HEADERS).headers["set-cookie"]
    assert cookie.startswith("__Host-perception=")
    for part in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"):
        assert part in cookie
    assert client.get("/api/v1/account").json()["me"]["cameras"] == ["door"]
    other = page.client("a")
    change = {"old": PASSWORD, "new": NEW}
    assert client.post("/api/v1/account/password", json=change, headers=HEADERS).status_code == 204
    for one in (client, other):
        assert one.get("/api/v1/account").json()["state"] == "login"
    given["password"] = NEW
    assert client.post("/api/v1/account/login", json=given, headers=HEADERS).status_code == 200
    assert client.post("/api/v1/account/logout", headers=HEADERS).status_code == 204
    assert client.get("/api/v1/cameras").status_code == 401


def test_wrong_passwords_at_the_same_moment_count_each_other(accounts):
    """Twelve threads begin together: five are tried, the others are locked out."""
    begin, ended = threading.Barrier(12), list[str]()

    def attempt() -> None:
        begin.wait()
        try:
            accounts.check("anna", "no", "10.0.0.9")
        except (WrongPassword, LockedOut) as error:
            ended.append(type(error).__name__)

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["LockedOut"] * 7 + ["WrongPassword"] * lockout.FREE


def test_right_passwords_leave_no_note(accounts):
    for _ in range(2 * lockout.AN_ADDRESS):
        accounts.check("anna", PASSWORD, "10.0.0.1")
    assert accounts.file.read("SELECT * FROM failed") == []
    wrong(accounts, lockout.FREE - 1)
    accounts.check("anna", PASSWORD, "10.0.0.1")
    wrong(accounts, lockout.FREE)
