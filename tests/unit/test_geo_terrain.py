"""Terrain files: a real .hgt and real GeoTIFFs, made here, and the heights that come out."""

import math

import numpy as np
import pytest

from perception.errors import ConfigError
from perception.geo.terrain import read_terrain

rasterio = pytest.importorskip("rasterio")

LAT, LON, SIDE = 46, 6, 1201
HOLE = (10, 20)


def heights():
    """Return int16 (1201, 1201) m, rows to the south as in a file: a slope with a hole."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    found = (400 + rows // 4 + columns // 8).astype(np.int16)
    found[HOLE] = -32768
    return found


def at(terrain, lat, lon):
    """Return the height of the node nearest to a place."""
    x = (math.radians(lon) - terrain.origin[0]) / terrain.step[0]
    y = (math.radians(lat) - terrain.origin[1]) / terrain.step[1]
    assert abs(x - round(x)) < 0.02
    assert abs(y - round(y)) < 0.02
    return float(terrain.heights[round(y), round(x)])


def test_a_tile_of_the_shuttle_mission(tmp_path):
    path = tmp_path / f"N{LAT:02d}E{LON:03d}.hgt"
    path.write_bytes(heights().astype(">i2").tobytes())
    terrain = read_terrain(path)
    step = 1 / (SIDE - 1)
    for row, column in ((0, 0), (1200, 1200), (600, 300), (37, 1111)):
        lat, lon = LAT + 1 - row * step, LON + column * step
        assert at(terrain, lat, lon) == heights()[row, column]
    assert math.isnan(at(terrain, LAT + 1 - HOLE[0] * step, LON + HOLE[1] * step))


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_a_geotiff_in_degrees(tmp_path, dtype):
    path, values = tmp_path / "ground.tif", heights()[:50, :80].astype(dtype)
    step = 0.001
    transform = rasterio.Affine(step, 0, LON, 0, -step, LAT)
    with rasterio.open(
        path, "w", driver="GTiff", width=80, height=50, count=1, dtype=dtype,
        crs="EPSG:4326", transform=transform, nodata=-32768,
    ) as file:  # fmt: skip
        file.write(values, 1)
    terrain = read_terrain(path)
    for row, column in ((0, 0), (49, 79), (30, 7)):
        lat, lon = LAT - (row + 0.5) * step, LON + (column + 0.5) * step
        assert at(terrain, lat, lon) == values[row, column]
    assert math.isnan(at(terrain, LAT - (HOLE[0] + 0.5) * step, LON + (HOLE[1] + 0.5) * step))


def test_a_geotiff_in_metres_of_a_projection(tmp_path):
    path, step = tmp_path / "utm.tif", 30.0
    west, north = 300_000.0, 5_150_000.0
    values = np.tile(500.0 + 2.0 * np.arange(100), (100, 1)).astype(np.float32)
    with rasterio.open(
        path, "w", driver="GTiff", width=100, height=100, count=1, dtype="float32",
        crs="EPSG:32632", transform=rasterio.Affine(step, 0, west, 0, -step, north),
    ) as file:  # fmt: skip
        file.write(values, 1)
    terrain = read_terrain(path)
    from rasterio.warp import transform

    for east, expected in ((50, 600.0), (20, 540.0)):
        x = west + (east + 0.5) * step
        (lon,), (lat,) = transform("EPSG:32632", "EPSG:4326", [x], [north - 50.5 * step])
        column = round((math.radians(lon) - terrain.origin[0]) / terrain.step[0])
        row = round((math.radians(lat) - terrain.origin[1]) / terrain.step[1])
        assert terrain.heights[row, column] == pytest.approx(expected, abs=4.0)


def test_files_that_are_no_terrain(tmp_path):
    with pytest.raises(ConfigError, match="no such terrain file"):
        read_terrain(tmp_path / "none.tif")
    (tmp_path / "text.tif").write_text("no picture")
    with pytest.raises(ConfigError, match="not a terrain file"):
        read_terrain(tmp_path / "text.tif")
    with rasterio.open(
        tmp_path / "bare.tif", "w", driver="GTiff", width=4, height=4, count=1, dtype="int16",
        transform=rasterio.Affine(1, 0, 5, 0, -1, 5),
    ) as file:  # fmt: skip
        file.write(np.zeros((4, 4), np.int16), 1)
    with pytest.raises(ConfigError, match="no CRS"):
        read_terrain(tmp_path / "bare.tif")
