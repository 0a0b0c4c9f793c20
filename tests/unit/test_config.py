import re
import time
from pathlib import Path

import jsonschema
import pytest
import yaml

from perception.errors import ConfigError
from perception.launchfile import config
from perception.launchfile import resolve as resolving
from perception.launchfile.document import parse as parse_text
from perception.launchfile.json_schema import launch_schema
from perception.launchfile.resolve import resolve
from perception.sinks import sink_class

ROOT = Path(__file__).parents[2]
GOOD = """\
name: demo
cameras:
  front:
    source: video.mp4
    detect: {rate_hz: 5}
    zones: {path: [[0, 0], [1, 0], [1, 1]]}
"""


def parse(text):
    document = parse_text(text, "a.yaml")
    return document.validate(config.Launch, document.data)


def test_a_small_file_is_enough():
    launch = parse("cameras: {front: {source: 0}}")
    assert launch.cameras["front"].source == 0
    assert launch.cameras["front"].keep_s == 0.7
    assert launch.detectors == {"default": {}}


def test_detect_auto_is_a_mode():
    launch = parse("cameras: {front: {source: 0, detect: auto}}")
    assert launch.cameras["front"].detect.mode == "auto"
    with pytest.raises(ConfigError, match="expected auto, or a mapping"):
        parse("cameras: {front: {source: 0, detect: always}}")


@pytest.mark.parametrize(
    ("detect", "detectors", "words"),
    [
        ("{mode: auto, detectors: [default, m]}", "{default: {}, m: {type: motion}}", "takes one"),
        ("{mode: auto, detector: m}", "{m: {type: motion}}", "type onnx, m is motion"),
    ],
)
def test_auto_needs_one_network(detect, detectors, words):
    text = f"cameras: {{a: {{source: push, detect: {detect}}}}}\ndetectors: {detectors}"
    document = parse_text(text, "a.yaml")
    with pytest.raises(ConfigError, match=words):
        resolve(document.validate(config.Launch, document.data), document)


def test_name_is_the_stem(tmp_path):
    file = tmp_path / "my door.yaml"
    file.write_text("cameras: {front: {source: 0}}")
    assert config.load(file)[0].name == "my-door"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("source:", "sorce:", 4, ["sorce", "did you mean 'source'"]),
        ("rate_hz: 5", "rate_hz: -5", 5, ["cameras.front.detect.rate_hz", "greater than 0", "-5"]),
        ("rate_hz: 5", "rate: 5", 5, ["rate", "did you mean 'rate_hz'", "detector"]),
        ("rate_hz: 5", "mode: automatic", 5, ["mode", "every", "auto"]),
        ("rate_hz: 5", "sweep_s: 5", None, ["sweep_s belongs to `mode: auto`"]),
        ("  front:", "  front door:", 3, ["front door"]),
        ("cameras:", "camera:", 2, ["did you mean 'cameras'"]),
        ("name: demo", "name: [1, 2]", 1, ["name"]),
        ("name: demo", "name: ${NOT_SET_ANYWHERE}", 1, ["NOT_SET_ANYWHERE"]),
        ("name: demo", "name: &a demo\nmetrics: *a", 2, ["aliases"]),
        ("name: demo", "name: !!python/object:os.system demo", 1, ["not YAML"]),
        ("name: demo", "name: 'demo", None, ["not YAML"]),
        ("name: demo", "x: " + "[" * 50_000, 1, ["deeper"]),
    ],
)
@pytest.mark.fault("H12")
def test_mistakes_are_named_with_file_line_and_key(old, new, line, words):
    start = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        parse(GOOD.replace(old, new, 1))
    text = str(caught.value)
    assert text.startswith("a.yaml")
    for word in words:
        assert word in text
    if line is not None:
        assert caught.value.line == line
    assert time.monotonic() - start < 1


def test_two_cameras_with_one_name():
    with pytest.raises(ConfigError, match="twice") as caught:
        parse(GOOD + "  front:\n    source: 1\n")
    assert caught.value.line == 7
    assert caught.value.key == "cameras.front"


@pytest.mark.parametrize("text", ["", "[]", "3", "cameras: {}", "cameras:", "\x00"])
def test_nothing_useful_is_refused(text):
    with pytest.raises(ConfigError):
        parse(text)


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('{type: webhook, url: "htps://host/${DOOR_TOKEN}"}', "not 'htps://host/${DOOR_TOKEN}'"),
        ('{type: webhook, url: "https://host/", secret: hush12}', "at least 8 characters"),
        ("{type: webhook, url: 'https://host/', secret: '${DOOR_TOKEN}'}", "at least 8"),
    ],
)
def test_what_is_wrong_with_a_secret_is_told_without_it(monkeypatch, line, shown):
    monkeypatch.setenv("DOOR_TOKEN", "hush12")
    document = parse_text(f"cameras: {{}}\nsinks:\n  hook: {line}\n", "door.yaml")
    options = {k: v for k, v in document.data["sinks"]["hook"].items() if k != "type"}
    with pytest.raises(ConfigError) as caught:
        document.validate(sink_class("webhook").Options, options, ("sinks", "hook"))
    assert shown in str(caught.value)
    assert "hush12" not in str(caught.value)


