"""Face recognition: finds faces of tracks, rates their quality, compares them with a gallery.

An embedder turns an aligned face into a vector. It has the published operating points of its model.
To add one: a class that fits Embedder, and one row in EMBEDDERS. Imports assets and below.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from perception.extensions import load

Vector = NDArray[np.float32]
Image = NDArray[np.uint8]


class Embedder(Protocol):
    """A network that maps faces to vectors. Those of one person have a high cosine similarity.

    model: name of the network; vectors of two models are never compared. accept: two faces with a
    cosine of at least this are of one person. reject: two faces with a lower cosine are of two
    persons. In between nothing is decided. Both are from a published evaluation of the model.
    """

    Options: type[BaseModel]
    model: str
    accept: float
    reject: float

    def __init__(self, options: Any) -> None:
        """Load the model. Raises ModelError that names the file and the fault."""
        ...

    def embed(self, face: Image) -> Vector:
        """Return the unit vector, float32 (D,), of an aligned face, uint8 (112, 112, 3) BGR."""
        ...


EMBEDDERS = {
    "sface": "perception.identity.embedders:SFace",
    "onnx": "perception.identity.embedders:OnnxEmbedder",
}


def embedder_class(name: str) -> Any:
    """Return the class of an embedder. Raises ConfigError with the nearest name if unknown."""
    return load(EMBEDDERS, "perception.embedders", name)
