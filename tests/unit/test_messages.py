"""Every message comes back as it was sent; whatever else the bytes are, only MessageError."""

import dataclasses
import math
import struct

import msgspec
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from perception import wire as m
from perception.errors import MessageError
from perception.wire import codec
from perception.wire.journal import from_text, to_text

STAMP = m.Stamp(
    camera="front", frame_id=m.make_id(3, 7), t_media_ns=-5, t_arrival_ns=2, t_wall_ns=3
)
REASONS = {"size", "magic", "version", "header", "topic", "not_finite"}


def detections(n, height=4, width=6):
    rng = np.random.default_rng(n)
    return m.DetectionMessage(
        stamp=STAMP,
        width=640,
        height=480,
        names={0: "person", 2: "car"},
        dropped={"newer_frame": 4},
        t_taken_ns=1,
        t_detected_ns=2,
        inference_ns=3,
        detections=m.Detections.of(
            rng.uniform(0, 640, (n, 4)), rng.uniform(0, 1, n), rng.integers(0, 80, n)
        ),
        grey=rng.integers(0, 256, (height, width)).astype(np.uint8),
    )


def lanes(n, points=5):
    rng = np.random.default_rng(n)
    return m.LaneMessage(
        stamp=STAMP,
        width=640,
        height=480,
        t_taken_ns=1,
        t_done_ns=2,
        lines=m.LaneLines(
            places=np.array([-2, -1, 1, 2][:n], np.int8),
            confidences=rng.uniform(0, 1, n).astype(np.float32),
            offsets=rng.normal(0, 2, n).astype(np.float32),
            points=rng.uniform(0, 640, (n, points, 2)).astype(np.float32),
            metres=rng.normal(0, 20, (n, points, 2)).astype(np.float32),
        ),
        ahead_px=320.5,
        horizon_px=211.0,
        curvature_1_m=1e-3 if n else None,
        height_m=1.3,
        message_id=7,
    )


def tracks(n):
    rng = np.random.default_rng(n)
    return m.TrackMessage(
        stamp=STAMP,
        width=640,
        height=480,
        names={0: "person"},
        dropped={},
        t_detected_ns=2,
        t_tracked_ns=3,
        tracks=m.Tracks(
            track_ids=np.arange(n) + m.make_id(9, 1),
            boxes=rng.uniform(0, 640, (n, 4)).astype(np.float32),
            rates=rng.normal(0, 9, (n, 4)).astype(np.float32),
            class_ids=rng.integers(0, 80, n).astype(np.int32),
            scores=rng.uniform(0, 1, n).astype(np.float32),
            states=rng.integers(0, 4, n).astype(np.uint8),
            ages_s=rng.uniform(0, 9, n).astype(np.float32),
            unseen_s=rng.uniform(0, 1, n).astype(np.float32),
            detection_rows=rng.integers(-1, n + 1, n).astype(np.int32),
            closings=rng.normal(0, 1, (n, 2)).astype(np.float32),
            metres=rng.normal(9, 3, (n, 8)).astype(np.float32),
        ),
        own_speed_m_s=13.5 if n else None,
        own_yaw_rate=0.1 if n > 1 else None,
        warp=rng.normal(0, 1, (2, 3)).astype(np.float32),
    )


