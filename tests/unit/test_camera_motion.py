import cv2
import numpy as np
import pytest

from benchmarks.camera_motion import ManyPoints, corner_error
from perception.geometry.camera_motion import CameraMotion
from perception.geometry.grey import small_grey

W, H = 1280, 720
NOBODY = np.zeros((0, 4), np.float32)


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 255, (H // 8, W // 8), np.uint8)
    return cv2.GaussianBlur(cv2.resize(noise, (W, H), interpolation=cv2.INTER_CUBIC), (0, 0), 3)


def small(image):
    return cv2.resize(image, (240, 135), interpolation=cv2.INTER_AREA)


def moved(image, affine):
    return cv2.warpAffine(image, affine, (W, H), borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize(
    ("angle", "zoom", "shift"), [(0, 1, (9, -5)), (0.4, 1.01, (3, 2)), (-1, 0.98, (-20, 6))]
)
def test_finds_the_affine(scene, angle, zoom, shift):
    affine = cv2.getRotationMatrix2D((W / 2, H / 2), angle, zoom)
    affine[:, 2] += shift
    motion = CameraMotion()
    np.testing.assert_array_equal(motion.estimate(small(scene), NOBODY, W, H), np.eye(2, 3))
    warp = motion.estimate(small(moved(scene, affine)), NOBODY, W, H)
    assert warp.dtype == np.float32
    assert warp.shape == (2, 3)
    assert corner_error(warp, affine, W, H) < 0.8
    assert motion.counters["moved"] == 1


def test_still_camera_does_not_drift(scene):
    motion = CameraMotion()
    rng = np.random.default_rng(1)
    for _ in range(20):
        noisy = np.clip(scene + rng.normal(0, 4, scene.shape), 0, 255).astype(np.uint8)
        np.testing.assert_array_equal(
            motion.estimate(small(noisy), NOBODY, W, H), np.eye(2, 3, dtype=np.float32)
        )


def test_what_moves_under_boxes_is_not_the_camera(scene):
    motion = CameraMotion()
    boxes = np.array([[100, 50, 700, 650]], np.float32)
    motion.estimate(small(scene), boxes, W, H)
    bus = scene.copy()
    bus[50:650, 120:720] = scene[50:650, 100:700]
    warp = motion.estimate(small(bus), boxes + np.float32([20, 0, 20, 0]), W, H)
    np.testing.assert_array_equal(warp, np.eye(2, 3))


@pytest.mark.parametrize("grey", ["flat", "tiny", "empty", "size", "noise", "read-only"])
def test_untrustworthy_pictures_give_the_identity(scene, grey):
    rng = np.random.default_rng(2)
    pictures = {
        "flat": [np.full((135, 240), 90, np.uint8)] * 2,
        "tiny": [np.zeros((2, 3), np.uint8)] * 2,
        "empty": [np.zeros((0, 0), np.uint8)] * 2,
        "size": [small(scene), small(scene)[:100]],
        "noise": [rng.integers(0, 255, (135, 240), np.uint8) for _ in range(2)],
        "read-only": [small(scene)] * 2,
    }[grey]
    motion = CameraMotion()
    odd = [[np.nan, 0, 5, 5], [-100, -100, 1e30, 3], [50, 50, 20, 20]]
    for picture in pictures:
        picture.flags.writeable = False
        warp = motion.estimate(picture, odd, W, H)
        np.testing.assert_array_equal(warp, np.eye(2, 3))


@pytest.mark.footage
def test_fixed_camera_of_real_footage_never_drifts(footage):
    capture = cv2.VideoCapture(str(footage / "video/surveillance/vtest_PETS09-S2L1.avi"))
    motion = CameraMotion()
    for _ in range(100):
        _, frame = capture.read()
        warp = motion.estimate(small_grey(frame), NOBODY, frame.shape[1], frame.shape[0])
        np.testing.assert_array_equal(warp, np.eye(2, 3))
    assert motion.counters["still"] == 99


@pytest.mark.footage
@pytest.mark.parametrize(
    "clip", ["driving/highway_solidWhiteRight.mp4", "aerial/gopro_karma_drone_gpmf.mp4"]
)
def test_agrees_with_ten_times_the_points_on_real_footage(footage, clip):
    capture = cv2.VideoCapture(str(footage / "video" / clip))
    motion, many, errors = CameraMotion(), ManyPoints(), []
    for n in range(60):
        _, frame = capture.read()
        h, w = frame.shape[:2]
        warp = motion.estimate(small_grey(frame), NOBODY, w, h)
        apart = corner_error(warp, many.estimate(frame), w, h)
        errors += [apart] if n > 0 else []
    assert np.median(errors) < 0.8
