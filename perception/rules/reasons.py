"""Which conditions of a rule a track meets in one frame, which it does not, and by how much.

For people who ask why nothing happened. Conditions are read from the rule's options and state, so
an answer is about the frame, not about what may come later. Imports the rest of this room.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.kernels import polygons
from perception.rules.observed import Filter, feet, km_h
from perception.rules.zones import Line, Zone
from perception.wire import STATE_NAMES, TENTATIVE, TrackMessage, places


@dataclass(frozen=True, slots=True)
class Reason:
    """One condition. key: the option, or what it is about. short: by how much it is not met, in
    unit; 0 where it is met or has no measure."""

    key: str
    met: bool
    text: str
    short: float = 0.0
    unit: str = ""


def reasons(
    kind: str,
    state: dict[str, Any],
    options: Any,
    message: TrackMessage,
    row: int,
    zones: Mapping[str, Zone],
    lines: Mapping[str, Line],
) -> list[Reason]:
    """Return the conditions of a rule for one track, in the order in which the rule asks them.

    kind: type of the rule. state: of the rule, after it was given this message. row: of the track.
    zones, lines: of the camera.
    """
    found = [_sight(message, row)]
    if isinstance(options, Filter):
        found += _filter(options, state, message, row)
    zone = getattr(options, "zone", None)
    if zone is not None and kind != "approach":
        found.append(_place(zone, zones[zone], message, row))
    line = getattr(options, "line", None)
    if line is not None:
        found.append(_line(line, lines[line], options, message, row))
    if (
        getattr(options, "area", ())
        or getattr(options, "points", ())
        or getattr(options, "path", 0)
    ):
        code = int(message.tracks.place_codes[row])
        known = code == places.PLACE_GOOD
        text = "its place on the map is known" if known else places.REASONS[code]
        found.append(Reason("place", known, text if known else f"no good place on the map: {text}"))
    found += _waits(kind, options, state, int(message.tracks.track_ids[row]))
    return found


def _sight(message: TrackMessage, row: int) -> Reason:
    tracks = message.tracks
    unseen, kind = float(tracks.unseen_s[row]), int(tracks.states[row])
    if unseen > 0.0:
        text = f"it was not detected in this frame, last {unseen:.2f} s before"
        return Reason("sight", False, text, unseen, "s")
    if kind == TENTATIVE:
        age = float(tracks.ages_s[row])
        text = (
            f"it was seen for {age:.2f} s only and not confirmed yet: it may be a false detection"
        )
        return Reason("confirmed", False, text)
    return Reason("sight", True, f"it was detected in this frame ({STATE_NAMES[kind]})")


def _filter(
    options: Filter, state: dict[str, Any], message: TrackMessage, row: int
) -> list[Reason]:
    tracks, found = message.tracks, list[Reason]()
    name = message.names.get(int(tracks.class_ids[row]), str(int(tracks.class_ids[row])))
    if options.objects:
        met = name in options.objects
        found.append(Reason("objects", met, f"it is a {name}; the rule is about "
                                            f"{', '.join(options.objects)}"))  # fmt: skip
    height = float(tracks.boxes[row, 3] - tracks.boxes[row, 1]) / message.height
    speed = float(km_h(message)[row])
    for key, value, limit, unit, what in (
        ("min_score", float(tracks.scores[row]), options.min_score, "", "its score is"),
        ("min_height", height, options.min_height, "", "its height is, of the picture's,"),
        ("min_km_h", 0.0 if np.isnan(speed) else speed, options.min_km_h, "km/h", "its speed is"),
    ):
        if limit > 0.0:
            said = f"{what} {value:.2f} {unit}".rstrip()
            text = f"{said}; the rule asks for {limit:g} {unit}".rstrip()
            found.append(Reason(key, value >= limit, text, max(0.0, limit - value), unit))
    if options.max_height < 1.0:
        text = (
            f"its height is {height:.2f} of the picture's; the rule allows {options.max_height:g}"
        )
        short = max(0.0, height - options.max_height)
        found.append(Reason("max_height", height <= options.max_height, text, short))
    if options.hours:
        met = options.active(message.stamp.t_wall_ns)
        said = "within" if met else "outside"
        text = f"it was {said} the hours of the rule ({', '.join(options.hours)})"
        found.append(Reason("hours", met, text))
    if options.required_zones:
        bits = state["chooser"].get(str(int(tracks.track_ids[row])), [0, 0])[0]
        missing = [n for i, n in enumerate(options.required_zones) if not bits >> i & 1]
        text = f"it was not in {', '.join(missing)} before" if missing else "it came the way asked"
        found.append(Reason("required_zones", not missing, text))
    return found


def _place(name: str, zone: Zone, message: TrackMessage, row: int) -> Reason:
    polygon = zone.pixels(message.width, message.height)
    foot = feet(message)[row : row + 1]
    away = _edge_px(foot[0], polygon)
    if bool(polygons.inside(foot, polygon)[0]):
        return Reason("zone", True, f"its foot is inside {name}, {away:.0f} px from the edge")
    return Reason("zone", False, f"its foot is {away:.0f} px outside {name}", away, "px")


def _line(name: str, line: Line, options: Any, message: TrackMessage, row: int) -> Reason:
    ends = line.pixels(message.width, message.height)
    box = message.tracks.boxes[row].astype(np.float64)
    y = box[3] if options.point == "bottom" else (box[1] + box[3]) / 2
    point, along = np.array(((box[0] + box[2]) / 2, y)), ends[1] - ends[0]
    offset = point - ends[0]
    away = abs(float(along[0] * offset[1] - along[1] * offset[0])) / float(np.hypot(*along))
    margin = options.margin * float(box[3] - box[1])
    text = f"it is {away:.0f} px from the line {name}; a crossing counts {margin:.0f} px beyond it"
    return Reason("line", away >= margin, text, max(0.0, margin - away), "px")


def _waits(kind: str, options: Any, state: dict[str, Any], track_id: int) -> list[Reason]:
    """Return how long the track has been where the rule wants it, against what it asks for."""
    wanted = getattr(options, "seconds", None) if kind == "dwell" else None
    wanted = getattr(options, "enter_s", None) if wanted is None else wanted
    now_ns = state["time"][1] if state.get("time") else 0
    if wanted is None or kind == "count":
        return []
    since = None
    if kind == "visit":
        for since_ns, _last, _begun, tracks, *_ in state["visits"].values():
            since = since_ns if track_id in tracks else since
    else:
        since = state.get("stays", {}).get(str(track_id), [None])[0]
    stayed = 0.0 if since is None else (now_ns - since) / 1e9
    what = "it has been on its way there" if kind == "approach" else "it has been there"
    text = f"{what} for {stayed:.1f} s; the rule waits for {wanted:g} s"
    key = "seconds" if kind == "dwell" else "enter_s"
    met = since is not None and stayed >= wanted
    return [Reason(key, met, text, max(0.0, wanted - stayed), "s")]


def _edge_px(point: NDArray[np.float64], polygon: NDArray[np.float64]) -> float:
    """Return the distance of a point from the nearest edge of a polygon, px."""
    starts, ends = polygon, np.roll(polygon, -1, axis=0)
    along = ends - starts
    share = ((point - starts) * along).sum(axis=1) / np.maximum((along * along).sum(axis=1), 1e-9)
    nearest = starts + along * share.clip(0.0, 1.0)[:, None]
    return float(np.hypot(*(nearest - point).T).min())
