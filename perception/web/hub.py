"""Live messages for viewers: each camera's newest packets, tracks and alerts. No thread, no socket.

A viewer that is slow gets the newest: what waits too long is dropped up to the next key frame and
counted. All methods are called in the event loop. Imports wire and clock.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from perception import clock
from perception.recording.flight import Flight
from perception.web.encoding import encoded_alert, encoded_tracks, packed_packet
from perception.wire import (
    Alert,
    AlertMessage,
    DetectionMessage,
    FrameMessage,
    IdentityMessage,
    PacketMessage,
    TrackMessage,
)
from perception.wire.codec import encode

LATE_NS = 500 * clock.NS_PER_MS
"""What waits longer is not sent any more."""
MAX_GROUP_BYTES = 16 << 20
"""Of the packets since the last key frame that are kept for who comes new."""
MAX_WAITING_BYTES = MAX_GROUP_BYTES + (4 << 20)
_GROUP_NS = 3 * clock.NS_PER_S
"""A slow link has so much longer for the first group."""
_PAUSE_NS = 2 * clock.NS_PER_S
"""After a drop a viewer waits so long for a key frame; cameras may send one in 10 s only."""
KEPT_EVENTS = 1000
Kind = Literal["packets", "jpeg", "video", "tracks", "detections"]
"""How a camera is watched. packets, jpeg: by a browser, with tracks as JSON. video: packets only.
tracks, detections: by a program, as messages of the line."""
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(slots=True)
class Event:
    """An alert's change. number: rises by one."""

    number: int
    alert: Alert


@dataclass(slots=True, eq=False)
class Feed:
    """What is known of a camera. group: packets since the last key frame, as they are sent."""

    group: list[bytes] = field(default_factory=list[bytes])
    group_bytes: int = 0
    frame: FrameMessage | None = None
    last_tracks: bytes = b""
    unsupported: str = ""
    who: dict[int, str] = field(default_factory=dict[int, str])
    seen_ns: int = 0


@dataclass(slots=True, eq=False)
class _Item:
    camera: str
    kind: Literal["packet", "tracks", "jpeg", "alert"]
    queued_ns: int
    data: bytes | str


