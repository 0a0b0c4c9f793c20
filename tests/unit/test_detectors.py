import os
import subprocess
import sys
from contextlib import closing

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from perception import assets
from perception.detectors import DETECTORS, detector_class, heads, model, prepare, sessions
from perception.detectors.letterbox import letterbox, letterbox_planes, rectangle
from perception.detectors.model import OnnxDetector, OnnxOptions
from perception.errors import ConfigError, ModelError
from perception.kernels.boxes import iou_matrix
from perception.pixels import Pixels
from perception.sources import AllocatePlanes
from perception.sources.video import VideoSource

RUNTIMES = ("openvino", "onnxruntime")
MODELS = ("yolo11n", "yolov8n", "yolox-nano")


def frame_of(clip, n):
    capture = cv2.VideoCapture(str(assets.fetch(clip)), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    for _ in range(n):
        assert capture.grab()
    return capture.retrieve()[1]


@pytest.fixture(scope="module")
def pictures():
    return {
        (clip, n): frame_of(clip, n)
        for clip, n in (("highway", 1), ("highway", 100), ("market-street-1906", 60))
    }


@pytest.fixture(scope="module")
def detectors():
    made = {}

    def get(name, runtime):
        if (name, runtime) not in made:
            made[name, runtime] = OnnxDetector(OnnxOptions(model=name, runtime=runtime))
        return made[name, runtime]

    return get


def unmatched(sure, other, overlap=0.95):
    """Return the boxes of `sure` scored 0.30 or more without a like box of 0.25 in `other`."""
    strong, weak = sure.scores >= 0.30, other.scores >= 0.25
    iou = iou_matrix(sure.boxes[strong], other.boxes[weak])
    same = sure.class_ids[strong][:, None] == other.class_ids[weak][None]
    return np.flatnonzero((iou * same).max(axis=1, initial=0) < overlap)


@pytest.mark.parametrize("name", MODELS)
def test_runtimes_agree_on_clips(name, detectors, pictures):
    for picture in pictures.values():
        a, b = (detectors(name, runtime).detect(picture) for runtime in RUNTIMES)
        assert (a.scores >= 0.3).sum() >= 4
        assert unmatched(a, b).size == unmatched(b, a).size == 0


@pytest.mark.footage
@pytest.mark.parametrize("name", MODELS)
def test_runtimes_agree_on_street_pictures(name, detectors, footage):
    paths = sorted((footage / "images" / "street").glob("*.jpg"))
    assert paths
    for path in paths:
        a, b = (detectors(name, runtime).detect(cv2.imread(str(path))) for runtime in RUNTIMES)
        assert unmatched(a, b).size == unmatched(b, a).size == 0


@pytest.mark.parametrize("name", MODELS)
def test_models_see_the_same_cars(name, detectors, pictures):
    detector = detectors(name, "openvino")
    found = detector.detect(pictures["highway", 100])
    cars = [detector.names[k] == "car" for k in found.class_ids]
    # In the picture by eye: a silver car and the one before it, right lane, nearest the camera.
    seen = iou_matrix(found.boxes[cars], [[545, 360, 690, 480], [508, 320, 640, 440]])
    assert (found.scores[cars] >= 0.3).sum() >= 6
    assert len(found) == len(found.boxes) == len(found.class_ids)
    assert (seen.max(axis=0) > 0.5).all()


def test_a_detection_is_on_the_image_and_best_first(detectors, pictures):
    for name in MODELS:
        for picture in pictures.values():
            found = detectors(name, "openvino").detect(picture)
            height, width = picture.shape[:2]
            assert (found.boxes >= 0).all()
            assert (found.boxes <= [width, height, width, height]).all()
            assert (np.diff(found.scores) <= 0).all()
            assert (found.boxes.dtype, found.scores.dtype, found.class_ids.dtype) == (
                np.float32,
                np.float32,
                np.int32,
            )


def test_a_larger_picture_gives_larger_boxes(detectors, pictures):
    detector, picture = detectors("yolo11n", "openvino"), pictures["highway", 1]
    small = detector.detect(picture)
    large = detector.detect(cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
    large.boxes /= 2
    strong = small.scores >= 0.5
    assert strong.sum() >= 5
    assert (iou_matrix(small.boxes[strong], large.boxes).max(axis=1) > 0.85).all()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (333, 517), (2160, 97)])
