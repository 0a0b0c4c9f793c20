"""Downlinks over udp, RTP, RTMP, HLS, motion JPEG and stills: real senders, and hostile ones."""

import contextlib
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest
from pydantic import ValidationError

from perception.errors import ConfigError, SourceError, SourceLost
from perception.sources import allocate_new, source_class
from perception.sources.rtp import read_sdp
from perception.sources.spec import parse
from tests.clips import write_clip
from tests.senders import ffmpeg_sends, folder_server, hls_server, picture_server
from tests.servers import free_port

SIZE = (160, 120)


def source(kind, **options):
    cls = source_class(kind)
    return cls(cls.Options.model_validate(options), camera="down")


def frames_of(made, count=3, seconds=15.0):
    """Open a source, again while its sender is not there yet; return its first frames."""
    found, deadline = [], time.monotonic() + seconds
    with closing(made):
        while len(found) < count and time.monotonic() < deadline:
            with contextlib.suppress(SourceLost):
                made.open()
                while len(found) < count and time.monotonic() < deadline:
                    frame = made.read(allocate_new)
                    if frame is not None:
                        found.append(frame)
    return found


@pytest.fixture
def ts(tmp_path):
    return write_clip(tmp_path / "clip.ts", frames=50, size=SIZE)


def udp_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@pytest.mark.parametrize("form", ["udp://127.0.0.1:{}", "udp://@127.0.0.1:{}"])
def test_mpegts_over_udp(ts, form):
    port = udp_port()
    with ffmpeg_sends(ts, "-f", "mpegts", f"udp://127.0.0.1:{port}?pkt_size=1316"):
        kind, options = parse(form.format(port))
        assert kind == "mpegts"
        frames = frames_of(source(kind, **options))
    assert len(frames) == 3
    assert frames[0].image.shape == (120, 160, 3)


def test_mpegts_over_multicast_on_a_chosen_interface(ts):
    port = udp_port()
    group = f"udp://239.255.42.7:{port}"
    with ffmpeg_sends(ts, "-f", "mpegts", f"{group}?pkt_size=1316&localaddr=127.0.0.1&ttl=0"):
        frames = frames_of(source("mpegts", url=group, interface="127.0.0.1"))
    assert len(frames) == 3


@pytest.mark.parametrize("codec", ["h264", "mpegts"])
def test_rtp_on_a_port(ts, codec):
    port, payload = udp_port(), 96 if codec == "h264" else 33
    form = ("-f", "rtp", "-payload_type", "96") if codec == "h264" else ("-f", "rtp_mpegts")
    with ffmpeg_sends(ts, "-bsf:v", "dump_extra", *form, f"rtp://127.0.0.1:{port}"):
        frames = frames_of(source("rtp", port=port, codec=codec, payload=payload))
    assert len(frames) == 3


def test_rtp_by_a_session_description(ts, tmp_path):
    port = udp_port()
    sdp = tmp_path / "down.sdp"
    sdp.write_text(
        f"v=0\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\nm=video {port} RTP/AVP 97\n"
        "a=rtpmap:97 H264/90000\na=fmtp:97 packetization-mode=1\n"
    )
    assert parse(str(sdp)) == ("rtp", {"path": str(sdp)})
    output = ("-bsf:v", "dump_extra", "-f", "rtp", "-payload_type", "97")
    with ffmpeg_sends(ts, *output, f"rtp://127.0.0.1:{port}"):
        assert len(frames_of(source("rtp", path=sdp))) == 3


def test_rtmp_from_an_encoder_that_sends_to_us(ts):
    url = f"rtmp://127.0.0.1:{free_port()}/live/drone"
    with ffmpeg_sends(ts, "-f", "flv", url):
        assert len(frames_of(source("rtmp", url=url, listen=True))) == 3


def test_hls(tmp_path):
    with hls_server(tmp_path / "web") as address:
        kind, options = parse(address)
        assert kind == "hls"
        assert len(frames_of(source(kind, **options))) == 3