class Viewer:
    """One connection. wants: cameras and how each is sent. skipped: packets not sent, by camera."""

    def __init__(self) -> None:
        self.wants: dict[str, Kind] = {}
        self.skipped: dict[str, int] = {}
        self._until_key: dict[str, int] = {}
        self._waiting: deque[_Item] = deque()
        self._bytes = 0
        self._some = asyncio.Event()

    def put(self, camera: str, kind: Literal["packet", "tracks", "jpeg"], data: bytes | str,
            *, key: bool = False) -> None:  # fmt: skip
        """Queue a message; drop what has waited too long first."""
        if kind == "packet":
            if key:
                self._until_key.pop(camera, None)
            elif camera in self._until_key:
                self._skip(camera)
                return
        now = clock.monotonic_ns()
        late = self._waiting and now - self._waiting[0].queued_ns > LATE_NS
        if late or self._bytes + len(data) > MAX_WAITING_BYTES:
            self._drop_all()
            if kind == "packet" and not key:
                self._until_key[camera] = now
                self._skip(camera)
                return
        if kind == "jpeg":
            self._forget(camera)
        self._waiting.append(_Item(camera, kind, now, data))
        self._bytes += len(data)
        self._some.set()

    def put_group(self, camera: str, group: Iterable[bytes]) -> None:
        """Queue all packets since the last key frame, for a picture at once."""
        until = clock.monotonic_ns() + _GROUP_NS
        for data in group:
            self._waiting.append(_Item(camera, "packet", until, data))
            self._bytes += len(data)
        self._until_key.pop(camera, None)
        self._some.set()

    def needs_group(self, camera: str) -> bool:
        """Whether it has waited _PAUSE_NS for a key frame: then all since the last one is sent."""
        since = self._until_key.get(camera)
        return since is not None and clock.monotonic_ns() - since > _PAUSE_NS

    def put_event(self, event: "Event", boot: str) -> None:
        """Queue an alert."""
        data = encoded_alert(event.alert, f"{boot}-{event.number}").decode()
        self._waiting.append(_Item(event.alert.camera, "alert", clock.monotonic_ns(), data))
        self._bytes += len(data)
        self._some.set()

    def unwatch(self, camera: str) -> None:
        """Send nothing more of a camera."""
        self.wants.pop(camera, None)
        kept = deque(
            item for item in self._waiting if item.camera != camera or item.kind == "alert"
        )
        self._waiting, self._bytes = kept, sum(len(item.data) for item in kept)

    def has_jpeg_waiting(self, camera: str) -> bool:
        """Whether a JPEG of a camera has not been sent yet."""
        return any(item.camera == camera and item.kind == "jpeg" for item in self._waiting)

    async def next(self) -> bytes | str:
        """Wait for the next message to send."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        item = self._waiting.popleft()
        self._bytes -= len(item.data)
        return item.data

    def _skip(self, camera: str) -> None:
        self.skipped[camera] = self.skipped.get(camera, 0) + 1

    def _drop_all(self) -> None:
        for item in self._waiting:
            if item.kind == "packet":
                self._skip(item.camera)
                self._until_key[item.camera] = clock.monotonic_ns()
        self._waiting = deque(item for item in self._waiting if item.kind == "alert")
        self._bytes = sum(len(item.data) for item in self._waiting)

    def _forget(self, camera: str) -> None:
        for item in [i for i in self._waiting if i.camera == camera and i.kind == "jpeg"]:
            self._waiting.remove(item)
            self._bytes -= len(item.data)


class Hub:
    """All cameras and all viewers. boot: a name of this start, for ids of events.

    mapped: cameras with telemetry, whose flights are kept for the map.
    """

    def __init__(self, cameras: Iterable[str], boot: str, mapped: Iterable[str] = ()) -> None:
        self.feeds = {name: Feed() for name in cameras}
        self.viewers: set[Viewer] = set()
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self.boot = boot
        self.changed = asyncio.Condition()
        self.wanted: set[tuple[str, str]] = set()
        """Topics and cameras that somebody has asked for once."""
        self._number = 0
        self.flights = {name: Flight(name) for name in mapped}
        self.view_codes: dict[str, int] = {}
        """Why a camera's place is known now, or not: a row of places.REASONS."""
        self._raised: dict[str, list[Alert]] = {name: [] for name in self.flights}

    @property
    def last_event(self) -> int:
        """Number of the last event."""
        return self._number

    def has_after(self, number: int) -> bool:
        """Whether there is an event after this one."""
        return self._number > number

    def take(self, message: Any) -> None:
        """Take a message of the line."""
        if isinstance(message, PacketMessage):
            self._packet(message)
        elif isinstance(message, FrameMessage):
            feed = self.feeds[message.stamp.camera]
            feed.frame, feed.seen_ns = message, clock.monotonic_ns()
        elif isinstance(message, TrackMessage):
            self._tracks(message)
        elif isinstance(message, DetectionMessage):
            self._as_message("detections", message)
        elif isinstance(message, IdentityMessage):
            who = self.feeds[message.stamp.camera].who
            if message.state == "known":
                who[message.track_id] = message.who
            elif message.state == "unknown":
                who[message.track_id] = "unknown"
            while len(who) > 256:
                del who[next(iter(who))]
        elif isinstance(message, AlertMessage):
            self._number += 1
            self.events.append(Event(self._number, message.alert))
            if message.alert.state == "raised" and message.alert.camera in self._raised:
                self._raised[message.alert.camera].append(message.alert)

    async def tell_events(self) -> None:
        """Wake those who wait for alerts."""
        async with self.changed:
            self.changed.notify_all()

    def watch(self, viewer: Viewer, camera: str, kind: Kind) -> None:
        """Begin to send a camera: the packets since the last key frame at once."""
        viewer.wants[camera] = kind
        feed = self.feeds[camera]
        if kind in ("tracks", "detections"):
            self.wanted.add((kind, camera))
            return
        if kind in ("packets", "video"):
            viewer.put_group(camera, feed.group)
        if feed.last_tracks and kind != "video":
            viewer.put(camera, "tracks", feed.last_tracks.decode())

    def _as_message(self, kind: Kind, message: TrackMessage | DetectionMessage) -> None:
        """Send a message as it is to the programs that watch its camera."""
        camera = message.stamp.camera
        watching = [viewer for viewer in self.viewers if viewer.wants.get(camera) == kind]
        if watching:
            data = encode(message)
            for viewer in watching:
                viewer.put(camera, "tracks", data)

    def _packet(self, message: PacketMessage) -> None:
        feed, camera = self.feeds[message.stamp.camera], message.stamp.camera
        if not message.timescale:
            feed.unsupported = message.codec
            return
        feed.unsupported = ""
        data = packed_packet(message)
        if message.key:
            feed.group, feed.group_bytes = [], 0
        if message.key or feed.group:
            feed.group.append(data)
            feed.group_bytes += len(data)
            if feed.group_bytes > MAX_GROUP_BYTES:
                feed.group, feed.group_bytes = [], 0
        for viewer in self.viewers:
            if viewer.wants.get(camera) in ("packets", "video"):
                if viewer.needs_group(camera) and not message.key:
                    viewer.put_group(camera, feed.group)
                else:
                    viewer.put(camera, "packet", data, key=message.key)

    def _tracks(self, message: TrackMessage) -> None:
        camera = message.stamp.camera
        if (flight := self.flights.get(camera)) is not None:
            self.view_codes[camera] = int(message.view[0])
            flight.add(message, self._raised[camera])
            self._raised[camera].clear()
        self._as_message("tracks", message)
        watching = [v for v in self.viewers if v.wants.get(camera) in ("packets", "jpeg")]
        if not watching:
            self.feeds[camera].last_tracks = b""
            return
        data = encoded_tracks(message, self.feeds[camera].who)
        self.feeds[camera].last_tracks = data
        text = data.decode()
        for viewer in watching:
            viewer.put(camera, "tracks", text)