ALERT = m.Alert(
    key="k",
    camera="front",
    rule="gate",
    kind="line",
    state="raised",
    track_id=m.make_id(9, 1),
    class_name="person",
    score=0.75,
    box=(1.0, 2.0, 3.0, 4.0),
    frame_id=7,
    start_t_media_ns=-5,
    t_media_ns=10,
    start_t_wall_ns=3,
    t_wall_ns=4,
    details={"direction": "in", "count": 3, "seconds": 1.5, "known": None, "late": False},
)
HEALTH = m.HealthMessage(
    process="detection",
    pid=5,
    epoch=1,
    state="ready",
    turns=9,
    t_monotonic_ns=10,
    note="well",
    cpu_s=1.5,
    rss_bytes=1 << 33,
    counters={"dropped." + "x" * 40 + ".slot_overwritten": 4},
    gauges={"fps.front": 29.5},
    latencies={"detection.front": {3: 4, 300: 1}},
)
MESSAGES = [
    m.FrameMessage(
        stamp=STAMP, ring="a", slot=1, generation=2, width=640, height=480, coding="bt709-full"
    ),
    *map(detections, (0, 1, 100)),
    *map(tracks, (0, 1, 7, 100)),
    *map(lanes, (0, 2, 4)),
    m.LaneMessage(
        stamp=STAMP, width=9, height=9, t_taken_ns=1, t_done_ns=2, lines=m.LaneLines.none()
    ),
    m.AlertMessage(stamp=STAMP, t_alerted_ns=4, alert=ALERT),
    m.IdentityMessage(stamp=STAMP, track_id=5, state="known", who="Anna", confidence=0.75, faces=3),
    m.JournalMessage(stamp=STAMP, process="alert", kind="state", message_id=7, data='{"a": 1}'),
    HEALTH,
    m.CatchUpRequest(camera="front", after_frame_id=-1),
    m.CatchUpEnd(camera="front", sent=3),
    m.OwnMotion(t_monotonic_ns=5, speed_m_s=13.5, yaw_rate=-0.2),
    m.OwnMotion(t_monotonic_ns=5, speed_m_s=-1.0),
    m.MetadataMessage(stamp=STAMP, data=np.arange(300, dtype=np.uint8)),
    m.MetadataMessage(stamp=STAMP, data=np.empty(0, np.uint8)),
    m.PacketMessage(
        stamp=STAMP,
        stream=1,
        key=True,
        pts=-4,
        timescale=90_000,
        codec="h264",
        width=1280,
        height=720,
        header_bytes=800,
        lost=0,
        size=1500,
        blocks=np.arange(2048, dtype=np.uint8).reshape(2, 1024),
    ),
]
MAGIC = b"prc%d" % m.VERSION
SENT = [codec.encode(message) for message in MESSAGES]
every_message = pytest.mark.parametrize(
    "message", MESSAGES, ids=lambda message: type(message).__name__
)


def arrays_of(message):
    for f in dataclasses.fields(message):
        value = getattr(message, f.name)
        if isinstance(value, np.ndarray):
            yield f.name, value
        elif dataclasses.is_dataclass(value):
            yield from arrays_of(value)


def plain(message):
    """Return the fields as plain values, arrays as bytes."""
    return {
        f.name: plain(value)
        if dataclasses.is_dataclass(value)
        else (value.dtype.str, value.shape, value.tobytes())
        if isinstance(value, np.ndarray)
        else value
        for f in dataclasses.fields(message)
        for value in [getattr(message, f.name)]
    }


def refused(error):
    assert error.reason in REASONS


def only_message_errors(data, topic=None):
    try:
        message = codec.decode(data, topic)
    except MessageError as error:
        return refused(error)
    for name, array in arrays_of(message):
        assert np.isfinite(array).all(), name
        assert max(array.shape) <= m.MAX_ROWS
    return message


@every_message
def test_what_is_decoded_is_what_was_encoded(message):
    back = codec.decode(codec.encode(message))
    assert type(back) is type(message)
    assert plain(back) == plain(message)


def test_every_topic_is_in_these_tests():
    assert {type(message) for message in MESSAGES} == {t.message for t in m.TOPICS.values()}


@every_message
def test_a_recorded_message_comes_back_and_its_table_says_how(message):
    back = codec.decode_record(codec.encode_record(message))
    assert type(back) is type(message)
    assert plain(back) == plain(message)
    topic = next(t.name for t in m.TOPICS.values() if t.message is type(message))
    table = codec.record_table(topic)
    known = {column["name"].rpartition(".")[2] for column in table["columns"]}
    assert known == {name for name, _ in arrays_of(message)}


@every_message
def test_damaged_records_are_message_errors(message):
    data = codec.encode_record(message)
    for end in range(0, len(data), max(1, len(data) // 40)):
        with pytest.raises(MessageError):
            codec.decode_record(data[:end])


@every_message
def test_decoded_arrays_are_the_receivers_own_in_the_form_kernels_take(message):
    data = bytearray(codec.encode(message))
    back = codec.decode(data)
    before = plain(back)
    data[:] = bytes(len(data))
    assert plain(back) == before
    arrays = dict(arrays_of(back))
    for array in arrays.values():
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.flags.aligned
        assert type(array) is np.ndarray
    for name, array in arrays.items():
        others = {n: a.copy() for n, a in arrays.items() if n != name}
        array[...] = 1
        for n, other in others.items():
            np.testing.assert_array_equal(arrays[n], other)
            arrays[n][...] = other


@pytest.mark.parametrize("n", [0, 3])
def test_any_form_of_array_is_encoded_as_the_declared_one(n):
    message = detections(n)
    expected = codec.encode(message)
    boxes = message.detections.boxes
    wide = np.zeros((n, 8), np.float32)
    wide[:, ::2] = boxes
    still = boxes.copy()
    still.flags.writeable = False
    for form in (boxes.astype(np.float64), wide[:, ::2], np.asfortranarray(boxes), still):
        message.detections.boxes = form
        assert codec.encode(message) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"scores": np.zeros(2, np.float32)},
        {"boxes": np.zeros(3, np.float32)},
        {"boxes": np.zeros((3, 5), np.float32)},
        {"boxes": np.float32(3)},
        {"class_ids": np.zeros((3, 1), np.int32)},
    ],
)
def test_arrays_that_contradict_each_other_are_not_sent(change):
    message = detections(3)
    message.detections = dataclasses.replace(message.detections, **change)
    with pytest.raises(MessageError, match="shape: "):
        codec.encode(message)


