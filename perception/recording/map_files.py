"""The map files of one camera: GeoJSON, KML, GPX and a page that needs no network.

A file is written under another name and renamed, so readers see complete files only. Imports wire,
errors and the rest of this room.
"""

import json
import os
from collections.abc import Callable, Iterable
from importlib import resources
from pathlib import Path

from perception.clock import NS_PER_S
from perception.errors import SinkError
from perception.recording.flight import Flight
from perception.recording.geojson import collection, features, gpx, iso
from perception.recording.kml import kml
from perception.recording.live_map import live_collection
from perception.wire import Alert, TrackMessage

LIVE_NS = NS_PER_S
SAVE_NS = 30 * NS_PER_S


class MapFiles:
    """Writes map-<camera>.geojson, .kml, .gpx and a page at the end of a run.

    page: file name of the page. live: also write targets-<camera>.geojson with the newest targets
    every second, and all files every 30 s, so that there is a map after a kill. stills: see Flight.
    """

    def __init__(
        self, folder: Path, camera: str, *, page: str, live: bool, stills: bool = False
    ) -> None:
        self._folder, self._page, self._live = folder, page, live
        self.path = folder / page
        self.flight = Flight(camera, stills=stills)
        self._live_ns: int | None = None
        self._save_ns: int | None = None

    def add(self, message: TrackMessage, alerts: Iterable[Alert] = (), picture: str = "") -> None:
        """Add one frame. alerts: raised with it. picture: name of a still. Raises SinkError."""
        self.flight.add(message, alerts, picture)
        if not self._live:
            return
        t_ns = message.stamp.t_media_ns
        if self._live_ns is None or t_ns - self._live_ns >= LIVE_NS:
            self._live_ns = t_ns
            name = f"targets-{self.flight.camera}.geojson"
            self._write(name, live_collection(message, self.flight).encode())
        self._save_ns = t_ns if self._save_ns is None else self._save_ns
        if t_ns - self._save_ns >= SAVE_NS:
            self._save_ns = t_ns
            self.close()

    def close(self) -> None:
        """Write all files; none if no frame had a position. Raises SinkError."""
        flight = self.flight
        if not flight.frames_placed:
            return
        stem = f"map-{flight.camera}"
        kinds: dict[str, Callable[[], bytes]] = {
            f"{stem}.geojson": lambda: collection(flight).encode(),
            f"{stem}.kml": lambda: kml(flight),
            f"{stem}.gpx": lambda: gpx(flight),
            self._page: lambda: page(flight).encode(),
        }
        for name, make in kinds.items():
            self._write(name, make())

    def _write(self, name: str, data: bytes) -> None:
        replace_file(self._folder / name, data)


def replace_file(path: Path, data: bytes) -> None:
    """Write a file atomically. Raises SinkError."""
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(data)
        os.replace(beside, path)
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror or error}") from error


def page(flight: Flight) -> str:
    """Return an HTML page that contains the flight. It loads nothing else."""
    data = {
        "camera": flight.camera,
        "stills": flight.stills,
        "frames": flight.frames,
        "frames_placed": flight.frames_placed,
        "begin": iso(flight.path[0].utc_ns) if flight.path else None,
        "path": [[round(f.t_s, 2), round(f.lon_deg, 7), round(f.lat_deg, 7)] for f in flight.path],
        "features": features(flight),
    }
    # `<` is escaped, so that no name of a track or camera can end the script element.
    text = json.dumps(data).replace("<", "\\u003c")
    frame = resources.files("perception.recording").joinpath("map_page.html").read_text()
    return frame.replace("/*DATA*/", text)