def test_odd_pictures_go_through(name, size, detectors):
    height, width = size
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    for picture_form in (picture, picture[:, ::-1]):
        found = detectors(name, "openvino").detect(picture_form)
        assert (found.boxes <= [width, height, width, height]).all()


@pytest.mark.parametrize(
    "wrong",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3)),
     np.zeros((0, 4, 3), np.uint8)],
)  # fmt: skip
def test_what_is_no_picture_is_refused(wrong, detectors):
    with pytest.raises(ValueError, match="expected uint8"):
        detectors("yolo11n", "openvino").prepare(wrong)


def test_the_frame_may_be_overwritten_while_inference_runs(detectors, pictures):
    detector = detectors("yolo11n", "openvino")
    frame = pictures["highway", 1].copy()
    before = detector.detect(frame)
    first = detector.prepare(frame)
    frame[:] = 0
    detector.prepare(frame)
    after = detector.infer(first)
    np.testing.assert_array_equal(before.boxes, after.boxes)
    np.testing.assert_array_equal(before.scores, after.scores)


def test_few_canvases_are_kept(detectors):
    detector = detectors("yolo11n", "onnxruntime")
    for width in (*range(32, 640, 50), 100):
        detector.detect(np.zeros((640, width, 3), np.uint8))
    assert len(detector._runs) == 10


# ---- Letterbox


@pytest.mark.parametrize(
    ("picture", "canvas"),
    [((720, 1280), (384, 640)), ((480, 640), (480, 640)), ((1080, 810), (640, 480)),
     ((1, 1), (640, 640)), ((1, 5000), (32, 640)), ((480, 854), (384, 640))],
)  # fmt: skip
def test_the_canvas_is_the_smallest_rectangle(picture, canvas):
    assert rectangle(*picture, 640) == canvas


def test_the_canvas_has_a_cell_for_each_row_of_the_head():
    assert rectangle(1, 3000, 320) == (32, 320)
    assert rectangle(1, 3000, 320, rows=300) == (64, 320)
    assert rectangle(3000, 1, 320, rows=300) == (320, 64)
    assert rectangle(1, 1, 32, rows=300) == (32, 32)


@pytest.mark.parametrize("head", ["yolo", "yolox"])
def test_letterbox_keeps_the_aspect_and_pads_with_grey(head):
    picture = np.full((100, 400, 3), 7, np.uint8)
    prepared = letterbox(picture, (416, 416), heads.HEADS[head])
    top = 156 if head == "yolo" else 0
    expected = np.full((416, 416, 3), heads.PAD, np.uint8)
    expected[top : top + 104] = 7
    np.testing.assert_array_equal(prepared.canvas, expected)
    assert prepared.offset == (0, top)
    assert prepared.scale == (1.04, 1.04)


