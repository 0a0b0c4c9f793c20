"""Who may see what on the page: every route, every kind of caller, own and other's objects (K1)."""

import contextlib
import json
import random
import re
import secrets
import sqlite3
from collections import Counter
from concurrent.futures import CancelledError
from urllib.parse import quote

import pytest
from fastapi import APIRouter

from perception.web.app import describe, openapi
from perception.web.permissions import PREFIX, Routes, check_declared
from perception.web.users_file import NAME
from tests.line import ROOT
from tests.page import CAMERAS, HEADERS, JPEG, PASSWORD, make_page
from tests.scenes import WALL_NS

KEYS = {"door": f"{1:032x}", "yard": f"{2:032x}"}
MS = WALL_NS // 1_000_000
ANY, VIEWER, OPERATOR, ADMIN = range(4)
SPAN = f"?from_ms={MS}&to_ms={MS + 600_000}"
ROUTES = {
    # method, path: role; {c} is a camera, {k} its alert, {s} its segment
    ("GET", "/account"): (ANY, "/account", None, 200),
    ("POST", "/account/login"): (ANY, "/account/login", {"name": "a", "password": "no"}, 401),
    ("POST", "/account/first"): (
        ANY, "/account/first", {"name": "x", "password": PASSWORD, "invite": "no"}, 403,
    ),
    ("POST", "/account/logout"): (VIEWER, "/account/logout", None, 204),
    ("POST", "/account/password"): (
        VIEWER, "/account/password", {"old": "no", "new": PASSWORD}, 401,
    ),
    ("GET", "/account/sessions"): (VIEWER, "/account/sessions", None, 200),
    ("DELETE", "/account/sessions/{key}"): (VIEWER, "/account/sessions/none", None, 404),
    ("GET", "/cameras"): (VIEWER, "/cameras", None, 200),
    ("GET", "/cameras/{camera}/picture.jpg"): (
        VIEWER, "/cameras/{c}/picture.jpg", None, 404,  # no ring here
    ),
    ("GET", "/cameras/{camera}/map"): (VIEWER, "/cameras/{c}/map", None, 404),  # no telemetry
    ("GET", "/cameras/{camera}/shapes"): (VIEWER, "/cameras/{c}/shapes", None, 200),
    ("PUT", "/cameras/{camera}/{kind}/{shape}"): (
        ADMIN, "/cameras/{c}/zones/porch", {"tag": "", "points": [[0, 0], [1, 0], [1, 1]]}, 409,
    ),
    ("DELETE", "/cameras/{camera}/{kind}/{shape}"): (
        ADMIN, "/cameras/{c}/zones/porch?tag=x", None, 409,
    ),
    ("GET", "/alerts"): (VIEWER, "/alerts", None, 200),
    ("GET", "/alerts/{key}"): (VIEWER, "/alerts/{k}", None, 200),
    ("POST", "/alerts/{key}/seen"): (OPERATOR, "/alerts/{k}/seen", None, 200),
    ("POST", "/alerts/{key}/wrong"): (OPERATOR, "/alerts/{k}/wrong", None, 200),
    ("DELETE", "/alerts/{key}/wrong"): (OPERATOR, "/alerts/{k}/wrong", None, 200),
    ("GET", "/alerts/{key}/picture.jpg"): (VIEWER, "/alerts/{k}/picture.jpg", None, 200),
    ("GET", "/alerts/{key}/clip.mp4"): (VIEWER, "/alerts/{k}/clip.mp4", None, 200),
    ("GET", "/recordings"): (VIEWER, "/recordings", None, 200),
    ("GET", "/recordings/timeline"): (VIEWER, f"/recordings/timeline{SPAN}", None, 200),
    ("GET", "/recordings/at"): (VIEWER, f"/recordings/at?camera={{c}}&at_ms={MS}", None, 200),
    ("GET", "/recordings/forecast"): (OPERATOR, "/recordings/forecast", None, 200),
    ("GET", "/recordings/export"): (
        OPERATOR, f"/recordings/export?camera={{c}}&from_ms={MS}", None, 200,
    ),
    ("GET", "/recordings/export.mp4"): (
        OPERATOR, f"/recordings/export.mp4?camera={{c}}&from_ms={MS}", None, 409,  # no video
    ),
    ("GET", "/recordings/{segment}"): (VIEWER, "/recordings/{s}", None, 200),
    ("GET", "/recordings/{segment}/video.mp4"): (VIEWER, "/recordings/{s}/video.mp4", None, 200),
    ("GET", "/recordings/{segment}/picture.jpg"): (
        VIEWER, "/recordings/{s}/picture.jpg", None, 200,
    ),
    ("POST", "/recordings/{segment}/protect"): (
        OPERATOR, "/recordings/{s}/protect", {"on": True}, 200,
    ),
    ("GET", "/search"): (VIEWER, "/search?words=person", None, 200),
    ("GET", "/why"): (VIEWER, f"/why?camera={{c}}&at_ms={MS + 5000}", None, 409),
    ("GET", "/people"): (OPERATOR, "/people", None, 200),
    ("POST", "/alerts/{key}/enroll"): (OPERATOR, "/alerts/{k}/enroll", {"name": "Jo"}, 409),
    ("DELETE", "/people/{name}"): (ADMIN, "/people/Jo", None, 409),
    ("GET", "/system"): (VIEWER, "/system", None, 200),
    ("GET", "/system/log"): (ADMIN, "/system/log", None, 200),
    ("GET", "/users"): (ADMIN, "/users", None, 200),
    ("POST", "/users"): (
        ADMIN, "/users", {"name": "a", "password": PASSWORD, "role": "viewer"}, 409,
    ),
    ("PUT", "/users/{user}"): (ADMIN, "/users/nobody", {"role": "viewer"}, 409),
    ("PUT", "/users/{user}/password"): (
        ADMIN, "/users/nobody/password", {"password": PASSWORD}, 409,
    ),
    ("DELETE", "/users/{user}"): (ADMIN, "/users/nobody", None, 409),
    ("GET", "/tokens"): (VIEWER, "/tokens", None, 200),
    ("POST", "/tokens"): (
        VIEWER, "/tokens", {"title": "t", "role": "viewer", "days": 1, "cameras": []}, 201,
    ),
    ("DELETE", "/tokens/{key}"): (VIEWER, "/tokens/none", None, 404),
}  # fmt: skip
SKIPPED = {("GET", "/events"), ("GET", "/cameras/{camera}/live.ts")}
"""Streams without an end: test_who_may_open_a_stream."""
SESSION_ONLY = {("POST", "/tokens"): 403, ("POST", "/account/password"): 403}
"""What a token may not do at all."""
CALLERS = {
    # name: rank, cameras, how
    "anonymous": (ANY, ()),
    "a": (VIEWER, ("door",)),
    "b": (VIEWER, ("yard",)),
    "o": (OPERATOR, CAMERAS),
    "r": (ADMIN, CAMERAS),
    "expired session": (ANY, ()),
    "revoked session": (ANY, ()),
    "token of r for the door": (VIEWER, ("door",)),
    "expired token": (ANY, ()),
    "no token": (ANY, ()),
}


