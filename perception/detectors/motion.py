"""The `motion` detector: finds objects that move on their own, however small.

For a fixed camera it uses a background model (background.py). The rest here is for a moving camera.

Two earlier pictures are registered to this one. A pixel is in motion where this picture differs
from both: something is there now and was not there before. Two measures against false detections:
a tolerance of one pixel, for edges that are not registered exactly; and a threshold that rises with
the mean difference around, for trees and water. Imports cv2, wire and the rest of this room.

Source: double difference of registered frames, e.g. Cohen and Medioni 1999 (CVPR).
"""

from collections import deque
from typing import Annotated, Any, Literal, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from perception.detectors.background import MIN_PX, SIDE_PX, Background
from perception.detectors.registration import Homography, Registration
from perception.kernels.blobs import join_boxes
from perception.pixels import Pixels
from perception.wire import Detections

NAME = "moving"
_TOLERANCE = np.ones((3, 3), np.uint8)
_CLOSING = np.ones((3, 3), np.uint8)
_NOISE_STEP, _NOISE_WINDOW = 8, 9
MAX_SHARE = 0.04
"""Where a larger share of the picture differs, nothing is returned: the light changed, or the
registration failed."""
FLAT_AGREEMENT, PARALLAX = 0.92, 8.0
"""Where the agreement of the registration is below FLAT_AGREEMENT, the contrast threshold rises by
this factor: 1 + PARALLAX x (FLAT_AGREEMENT - agreement)."""
_KEPT = 128
_SIDE_PX, _MIN_PX, _MAX_SIDE_PX = 1920, 18, 90

Grey = NDArray[np.uint8]
Span = Annotated[float, Field(gt=0.0, le=5.0, allow_inf_nan=False)]