def planes_of(height, width, seed=0):
    """Return a soft picture as planes: colour that changes slowly, as in footage."""
    rng = np.random.default_rng(seed)
    pixels = Pixels(np.empty((height * 3 // 2, width), np.uint8), "bt709")
    for plane in pixels.planes():
        small = rng.integers(40, 200, (6, 8), np.uint8)
        plane[:] = cv2.resize(small, plane.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return pixels


@pytest.mark.parametrize("head", ["yolo", "yolox"])
@pytest.mark.parametrize(
    ("size", "most"),
    [((720, 1280), 0.1), ((1280, 720), 0.1), ((1080, 1920), 0.2), ((480, 854), 0.5),
     ((96, 128), 2.0)],
)  # fmt: skip
def test_planes_are_letterboxed_as_bgr_is(head, size, most):
    """Only how colour is spread over pixels differs: bgr() repeats each U and V on 2x2 of them."""
    pixels, canvas = planes_of(*size), rectangle(*size, 640)
    got = letterbox_planes(pixels, canvas, heads.HEADS[head])
    bgr = letterbox(pixels.bgr(), canvas, heads.HEADS[head])
    assert (got.scale, got.offset, got.width, got.height) == (
        bgr.scale, bgr.offset, bgr.width, bgr.height
    )  # fmt: skip
    apart = np.abs(got.canvas.astype(int) - bgr.canvas)
    assert apart.mean() < most
    margin = np.ones(canvas, bool)
    height, width = round(size[0] * bgr.scale[1]), round(size[1] * bgr.scale[0])
    left, top = bgr.offset
    margin[top : top + height, left : left + width] = False
    assert (got.canvas[margin] == heads.PAD).all()


def test_planes_of_a_size_that_needs_no_scaling_may_be_read_only(detectors):
    pixels = planes_of(384, 640)
    pixels.data.flags.writeable = False
    detector = detectors("yolo11n", "openvino")
    first = prepare(detector, pixels)
    before = first.canvas.copy()
    pixels.data.flags.writeable = True
    pixels.data[:] = 0
    np.testing.assert_array_equal(first.canvas, before)


@pytest.mark.parametrize("clip", ["highway", "market-street-1906"])
def test_planes_of_a_clip_give_the_boxes_of_bgr(clip, detectors):
    detector = detectors("yolo11n", "openvino")
    source = VideoSource(VideoSource.Options(path=assets.fetch(clip)), camera="front")
    with closing(source):
        source.open()
        pixels = [source.read(AllocatePlanes()).pixels for _ in range(60)][-1]
    assert pixels.coding == "bt601"
    a, b = detector.infer(prepare(detector, pixels)), detector.detect(pixels.bgr())
    assert (a.scores >= 0.3).sum() >= 4
    assert unmatched(a, b, 0.9).size == unmatched(b, a, 0.9).size == 0


def test_a_detector_that_reads_no_planes_gets_bgr():
    class Plain:
        def prepare(self, image):
            return image

    pixels = planes_of(48, 64)
    np.testing.assert_array_equal(prepare(Plain(), pixels), pixels.bgr())
    image = np.zeros((3, 5, 3), np.uint8)
    assert prepare(Plain(), Pixels(image)) is image


# ---- Options and what they refuse


def test_classes_and_limits(pictures):
    picture = pictures["market-street-1906", 60]
    found = OnnxDetector(OnnxOptions(classes=["person"], score=0.2)).detect(picture)
    assert set(found.class_ids.tolist()) == {0}
    assert found.scores.min() > 0.2
    few = OnnxDetector(OnnxOptions(classes=["person"], score=0.2, max_detections=3)).detect(picture)
    np.testing.assert_array_equal(few.scores, found.scores[:3])


def test_a_given_size_is_used(pictures):
    detector = OnnxDetector(OnnxOptions(size=320))
    assert detector.prepare(pictures["highway", 1]).canvas.shape == (192, 320, 3)
    assert OnnxDetector(OnnxOptions(size=(96, 64))).prepare(
        pictures["highway", 1]
    ).canvas.shape == (96, 64, 3)


@pytest.mark.parametrize(
    "options",
    [{"modle": "x"}, {"size": 100}, {"size": 0}, {"size": (64, 65)}, {"score": 0}, {"score": "a"},
     {"iou": 1.5}, {"max_detections": 0}, {"classes": []}, {"runtime": "tensorrt"},
     {"head": "ssd"}],
)  # fmt: skip
def test_wrong_options_are_refused(options):
    with pytest.raises(ValidationError):
        OnnxOptions.model_validate(options)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"classes": ["persn"]}, ConfigError, "did you mean 'person'"),
        ({"model": "yolo12n"}, ModelError, "yolo11n"),
        ({"names": ["a", "b"]}, ModelError, "yolo11n.onnx: the model has 80 classes but 2 names"),
        ({"names": "nowhere.txt"}, ModelError, "nowhere.txt"),
        ({"head": "yolox"}, ModelError, r"outputs \[\(1, 84, 5040\)\] at input \(384, 640\)"),
        ({"model": "yolov8n", "size": 320}, ModelError, r"fixed at \(640, 640\), but size 320"),
        ({"model": "yolov8n", "size": (32, 64)}, ModelError, r"but size \(32, 64\)"),
        ({"runtime": "onnxruntime", "precision": "bf16"}, ModelError, "precision bf16"),
        ({"device": "cuda"}, ModelError, "CUDAExecutionProvider"),
        ({"device": "cuda", "runtime": "openvino"}, ModelError, "not cuda"),
        ({"model": "yunet"}, ModelError, "not one of the assets"),
    ],
)
def test_what_does_not_fit_is_named(options, error, text):
    with pytest.raises(error, match=text):
        OnnxDetector(OnnxOptions(**options))


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_provider_without_a_gpu_is_one_line_and_no_silent_cpu(monkeypatch):
    runtime = pytest.importorskip("onnxruntime")
    monkeypatch.setattr(runtime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(ModelError, match="device cuda: CUDAExecutionProvider finds no GPU"):
        OnnxDetector(OnnxOptions(device="cuda"))


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.fault("H18")
def test_files_that_are_no_detector_are_named(runtime, tmp_path):
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"\x00\xff" * 500)
    with pytest.raises(ModelError, match=r"junk\.onnx: not a model that"):
        OnnxDetector(OnnxOptions(model=str(junk), runtime=runtime))
    with pytest.raises(ModelError, match=r"outputs .* fit no detection head"):
        OnnxDetector(OnnxOptions(model=str(assets.fetch("yunet")), runtime=runtime))
    with pytest.raises(ModelError, match=r"fit no detection head|expected one of"):
        OnnxDetector(OnnxOptions(model=str(assets.fetch("sface")), runtime=runtime))


