"""Alerts with a position as Cursor-on-Target events, for ATAK, WinTAK and TAK servers.

One event (version 2.0) for each state of an alert, over udp, tcp or TLS. Source: the CoT base
schema, MITRE MP 090284 and MTR 060039. Imports wire and errors.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from perception.errors import SinkRefused
from perception.sinks.cot_link import CotLink, CotType, LinkOptions, Stale
from perception.sinks.when import When
from perception.wire import Alert, short_id, text_id

UNKNOWN_M = "9999999.0"
"""Value of the schema for an unknown height or error."""


class CotSink:
    """Sends each state of an alert whose track has a position. Other alerts raise SinkRefused.

    All events of a track have the same uid. An event becomes stale stale_s after its frame; that of
    a cleared alert is stale at once. Over udp there is no acknowledgement.
    """

    class Options(When, LinkOptions):
        """url, timeout_s, ca, cert, key: see LinkOptions. cot_type: type of the events; a-u-G:
        unknown, on the ground.
        """

        cot_type: CotType = "a-u-G"
        stale_s: Stale = 60.0

    def __init__(self, options: Any, folder: Path) -> None:
        self.when: When = options
        self._options: CotSink.Options = options
        self._link = CotLink(options)

    def send(self, alert: Alert, picture: NDArray[np.uint8] | None) -> None:
        """Send the alert as an event; see Sink.send."""
        self._link.send(event(alert, self._options.cot_type, self._options.stale_s))

    def close(self) -> None:
        """Close the connection. The next event opens a new one."""
        self._link.close()


@dataclass(frozen=True, slots=True)
class Mark:
    """The content of an event. Times in ns, wall time. error_m: None: unknown.

    going: speed m/s and course in degrees; None: unknown.
    """

    camera: str
    track_id: int
    cot_type: str
    lat_deg: float
    lon_deg: float
    error_m: float | None
    seen_ns: int
    begun_ns: int
    stale_ns: int
    callsign: str
    remarks: str
    going: tuple[float, float] | None = None


def event(alert: Alert, cot_type: str, stale_s: float) -> bytes:
    """Return an alert as a CoT 2.0 event, XML. Raises SinkRefused where it has no position.

    cot_type: type of the event. stale_s: s from the frame until the event is stale.
    """
    lat, lon = alert.details.get("lat"), alert.details.get("lon")
    if not isinstance(lat, int | float) or not isinstance(lon, int | float):
        raise SinkRefused(f"alert {alert.key}: its track has no position on the map")
    error = alert.details.get("error_m")
    seen = alert.t_wall_ns
    return written(
        Mark(
            camera=alert.camera,
            track_id=alert.track_id,
            cot_type=cot_type,
            lat_deg=lat,
            lon_deg=lon,
            error_m=error if isinstance(error, int | float) else None,
            seen_ns=seen,
            begun_ns=alert.start_t_wall_ns,
            stale_ns=seen if alert.state == "cleared" else seen + round(stale_s * 1e9),
            callsign=f"{alert.class_name} {short_id(alert.track_id)}",
            remarks=f"{alert.camera}, {alert.rule}: {alert.kind} {alert.state}",
        )
    )


def written(mark: Mark) -> bytes:
    """Return an event of CoT 2.0 as XML. Its uid is the same for all events of a track."""
    root = ElementTree.Element(
        "event",
        {
            "version": "2.0", "uid": f"perception.{mark.camera}.{text_id(mark.track_id)}",
            "type": mark.cot_type, "how": "m-f", "time": _iso(mark.seen_ns),
            "start": _iso(min(mark.begun_ns, mark.seen_ns)), "stale": _iso(mark.stale_ns),
        },
    )  # fmt: skip
    ce = UNKNOWN_M if mark.error_m is None else f"{mark.error_m:.1f}"
    where = {"lat": f"{mark.lat_deg:.7f}", "lon": f"{mark.lon_deg:.7f}"}
    point = {**where, "hae": UNKNOWN_M, "ce": ce, "le": UNKNOWN_M}
    ElementTree.SubElement(root, "point", point)
    detail = ElementTree.SubElement(root, "detail")
    ElementTree.SubElement(detail, "contact", {"callsign": mark.callsign})
    if mark.going is not None:
        speed, course = mark.going
        ElementTree.SubElement(
            detail, "track", {"speed": f"{speed:.2f}", "course": f"{course:.1f}"}
        )
    ElementTree.SubElement(detail, "remarks").text = mark.remarks
    head = b'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    return head + ElementTree.tostring(root, encoding="utf-8") + b"\n"


def _iso(t_ns: int) -> str:
    at = datetime.fromtimestamp(t_ns / 1e9, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