class MotionOptions(BaseModel):
    """Options of the `motion` detector.

    camera: moving or fixed. contrast: grey levels (of 255) above the noise. min_px: smallest area
    of a blob, px^2. max_side_px: larger boxes are dropped. size: pictures with a longer side are
    scaled down to it; areas and sides are measured there.

    For a moving camera (min_px 18, max_side_px 90, size 1920): spans_s: age of the two pictures
    that this one is compared with, s of media time; an object that moves by less than its length in
    the longer one is missed. noise: factor on the mean difference around, added to contrast.

    For a fixed camera (min_px 60, any side, size 640): absorb_s: what stands still for so long
    becomes background.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    camera: Literal["moving", "fixed"] = "moving"
    spans_s: tuple[Span, Span] = (0.32, 0.64)
    contrast: float = Field(default=16.0, ge=2.0, le=255.0)
    noise: float = Field(default=3.0, ge=0.0, le=20.0)
    absorb_s: float = Field(default=20.0, ge=1.0, le=3600.0)
    min_px: int | None = Field(default=None, ge=1, le=100_000)
    max_side_px: int | None = Field(default=None, ge=4, le=8192)
    size: int | None = Field(default=None, ge=160, le=8192)

    @model_validator(mode="after")
    def _spans_rise(self) -> Self:
        if self.spans_s[0] >= self.spans_s[1]:
            raise ValueError(f"spans_s {list(self.spans_s)}: the second must be larger")
        other = {"spans_s", "noise"} if self.camera == "fixed" else {"absorb_s"}
        if wrong := sorted(other & self.model_fields_set):
            raise ValueError(f"{' and '.join(wrong)}: not an option of camera: {self.camera}")
        return self


class MotionDetector:
    """Finds moving objects. Stores the last pictures of one camera.

    counters: pictures without a result, because they could not be registered or too much changed.
    After that the background of a fixed camera is learned again.
    """

    Options: type[BaseModel] = MotionOptions

    def __init__(self, options: MotionOptions | None = None, *, threads: int = 1) -> None:
        del threads
        self._options = options or MotionOptions()
        chosen, fixed = self._options, self._options.camera == "fixed"
        self._size = chosen.size or (SIDE_PX if fixed else _SIDE_PX)
        self._min_px = chosen.min_px or (MIN_PX if fixed else _MIN_PX)
        self._max_side_px = chosen.max_side_px or (self._size if fixed else _MAX_SIDE_PX)
        self._background = (
            Background(chosen.contrast, chosen.absorb_s, self._min_px, self._max_side_px)
            if fixed
            else None
        )
        self.names: dict[int, str] = {0: NAME}
        self.counters: dict[str, int] = {"motion_unregistered": 0, "motion_flooded": 0}
        self._registration = Registration()
        self._past: deque[tuple[int, Grey, Homography]] = deque(maxlen=_KEPT)

    def for_camera(self) -> "MotionDetector":
        """Return a new detector for one more camera."""
        return MotionDetector(self._options)

    def prepare(self, image: NDArray[np.uint8]) -> Any:
        """As `prepare_at`, with a media time 40 ms after the last picture."""
        last_ns = self._past[-1][0] if self._past else 0
        return self.prepare_at(Pixels(image), last_ns + 40_000_000)

    def prepare_at(self, pixels: Pixels, t_ns: int) -> tuple[Grey, int, float]:
        """Return the grey picture, scaled down to `size` px, its media time ns and its scale."""
        if pixels.coding == "bgr":
            grey: Any = cv2.cvtColor(pixels.data, cv2.COLOR_BGR2GRAY)
        else:
            grey = pixels.planes()[0]
        scale = min(1.0, self._size / max(grey.shape))
        if scale < 1.0:
            size = round(grey.shape[1] * scale), round(grey.shape[0] * scale)
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        elif pixels.coding != "bgr":
            grey = grey.copy()
        return grey, t_ns, scale

    def infer(self, prepared: tuple[Grey, int, float]) -> Detections:
        """Return the moving objects, boxes in px of the picture, best score first."""
        grey, t_ns, scale = prepared
        if self._background is not None:
            found = self._background.find(grey, t_ns, scale)
            self.counters["motion_flooded"] = self._background.flooded
            return found
        self._keep_span(t_ns)
        homography = self._registration.to_this(grey)
        if homography is None:
            self.counters["motion_unregistered"] += 1
            self._past.clear()
            homography = np.eye(3)
        past = [(t, picture, homography @ before) for t, picture, before in self._past]
        self._past.clear()
        self._past.extend(past)
        earlier = self._earlier(t_ns)
        found = Detections.none() if earlier is None else self._find(grey, earlier, scale)
        self._past.append((t_ns, grey, np.eye(3)))
        return found

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Return the detections of a uint8 (H, W, 3) BGR image; see prepare."""
        return self.infer(self.prepare(image))

    def _keep_span(self, t_ns: int) -> None:
        """Drop the pictures older than the longest span, and all where time did not rise."""
        if self._past and t_ns <= self._past[-1][0]:
            self._past.clear()
        longest_ns = round(self._options.spans_s[1] * 1e9)
        while len(self._past) > 1 and t_ns - self._past[1][0] >= longest_ns:
            self._past.popleft()

    def _earlier(self, t_ns: int) -> list[tuple[Grey, Homography]] | None:
        """Return, for each span, the picture whose age is nearest to it. None: too few pictures."""
        found: list[tuple[Grey, Homography]] = []
        for span_s in self._options.spans_s:
            span_ns = round(span_s * 1e9)
            t, picture, homography = min(
                self._past, key=lambda p: abs(t_ns - p[0] - span_ns), default=(0, None, None)
            )
            if picture is None or homography is None or not 0.5 < (t_ns - t) / span_ns < 2.0:
                return None
            found.append((picture, homography))
        return None if found[0][0] is found[1][0] else found

    def _find(self, grey: Grey, earlier: list[tuple[Grey, Homography]], scale: float) -> Detections:
        size = grey.shape[1], grey.shape[0]
        difference: Any = None
        for picture, homography in earlier:
            moved: Any = cv2.warpPerspective(
                picture, homography, size, borderMode=cv2.BORDER_REPLICATE
            )
            moved = _match_brightness(moved, grey)
            high, low = cv2.dilate(moved, _TOLERANCE), cv2.erode(moved, _TOLERANCE)
            one: Any = cv2.max(cv2.subtract(grey, high), cv2.subtract(low, grey))
            difference = one if difference is None else cv2.min(difference, one)
        smooth: Any = cv2.blur(difference, (3, 3))
        limit = self._threshold(difference, size)
        mask: Any = cv2.compare(smooth, limit, cv2.CMP_GT)
        if cv2.countNonZero(mask) > MAX_SHARE * mask.size:
            self.counters["motion_flooded"] += 1
            return Detections.none()
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _CLOSING)
        return self._boxes(mask, smooth, limit, _common_region(earlier, size), scale)

    def _threshold(self, difference: Any, size: tuple[int, int]) -> Any:
        """Return the threshold of the difference, uint8 (H, W): from the mean around each pixel."""
        step = 1 / _NOISE_STEP
        thin: Any = cv2.resize(difference, None, fx=step, fy=step, interpolation=cv2.INTER_AREA)
        mean: Any = cv2.blur(thin, (_NOISE_WINDOW, _NOISE_WINDOW))
        lack = max(FLAT_AGREEMENT - self._registration.agreement, 0.0)
        contrast = self._options.contrast * (1.0 + PARALLAX * lack)
        limit: Any = cv2.addWeighted(mean, self._options.noise, mean, 0.0, contrast)
        return cv2.resize(limit, size, interpolation=cv2.INTER_LINEAR)

    def _boxes(self, mask: Any, smooth: Any, limit: Any, valid: Any, scale: float) -> Detections:
        """Return a detection for each blob of the mask whose area and sides are within the options.

        valid: x1, y1, x2, y2 in which a box must lie, px.
        """
        edges: Any = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
        found: list[tuple[int, int, int, int]] = []
        for edge in edges:
            x, y, w, h = cv2.boundingRect(edge)
            if cv2.countNonZero(mask[y : y + h, x : x + w]) >= self._min_px:
                found.append((x, y, x + w, y + h))
        boxes = join_boxes(np.array(found, np.float32).reshape(-1, 4))
        sides = boxes[:, 2:] - boxes[:, :2]
        boxes = boxes[(sides.max(axis=1, initial=0) <= self._max_side_px)]
        x1, y1, x2, y2 = valid
        inside = (boxes[:, :2] >= (x1, y1)).all(axis=1) & (boxes[:, 2:] <= (x2, y2)).all(axis=1)
        boxes = boxes[inside]
        scores = np.array([_score(smooth, limit, box) for box in boxes.astype(int).tolist()])
        order = np.argsort(-scores, kind="stable")
        return Detections.of(boxes[order] / scale, scores[order], np.zeros(len(order)))


