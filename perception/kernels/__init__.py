"""Numba kernels: the hot loop. Imports numpy and numba only; may be imported by every room.

Shape letters, fixed once for the whole package: N detections, M tracks, K classes, A anchors
(candidates of a network head), H, W pixels, D state, P polygon points.

A public function converts its arguments with `as_array` (read-only, strided, of another dtype,
empty), allocates the result and calls a private kernel. The private kernel has an explicit
signature and cache=True, so it is compiled when its module is imported. `perception warm` imports
every module of MODULES. Later imports load the compiled code from Numba's cache.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from perception.kernels import cache

cache.install()

MODULES: tuple[str, ...] = (
    "perception.kernels.kalman",
    "perception.kernels.assignment",
    "perception.kernels.association",
    "perception.kernels.track_intake",
    "perception.kernels.track_matching",
    "perception.kernels.tracking",
    "perception.kernels.boxes",
    "perception.kernels.colour",
    "perception.kernels.decode",
    "perception.kernels.nms",
    "perception.kernels.polygons",
    "perception.kernels.looming",
    "perception.kernels.blobs",
    "perception.kernels.ground",
    "perception.kernels.ground_filter",
    "perception.kernels.change",
    "perception.kernels.tiles",
    "perception.kernels.lanes",
)
"""Kernel modules in the order in which they are compiled. A new kernel file needs a row here."""


def as_array(values: ArrayLike, dtype: Any, *shape: int) -> NDArray[Any]:
    """Return `values` C-contiguous, aligned, writable, of `dtype` and of `shape` (-1: any).

    Copies only where needed. An empty input of any shape becomes an empty array: each -1 of
    `shape` is 0 there. Raises ValueError where the shape differs, and TypeError or ValueError where
    the values do not convert to `dtype`.
    """
    array = np.require(np.asarray(values), dtype, ["C", "A", "W"])
    if array.size == 0 and 0 not in shape:
        return np.zeros([0 if n == -1 else n for n in shape], dtype)
    if array.ndim != len(shape) or any(
        n not in (-1, m) for n, m in zip(shape, array.shape, strict=True)
    ):
        raise ValueError(f"shape {array.shape}, expected {shape} (-1: any)")
    return array