@pytest.fixture
def page(memory):
    return make_page(memory)


def caller(page, name):
    """Return a client that is this caller."""
    if name in ("a", "b", "o", "r"):
        return page.client(name)
    if name == "anonymous":
        return page.client()
    if name.endswith("session"):
        client = page.client("r")
        with sqlite3.connect(page.site.users.folder / NAME) as db:
            if name.startswith("expired"):
                db.execute("UPDATE session SET t_seen_wall_ns = t_seen_wall_ns / 2")
            else:
                db.execute("DELETE FROM session")
        db.close()
        return client
    secret = "pct_" + secrets.token_urlsafe(32)
    if name == "token of r for the door":
        secret = page.token("r", cameras=["door"])
    elif name == "expired token":
        secret = page.token("r", role="admin", days=0.0)
    client = page.client()
    client.headers["authorization"] = f"Bearer {secret}"
    return client


def test_k1_every_route_is_in_the_table():
    declared = {
        (method, path.removeprefix(PREFIX)) for method, path in describe().state.permissions
    }
    assert declared == set(ROUTES) | SKIPPED


def test_k1_a_route_without_permission_stops_the_start():
    stray = APIRouter()
    stray.add_api_route(f"{PREFIX}/stray", lambda: None, methods=["GET"])
    with pytest.raises(LookupError, match="GET /api/v1/stray declares no permission"):
        check_declared(list(stray.routes), {})
    with pytest.raises(TypeError):
        Routes("x").add("GET", "/x", may="viewer")


