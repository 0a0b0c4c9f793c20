"""The result files of one camera, for live runs and analysis.

annotated-, tracks-, mot- and kitti-<camera>, each in its own form, in one folder. Imports draw,
messages, errors and the rest of this room.
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception import clock
from perception.draw import Painter, Point
from perception.errors import SinkError
from perception.recording.kitti import KittiWriter
from perception.recording.lanes import LanesWriter
from perception.recording.map_files import MapFiles
from perception.recording.mot import LabelWriter, MotWriter
from perception.recording.tracks import TracksWriter
from perception.recording.video import VideoWriter
from perception.wire import Alert, LaneMessage, Stamp, TrackMessage

RESULTS = (
    "map*.html", "map-*.geojson", "map-*.kml", "map-*.gpx", "targets-*.geojson",
    "annotated-*.mp4", "tracks-*.jsonl", "lanes-*.jsonl", "mot-*.txt", "kitti-*.txt", "coco-*.json",
    "alerts.jsonl", "alerts.sqlite*", "summary.json",
)  # fmt: skip
"""What a run leaves, beside its snapshots and its log."""

INSTANT_SHOWN_NS = 1_500_000_000
"""Media time for which an alert without duration (a crossed line) is shown."""

HELD, LANES_SHOWN_NS = 16, 200_000_000
"""Lanes kept for pictures that come later; how long they are shown, media time."""

_Step = tuple[TracksWriter | LabelWriter | VideoWriter | MapFiles | LanesWriter, Callable[[], None]]


def set_aside(folder: Path, camera: str) -> None:
    """Rename the files of a camera after its process died: name.jsonl becomes name.1.jsonl.

    Otherwise the next writer would overwrite them.
    """
    texts = f"tracks-{camera}.jsonl", f"lanes-{camera}.jsonl", f"mot-{camera}.txt"
    for name in (f"annotated-{camera}.mp4", f"kitti-{camera}.txt", *texts):
        path, n = folder / name, 1
        while (aside := path.with_suffix(f".{n}{path.suffix}")).exists():
            n += 1
        with contextlib.suppress(OSError):
            path.rename(aside)


class Shown:
    """The alerts to draw on the pictures. counts: line crossings raised so far, by direction."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self._alerts: dict[str, Alert] = {}

    def note(self, alert: Alert) -> None:
        """Add a state of an alert. A cleared one is removed."""
        if alert.state == "cleared":
            self._alerts.pop(alert.key, None)
        else:
            self._alerts[alert.key] = alert
        if alert.state == "raised" and isinstance(alert.details.get("direction"), str):
            way = str(alert.details["direction"])
            self.counts[way] = self.counts.get(way, 0) + 1

    def at(self, t_media_ns: int) -> list[Alert]:
        """Return the alerts to show at a media time, ns."""
        for key, alert in list(self._alerts.items()):
            if alert.kind == "line" and t_media_ns - alert.t_media_ns > INSTANT_SHOWN_NS:
                del self._alerts[key]
        return list(self._alerts.values())


