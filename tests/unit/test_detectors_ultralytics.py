"""The ultralytics backend: what is said without the extra; with it (marked), the same boxes."""

import importlib
import importlib.util

import cv2
import numpy as np
import pytest

from perception import assets
from perception.detectors import detector_class
from perception.detectors.model import OnnxDetector, OnnxOptions
from perception.detectors.ultralytics import (
    UltralyticsDetector,
    UltralyticsOptions,
    export_onnx,
)
from perception.errors import ConfigError, ModelError
from perception.kernels.boxes import iou_matrix

EXTRA = importlib.util.find_spec("ultralytics") is not None


@pytest.mark.skipif(EXTRA, reason="the ultralytics extra is installed")
def test_a_missing_extra_is_named_with_the_way_to_it():
    with pytest.raises(ModelError, match=r"pip install 'perception-line\[ultralytics\]'"):
        UltralyticsDetector(UltralyticsOptions())
    with pytest.raises(ModelError, match=r"pip install 'perception-line\[ultralytics\]'"):
        export_onnx("yolo11n.pt", "out.onnx")


def test_the_table_names_it():
    assert detector_class("ultralytics") is UltralyticsDetector


# Warnings of PyTorch and its exporter are theirs.
with_extra = [
    pytest.mark.ultralytics,
    pytest.mark.skipif(not EXTRA, reason="needs the ultralytics extra"),
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.timeout(600),
]


def marked(test):
    for mark in with_extra:
        test = mark(test)
    return test


def frame_of(clip, n):
    capture = cv2.VideoCapture(str(assets.fetch(clip)), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    for _ in range(n):
        assert capture.grab()
    return capture.retrieve()[1]


@pytest.fixture(scope="module")
def pictures():
    clips = (("highway", 1), ("highway", 100), ("market-street-1906", 60))
    return [frame_of(clip, n) for clip, n in clips]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    made = {}

    def get(name):
        if name not in made:
            out = tmp_path_factory.mktemp("export") / name.replace(".pt", ".onnx")
            made[name] = export_onnx(name, out)
        return made[name]

    return get


def assert_same(a, b):
    for sure, other in ((a, b), (b, a)):
        strong, weak = sure.scores >= 0.30, other.scores >= 0.25
        iou = iou_matrix(sure.boxes[strong], other.boxes[weak])
        iou *= sure.class_ids[strong][:, None] == other.class_ids[weak][None]
        assert (iou.max(axis=1, initial=0) >= 0.95).all()


@marked
@pytest.mark.parametrize("name", ["yolo11n.pt", "yolo26n.pt"])
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_exported_models_see_the_same_boxes(name, runtime, pictures, exported):
    theirs = UltralyticsDetector(UltralyticsOptions(model=name))
    ours = OnnxDetector(OnnxOptions(model=str(exported(name)), runtime=runtime))
    assert ours.names == theirs.names
    assert ours._head.name == {"yolo11n.pt": "yolo", "yolo26n.pt": "yolo26"}[name]
    for picture in pictures:
        found = theirs.detect(picture)
        assert (found.scores >= 0.3).sum() >= 4
        assert_same(found, ours.detect(picture))


@marked
def test_the_default_models_are_the_same(pictures):
    theirs, ours = UltralyticsDetector(UltralyticsOptions()), OnnxDetector(OnnxOptions())
    for picture in pictures:
        assert_same(theirs.detect(picture), ours.detect(picture))


@marked
def test_onnx_files_run_in_it(pictures, exported):
    theirs = UltralyticsDetector(UltralyticsOptions(model=str(exported("yolo11n.pt"))))
    ours = UltralyticsDetector(UltralyticsOptions(model="yolo11n.pt"))
    assert_same(theirs.detect(pictures[0]), ours.detect(pictures[0]))
    theirs = UltralyticsDetector(UltralyticsOptions(model="yolov8n"))  # fixed at 640 x 640
    assert_same(
        theirs.detect(pictures[0]), OnnxDetector(OnnxOptions(model="yolov8n")).detect(pictures[0])
    )


@marked
@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (333, 517), (2160, 97)])
def test_odd_pictures_go_through(size):
    detector = UltralyticsDetector(UltralyticsOptions(size=320))
    found = detector.detect(np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8))
    assert (found.boxes <= [size[1], size[0], size[1], size[0]]).all()
    with pytest.raises(ValueError, match="expected uint8"):
        detector.detect(np.zeros(size, np.uint8))


@marked
def test_options_are_kept(pictures):
    import torch

    options = UltralyticsOptions(classes=["person"], score=0.2, max_detections=3)
    detector = UltralyticsDetector(options, threads=1)
    found = detector.detect(pictures[2])
    assert set(found.class_ids.tolist()) == {0}
    assert (np.diff(found.scores) <= 0).all()
    assert len(found) == 3
    assert torch.get_num_threads() == 1


@marked
def test_what_does_not_fit_is_named(tmp_path):
    (tmp_path / "junk.pt").write_bytes(b"\x00\xff" * 500)
    with pytest.raises(ModelError, match=r"junk\.pt"):
        UltralyticsDetector(UltralyticsOptions(model=str(tmp_path / "junk.pt")))
    with pytest.raises(ModelError, match=r"yolox_nano\.onnx: Ultralytics cannot run it"):
        UltralyticsDetector(UltralyticsOptions(model="yolox-nano"))
    with pytest.raises(ConfigError, match="did you mean 'person'"):
        UltralyticsDetector(UltralyticsOptions(classes=["persn"]))
    with pytest.raises(ModelError, match=r"did you mean 'yolo26n\.pt'"):
        UltralyticsDetector(UltralyticsOptions(model="yolo26.pt"))


@marked
def test_a_gpu_that_is_not_there_is_one_line():
    torch = importlib.import_module("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ModelError, match=r"^device cuda: PyTorch \S+ finds no GPU$"):
        UltralyticsDetector(UltralyticsOptions(device="cuda"))