def _match_brightness(moved: Any, grey: Grey) -> Any:
    """Return a picture after adding the median brightness difference to another picture."""
    thin = moved[::16, ::16].astype(np.int16)
    shift = int(np.median(grey[::16, ::16].astype(np.int16) - thin))
    if abs(shift) < 2:
        return moved
    return cv2.addWeighted(moved, 1.0, moved, 0.0, shift)


def _common_region(
    earlier: list[tuple[Grey, Homography]], size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Return x1, y1, x2, y2, px, of the region that all earlier pictures show, without 2 px of
    edge.
    """
    width, height = size
    x1, y1, x2, y2 = 0.0, 0.0, float(width), float(height)
    corners: Any = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float32)
    for _, homography in earlier:
        a, b, c, d = np.asarray(cv2.perspectiveTransform(corners, homography))[0].tolist()
        x1, x2 = max(x1, a[0], d[0]), min(x2, b[0], c[0])
        y1, y2 = max(y1, a[1], b[1]), min(y2, c[1], d[1])
    return x1 + 2, y1 + 2, x2 - 2, y2 - 2


def _score(smooth: Any, limit: Any, box: list[int]) -> float:
    """Return the score of a box: 0.5 at the threshold, rising towards 1 with the contrast."""
    x1, y1, x2, y2 = box
    part, least = smooth[y1:y2, x1:x2], limit[y1:y2, x1:x2]
    excess = float((part.astype(np.float32) / np.maximum(least, 1)).max()) - 1.0
    return 1.0 - 0.5 * float(np.exp(-max(excess, 0.0)))