class CameraOutput:
    """Writes the annotated video and the tracks of one camera, frame by frame.

    The files are independent: one that cannot be written is given up and added to `failed`; the
    others go on.
    """

    def __init__(
        self,
        folder: str | Path,
        camera: str,
        zones: Mapping[str, Sequence[Point]] | None = None,
        lines: Mapping[str, tuple[Point, Point]] | None = None,
        *,
        video: bool = True,
        tracks: bool = True,
        kitti: bool = False,
        lanes: bool = False,
        map_page: str | None = None,
        deterministic: bool = False,
    ) -> None:
        """folder: made with the first frame. zones, lines: by name, fractions of the image.

        video, tracks, kitti, lanes: which files are written. map_page: name of the map's page,
        None: no map. deterministic: equal runs give equal files; ages, arrival and wall times are
        left out of the text and the picture.
        """
        folder = Path(folder)
        self.failed: dict[str, str] = {}
        """Cause by name of a file that was given up."""
        self._painter = Painter(zones, lines)
        self._deterministic = deterministic
        self._canvas = np.empty((0, 0, 3), np.uint8)
        self._video = VideoWriter(folder / f"annotated-{camera}.mp4") if video else None
        self._texts: list[TracksWriter | LabelWriter] = []
        if tracks:
            path = folder / f"tracks-{camera}.jsonl"
            self._texts.append(TracksWriter(path, deterministic=deterministic))
            self._texts.append(MotWriter(folder / f"mot-{camera}.txt"))
        if kitti:
            self._texts.append(KittiWriter(folder / f"kitti-{camera}.txt"))
        self._lanes = LanesWriter(folder / f"lanes-{camera}.jsonl") if lanes else None
        self._seen: deque[LaneMessage] = deque(maxlen=HELD)
        self._map = (
            MapFiles(folder, camera, page=map_page, live=not deterministic) if map_page else None
        )

    @property
    def frames(self) -> int:
        """Number of frames in the video."""
        return self._video.frames if self._video else 0

    def add(
        self,
        message: TrackMessage,
        image: NDArray[np.uint8] | None,
        alerts: Iterable[Alert] = (),
        counts: Mapping[str, int] | None = None,
    ) -> None:
        """Write one frame: its tracks, and where there is an image, the picture with all drawn.

        image: uint8 (H, W, 3) BGR, left as it is; None: no frame in the video. alerts: those that
        hold now. counts: line crossings by direction, written on the picture. Raises SinkError
        once for each file that is given up, after the others have been written.
        """
        steps: list[_Step] = [(text, lambda text=text: text.add(message)) for text in self._texts]
        alerts = list(alerts)
        if (maps := self._map) is not None:
            raised = [a for a in alerts if a.start_t_media_ns == message.stamp.t_media_ns]
            steps.append((maps, lambda: maps.add(message, raised)))
        video = self._video
        if video is not None and image is not None and video.path.name not in self.failed:
            picture = self._painted(message, image, alerts, counts)
            steps.append((video, lambda: video.add(picture, message.stamp.t_media_ns)))
        self._try(steps)

    def see(self, message: LaneMessage) -> None:
        """Write the lanes of a frame, and hold them for its picture. Raises SinkError as `add`."""
        self._seen.append(message)
        if (writer := self._lanes) is not None:
            self._try([(writer, lambda: writer.add(message))])

    def close(self) -> None:
        """Close all files. If one fails, raises SinkError after the others are closed."""
        writers = [*self._texts, *filter(None, (self._video, self._map, self._lanes))]
        self._try([(writer, writer.close) for writer in writers])

    def _painted(
        self,
        message: TrackMessage,
        image: NDArray[np.uint8],
        alerts: Iterable[Alert],
        counts: Mapping[str, int] | None,
    ) -> NDArray[np.uint8]:
        if self._canvas.shape != image.shape:
            self._canvas = np.empty(image.shape, np.uint8)
        np.copyto(self._canvas, image)
        age_ns = message.t_tracked_ns - message.stamp.t_arrival_ns
        age_ms = None if self._deterministic else age_ns / clock.NS_PER_MS
        self._painter.lanes = self._lanes_at(message.stamp)
        self._painter.paint(self._canvas, message, alerts, counts, age_ms)
        return self._canvas

    def _lanes_at(self, stamp: Stamp) -> LaneMessage | None:
        """Return the newest lanes that were seen up to a frame, not long before it."""
        for lanes in reversed(self._seen):
            if lanes.stamp.frame_id <= stamp.frame_id:
                since_ns = stamp.t_media_ns - lanes.stamp.t_media_ns
                return lanes if 0 <= since_ns <= LANES_SHOWN_NS else None
        return None

    def _try(self, steps: list[_Step]) -> None:
        """Run the steps of all files that are not given up. Give up those that fail, then raise."""
        first: SinkError | None = None
        for writer, step in steps:
            name = writer.path.name
            if name in self.failed:
                continue
            try:
                step()
            except SinkError as error:
                self.failed[name] = str(error)
                first = first or error
                with contextlib.suppress(SinkError):
                    writer.close()
        if first is not None:
            raise first


def clear(folder: Path) -> None:
    """Remove the result files of an earlier run from its folder. The log and other files stay."""
    for pattern in (*RESULTS, "snapshots/*.jpg", "annotated-*/*.jpg"):
        for old in folder.glob(pattern):
            old.unlink(missing_ok=True)
