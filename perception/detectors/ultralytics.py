"""The `ultralytics` detector: runs the model files of Ultralytics. Also exports them to ONNX.

Needs the extra `ultralytics`, which is imported when it is used. The picture is letterboxed by
letterbox.py, so both detectors see the same pixels. Loading a .pt file can run code that is in it:
load only files that you trust. Used through detectors.DETECTORS and by `perception models export`.
"""

import importlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from perception import assets
from perception.detectors.heads import HEADS, PAD
from perception.detectors.letterbox import (
    Prepared,
    letterbox,
    letterbox_planes,
    picture_size,
    rectangle,
)
from perception.detectors.model import DEFAULT_SIZE, DetectorOptions, Multiple, allowed_classes
from perception.detectors.sessions import onnxruntime_errors
from perception.errors import ModelError
from perception.kernels.boxes import to_image
from perception.pixels import Pixels
from perception.wire import Detections


class UltralyticsOptions(DetectorOptions):
    """Launch file options of the `ultralytics` detector."""

    model: str = Field("yolo11n.pt", description="asset name or path of an Ultralytics model file")
    size: Multiple = Field(DEFAULT_SIZE, description="longer side of the canvas, px")


class UltralyticsDetector:
    """Any detection model that Ultralytics loads (.pt, .onnx, ...)."""

    Options = UltralyticsOptions

    def __init__(self, options: UltralyticsOptions, *, threads: int = 1) -> None:
        """Load the model and run it once.

        threads: of PyTorch. Raises ModelError where the extra is missing, or the file cannot be
        found, or is no detection model; ConfigError for a class that the model does not have.
        """
        path = assets.resolve(options.model, "weights", "model")
        self._options = options
        self._model = _load(path)
        torch = importlib.import_module("torch")
        if options.device == "cuda" and not torch.cuda.is_available():
            raise ModelError(f"device cuda: PyTorch {torch.__version__} finds no GPU")
        self.names = {int(k): str(name) for k, name in self._model.names.items()}
        allowed = allowed_classes(self.names, options.classes)
        self._classes = None if options.classes is None else np.flatnonzero(allowed).tolist()
        self.counters = {"boxes_not_finite": 0, "boxes_empty": 0}
        try:
            self.detect(np.full((720, 1280, 3), PAD, np.uint8))
        except (ValueError, *onnxruntime_errors()) as error:
            raise ModelError(f"{path}: Ultralytics cannot run it: {error}") from error
        # At its first prediction Ultralytics sets the number of threads to cores - 1. Undo that.
        torch.set_num_threads(threads)

    def prepare(self, image: NDArray[np.uint8]) -> Prepared:
        """Return a uint8 (H, W, 3) BGR image letterboxed on a new canvas.

        Raises ValueError for another dtype or shape and for an image without pixels.
        """
        height, width = picture_size(image)
        return letterbox(image, rectangle(height, width, self._options.size), HEADS["yolo"])

    def prepare_planes(self, pixels: Pixels) -> Prepared:
        """Return a picture in YUV planes letterboxed on a new canvas."""
        canvas = rectangle(pixels.height, pixels.width, self._options.size)
        return letterbox_planes(pixels, canvas, HEADS["yolo"])

    def infer(self, prepared: Prepared) -> Detections:
        """Return the detections of a prepared image, boxes in its px, best score first.

        Boxes that are not finite, or empty after clipping to the image, are dropped and counted.
        """
        options = self._options
        result = self._model.predict(
            prepared.canvas,
            imgsz=options.size,
            conf=options.score,
            iou=options.iou,
            agnostic_nms=options.agnostic_nms,
            max_det=options.max_detections,
            nms=False,  # use the end-to-end head of a model that has one
            classes=self._classes,
            device=options.device,
            verbose=False,
            save=False,
        )[0].boxes
        boxes, rows, rejected = to_image(
            result.xyxy.cpu().numpy(),
            prepared.width,
            prepared.height,
            scale=prepared.scale,
            offset=prepared.offset,
        )
        self.counters["boxes_not_finite"] += rejected[0]
        self.counters["boxes_empty"] += rejected[1]
        scores, class_ids = result.conf.cpu().numpy()[rows], result.cls.cpu().numpy()[rows]
        order = np.argsort(-scores, kind="stable")
        return Detections.of(boxes[order], scores[order], class_ids[order])

    def detect(self, image: NDArray[np.uint8]) -> Detections:
        """Return the detections of a uint8 (H, W, 3) BGR image."""
        return self.infer(self.prepare(image))


def export_onnx(model: str | Path, out: str | Path) -> Path:
    """Export an Ultralytics detection model to ONNX with a dynamic input size. Return `out`.

    model: asset name (yolo11n.pt, yolo26n.pt) or path. out: path of the ONNX file, overwritten.
    Raises ModelError where the extra is missing, or the file cannot be read or exported.
    """
    path, out = assets.resolve(model, "weights"), Path(out)
    with tempfile.TemporaryDirectory(prefix="perception-export-") as folder:
        # The export writes next to its input, and that may be in the asset cache: use a copy.
        copy = shutil.copyfile(path, Path(folder) / path.name)
        try:
            made = _load(copy).export(
                format="onnx", dynamic=True, nms=False, imgsz=DEFAULT_SIZE, device="cpu"
            )
        except (RuntimeError, ValueError, ImportError, OSError) as error:
            raise ModelError(f"{path}: Ultralytics cannot export it: {error}") from error
        shutil.move(made, out)
    return out


def _load(path: Path) -> Any:
    # Ultralytics must not install packages or download weights by itself.
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    try:
        ultralytics = importlib.import_module("ultralytics")
    except ImportError as error:
        raise ModelError(
            f"the detector `ultralytics` needs its extra ({error}): "
            "pip install 'perception-line[ultralytics]'"
        ) from None
    try:
        model = ultralytics.YOLO(str(path), verbose=False)
        task = model.task
        model.names  # noqa: B018  an exported file is opened only now
    except (RuntimeError, ValueError, TypeError, KeyError, OSError, EOFError) as error:
        raise ModelError(f"{path}: not a model that Ultralytics reads: {error}") from error
    if task != "detect":
        raise ModelError(f"{path}: a model for {task!r}, expected one for 'detect'")
    return model
