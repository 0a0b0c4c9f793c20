"""Track messages written by hand: who stands where, frame by frame, for rules and alerts."""

import json

import msgspec
import numpy as np

from perception.wire import CONFIRMED, Alert, Stamp, TrackMessage, Tracks, make_id

W, H = 1000, 500
NAMES = {0: "person", 2: "car"}
WALL_NS = 1_700_000_000_000_000_000


def message(t_s, *rows, frame=None, epoch=1, camera="door", size=(W, H)):
    """Return a TrackMessage at media time t_s; rows of `row`. frame: by default 100 a second."""
    n = round(t_s * 100) if frame is None else frame
    rows = [row if isinstance(row, dict) else seen(*row) for row in rows]
    boxes = np.array([r["box"] for r in rows], np.float32).reshape(-1, 4)
    count = len(rows)
    return TrackMessage(
        stamp=Stamp(
            camera=camera,
            frame_id=make_id(epoch, n),
            t_media_ns=round(t_s * 1e9),
            t_arrival_ns=round(t_s * 1e9),
            t_wall_ns=WALL_NS + round(t_s * 1e9),
        ),
        width=size[0],
        height=size[1],
        names=NAMES,
        dropped={},
        t_detected_ns=0,
        t_tracked_ns=0,
        tracks=Tracks(
            track_ids=np.array([r["id"] for r in rows], np.int64).reshape(-1),
            boxes=boxes,
            rates=np.array([(*r["v"], 0, 0) for r in rows], np.float32).reshape(-1, 4),
            class_ids=np.array([r["class_id"] for r in rows], np.int32).reshape(-1),
            scores=np.array([r["score"] for r in rows], np.float32).reshape(-1),
            states=np.array([r["state"] for r in rows], np.uint8).reshape(-1),
            ages_s=np.zeros(count, np.float32),
            unseen_s=np.array([r["unseen_s"] for r in rows], np.float32).reshape(-1),
            detection_rows=np.full(count, -1, np.int32),
        ),
        warp=np.eye(2, 3, dtype=np.float32),
    )


def seen(
    track_id,
    x,
    y,
    *,
    w=40,
    h=100,
    state=CONFIRMED,
    class_id=0,
    score=0.9,
    unseen_s=0.0,
    v=(0.0, 0.0),
):
    """Return a track whose feet stand at (x, y) px and move with v px/s."""
    return {
        "id": track_id,
        "box": (x - w / 2, y - h, x + w / 2, y),
        "state": state,
        "class_id": class_id,
        "score": score,
        "unseen_s": unseen_s,
        "v": v,
    }


def play(rule, messages):
    """Return every event of a rule or every alert of a book over messages."""
    return [event for m in messages for event in rule.update(m)]


def times(start_s, end_s, rate_hz=10):
    """Yield times from start to end, both included."""
    for i in range(round(start_s * rate_hz), round(end_s * rate_hz) + 1):
        yield i / rate_hz


def alert(n, state="raised", camera="door", frame=None, **changes):
    """Return the n-th alert; its key is n in hex."""
    base = Alert(
        key=f"{n:032x}",
        camera=camera,
        rule="entered",
        kind="zone",
        state=state,
        track_id=n,
        class_name="person",
        score=0.9,
        box=(1.0, 2.0, 3.0, 4.0),
        frame_id=make_id(1, n if frame is None else frame),
        start_t_media_ns=n,
        t_media_ns=n,
        start_t_wall_ns=WALL_NS + n,
        t_wall_ns=WALL_NS + n,
        details={"zone": "path"},
    )
    return msgspec.structs.replace(base, **changes)


def written(line):
    """Return the alert that a line of JSON is made of, whatever it says besides."""
    said = json.loads(line)
    return msgspec.convert({name: said[name] for name in Alert.__struct_fields__}, Alert)