@pytest.mark.parametrize("source", ["{}", "{{url: '{}'}}", "{{type: rtsp, url: '{}'}}"])
@pytest.mark.parametrize("password", ["${DOOR_PASSWORD}", "hush12"])
def test_nor_is_the_password_of_a_camera(monkeypatch, tmp_path, source, password):
    monkeypatch.setenv("DOOR_PASSWORD", "hush12")
    file = tmp_path / "door.yaml"
    given = source.format(f"rtsp://me:{password}@host:port/1")
    file.write_text(f"cameras:\n  front:\n    source: {given}\nidentity:\n  key: 121212\n")
    with pytest.raises(ConfigError, match="key: ") as caught:
        config.load(file)
    assert "121212" not in str(caught.value)
    file.write_text(file.read_text().replace("121212", "a key"))
    with pytest.raises(ConfigError, match="not an URL") as caught:
        resolving.resolve(*config.load(file))
    assert "hush12" not in str(caught.value)


def test_secrets_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("DOOR_PASSWORD", "p@ss")
    launch = parse("cameras: {front: {source: 'rtsp://me:${DOOR_PASSWORD}@host/1'}}")
    assert launch.cameras["front"].source == "rtsp://me:p@ss@host/1"


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: " + b"x" * (2 << 20)])
@pytest.mark.fault("H12")
def test_files_that_are_no_text_or_too_large(tmp_path, content):
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        config.load(file)


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        config.load(tmp_path / "none.yaml")


def test_keys_are_names_as_they_are_written(tmp_path):
    launch = parse("cameras: {yes: {source: 0}, 7: {source: 1}, null: {source: 2}}")
    assert list(launch.cameras) == ["yes", "7", "null"]
    with pytest.raises(ConfigError, match=r"^a.yaml:2: cameras.no.sorce: "):
        parse("cameras:\n  no: {sorce: 0}")


def test_a_refused_name_is_told_in_words():
    with pytest.raises(ConfigError) as caught:
        parse("cameras:\n  Haustür: {source: 0}")
    assert "expected a name of letters" in str(caught.value)
    assert "[A-Za-z0-9]" not in str(caught.value)
    assert str(caught.value).startswith("a.yaml:2: cameras.Haustür: ")


def test_a_tilde_is_the_home_in_every_path(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    launch = parse(
        "cameras: {a: {source: ~/clip.mp4}}\noutput: {folder: ~/out}\n"
        "alerts: {store: ~/alerts.sqlite}\nidentity: {gallery: ~/faces}"
    )
    assert launch.folder == tmp_path / "out"
    assert launch.store == tmp_path / "alerts.sqlite"
    assert launch.identity is not None
    assert launch.identity.gallery == tmp_path / "faces"


@pytest.mark.parametrize("file", sorted((ROOT / "launch").glob("*.yaml")), ids=lambda f: f.stem)
def test_launch_files_fit_the_schema_that_editors_get(file):
    checker = jsonschema.Draft202012Validator(launch_schema())
    assert list(checker.iter_errors(yaml.safe_load(file.read_text()))) == []
    short = {"cameras": {"a": {"source": 0, "detect": "auto"}}}
    assert list(checker.iter_errors(short)) == []


@pytest.mark.parametrize(
    ("web", "words"),
    [
        ("{host: 192.168.1.2, http: true}", "host 192.168.1.2: plain http is served on loopback"),
        ("{http: true, proxy: true}", "http and proxy: take one"),
        ("{certificate: a.pem}", "certificate and key belong together"),
        ("{http: true, certificate: a.pem, key: b.pem}", "a certificate belongs to TLS"),
        ("{prt: 80}", "did you mean 'port'"),
        ("{port: 0}", "greater than or equal to 1"),
    ],
)
def test_a_page_that_would_be_open_to_others_is_refused(web, words):
    with pytest.raises(ConfigError, match=re.escape(words)) as refused:
        config.load_text(f"cameras: {{door: {{source: push}}}}\nweb: {web}\n", "a.yaml")
    assert refused.value.line == 2


def test_a_page_without_its_packages_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs fastapi: pip install 'perception-line\[web\]'"):
        config.load_text("cameras: {door: {source: push}}\nweb: {}\n", "a.yaml")
