"""The forms in which an array may knock at a kernel's public door."""

import numpy as np
from numba.core.dispatcher import Dispatcher


def forms(values):
    """Return the same values read-only, strided, as float64, in Fortran order and as lists."""
    array = np.array(values, np.float32)
    read_only = array.copy()
    read_only.flags.writeable = False
    strided = np.repeat(array, 2, axis=-1)[..., ::2]
    return [
        read_only,
        strided,
        array.astype(np.float64),
        np.asfortranarray(array),
        array.tolist() if array.size else array,
    ]


def signatures(module):
    """Return how many signatures each kernel of a module has been compiled for."""
    return {n: len(v.signatures) for n, v in vars(module).items() if isinstance(v, Dispatcher)}
