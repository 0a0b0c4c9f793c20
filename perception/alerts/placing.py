"""Where on earth an alert's track is, as details of the alert. Imports wire."""

import msgspec
import numpy as np

from perception.wire import Alert, TrackMessage


def with_place(alert: Alert, message: TrackMessage) -> Alert:
    """Return the alert with the place of its track in this frame; itself where there is none.

    lat, lon: degrees; error_m: longer semi-axis of the 95 % ellipse; reservation: why the place
    is not to be relied on.
    """
    tracks = message.tracks
    rows = np.flatnonzero((tracks.track_ids == alert.track_id) & (tracks.place_codes > 0))
    if not len(rows):
        return alert
    place = tracks.row(int(rows[0]), message.names).place
    if place is None:
        return alert
    found: dict[str, str | float | None] = {
        "lat": round(place.lat_deg, 7),
        "lon": round(place.lon_deg, 7),
        "error_m": round(place.major_m, 1),
    }
    if place.speed_m_s is not None:
        found["speed_m_s"] = round(place.speed_m_s, 1)
    if place.reason:
        found["reservation"] = place.reason
    return msgspec.structs.replace(alert, details={**alert.details, **found})
