"""The ground: one height, or a terrain model from a file (GeoTIFF, .hgt and what GDAL reads).

Imports rasterio (extra `drone`) only where a terrain file is named.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from perception.errors import ConfigError

Datum = Literal["msl", "ellipsoid"]
MAX_CELLS = 25_000_000
"""The largest piece of a terrain file that is read: 5000 x 5000 cells, 100 MB."""


@dataclass(frozen=True, slots=True)
class Terrain:
    """heights: float32 (R, C) m, rows to the north, NaN where not known; (1, 1): flat.

    origin, step: longitude and latitude of heights[0, 0] and their steps in rad.
    """

    heights: NDArray[np.float32]
    origin: tuple[float, float] = (0.0, 0.0)
    step: tuple[float, float] = (1.0, 1.0)

    @classmethod
    def flat(cls, height_m: float) -> "Terrain":
        """Return ground of one height."""
        return cls(np.array([[height_m]], np.float32))

    def at(self, longest_m: float) -> NDArray[np.float64]:
        """Return what kernels.ground takes beside the grid: float64 (7,)."""
        known = self.heights[np.isfinite(self.heights)]
        low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
        return np.array([*self.origin, *self.step, low, high, longest_m])


def read_terrain(path: Path) -> Terrain:
    """Return a terrain file as a grid of latitude and longitude, projected where it is not one.

    Raises ConfigError: no such file, none that GDAL reads, no place on earth, too large, rasterio
    not installed.
    """
    try:
        import rasterio  # pyright: ignore[reportMissingImports]
        from rasterio.errors import RasterioError  # pyright: ignore[reportMissingImports]
        from rasterio.vrt import WarpedVRT  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ConfigError('a terrain file needs `pip install "perception-line[drone]"`') from None
    if not path.is_file():
        raise ConfigError(f"{path}: no such terrain file")
    try:
        with rasterio.open(path.absolute()) as file:
            if file.crs is None:
                raise ConfigError(f"{path}: does not say where on earth it is (no CRS)")
            with WarpedVRT(file, crs="EPSG:4326", nodata=np.nan, dtype="float32") as grid:
                if grid.width * grid.height > MAX_CELLS:
                    size = f"{grid.width} x {grid.height}"
                    raise ConfigError(f"{path}: {size} cells, {MAX_CELLS} at most: cut a piece out")
                return _from(grid.read(1), grid.transform)
    except RasterioError as error:
        raise ConfigError(f"{path}: not a terrain file that can be read: {error}") from None


def _from(heights: NDArray[np.float32], transform: Any) -> Terrain:
    """Return a grid whose rows go north, from one whose rows go south; nodes at cell centres."""
    heights = np.ascontiguousarray(heights[::-1], np.float32)
    heights[~(np.abs(heights) < 12_000.0)] = np.nan
    west = transform.c + transform.a / 2
    south = transform.f + transform.e * (len(heights) - 0.5)
    return Terrain(
        heights,
        (math.radians(west), math.radians(south)),
        (math.radians(transform.a), math.radians(-transform.e)),
    )
