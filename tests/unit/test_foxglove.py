"""Recordings for Foxglove: read with mcap alone, and the video decodes to the same pictures."""

import base64
import hashlib
import io
import json

import av
import pytest
from mcap.reader import make_reader

from perception.errors import ConfigError
from perception.footage.catalog import Catalog
from perception.footage.foxglove import export_foxglove
from tests.recordings import Maker, S, detections, plan
from tests.unit.test_footage import decoded, fragments, write_clip


def recorded(tmp_path, **clip):
    maker = Maker(tmp_path / "f", plan())
    for n, fragment in enumerate(fragments(write_clip(tmp_path / "clip.mp4", **clip))):
        maker.packet(fragment, n, n * S // 20)
        maker.frame(detections(n, 6, 20))
    maker.close()
    catalog = Catalog(tmp_path / "f", create=False)
    rows = catalog.segments("door")
    catalog.close()
    return maker, rows


def test_a4_an_export_for_foxglove_is_read_by_mcap_and_decodes_to_the_same_pictures(tmp_path):
    maker, rows = recorded(tmp_path, frames=60)
    out = tmp_path / "out.mcap"
    assert export_foxglove(tmp_path / "f", rows, out, 0, 1 << 62) == 60
    found: dict[str, list] = {}
    with out.open("rb") as file:
        for schema, channel, message in make_reader(file).iter_messages():
            assert (schema.encoding, channel.message_encoding) == ("jsonschema", "json")
            value = json.loads(message.data)
            assert set(json.loads(schema.data)["properties"]) == set(value)
            found.setdefault(schema.name, []).append((message.log_time, value))
    video = found["foxglove.CompressedVideo"]
    data = b"".join(base64.b64decode(value["data"]) for _, value in video)
    with av.open(io.BytesIO(data), "r", format="h264") as container:
        pictures = [frame.to_ndarray().tobytes() for frame in container.decode(video=0)]
    whole = [h for _, h in decoded(str(tmp_path / "clip.mp4"))]
    assert [hashlib.sha256(one).hexdigest() for one in pictures] == whole
    boxes = found["foxglove.ImageAnnotations"]
    assert [t for t, _ in boxes] == [t for t, _ in video]
    assert all(len(value["points"]) == len(value["texts"]) for _, value in boxes)
    assert len(boxes[-1][1]["points"]) >= 4
    assert len(found["foxglove.Log"]) == maker.alerts > 0


def test_b_frames_and_empty_spans_are_refused(tmp_path):
    _, rows = recorded(tmp_path, frames=40, b_frames=2)
    with pytest.raises(ConfigError, match="B-frames"):
        export_foxglove(tmp_path / "f", rows, tmp_path / "o.mcap", 0, 1 << 62)
    with pytest.raises(ConfigError, match="nothing was recorded"):
        export_foxglove(tmp_path / "f", [], tmp_path / "o.mcap", 0, 1)
    assert not list(tmp_path.glob("o.mcap*"))
