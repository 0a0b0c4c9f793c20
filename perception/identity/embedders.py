"""Face embedders over ONNX files, run by OpenCV's DNN on one thread.

Used through identity.EMBEDDERS; imports assets and errors.
Source: Zhong et al., SFace, IEEE TIP 2021; its file and operating points are OpenCV Zoo's.
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
"""Cosine operating point on LFW (99.60 %): OpenCV tutorial `dnn_face`, table of thresholds."""
SFACE_CPLFW = 0.275
"""The same on CPLFW, pairs of different pose (91.05 %): what may still be one person, turned."""

Cosine = Annotated[float, Field(gt=-1, lt=1)]


class SFace:
    """SFace of the OpenCV Zoo: 112x112 -> 128 numbers."""

    class Options(BaseModel):
        """model: the asset, or the path of the same network."""

        model_config = ConfigDict(extra="forbid", frozen=True)

        model: str = "sface"

    def __init__(self, options: Any) -> None:
        self._network = _Network(assets.resolve(options.model, "face"), rgb=True, mean=0, scale=1)
        self.model, self.accept, self.reject = "sface", SFACE_LFW, SFACE_CPLFW

    def embed(self, face: Image) -> Vector:
        """Return float32 (128,) of length 1; see Embedder.embed."""
        return self._network.run(face)


class OnnxEmbedder:
    """Any ONNX network that takes faces aligned to the ArcFace template, 112x112."""

    class Options(BaseModel):
        """model: path. accept, reject: cosines of its published evaluation. rgb, mean, scale:
        pixels become (value - mean) * scale, in this colour order."""

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
        """Return float32 (D,) of length 1; see Embedder.embed."""
        return self._network.run(face)


class _Network:
    """A model file opened; `run` gives a vector of length 1."""

    def __init__(self, path: Path, rgb: bool, mean: float, scale: float) -> None:
        self._path, self._rgb, self._mean, self._scale = path, rgb, mean, scale
        with quiet_opencv():
            try:
                self._net: Any = cv2.dnn.readNetFromONNX(str(path))
            except cv2.error as error:
                raise ModelError(f"{path}: not a model that OpenCV reads: {error.err}") from None
            outputs = len(self._net.getUnconnectedOutLayersNames())
        if outputs != 1:
            raise ModelError(f"{path}: has {outputs} outputs, an embedder has one vector")
        self.run(np.full((SIDE, SIDE, 3), 128, np.uint8))

    def run(self, face: Image) -> Vector:
        mean = (self._mean,) * 3
        blob = cv2.dnn.blobFromImage(face, self._scale, (SIDE, SIDE), mean, swapRB=self._rgb)
        try:
            self._net.setInput(blob)
            found = np.asarray(self._net.forward(), np.float32).reshape(-1)
        except cv2.error as error:
            raise ModelError(f"{self._path}: takes no face of {SIDE}x{SIDE}: {error.err}") from None
        length = float(np.linalg.norm(found))
        if not 16 <= len(found) <= 4096 or not np.isfinite(length) or length == 0:
            raise ModelError(f"{self._path}: gave {len(found)} numbers of length {length}")
        return found / np.float32(length)