def test_motion_jpeg_and_stills():
    with picture_server() as address:
        assert parse(f"{address}/a.mjpg")[0] == "mjpeg"
        assert parse(f"{address}/a.jpg?x=1")[0] == "snapshot"
        assert len(frames_of(source("mjpeg", url=f"{address}/film"))) == 3
        frames = frames_of(source("snapshot", url=f"{address}/still", rate_hz=20))
        assert len(frames) == 3
        assert frames[0].t_media_ns < frames[1].t_media_ns


@pytest.mark.fault("H10")
@pytest.mark.parametrize(
    "line",
    [
        "file:///etc/passwd",
        "file:{}",
        "concat:{}|{}",
        "subfile,,start,0,end,9,,:{}",
        "data:text/x,y",
    ],
)
def test_a_playlist_that_names_a_file_opens_nothing(ts, tmp_path, line):
    web = tmp_path / "web"
    web.mkdir()
    inner = line.replace("{}", str(ts))
    (web / "bad.m3u8").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{inner}\n#EXT-X-ENDLIST\n"
    )
    with folder_server(web) as address:
        made = source("hls", url=f"{address}/bad.m3u8", open_timeout_s=2)
        assert frames_of(made, 1, 3.0) == []


@pytest.mark.fault("H11")
@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("mpegts", "udp://127.0.0.1"),
        ("mpegts", "udp://127.0.0.1:5600?localaddr=1.2.3.4"),
        ("mpegts", "udp://127.0.0.1:5600/../etc"),
        ("rtmp", "rtmp://"),
        ("rtmp", "rtmpe://host/a"),
        ("rtmp", "rtmp://host/a conn=S:x"),
        ("hls", "file:///a.m3u8"),
        ("hls", "rtsp://host/a.m3u8"),
        ("mjpeg", "concat:a|b"),
        ("snapshot", "file:///etc/passwd"),
        ("snapshot", "ftp://host/a.jpg"),
    ],
)
def test_addresses_that_are_refused(kind, url):
    with pytest.raises(ValidationError):
        source(kind, url=url)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no line"),
        ("m=video 5600 RTP/AVP 96\na=rtpmap:96 VP8/90000\n", "VP8"),
        ("m=video 5600 RTP/AVP 96\n", "payload 96"),
        ("m=video 99999 RTP/AVP 33\n", "port 99999"),
        ("c=IN IP4 999.1.1.1\nm=video 5600 RTP/AVP 33\n", "expected an address"),
        ("x" * 20_000, "larger than"),
    ],
)
def test_a_session_description_that_says_nothing_of_use(tmp_path, text, why):
    path = tmp_path / "a.sdp"
    path.write_text(text)
    with pytest.raises(SourceError, match=why):
        read_sdp(path)


def test_only_checked_values_of_a_session_description_go_on(tmp_path):
    path = tmp_path / "a.sdp"
    path.write_text(
        "c=IN IP4 127.0.0.1\nm=video 5600 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
        "a=control:file:///etc/passwd\na=fmtp:96 profile-level-id=42e01f;\x00evil\n"
    )
    text = read_sdp(path).text().decode()
    assert "passwd" not in text
    assert "evil" not in text
    assert "m=video 5600 RTP/AVP 96" in text


def test_a_still_address_that_gives_none_says_why():
    with picture_server() as address:
        for path, why in (("/page", "no picture"), ("/away", "HTTP 302")):
            made = source("snapshot", url=address + path, rate_hz=20, read_timeout_s=0.3)
            with closing(made), pytest.raises(SourceLost, match=why):
                made.open()


def test_what_cannot_be_opened_says_how_to_go_on():
    with pytest.raises(ConfigError, match="relay it: ffmpeg"):
        parse("srt://host:1234")
    with pytest.raises(ConfigError, match="type: rtp"):
        parse("rtp://host:1234")
    assert parse(str(Path("x/down.sdp"))) == ("rtp", {"path": "x/down.sdp"})
