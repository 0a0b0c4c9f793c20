"""`perception demo drone`: simulates a flight, analyses it, writes a map, compares it with truth.

Command line only.
"""

import csv
import math
from fractions import Fraction
from pathlib import Path

import av

from perception.commands.console import console, steps
from perception.commands.start import launch_file, run_analysis
from perception.errors import EXIT_DONE
from perception.geo import simulator
from perception.recording.geojson import load_targets

SECONDS, FPS, SIZE = 16.0, 15, (1280, 720)


def run(output: Path) -> int:
    """Write a clip and its log to `output` and analyse them. Return the exit code."""
    screen, clip = console(), output / "flight.mp4"
    output.mkdir(parents=True, exist_ok=True)
    truth = _film(clip)
    code = run_analysis([clip], launch_file("demo-drone.yaml"), output, jobs=1, video=True)
    if code == EXIT_DONE:
        folder = output / "flight"
        found = load_targets(folder / "map-flight.geojson")
        inside = [_is_near(target, truth) for target in found]
        screen.print(
            f"{len(found)} targets on the map; in the 95 % ellipse of {sum(inside)} there was a car"
        )
        screen.print(f"open {folder}/map.html in a browser")
    return code


def _film(clip: Path) -> dict[float, list[tuple[float, float]]]:
    """Write the clip and its CSV log. Return the positions of the cars by time, s."""
    truth: dict[float, list[tuple[float, float]]] = {}
    with (
        steps() as bars,
        av.open(str(clip), "w") as box,
        clip.with_suffix(".csv").open("w", newline="") as text,
    ):
        task = bars.add_task("simulating a flight", total=round(SECONDS * FPS))
        film = box.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "20"})
        film.width, film.height, film.pix_fmt = *SIZE, "yuv420p"
        log: csv.DictWriter[str] | None = None
        for n, shot in enumerate(simulator.fly(SECONDS, FPS, SIZE)):
            if log is None:
                log = csv.DictWriter(text, list(shot.log))
                log.writeheader()
            log.writerow({key: f"{value:.8f}" for key, value in shot.log.items()})
            frame = av.VideoFrame.from_ndarray(shot.image, format="bgr24")
            frame.pts, frame.time_base = n, Fraction(1, FPS)
            box.mux(film.encode(frame))
            truth[round(shot.t_s, 2)] = shot.cars
            bars.update(task, completed=n + 1)
        box.mux(film.encode())
    return truth


def _is_near(target: dict[str, float], truth: dict[float, list[tuple[float, float]]]) -> bool:
    """Return whether a car was in the 95 % ellipse of a target's last position."""
    at = min(truth, key=lambda t_s: abs(t_s - target["last_s"]))
    turn = math.radians(target["ellipse_bearing_deg"])
    for lat, lon in truth[at]:
        north = (lat - target["lat"]) * 111_162.0
        east = (lon - target["lon"]) * 111_320.0 * math.cos(math.radians(lat)) * 1.00353
        along = east * math.sin(turn) + north * math.cos(turn)
        across = -east * math.cos(turn) + north * math.sin(turn)
        a, b = max(target["ellipse_major_m"], 0.1), max(target["ellipse_minor_m"], 0.1)
        if (along / a) ** 2 + (across / b) ** 2 <= 1.0:
            return True
    return False
