"""Who a person is: find faces in tracks, judge their quality, compare with a gallery, decide.

An embedder turns an aligned face into a vector and knows the published operating points of its
model. To add one: a class that fits Embedder, one row in EMBEDDERS. Imports assets and below.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from perception.extensions import load

Vector = NDArray[np.float32]
Image = NDArray[np.uint8]


class Embedder(Protocol):
    """A network that places faces so that those of one person lie close together.

    model: what made the vectors; vectors of two models are never compared. accept: cosine at or
    above which two faces are one person's. reject: cosine below which they are not; between the two
    nothing is said. Both from a published evaluation of the model, never from the user's faces.
    """

    Options: type[BaseModel]
    model: str
    accept: float
    reject: float

    def __init__(self, options: Any) -> None:
        """Load the model. Raises ModelError, which names the file and what is wrong."""
        ...

    def embed(self, face: Image) -> Vector:
        """Return float32 (D,) of length 1 for an aligned face, uint8 (112, 112, 3) BGR."""
        ...


EMBEDDERS = {
    "sface": "perception.identity.embedders:SFace",
    "onnx": "perception.identity.embedders:OnnxEmbedder",
}


def embedder_class(name: str) -> Any:
    """Return the class of an embedder; ConfigError with the nearest name where there is none."""
    return load(EMBEDDERS, "perception.embedders", name)
