"""Faces are found, aligned as OpenCV does it, and left out where they are poor."""

import cv2
import numpy as np
import pytest

from perception import assets
from perception.errors import ModelError
from perception.identity import EMBEDDERS, embedder_class
from perception.identity.embedders import OnnxEmbedder, SFace
from perception.identity.faces import Face, FaceFinder, align
from perception.identity.quality import judge


@pytest.fixture(scope="module")
def finder():
    return FaceFinder()


@pytest.fixture(scope="module")
def sface():
    return SFace(SFace.Options())


@pytest.fixture(scope="module")
def portrait(footage):
    image = cv2.imread(str(footage / "images/faces/skimage_astronaut.png"))
    assert image is not None
    return image


@pytest.fixture(scope="module")
def face(finder, portrait):
    (found,) = finder.find(portrait)
    return found


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (15, 400), (16, 16), (480, 640), (2000, 40)])
def test_no_face_in_nothing(finder, shape):
    assert finder.find(np.zeros((*shape, 3), np.uint8)) == []
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    assert finder.find(noise) == []


def test_strided_and_read_only_pictures_are_taken(finder, portrait, face):
    wide = np.repeat(portrait, 2, axis=1)[:, ::2]
    wide.flags.writeable = False
    (found,) = finder.find(wide)
    assert np.allclose(found.landmarks, face.landmarks, atol=0.01)


def test_landmarks_come_back_in_pixels_of_the_picture(finder, portrait, face):
    large = cv2.resize(portrait, None, fx=3, fy=3)
    (found,) = finder.find(large)
    assert np.abs(found.landmarks / 3 - face.landmarks).max() < 0.08 * face.width_px


def test_aligned_as_opencv_does(portrait, face):
    opencv = cv2.FaceRecognizerSF.create(str(assets.fetch("sface")), "")
    x1, y1, x2, y2 = face.box
    row = np.array([x1, y1, x2 - x1, y2 - y1, *face.landmarks.ravel(), face.score], np.float32)
    peer = opencv.alignCrop(portrait, row[None])
    assert np.abs(align(portrait, face).astype(int) - peer.astype(int)).mean() < 0.5


def test_embedded_as_opencv_does(sface, portrait, face):
    opencv = cv2.FaceRecognizerSF.create(str(assets.fetch("sface")), "")
    aligned = align(portrait, face)
    peer = opencv.feature(aligned)[0]
    ours = sface.embed(aligned)
    assert ours.shape == (128,)
    assert ours.dtype == np.float32
    assert float(ours @ peer / np.linalg.norm(peer)) > 0.9999
    assert abs(float(np.linalg.norm(ours)) - 1) < 1e-5


def test_a_good_face_is_usable_and_each_gate_has_its_name(portrait, face):
    def flaw(image, found=face, edit=lambda aligned: aligned):
        return judge(image, found, edit(align(image, found))).flaw

    def moved(points):
        return Face(face.box, face.score, np.asarray(points, np.float32))

    assert flaw(portrait) is None
    assert flaw(portrait, edit=lambda a: (a * 0.1).astype(np.uint8)) == "dark"
    assert flaw(portrait, edit=lambda a: np.full_like(a, 250)) == "bright"
    assert flaw(portrait, edit=lambda a: np.full_like(a, 120)) == "flat"
    assert flaw(portrait, edit=lambda a: cv2.GaussianBlur(a, (0, 0), 4)) == "blurred"
    right, left, nose, *mouth = face.landmarks
    assert flaw(portrait, moved([right, left, left, *mouth])) == "turned"
    assert flaw(portrait, moved([left, right, nose, *mouth])) == "turned"
    assert flaw(portrait, moved((face.landmarks - nose) * 0.3 + nose)) == "small"
    assert flaw(portrait, moved(face.landmarks - right - 5)) == "cut"
    same = moved(np.tile(nose, (5, 1)))
    assert flaw(portrait, same) == "small"


def test_quality_of_a_turned_head_is_in_degrees(portrait, face):
    height, width = portrait.shape[:2]
    turn = cv2.getRotationMatrix2D(tuple(map(float, face.centre)), -30, 1)
    turned = cv2.warpAffine(portrait, turn, (width, height))
    points = cv2.transform(face.landmarks[None], turn)[0]
    rolled = Face(face.box, face.score, points)
    upright = judge(portrait, face, align(portrait, face))
    quality = judge(turned, rolled, align(turned, rolled))
    assert quality.roll_deg - upright.roll_deg == pytest.approx(30, abs=0.5)
    assert quality.yaw == pytest.approx(upright.yaw, abs=0.01)
    assert quality.flaw is None


def test_models_that_are_none_are_named(tmp_path):
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"wrong\.onnx: not a YuNet model"):
        FaceFinder(str(wrong))
    with pytest.raises(ModelError, match=r"wrong\.onnx: not a model that OpenCV reads"):
        SFace(SFace.Options(model=str(wrong)))
    with pytest.raises(ModelError, match=r"has 12 outputs, expected 1"):
        SFace(SFace.Options(model=str(assets.fetch("yunet"))))


def test_any_onnx_embedder_by_row(sface, portrait, face):
    assert set(EMBEDDERS) == {"sface", "onnx"}
    cls = embedder_class("onnx")
    assert cls is OnnxEmbedder
    path = str(assets.fetch("sface"))
    same = cls(cls.Options(model=path, accept=0.4, reject=0.3, mean=0, scale=1))
    aligned = align(portrait, face)
    assert float(same.embed(aligned) @ sface.embed(aligned)) > 0.9999
    assert (same.model, same.accept) == ("face_recognition_sface_2021dec.onnx", 0.4)
    with pytest.raises(ValueError, match=r"reject 0\.5 is above accept 0.4"):
        cls.Options(model=path, accept=0.4, reject=0.5)
