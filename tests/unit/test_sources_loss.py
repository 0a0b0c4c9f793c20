"""A downlink that drops, delays, reorders and goes dark: MPEG-TS over udp through a relay."""

import contextlib
import time
from contextlib import closing

import av
import cv2
import numpy as np
import pytest

from perception import clock
from perception.errors import SourceLost
from perception.sources import allocate_new, source_class
from perception.sources.damage import MAX_CARRIED_NS, DamageWatch
from tests.downlink import Link, downlink
from tests.servers import free_port

FPS, KEY_S, FRAMES = 30, 1.0, 90


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Return a clip of 3 s, 720p30: a texture that drifts, a key picture a second."""
    path = tmp_path_factory.mktemp("loss") / "clip.mp4"
    rng = np.random.default_rng(3)
    ground = cv2.resize(rng.integers(0, 255, (20, 36, 3), np.uint8), (1440, 800))
    with av.open(str(path), "w") as out:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": "30"}
        stream = out.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        stream.bit_rate = 4_000_000
        for n in range(FRAMES):
            picture = np.ascontiguousarray(ground[n // 2 : n // 2 + 720, n : n + 1280])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        out.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def sent(clip):
    """Return what was sent, small: int16 (FRAMES, 45, 80)."""
    with av.open(str(clip)) as file:
        return np.array([small(f.to_ndarray(format="bgr24")) for f in file.decode(video=0)])


def small(image):
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return cv2.resize(grey, (320, 180))[::4, ::4].astype(np.int16)


def watch(clip, link, seconds, sent=None):
    """Return (arrival ns, age ms, damage, level by which it differs from all that was sent)."""
    port = free_port()
    cls = source_class("mpegts")
    options = cls.Options.model_validate({"url": f"udp://127.0.0.1:{port}", "read_timeout_s": 5})
    rows, made = [], cls(options, camera="down")
    with downlink(clip, port, link), closing(made):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(SourceLost):
                made.open()
                while time.monotonic() < deadline:
                    frame = made.read(allocate_new)
                    if frame is None:
                        continue
                    age = (clock.monotonic_ns() - frame.t_arrival_ns) / 1e6
                    off = 0
                    if sent is not None:
                        off = int(np.abs(sent - small(frame.image)).max(axis=(1, 2)).min())
                    rows.append((frame.t_arrival_ns, age, frame.damage, off))
    return rows, made.counters


@pytest.mark.parametrize(
    "link",
    [Link(drop=0.01), Link(drop=0.05), Link(reorder=0.02), Link(jitter_s=0.1)],
    ids=["1 %", "5 %", "reordered", "jitter"],
)
def test_no_picture_that_differs_is_called_whole(clip, sent, link):
    rows, counters = watch(clip, link, 6.0, sent)
    whole = [row for row in rows if row[2] == "none"]
    assert len(rows) > 60
    assert max((row[3] for row in whole), default=0) <= 25, "grey levels of 255"
    damaged = counters["frames_corrupt"] + counters["frames_smeared"]
    if not link.jitter_s:
        assert damaged > 0
        assert max(row[3] for row in rows) > 25, "the loss was seen at all"


def test_the_age_at_one_percent(clip):
    rows, _ = watch(clip, Link(drop=0.01), 6.0)
    assert np.percentile([row[1] for row in rows], 95) <= 250


def test_the_picture_is_back_within_a_key_interval_after_the_dark(clip, sent):
    link = Link(dark=(3.0, 5.0))
    rows, _ = watch(clip, link, 8.0, sent)
    assert link.light_again_ns
    back = [t for t, _, damage, off in rows if t > link.light_again_ns and damage == "none"]
    assert back
    assert (back[0] - link.light_again_ns) / 1e9 <= KEY_S + 0.25
    assert any(t < link.light_again_ns - 2.1e9 for t, *_ in rows)


def test_thirty_seconds_of_twenty_percent(clip):
    rows, counters = watch(clip, Link(drop=0.2), 30.0)
    assert len(rows) > 150
    assert counters["frames_corrupt"] > 50
    assert counters["threads_abandoned"] == 0


def test_what_a_loss_damages():
    damage = DamageWatch()
    assert damage.of(False, True, 0) == "none"
    assert damage.of(True, False, 1) == "direct"
    assert damage.of(False, False, 2) == "carried"
    assert damage.of(True, True, 3) == "direct", "a key picture with a hole heals nothing"
    assert damage.of(False, False, 4) == "carried"
    assert damage.of(False, True, 5) == "none"
    damage.lost(6)
    assert damage.of(False, False, 7) == "carried"
    assert damage.of(False, False, 8 + MAX_CARRIED_NS) == "none", "intra refresh has no key picture"