def test_more_rows_or_bytes_than_a_receiver_takes_are_not_sent():
    with pytest.raises(MessageError, match=f"shape: at most {m.MAX_ROWS}"):
        codec.encode(detections(m.MAX_ROWS + 1))
    with pytest.raises(MessageError, match="size: "):
        codec.encode(detections(1, 9_000, 9_000))
    counters = {f"{i:0128d}": i for i in range(m.MAX_HEADER_BYTES // 128)}
    with pytest.raises(MessageError, match="size: header"):
        codec.encode(dataclasses.replace(HEALTH, counters=counters))
    assert len(codec.decode(codec.encode(detections(m.MAX_ROWS))).detections) == m.MAX_ROWS


@given(st.binary(max_size=400))
@example(b"")
@example(MAGIC)
@example(MAGIC + b"\0\0\0\0")
@example(MAGIC + b"\xff\xff\xff\xff")
@pytest.mark.fault("H05")
def test_random_bytes_are_refused(data):
    assert only_message_errors(data) is None


@given(st.binary(max_size=400))
def test_random_headers_are_refused(data):
    assert only_message_errors(struct.pack("<4sI", MAGIC, len(data)) + data) is None


@every_message
@pytest.mark.fault("H05")
def test_every_truncation_is_refused(message):
    data = codec.encode(message)
    lengths = range(len(data)) if len(data) < 2000 else [*range(400), *range(400, len(data), 37)]
    for length in lengths:
        assert only_message_errors(data[:length]) is None
    assert only_message_errors(data + b"\0") is None


@settings(max_examples=400)
@given(st.sampled_from(SENT), st.data())
def test_flipped_bits_give_an_error_or_a_valid_message(sent, data):
    changed = bytearray(sent)
    for _ in range(data.draw(st.integers(1, 4))):
        bit = data.draw(st.integers(0, 8 * len(changed) - 1))
        changed[bit // 8] ^= 1 << bit % 8
    message = only_message_errors(bytes(changed))
    if message is not None:
        codec.encode(message)


@settings(max_examples=200)
@given(st.sampled_from(SENT), st.sampled_from(SENT), st.floats(0, 1), st.floats(0, 1))
def test_spliced_messages_give_an_error_or_a_valid_message(a, b, cut_a, cut_b):
    only_message_errors(a[: int(cut_a * len(a))] + b[int(cut_b * len(b)) :])


def test_reasons_name_what_is_wrong():
    data = SENT[1]

    def reason(changed, topic=None):
        with pytest.raises(MessageError) as caught:
            codec.decode(changed, topic)
        return caught.value.reason

    assert reason(b"prc1" + data[4:]) == "version"
    assert reason(b"http" + data[4:]) == "magic"
    assert reason(data, "tracks") == "topic"
    assert reason(data[:-1]) == "size"
    assert reason(bytes(m.MAX_MESSAGE_BYTES + 1)) == "size"
    assert reason(data[:8] + b"\xc1" + data[9:]) == "header"
    assert codec.decode(data, "detections").width == 640


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda v: put(detections(5), "boxes", v),
        lambda v: put(detections(5), "scores", v),
        *[
            lambda v, name=name: put(tracks(5), name, v)
            for name in ("boxes", "rates", "scores", "ages_s", "unseen_s", "warp")
        ],
        lambda v: dataclasses.replace(HEALTH, gauges={"x": v}),
        lambda v: dataclasses.replace(HEALTH, cpu_s=v),
        lambda v: alert(score=v),
        lambda v: alert(box=(0.0, v, 1.0, 1.0)),
        lambda v: alert(details={"x": v}),
        lambda v: alert(picture_offset_ms=v),
    ],
)
@pytest.mark.fault("H05")
def test_no_number_that_is_not_finite_comes_through(spoil, value):
    with pytest.raises(MessageError, match=r"not_finite|header"):
        codec.decode(codec.encode(spoil(value)))


def put(message, name, value):
    array = dict(arrays_of(message))[name]
    array.flat[array.size - 1] = value
    return message


def alert(**changes):
    changed = msgspec.structs.replace(ALERT, **changes)
    return m.AlertMessage(stamp=STAMP, t_alerted_ns=1, alert=changed)


@pytest.mark.parametrize("nest", [b"\x91", b"\x81\xa1a", b"\x81\xa5topic"])
@pytest.mark.fault("H05")
def test_deep_nesting_is_refused(nest):
    for depth in (100, 100_000):
        header = nest * depth
        assert only_message_errors(struct.pack("<4sI", MAGIC, len(header)) + header) is None


def headers():
    """Yield the header of a tracks message as plain values, each with one thing changed."""
    header = msgspec.msgpack.decode(SENT[5][8 : 8 + struct.unpack_from("<4sI", SENT[5])[1]])
    for key, value in (
        ("sizes", []),
        ("sizes", [1, 1]),
        ("sizes", [-1]),
        ("sizes", [1 << 62]),
        ("sizes", ["1"]),
        ("width", 0),
        ("width", 70_000),
        ("width", 1.5),
        ("names", {"a": "b"}),
        ("dropped", {"a": -1}),
        ("dropped", {"": 1}),
        ("dropped", {str(i): 1 for i in range(65)}),
        ("stamp", {**header["stamp"], "camera": ""}),
        ("stamp", {**header["stamp"], "camera": "x" * 65}),
        ("stamp", {**header["stamp"], "frame_id": -1}),
        ("stamp", {**header["stamp"], "t_media_ns": 1 << 63}),
        ("stamp", {**header["stamp"], "more": 1}),
        ("stamp", None),
        ("topic", "nothing"),
        ("topic", 3),
        ("more", 1),
    ):
        yield pytest.param({**header, key: value}, id=f"{key}={value!r}"[:50])
    yield pytest.param({k: v for k, v in header.items() if k != "topic"}, id="no topic")
    yield pytest.param({k: v for k, v in header.items() if k != "stamp"}, id="no stamp")


@pytest.mark.parametrize("header", list(headers()))
@pytest.mark.fault("H05")
def test_headers_out_of_range_are_refused(header):
    packed = msgspec.msgpack.encode(header)
    data = struct.pack("<4sI", MAGIC, len(packed)) + packed + SENT[5][-200:]
    with pytest.raises(MessageError, match=r"^(header|size): "):
        codec.decode(data)


def test_rows_are_typed_tracks_with_names():
    message = tracks(3)
    rows = list(message)
    assert [row.track_id for row in rows] == message.tracks.track_ids.tolist()
    assert rows[0].box == tuple(message.tracks.boxes[0].tolist())
    assert all(row.class_name == message.names.get(row.class_id, str(row.class_id)) for row in rows)
    assert all(row.state in m.STATE_NAMES for row in rows)


def test_empty_tables_and_ids():
    assert len(m.Tracks.none()) == len(m.Detections.none()) == 0
    assert m.Tracks.none().boxes.shape == m.Detections.none().boxes.shape == (0, 4)
    assert m.short_id(m.make_id(5, 6)) == 6
    assert STAMP.age_ms > 0


@pytest.mark.parametrize("coding", ["", "nv12", "BGR", 3, None])
def test_a_frame_of_unknown_coding_is_refused(coding):
    frame = msgspec.msgpack.decode(SENT[0][8:])
    assert frame["coding"] == "bt709-full"
    packed = msgspec.msgpack.encode({**frame, "coding": coding})
    with pytest.raises(MessageError, match=r"^header: "):
        codec.decode(struct.pack("<4sI", MAGIC, len(packed)) + packed)


def test_a_state_of_numpy_numbers_and_arrays_comes_back():
    state = {"t_s": np.float64(0.1), "n": np.int64(3), "on": np.bool_(True), "a": np.arange(3.0)}
    back = from_text(to_text(state))
    assert (back["t_s"], back["n"], back["on"]) == (0.1, 3, True)
    np.testing.assert_array_equal(back["a"], state["a"])
    with pytest.raises(NotImplementedError, match="object in a state"):
        to_text({"a": object()})