@pytest.mark.fault("H14")
@pytest.mark.parametrize("who", CALLERS)
def test_k1_every_route_every_caller(page, who):
    rank, cameras = CALLERS[who]
    client = caller(page, who)
    for route, (needed, path, body, expected) in ROUTES.items():
        if route == ("POST", "/account/logout"):
            continue  # it would end the caller's session
        for camera in CAMERAS:
            whole = PREFIX + path.format(c=camera, k=KEYS[camera], s=f"{camera}~day~{camera}-0")
            answer = client.request(route[0], whole, json=body, headers=HEADERS)
            right = expected
            if needed != ANY and rank == ANY:
                right = 401
            elif rank < needed:
                right = 403
            elif "authorization" in client.headers and route in SESSION_ONLY:
                right = SESSION_ONLY[route]
            elif "{" in path and camera not in cameras:
                right = 404
            assert answer.status_code == right, (who, route, camera, answer.text)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == "application/problem+json"
            for other in set(CAMERAS) - set(cameras):
                if needed != ANY:
                    assert other not in answer.text, (who, route)
                assert JPEG + other.encode() not in answer.content, (who, route, camera)


@pytest.mark.parametrize("path", ["/events", "/cameras/door/live.ts"])
def test_who_may_open_a_stream(page, path):
    assert page.client().get(PREFIX + path).status_code == 401
    if "door" in path:
        assert page.client("b").get(PREFIX + path).status_code == 404
        page.site.hub.feeds["door"].unsupported = "mpeg4"
        assert page.client("a").get(PREFIX + path).status_code == 409


def test_k1_own_files_come_whole_and_in_parts(page):
    client = page.client("a")
    whole = client.get(f"{PREFIX}/recordings/door~day~door-0/video.mp4")
    assert whole.content == JPEG + b"door"
    part = client.get(whole.url, headers={"range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, (JPEG + b"door")[2:6])
    assert client.get(whole.url, headers={"range": "bytes=900-"}).status_code == 416


@pytest.mark.fault("H13")
@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "//etc/passwd",
        "/static/../../app.py", "/views/..%5c..%5capp.py", "/etc/passwd%00.js", "/app.py",
        "/api/v1/recordings/..~..~users/video.mp4", "/api/v1/recordings/%2e%2e~out/video.mp4",
        "/api/v1/recordings/door~day~door-0.mp4/video.mp4",
        "/api/v1/alerts/..%2f..%2fetc/picture.jpg", "/api/v1/cameras/..%2fdoor/picture.jpg",
        "/.git/config", "/users.sqlite", "/openapi.json", "/docs",
    ],
)  # fmt: skip
def test_h13_nothing_but_the_page_and_what_rows_name(page, path):
    answer = page.client("r").get(path)
    assert answer.status_code == 404, answer.text[:200]


def test_h13_a_row_that_names_a_file_elsewhere_is_not_followed(page, memory):
    secret = memory / "secret.jpg"
    secret.write_bytes(b"secret")
    link = memory / "out" / "link.jpg"
    link.symlink_to(secret)
    store = page.site.alerts()
    for n, path in ((8, secret), (9, link), (10, memory / "out" / ".." / "secret.jpg")):
        from tests.scenes import alert

        store.commit("door", n, [alert(n, snapshot=str(path))], dict, now=True)
        answer = page.client("r").get(f"{PREFIX}/alerts/{n:032x}/picture.jpg")
        assert answer.status_code == 404
        assert b"secret" not in answer.content


