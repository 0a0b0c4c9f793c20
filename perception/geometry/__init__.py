"""From the picture to the world: time to collision, metres, points followed. In media time.

Imports wire and kernels.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from perception.wire import Detections, Tracks


class Ground(Protocol):
    """Finds where tracks are in metres: geometry/ahead.py, geometry/plane.py."""

    def update(
        self,
        tracks: Tracks,
        found: Detections,
        t_ns: int,
        size: tuple[int, int],
        names: Mapping[int, str],
    ) -> NDArray[np.float32]:
        """Return metres float32 (M, 8), see wire.Tracks.metres; zeros where nothing is known."""
        ...