@pytest.mark.fault("H18")
def test_pytorch_weights_are_sent_elsewhere(tmp_path):
    (tmp_path / "mine.pt").touch()
    with pytest.raises(ModelError, match="models export"):
        OnnxDetector(OnnxOptions(model=str(tmp_path / "mine.pt")))


def test_bf16_is_refused_where_the_cpu_lacks_it(monkeypatch):
    import openvino

    class Core(openvino.Core):
        def get_property(self, *_):
            return ["FP32"]

    monkeypatch.setattr(openvino, "Core", Core)
    with pytest.raises(ModelError, match="no bf16 instructions; use f32"):
        OnnxDetector(OnnxOptions(precision="bf16"))


def test_a_runtime_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(sessions.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="onnxruntime is not installed"):
        OnnxDetector(OnnxOptions())


# ---- Heads


@pytest.mark.parametrize(
    ("shapes", "found"),
    [
        ([(1, 84, 5040)], ("yolo", 80)),
        ([(1, 5, 5040)], ("yolo", 1)),
        ([(1, 9, 20400)], ("yolo", 5)),
        ([(1, 9, 5100)], ("yolo", 5)),
        ([(1, 5040, 85)], ("yolox", 80)),
        ([(1, 5040, 6)], ("yolox", 1)),
        ([(1, 300, 6)], ("yolo26", 0)),
    ],
)
def test_heads_are_recognised(shapes, found):
    head, classes = heads.recognise(shapes, (384, 640))
    assert (head.name, classes) == found


@pytest.mark.parametrize(
    "shapes",
    [[], [(1, 4, 5040)], [(1, 84, 5041)], [(1, 84, 5040), (1, 32, 96, 160)], [(1, 15120, 85)],
     [(1, 300, 7)], [(84, 5040)], [(1, 1000)]],
)  # fmt: skip
@pytest.mark.fault("H18")
def test_other_shapes_are_refused(shapes):
    with pytest.raises(ModelError, match="fit no detection head"):
        heads.recognise(shapes, (384, 640))


def test_names_by_count():
    assert heads.class_names(80, None)[79] == "toothbrush"
    assert heads.class_names(0, None)[5] == "bus"
    assert heads.class_names(2, None) == {0: "0", 1: "1"}
    assert heads.class_names(0, ["a"]) == {0: "a"}
    with pytest.raises(ModelError, match="3 classes but 1 names"):
        heads.class_names(3, ["a"])


class StubNetwork:
    """A network that says what it is told to, whatever it is shown."""

    def __init__(self, output, facts):
        self.output, self.facts = output, facts

    def shapes(self, canvas):
        return [self.output.shape]

    def compile(self, canvas, *, rgb, divisor):
        return lambda image: [self.output]


def stub(monkeypatch, output, *, canvas=(64, 64), names=None, task="detect", **options):
    facts = sessions.Facts(canvas, names, task)
    network = StubNetwork(np.asarray(output, np.float32), facts)
    monkeypatch.setattr(model, "open_network", lambda *_, **__: network)
    return network, OnnxDetector(OnnxOptions(**options))


def end_to_end(*rows):
    output = np.zeros((1, 300, 6), np.float32)
    output[0, : len(rows)] = rows
    return output


def test_end_to_end_boxes_come_through_without_suppression(monkeypatch):
    rows = [(16, 8, 32, 40, 0.5, 1), (16, 8, 32, 40, 0.9, 1), (16, 8, 32, 40, 0.05, 0)]
    _, detector = stub(monkeypatch, end_to_end(*rows), names=["a", "b"])
    found = detector.detect(np.zeros((32, 64, 3), np.uint8))  # 16 px of grey above and below
    assert found.boxes.tolist() == [[16, 0, 32, 24], [16, 0, 32, 24]]
    assert found.scores == pytest.approx([0.9, 0.5])
    assert found.class_ids.tolist() == [1, 1]
    assert detector.names == {0: "a", 1: "b"}


