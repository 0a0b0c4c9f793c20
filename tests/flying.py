"""A drone that flies now: MPEG-TS over udp and MAVLink packets of pymavlink, both on loopback.

What it films: red squares that stand on flat ground, seen from 100 m while it flies east.
"""

import contextlib
import math
import socket
import threading
import time
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
import pymap3d
from pymavlink.dialects.v20 import ardupilotmega

from tests.flight import pixel_of

SIZE, HFOV, FPS = (640, 480), 60.0, 10
HOME, GROUND_M, ABOVE_M, SPEED_M_S = (46.51, 6.62), 400.0, 100.0, 4.0
YAW, PITCH = 30.0, -60.0
TURN_S = 10.0
"""It flies so long east, then as long back."""
TARGETS = [
    (*pymap3d.enu2geodetic(e, n, GROUND_M, *HOME, 0.0)[:2], GROUND_M)
    for e, n in ((30.0, 50.0), (50.0, 60.0), (38.0, 72.0))
]


def free_port(kind: int = socket.SOCK_DGRAM) -> int:
    """Return a port of this host that nobody listens on now."""
    with socket.socket(socket.AF_INET, kind) as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class Drone(threading.Thread):
    """Sends a frame and its telemetry each 1 / FPS s. speaks: whether there is telemetry.

    klv: makes a KLV packet of (lat, lon, msl) for the transport stream; None: none is in it.
    """

    def __init__(self, video_port: int, mavlink_port: int | None, klv=None) -> None:
        super().__init__(name="drone", daemon=True)
        self._video, self._mavlink, self._klv = video_port, mavlink_port, klv
        self.speaks, self.frames = True, 0
        self.over = threading.Event()

    def run(self) -> None:
        box = av.open(f"udp://127.0.0.1:{self._video}?pkt_size=1316", "w", format="mpegts")
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(FPS)}
        film = box.add_stream("libx264", rate=FPS, options=options)
        film.width, film.height, film.pix_fmt = *SIZE, "yuv420p"
        data = box.add_data_stream("klv") if self._klv is not None else None
        begin = time.monotonic()
        grain = np.random.default_rng(1).integers(0, 30, (SIZE[1], SIZE[0], 1))
        with box, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not self.over.is_set():
                eye = self._eye(self.frames / FPS)
                if self.speaks and self._mavlink is not None:
                    for packet in self._said(eye):
                        sender.sendto(packet, ("127.0.0.1", self._mavlink))
                frame = av.VideoFrame.from_ndarray(picture(eye, grain), format="bgr24")
                frame.pts, frame.time_base = self.frames, Fraction(1, FPS)
                for made in film.encode(frame):
                    box.mux(made)
                if data is not None and self.speaks:
                    said = av.Packet(self._klv(*eye))
                    said.stream, said.time_base = data, Fraction(1, 90_000)
                    said.pts = said.dts = round(self.frames * 90_000 / FPS)
                    box.mux(said)
                self.frames += 1
                self.over.wait(max(0.0, begin + self.frames / FPS - time.monotonic()))

    def _eye(self, t_s: float) -> tuple[float, float, float]:
        along = t_s % (2 * TURN_S)
        east = SPEED_M_S * min(along, 2 * TURN_S - along)
        lat, lon, _ = pymap3d.enu2geodetic(east, 0.0, GROUND_M, *HOME, 0.0)
        return lat, lon, GROUND_M + ABOVE_M

    def _said(self, eye: tuple[float, float, float]) -> Iterator[bytes]:
        m, ms = ardupilotmega, round(self.frames * 1000 / FPS)
        made = m.MAVLink(None, srcSystem=1, srcComponent=1)
        y, p = math.radians(YAW) / 2, math.radians(PITCH) / 2
        q = [  # yaw, then pitch, from north and level
            math.cos(y) * math.cos(p), -math.sin(y) * math.sin(p),
            math.cos(y) * math.sin(p), math.sin(y) * math.cos(p),
        ]  # fmt: skip
        earth = 64
        messages = [
            m.MAVLink_heartbeat_message(2, 3, 0, 0, 4, 3),
            m.MAVLink_attitude_message(ms, 0.0, 0.05, math.radians(90.0), 0, 0, 0),
            m.MAVLink_gimbal_device_attitude_status_message(0, 0, ms, earth, q, 0, 0, 0, 0),
            m.MAVLink_camera_fov_status_message(
                ms, 0, 0, 0, 0, 0, 0, [1, 0, 0, 0], HFOV, 47.0
            ),
            m.MAVLink_global_position_int_message(
                ms, round(eye[0] * 1e7), round(eye[1] * 1e7), round(eye[2] * 1e3),
                round(ABOVE_M * 1e3), 0, round(SPEED_M_S * 100), 0, 9000,
            ),
        ]  # fmt: skip
        return (message.pack(made) for message in messages)


def picture(eye: tuple[float, float, float], grain: np.ndarray) -> np.ndarray:
    """Return uint8 (H, W, 3) BGR of what is seen from eye: grey ground, red squares."""
    image = np.full((SIZE[1], SIZE[0], 3), 100, np.uint8)
    image += grain.astype(np.uint8)
    focal = SIZE[0] / 2 / np.tan(np.radians(HFOV / 2))
    for place in TARGETS:
        point = pixel_of(place, eye, (YAW, PITCH, 0.0), focal, SIZE)
        if point is not None and (point > 16).all() and (point < np.array(SIZE) - 16).all():
            x, y = point.round().astype(int)
            image[y - 9 : y + 9, x - 9 : x + 9] = (20, 20, 230)
    return image


@contextlib.contextmanager
def flying(video_port: int, mavlink_port: int | None, klv=None) -> Iterator[Drone]:
    """Yield a drone that sends until the block ends."""
    drone = Drone(video_port, mavlink_port, klv)
    drone.start()
    try:
        yield drone
    finally:
        drone.over.set()
        drone.join(10)
