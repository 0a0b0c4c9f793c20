"""K4: no secret of a running line in what it answers, logs, measures or shows in `ps`."""

import json
import re
import subprocess
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from perception.web.app import describe
from tests.line import INSIDE, SLOW, perception_says, running, synthetic, wait_until
from tests.page import PASSWORD
from tests.servers import free_port

CANARIES = ("canary-rtsp", "canary-hook", "canary-sign", "canary-mqtt")
STREAMS = ("/events", "live.ts")
QUERY = "camera=away&at_ms=1&from_ms=1&to_ms=2&words=car&lines=1000"


@pytest.mark.timeout(240)
def test_k4_no_secret_in_answers_logs_metrics_and_ps(home: Path) -> None:
    """Secrets: passwords of a camera and of sinks (all of them refused), of a user, a session."""
    port, metrics, dead = free_port(), free_port(), free_port()
    launch = {
        "cameras": {
            "front": {**synthetic(), **INSIDE},
            "away": {"source": f"rtsp://me:canary-rtsp@127.0.0.1:{dead}/1"},
        },
        "alerts": {
            "sinks": {
                "jsonl": {}, "snapshot": {},
                "hook": {
                    "type": "webhook", "url": f"http://me:canary-hook@127.0.0.1:{dead}/x",
                    "secret": "canary-sign",
                },
                "broker": {
                    "type": "mqtt", "host": "127.0.0.1", "port": dead, "username": "me",
                    "password": "canary-mqtt",
                },
            }
        },
        "metrics": {"port": metrics},
        "web": {"http": True, "port": port, "folder": str(home / "users")},
    }  # fmt: skip
    seen: dict[str, str] = {}
    with running(home, launch) as line:
        line.wait_ready("web", "alert")
        for name in CANARIES:
            assert name in line.file.read_text(), "the line has the secrets"
        perception_says(
            "users", "add", "anna", "--role", "admin", "--launch", line.file, typed=f"{PASSWORD}\n"
        )
        address = f"http://127.0.0.1:{port}"
        login = Request(
            f"{address}/api/v1/account/login",
            json.dumps({"name": "anna", "password": PASSWORD}).encode(),
            {"x-perception": "1", "content-type": "application/json"},
        )
        with urlopen(login, timeout=20 * SLOW) as answer:
            seen["login"] = answer.read().decode()
            cookie = answer.headers["set-cookie"].split(";")[0]

        def asked(path: str, base: str = address) -> str:
            try:
                with urlopen(Request(base + path, headers={"cookie": cookie}), timeout=60) as got:
                    return f"{got.headers}{got.read().decode('latin-1')}"
            except HTTPError as error:
                return f"{error.headers}{error.read().decode('latin-1')}"

        def failed() -> bool:
            said = perception_says("alerts", "list", "--json", "--launch", line.file).stdout
            seen["alerts list"] = said
            rows = [json.loads(row) for row in said.splitlines()]
            return any({"hook", "broker"} <= row["reasons"].keys() for row in rows)

        wait_until(failed, 60 * SLOW, "both sinks have refused an alert")
        key = json.loads(seen["alerts list"].splitlines()[0])["alert"]["key"]
        values = {"key": key, "camera": "away", "segment": "away~x", "kind": "zones"}
        for path, methods in describe().openapi()["paths"].items():
            if "get" not in methods or path.endswith(STREAMS):
                continue
            whole = re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)
            seen[path] = asked(f"{whole}?{QUERY}")
        assert "away" in seen["/api/v1/cameras"]
        assert "hook" in seen["/api/v1/system/log"]
        seen["metrics"] = asked("/metrics", f"http://127.0.0.1:{metrics}")
        assert "perception" in seen["metrics"]
        seen["ps"] = subprocess.run(
            ["ps", "-eo", "args", "-ww"], capture_output=True, text=True
        ).stdout
        assert "perception" in seen["ps"]
        seen["top"] = perception_says("top", "--once", line.name).stdout
    seen["says"] = line.says
    for file in line.folder.glob("*.json*"):
        seen[file.name] = file.read_text()
    assert seen["log.jsonl"]
    for where, text in seen.items():
        for canary in (*CANARIES, PASSWORD, cookie.partition("=")[2]):
            assert canary not in text, (where, canary)