@pytest.mark.fault("H15")
@pytest.mark.parametrize(
    "headers",
    [
        {},  # a form of a foreign page cannot send our header
        {**HEADERS, "origin": "https://evil.example"},
        {**HEADERS, "origin": "null"},
        {**HEADERS, "origin": "http://localhost:8443"},
        {**HEADERS, "origin": "https://localhost:8444"},
        {**HEADERS, "sec-fetch-site": "cross-site"},
        {**HEADERS, "sec-fetch-site": "same-site"},
    ],
)
def test_k2_a_foreign_page_changes_nothing(page, headers):
    client = page.client("r")
    url = f"{PREFIX}/recordings/door~day~door-0/protect"
    assert client.post(url, json={"on": True}, headers=headers).status_code == 403
    assert not client.get(f"{PREFIX}/recordings/door~day~door-0").json()["protected"]
    own = {**HEADERS, "origin": "https://localhost:8443", "sec-fetch-site": "same-origin"}
    assert client.post(url, json={"on": True}, headers=own).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:8443", 200), ("LOCALHOST", 200), ("127.0.0.1:8443", 200), ("[::1]:8443", 200),
        ("192.168.1.7", 200), ("cam.example", 200), ("evil.example", 421), ("localhost.evil", 421),
        ("", 421), ("127.0.0.1.evil.example", 421), ("[evil", 421),
    ],
)  # fmt: skip
def test_k2_a_foreign_name_of_this_host_is_refused(memory, host, status):
    client = make_page(memory, names=["cam.example"]).client()
    assert client.get("/", headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "opens"),
    [
        ({"origin": "https://localhost:8443"}, True),
        ({"origin": "https://evil.example"}, False),
        ({}, False),
        ({"origin": "https://localhost:8443", "sec-fetch-site": "cross-site"}, False),
        ({"origin": "https://localhost:8443", "host": "evil.example"}, False),
    ],
)
def test_k2_a_foreign_page_opens_no_live_connection(page, headers, opens):
    from starlette.websockets import WebSocketDisconnect

    client = page.client("a")
    url = "wss://localhost:8443/api/v1/live"
    if opens:
        # The client's end may overtake the app's on a busy machine.
        with (
            contextlib.suppress(CancelledError),
            client.websocket_connect(url, headers=headers) as socket,
        ):
            socket.send_json({"watch": "door"})
            opened = True
        assert opened
        return
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(url, headers=headers):
        pass


@pytest.mark.fault("H16")
def test_k2_forwarded_headers_are_not_believed(page):
    """A lock-out counts the address that connects, whatever the headers say."""
    client = page.client()
    codes = [
        client.post(
            f"{PREFIX}/account/login",
            json={"name": f"user{n}", "password": "no"},
            headers={**HEADERS, "x-forwarded-for": f"10.1.1.{n}", "x-real-ip": f"10.2.2.{n}"},
        ).status_code
        for n in range(25)
    ]
    assert codes == [401] * 20 + [429] * 5


def test_k4_no_secret_in_any_answer(page):
    """Passwords of sources, hashes and secrets of sessions stay inside."""
    client = page.client("r")
    token = page.token("r", role="admin")
    stored = page.site.users.read("SELECT hash FROM user UNION SELECT hash FROM session")
    canaries = ["canary", token, PASSWORD, *(row[0] for row in stored)]
    for route, (_, path, body, _) in ROUTES.items():
        if route in (("POST", "/account/logout"), ("DELETE", "/users/{user}")):
            continue
        whole = PREFIX + path.format(c="door", k=KEYS["door"], s="door~day~door-0")
        answer = client.request(route[0], whole, json=body, headers=HEADERS)
        for canary in canaries:
            assert canary not in answer.text, (route, canary)
            assert canary not in str(answer.headers), (route, canary)


