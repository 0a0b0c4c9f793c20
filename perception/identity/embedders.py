"""Face embedders from ONNX files, run by OpenCV's DNN module.

Used through identity.EMBEDDERS. Imports assets and errors.
Source: Zhong et al., SFace, IEEE TIP 2021; model file and operating points from the OpenCV Zoo.
"""

from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from perception import assets
from perception.errors import ModelError
from perception.identity import Image, Vector
from perception.identity.faces import SIDE, quiet_opencv

SFACE_LFW = 0.363
"""Cosine threshold for LFW (accuracy 99.60 %): OpenCV tutorial `dnn_face`, table of thresholds."""
SFACE_CPLFW = 0.275
"""Cosine threshold for CPLFW, pairs of faces in different pose (accuracy 91.05 %)."""

Cosine = Annotated[float, Field(gt=-1, lt=1)]


class SFace:
    """SFace of the OpenCV Zoo: a face of 112x112 px to 128 numbers."""

    class Options(BaseModel):
        """model: asset name, or path of the same network."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        model: str = "sface"

    def __init__(self, options: Any) -> None:
        self._network = _Network(assets.resolve(options.model, "face"), rgb=True, mean=0, scale=1)
        self.model, self.accept, self.reject = "sface", SFACE_LFW, SFACE_CPLFW

    def embed(self, face: Image) -> Vector:
        """Return the unit vector, float32 (128,); see Embedder.embed."""
        return self._network.run(face)


class OnnxEmbedder:
    """Any ONNX network for faces of 112x112 px that are aligned to the ArcFace template."""

    class Options(BaseModel):
        """model: path. accept, reject: cosines from its published evaluation. rgb: colour order of
        the input, else BGR. mean, scale: the input is (pixel - mean) * scale."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        model: str
        accept: Cosine
        reject: Cosine
        rgb: bool = True
        mean: float = 127.5
        scale: Annotated[float, Field(gt=0)] = 1 / 127.5

        @model_validator(mode="after")
        def _band(self) -> "OnnxEmbedder.Options":
            if self.reject > self.accept:
                raise ValueError(f"reject {self.reject} is above accept {self.accept}")
            return self

    def __init__(self, options: Any) -> None:
        path = assets.resolve(options.model, "face")
        self._network = _Network(path, options.rgb, options.mean, options.scale)
        self.model: str = path.name
        self.accept: float = options.accept
        self.reject: float = options.reject

    def embed(self, face: Image) -> Vector:
        """Return the unit vector, float32 (D,); see Embedder.embed."""
        return self._network.run(face)


class _Network:
    """An open model file."""

    def __init__(self, path: Path, rgb: bool, mean: float, scale: float) -> None:
        self._path, self._rgb, self._mean, self._scale = path, rgb, mean, scale
        with quiet_opencv():
            try:
                self._net: Any = cv2.dnn.readNetFromONNX(str(path))
            except cv2.error as error:
                raise ModelError(f"{path}: not a model that OpenCV reads: {error.err}") from None
            outputs = len(self._net.getUnconnectedOutLayersNames())
        if outputs != 1:
            raise ModelError(f"{path}: has {outputs} outputs, expected 1 (a vector)")
        self.run(np.full((SIDE, SIDE, 3), 128, np.uint8))

    def run(self, face: Image) -> Vector:
        mean = (self._mean,) * 3
        blob = cv2.dnn.blobFromImage(face, self._scale, (SIDE, SIDE), mean, swapRB=self._rgb)
        try:
            self._net.setInput(blob)
            found = np.asarray(self._net.forward(), np.float32).reshape(-1)
        except cv2.error as error:
            text = f"{self._path}: does not accept a face of {SIDE}x{SIDE} px: {error.err}"
            raise ModelError(text) from None
        length = float(np.linalg.norm(found))
        if not 16 <= len(found) <= 4096 or not np.isfinite(length) or length == 0:
            raise ModelError(
                f"{self._path}: output of {len(found)} numbers, norm {length:.3g}: expected 16 to "
                "4096 numbers and a finite norm above 0"
            )
        return found / np.float32(length)
