"""The shorthand of `source:` in a launch file, and passwords that are not to be seen."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from perception.errors import ConfigError
from perception.sources import source_class
from perception.sources.spec import parse
from perception.sources.urls import redact


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("rtsp://cam/1", ("rtsp", {"url": "rtsp://cam/1"})),
        ("RTSPS://cam/1", ("rtsp", {"url": "RTSPS://cam/1"})),
        ("tcp://10.0.0.1:5000", ("mpegts", {"url": "tcp://10.0.0.1:5000"})),
        ("https://host/a.ts", ("mpegts", {"url": "https://host/a.ts"})),
        (0, ("webcam", {"device": 0})),
        ("2", ("webcam", {"device": 2})),
        ("/dev/video1", ("webcam", {"device": "/dev/video1"})),
        ("clip.mp4", ("video", {"path": "clip.mp4"})),
        (Path("a/clip.mkv"), ("video", {"path": "a/clip.mkv"})),
        ("stills/", ("images", {"path": "stills/"})),
        ("stills/*.jpg", ("images", {"path": "stills/*.jpg"})),
        ("one.PNG", ("images", {"path": "one.PNG"})),
        ("push", ("push", {})),
        ("synthetic", ("synthetic", {})),
        ({"type": "synthetic", "seed": 3}, ("synthetic", {"seed": 3})),
        ({"type": "video", "path": "x.ts"}, ("video", {"path": "x.ts"})),
        ({"url": "rtsp://cam", "transport": "udp"},
         ("rtsp", {"url": "rtsp://cam", "transport": "udp"})),
        ({"path": "clip.avi", "fps": 7}, ("video", {"path": "clip.avi", "fps": 7})),
        ({"path": "*.tif"}, ("images", {"path": "*.tif"})),
        ({"device": 1, "width": 640}, ("webcam", {"device": 1, "width": 640})),
    ],
)  # fmt: skip
def test_shorthand(spec: Any, expected: tuple[str, dict[str, Any]]) -> None:
    assert parse(spec) == expected


def test_a_folder_is_images(tmp_path: Path) -> None:
    assert parse(str(tmp_path)) == ("images", {"path": str(tmp_path)})


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("srt://host:1234", "relay it"),
        ("file:///etc/passwd", "expected one of rtsp"),
        ("exec://rm", "expected one of rtsp"),
        ("/dev/sda", "no source"),
        ("", "no source"),
        (None, "no source"),
        (True, "no source"),
        (1.5, "no source"),
        ([], "no source"),
        ({}, "needs one of"),
        ({"url": "rtsp://a", "path": "b"}, "needs one of"),
        ({"url": 5}, "expected text"),
        ({"type": "rttsp", "url": "rtsp://a"}, "did you mean 'rtsp'"),
        ({"type": 5}, "not one of the sources"),
    ],
)
def test_what_fits_nothing_is_refused(spec: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse(spec)


def test_a_mapping_is_not_changed() -> None:
    spec = {"type": "synthetic", "seed": 1}
    parse(spec)
    assert spec == {"type": "synthetic", "seed": 1}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:s3cret@cam/1", "rtsp://user:***@cam/1"),
        ("rtsp://user:s3@cr/et@cam:554/1", "rtsp://user:***@cam:554/1"),
        ("rtsp://:s3cret@cam", "rtsp://:***@cam"),
        ("http://cam/a?user=me&password=s3cret&w=1", "http://cam/a?user=me&password=***&w=1"),
        ("http://cam/a?Token=s3cret", "http://cam/a?Token=***"),
        ("rtsp://cam:554/live", "rtsp://cam:554/live"),
        ("open 'rtsp://a:s3cret@b/c': no", "open 'rtsp://a:***@b/c': no"),
        ("no url at all", "no url at all"),
    ],
)
def test_redact(text: str, shown: str) -> None:
    assert redact(text) == shown


@given(st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1).map(lambda t: f"Zq{t}qZ"))
@pytest.mark.fault("H11")
def test_no_password_survives(password: str) -> None:
    assert password not in redact(f"rtsp://user:{password}@host/path")


@pytest.mark.parametrize("kind", ["rtsp", "mpegts"])
@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "udp://1.2.3.4", "concat:a|b", "rtsp://", "tcp://host",
        "tcp://host:1?listen=1", "tcp://host:99999", "rtsp://user:s3cret@host/a b",
        "rtsp://user:s3cret@host/a\nb", "rtsp://user:s3cret@[::1/a", "-i", "",
        "ftp://user:s3cret@host",
    ],
)  # fmt: skip
@pytest.mark.fault("H11")
def test_urls_that_are_refused(kind: str, url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        source_class(kind).Options.model_validate({"url": url})
    assert "s3cret" not in str(caught.value)


def test_options_do_not_show_the_url() -> None:
    options = source_class("rtsp").Options.model_validate({"url": "rtsp://user:s3cret@host/a"})
    assert "s3cret" not in f"{options!r}{options}"


def test_a_tilde_is_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "stills").mkdir()
    assert parse("~/clip.mp4") == ("video", {"path": str(tmp_path / "clip.mp4")})
    assert parse("~/stills") == ("images", {"path": str(tmp_path / "stills")})
    for kind in ("video", "images"):
        options = source_class(kind).Options.model_validate({"path": "~/x"})
        assert options.path == tmp_path / "x"


@pytest.mark.parametrize(
    ("password", "says"),
    [
        ("p#ss", ["'#' as %23"]),
        ("p/ss", ["'/' as %2F"]),
        ("p?ss", ["'?' as %3F"]),
        ("p#s@s/", ["'#' as %23", "'@' as %40", "'/' as %2F"]),
        ("p[ss", ["'[' as %5B"]),
    ],
)
def test_a_password_that_needs_escapes_says_which(password: str, says: list[str]) -> None:
    options = source_class("rtsp").Options
    with pytest.raises(ValidationError) as caught:
        options.model_validate({"url": f"rtsp://me:{password}@cam/1"})
    text = str(caught.value)
    assert all(part in text for part in says), text
    assert password not in text
    options.model_validate({"url": "rtsp://me:p%23ss@cam:554/1?user=a@b#c"})