def test_every_answer_has_its_headers(page):
    for path in ("/", "/app.js", f"{PREFIX}/account", f"{PREFIX}/users", "/none"):
        headers = page.client().get(path).headers
        assert headers["content-security-policy"].startswith(
            "default-src 'none'; script-src 'self'"
        )
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert "max-age" in headers["strict-transport-security"]
        assert "server" not in headers


def test_a_body_that_is_too_large_is_refused(page):
    client = page.client("r")
    answer = client.post(f"{PREFIX}/users", content=b"x" * (1 << 21), headers=HEADERS)
    assert answer.status_code == 413
    chunks = (b"x" * 65536 for _ in range(40))
    assert client.post(f"{PREFIX}/users", content=chunks, headers=HEADERS).status_code >= 400


def shape(said):
    """Return what a program relies on: routes, their parameters and answers, fields of objects."""
    routes = {
        f"{method} {path}": [
            sorted(f"{one['in']} {one['name']}" for one in route.get("parameters", [])),
            sorted(route["responses"]),
        ]
        for path, methods in said["paths"].items()
        for method, route in methods.items()
    }
    objects = {
        name: sorted(schema.get("properties", {}))
        for name, schema in said["components"]["schemas"].items()
    }
    return routes, objects


def test_openapi_is_what_is_committed():
    """A change of the API shows in docs/openapi.json, where it is looked at."""
    kept = json.loads((ROOT / "docs" / "openapi.json").read_text())
    assert shape(kept) == shape(openapi()), (
        "the API has changed: python -m perception.web.openapi > docs/openapi.json"
    )


def test_k5_no_request_is_a_bug_of_the_server(page):
    """2,000 requests of every route with values that fit and values that do not: never 5xx."""
    chance = random.Random(5)
    clients = [page.client(name) for name in ("r", "o", "a")] + [page.client()]
    left_out = (("POST", "/account/logout"), ("GET", "/why"))  # the latter starts a process
    routes = [route for route in ROUTES if route not in left_out]
    counts = Counter()
    for _ in range(2000):
        method, path = chance.choice(routes)
        whole = PREFIX + re.sub(r"\{\w+\}", lambda _: quote(odd(chance), safe=""), path)
        names = ("after", "limit", "camera", "from_ms", "to_ms", "at_ms", "words", "tag", "steps")
        query = {name: odd(chance) for name in names if chance.random() < 0.3}
        body = chance.choice([None, odd_json(chance), ROUTES[method, path][2]])
        headers = {**HEADERS, "last-event-id": "x", "range": chance.choice(["bytes=0-", "x"])}
        client = chance.choice(clients)
        answer = client.request(method, whole, params=query, json=body, headers=headers)
        counts[answer.status_code] += 1
        assert answer.status_code < 500, (method, whole, query, body, answer.text)
    assert {200, 401, 403, 404, 422} <= set(counts), counts


def odd(chance):
    """Return text that fits somewhere, or nowhere."""
    return chance.choice([
        "door", "yard", KEYS["door"], "door~day~door-0", "a", "1", "0", "-1", "1e9", str(2**70),
        "", " ", "..", "../..", "%00", "\x00", "\n", "é", "\U0001f600", "'; DROP TABLE user; --",
        "<img src=x onerror=alert(1)>", "x" * 300, "NaN", "null", f"{MS}", f"{MS + 60_000}",
        "person at door after 22:00", "1-" + KEYS["door"], "zones", "lines",
    ])  # fmt: skip


def odd_json(chance, depth=0):
    """Return JSON of any shape."""
    kinds = [
        lambda: odd(chance), lambda: chance.randint(-(2**40), 2**40), lambda: chance.random() * 1e9,
        lambda: None, lambda: chance.random() < 0.5,
    ]  # fmt: skip
    if depth < 3:
        names = ["name", "password", "role", "cameras", "days", "title", "on", "old", "new", "tag"]
        kinds += [
            lambda: [odd_json(chance, depth + 1) for _ in range(chance.randint(0, 3))],
            lambda: {
                name: odd_json(chance, depth + 1) for name in [*names, "points"]
                if chance.random() < 0.6
            },
        ]  # fmt: skip
    return chance.choice(kinds)()