def test_bad_boxes_are_counted_not_raised(monkeypatch):
    good = (16, 8, 32, 40, 0.5, 1)
    network, detector = stub(monkeypatch, end_to_end(good), names=["a", "b"])
    network.output[0, 1:8] = [
        (np.nan, 8, 32, 40, 0.5, 1),
        (16, 8, np.inf, 40, 0.5, 1),
        (32, 8, 16, 40, 0.5, 1),
        (16, 8, 16, 40, 0.5, 1),
        (16, 1, 32, 9, 0.5, 1),  # in the grey margin
        (16, 8, 32, 40, 0.5, 2),  # no such class
        (16, 8, 32, 40, np.nan, 1),
    ]
    found = detector.detect(np.zeros((32, 64, 3), np.uint8))
    assert found.boxes.tolist() == [[16, 0, 32, 24]]
    assert detector.counters == {"boxes_not_finite": 4, "boxes_empty": 3}


def test_a_hundred_thousand_boxes_are_suppressed(monkeypatch):
    canvas = (2048, 2048)
    anchors = heads.cells(canvas)
    output = np.full((1, 6, anchors), 0.9, np.float32)
    output[0, :4] = np.random.default_rng(0).uniform(0, 2000, (4, anchors))
    _, detector = stub(monkeypatch, output, canvas=canvas)
    found = detector.detect(np.zeros((1000, 1000, 3), np.uint8))
    assert anchors > 80_000
    assert 0 < len(found) <= 300


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (np.full((1, 6, 84), -3.0), "scores from -3 to -3, expected 0 to 1"),
        (np.full((1, 6, 84), np.nan), "scores from nan"),
        (np.full((1, 6, 84), 0.5), "boxes reach 0.5, expected px"),
        (np.full((1, 84, 6), 0.5) * [64, 64, 9, 9, 1, 1], "without --decode_in_inference"),
        (end_to_end((0.1, 0.1, 0.9, 0.9, 0.5, 0)), "boxes reach 0.9"),
    ],
)
def test_numbers_that_mean_something_else_are_refused(monkeypatch, output, text):
    with pytest.raises(ModelError, match=text):
        stub(monkeypatch, output)


def test_another_task_is_refused(monkeypatch):
    with pytest.raises(ModelError, match="a model for 'pose'"):
        stub(monkeypatch, np.ones((1, 56, 84)), task="pose")


def test_names_come_from_a_file(monkeypatch, tmp_path):
    file = tmp_path / "names.txt"
    file.write_text("weed\n\ncrop \n")
    output = np.full((1, 6, 84), 0.5)
    output[:, :4] = 20
    facts = sessions.Facts((64, 64), ["x", "y"], "")
    network = StubNetwork(output.astype(np.float32), facts)
    monkeypatch.setattr(model, "open_network", lambda *_, **__: network)
    assert OnnxDetector(OnnxOptions()).names == {0: "x", 1: "y"}
    assert OnnxDetector(OnnxOptions(names=str(file))).names == {0: "weed", 1: "crop"}


def test_the_table_names_the_backends():
    assert detector_class("onnx") is OnnxDetector
    with pytest.raises(ConfigError, match="did you mean 'onnx'"):
        detector_class("onxx")


@pytest.mark.parametrize("name", DETECTORS)
def test_every_backend_keeps_the_contract(name):
    backend = detector_class(name)
    assert name == "motion" or backend.Options().score == 0.1
    with pytest.raises(ValidationError):
        backend.Options(no_such_option=1)
    for step in ("prepare", "infer", "detect"):
        assert callable(getattr(backend, step))


def test_openvino_tells_its_maker_nothing(tmp_path):
    """Its tools would send that they are used, and leave an id in the home folder."""
    code = """
import sys
from pathlib import Path
from perception.errors import ModelError
from perception.detectors.sessions import open_network
try:
    open_network(Path("no.onnx"), "openvino", threads=1, precision="f32", device="cpu")
except ModelError:
    pass
assert "openvino" in sys.modules
assert sys.modules["openvino_telemetry"] is None
"""
    home = {**os.environ, "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=home, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
