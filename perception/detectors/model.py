"""The `onnx` detector: letterbox, network, decoding of the head, non-maximum suppression.

Used through detectors.DETECTORS. Imports assets, wire and kernels.
"""

import contextlib
import logging
from collections import OrderedDict
from collections.abc import Generator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from perception import assets
from perception.detectors.heads import (
    COCO_NAMES,
    PAD,
    Canvas,
    check_values,
    class_names,
    recognise,
)
from perception.detectors.letterbox import (
    COMMON_CAMERA,
    STRIDE,
    Prepared,
    letterbox,
    letterbox_planes,
    picture_size,
    rectangle,
)
from perception.detectors.levels import ScoreLevels
from perception.detectors.sessions import Device, Precision, Run, open_network
from perception.errors import ConfigError, ModelError, unknown
from perception.kernels.boxes import to_image
from perception.kernels.nms import nms
from perception.pixels import Pixels
from perception.wire import Detections

_log = logging.getLogger(__name__)

DEFAULT_SIZE = 640
_MAX_CANVASES = 10  # a compiled network is kept for each

Multiple = Annotated[int, Field(ge=STRIDE, le=4096, multiple_of=STRIDE)]


class DetectorOptions(BaseModel):
    """Launch file options of every detector."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: Device = "cpu"
    score: float = Field(
        0.1, ge=0.01, lt=1, description="lowest score of a detection; the tracker uses low ones too"
    )
    levels: ScoreLevels | None = Field(
        None, description="score levels of the tracker; default: those of the model's name"
    )
    iou: float = Field(
        0.7, gt=0, le=1, description="non-maximum suppression drops boxes above this IoU"
    )
    agnostic_nms: bool = Field(False, description="suppress boxes of other classes too")
    max_detections: int = Field(300, ge=1, le=10_000)
    classes: list[str] | None = Field(
        None, min_length=1, description="names of the classes to keep; default: all"
    )


class OnnxOptions(DetectorOptions):
    """Launch file options of the `onnx` detector."""

    model: str = Field("yolo11n", description="asset name or path of an ONNX file")
    runtime: Literal["auto", "openvino", "onnxruntime"] = "auto"
    precision: Precision = "f32"
    size: Multiple | tuple[Multiple, Multiple] | None = Field(
        None,
        description="longer side of the canvas, or [height, width], px; default: 640, or the fixed "
        "input size of the model",
    )
    head: Literal["auto", "yolo", "yolo26", "yolox"] = "auto"
    names: list[str] | str | None = Field(
        None, description="class names in order of their ids, or a text file with one on each line"
    )


class OnnxDetector:
    """A Detector for an ONNX file with a head of heads.HEADS, in a runtime of sessions.RUNTIMES."""

    Options = OnnxOptions

    def __init__(self, options: OnnxOptions, *, threads: int = 1) -> None:
        """Load the model and run it once.

        threads: of the network. Raises ModelError where the file cannot be found, downloaded or
        read, or does not fit the options; ConfigError for a class that the model does not have.
        """
        path = assets.resolve(options.model, "model")
        self._options = options
        self._network = open_network(
            path,
            options.runtime,
            threads=threads,
            precision=options.precision,
            device=options.device,
        )
        facts = self._network.facts
        if facts.task not in ("", "detect"):
            raise ModelError(f"{path}: a model for {facts.task!r}, expected one for 'detect'")
        if isinstance(options.size, tuple) and facts.canvas not in (None, options.size):
            raise ModelError(f"{path}: input fixed at {facts.canvas}, but size {options.size}")
        if isinstance(options.size, int) and options.size != max(facts.canvas or (options.size,)):
            raise ModelError(f"{path}: input fixed at {facts.canvas}, but size {options.size}")
        self._fixed = facts.canvas or (options.size if isinstance(options.size, tuple) else None)
        self._long_side = options.size if isinstance(options.size, int) else DEFAULT_SIZE
        self._runs: OrderedDict[Canvas, Run] = OrderedDict()
        self._rows = 0
        canvas = self._canvas_for(*COMMON_CAMERA)
        shapes = self._network.shapes(canvas)
        with _with_path(path):
            self._head, classes = recognise(shapes, canvas, options.head)
            given = _given_names(options) or facts.names
            if given is None and facts.unreadable_names:
                given = [f"class_{k}" for k in range(classes or len(COCO_NAMES))]
                _log.warning(
                    "%s: class names cannot be read: the classes are called class_0 to class_%d. "
                    "Set `names:` of the detector. Found: %.80r",
                    *(path, len(given) - 1, facts.unreadable_names),
                )
            self.names = class_names(classes, given)
        self._rows = shapes[0][1] if self._head.suppressed else 0
        grey = np.full((*canvas, 3), PAD, np.uint8)
        output = self._run_for(canvas)(grey)[0][0]
        with _with_path(path):
            check_values(self._head, output, canvas)
        self._allowed = allowed_classes(self.names, options.classes)
        self.counters = {"boxes_not_finite": 0, "boxes_empty": 0}

    def prepare(self, image: NDArray[np.uint8]) -> Prepared:
        """Return a uint8 (H, W, 3) BGR image letterboxed on a new canvas.

        Raises ValueError for another dtype or shape and for an image without pixels.
        """
        return letterbox(image, self._canvas_for(*picture_size(image)), self._head)

    def prepare_planes(self, pixels: Pixels) -> Prepared:
        """Return a picture in YUV planes letterboxed on a new canvas."""
        canvas = self._canvas_for(pixels.height, pixels.width)
        return letterbox_planes(pixels, canvas, self._head)

    def infer(self, prepared: Prepared) -> Detections:
        """Return the detections of a prepared image, boxes in its px, best score first."""
        return self.on_image(self.look(prepared.canvas), prepared)

    def canvas_for(self, height: int, width: int) -> tuple[Canvas, bool]:
        """Return the canvas for a picture size, px, and whether it is the only one of the model."""
        return self._canvas_for(height, width), self._fixed is not None

    def look(self, canvas: NDArray[np.uint8]) -> Detections:
        """Return the detections on a uint8 (H, W, 3) BGR canvas, boxes in its px, best score first.

        The sides of the canvas are multiples of STRIDE. Raises ModelError where the model does not
        take the size.
        """
        size: Canvas = canvas.shape[:2]
        output = self._run_for(size)(canvas)[0][0]
        options = self._options
        found = self._head.decode(output, size, len(self.names), options.score, self._allowed)
        boxes, scores, class_ids, rejected = found
        keep = nms(
            boxes,
            scores,
            None if options.agnostic_nms and not self._head.suppressed else class_ids,
            1.0 if self._head.suppressed else options.iou,
            options.max_detections,
        )
        self.counters["boxes_not_finite"] += rejected[0]
        self.counters["boxes_empty"] += rejected[1]
        return Detections(boxes[keep], scores[keep], class_ids[keep])

    def on_image(self, found: Detections, prepared: Prepared) -> Detections:
        """Return detections on a canvas as boxes in px of its image, clipped to it."""
        boxes, rows, outside = to_image(
            found.boxes,
            prepared.width,
            prepared.height,
            scale=prepared.scale,
            offset=prepared.offset,
        )
        self.counters["boxes_not_finite"] += outside[0]
        self.counters["boxes_empty"] += outside[1]
        return Detections(boxes, found.scores[rows], found.class_ids[rows])

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Return the detections of a uint8 (H, W, 3) BGR image."""
        return self.infer(self.prepare(image))

    def _canvas_for(self, height: int, width: int) -> Canvas:
        return self._fixed or rectangle(height, width, self._long_side, self._rows)

    def _run_for(self, canvas: Canvas) -> Run:
        run = self._runs.get(canvas)
        if run is None:
            if len(self._runs) == _MAX_CANVASES:
                self._runs.popitem(last=False)
            run = self._network.compile(canvas, rgb=self._head.rgb, divisor=self._head.divisor)
            self._runs[canvas] = run
        self._runs.move_to_end(canvas)
        return run


def allowed_classes(names: dict[int, str], wanted: list[str] | None) -> NDArray[np.uint8]:
    """Return uint8 (K,): 1 for each wanted class, else 0. wanted None: all classes.

    Raises ConfigError with the nearest name for a class that the model does not have.
    """
    allowed = np.full(len(names), wanted is None, np.uint8)
    ids = {name: k for k, name in names.items()}
    for name in wanted or []:
        if name not in ids:
            raise ConfigError(unknown(name, ids, "classes of the model"), key="classes")
        allowed[ids[name]] = 1
    return allowed


@contextlib.contextmanager
def _with_path(path: Path) -> Generator[None]:
    """Put the path in front of the text of a ModelError."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def _given_names(options: OnnxOptions) -> list[str] | None:
    if not isinstance(options.names, str):
        return options.names
    try:
        text = Path(options.names).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"class names {options.names}: {error}") from None
    return [line.strip() for line in text.splitlines() if line.strip()]
