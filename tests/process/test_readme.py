"""The README's code examples, run as they stand against real lines."""

import re
import signal
import subprocess
import sys

import numpy as np
import pytest
import yaml

from perception.recording.video import VideoWriter
from tests.line import BACK_S, ROOT, SLOW, environment, running

README = (ROOT / "README.md").read_text()
TRACKS, PUSH = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
LINES = 10


def first_lines(code, folder, count):
    """Run code as a user's program, press Ctrl-C after `count` lines; return them and the rest."""
    file = folder / "mine.py"
    file.write_text(code)
    with subprocess.Popen(
        [sys.executable, "-u", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        cwd=folder,
    ) as process:
        try:
            said = [process.stdout.readline() for _ in range(count)]
            process.send_signal(signal.SIGINT)
            return said, process.communicate(timeout=BACK_S)[0]
        finally:
            process.kill()


@pytest.mark.timeout(120 * SLOW)
def test_tracks_with_their_age(tmp_path):
    source = {"type": "synthetic", "width": 320, "height": 240, "fps": 12, "seed": 1}
    launch = {"name": "demo", "cameras": {"market": {"source": source}}}
    with running(tmp_path, launch) as line:
        line.wait_ready()
        code = TRACKS.replace('"demo"', repr(line.name))
        said, rest = first_lines(code, tmp_path, LINES)
        assert any(re.match(r"\d+ tracks, \d+ ms after the frame arrived", text) for text in said)
        assert any("px/s" in text for text in said), said
        assert "Traceback" not in rest, "Ctrl-C ends it quietly"
        loud = code.replace("suppress(KeyboardInterrupt)", "nullcontext()")
        _, rest = first_lines(loud, tmp_path, 1)
        assert rest.endswith("\nKeyboardInterrupt\n"), "who does not catch it is not robbed of it"
        assert "zmq" not in rest
        assert line.stop() == 0


@pytest.mark.timeout(120 * SLOW)
def test_frames_in_and_answers_out(tmp_path):
    launch = yaml.safe_load((ROOT / "launch/vehicle.yaml").read_text())
    cameras = {"ahead": {"source": launch["cameras"]["ahead"]["source"]}}
    with running(tmp_path, {"name": "vehicle", "cameras": cameras}) as line:
        line.wait_ready()
        with VideoWriter(tmp_path / "mine.mp4", preset="ultrafast") as clip:
            for n in range(3000):
                picture = np.zeros((240, 320, 3), np.uint8)
                picture[60:160, 40 + n // 20 : 100 + n // 20] = (255, 80, 40)
                clip.add(picture, n * 10_000_000)
        code = PUSH.replace('"vehicle"', repr(line.name))
        code = code.replace("VideoCapture(0)", "VideoCapture('mine.mp4')")
        said, rest = first_lines(code, tmp_path, LINES)
        assert any(re.match(r"\['\w+ (inf|[\d.]+) s'", text) for text in said), said
        assert "Traceback" not in rest, "Ctrl-C ends it quietly"
        assert not [path for path in line.rings() if "-push-" in path.name], "and tidily"
        assert line.stop() == 0


def test_a_camera_that_is_not_there_is_one_line(tmp_path):
    code = PUSH.replace("VideoCapture(0)", "VideoCapture('none.mp4')")
    assert first_lines(code, tmp_path, 1)[0] == ["camera 0 cannot be opened\n"]
