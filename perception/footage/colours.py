"""The colours of an object in a picture: one of eleven words for its upper and its lower part.

Each pixel of the middle of a crop votes for a basic colour term by hue, saturation and value; the
borders were chosen on labelled crops (tests/golden/colours.jsonl). NumPy only: the recorder has no
room for more. Imports rows.
"""

import numpy as np
from numpy.typing import NDArray

from perception.footage.rows import COLOURS

_SIDE = 32
"""Pixels of a part that are looked at, each way."""
_BODIES = frozenset(("person",))
_UPPER, _LOWER = (0.18, 0.46, 0.30, 0.70), (0.56, 0.88, 0.30, 0.70)
"""Of a person, top, bottom, left and right in fractions of its box: jacket, trousers."""
_WHOLE = (0.30, 0.75, 0.15, 0.85)
_HUES = (15, 42, 70, 165, 265, 300, 340)
"""Where the next hue begins, degrees: orange, yellow, green, blue, purple, pink, red."""
_OF_HUE = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "red")


def votes(crop: NDArray[np.uint8], class_name: str) -> NDArray[np.float32]:
    """Return float32 (2, 11): the share of each of COLOURS in the upper and the lower part.

    crop: uint8 (H, W, 3) BGR of the object's box. What is no person has no parts: both rows are of
    the whole. Zeros for a crop without pixels.
    """
    places = (_UPPER, _LOWER) if class_name in _BODIES else (_WHOLE,)
    found = [_shares(_part(crop, place)) for place in places]
    return np.stack(found if len(found) == 2 else found * 2)


def words(shares: NDArray[np.float32]) -> tuple[str, str]:
    """Return the colours that most of `votes`, or of a sum of them, are for; empty: not known."""
    upper, lower = (COLOURS[int(row.argmax())] if row.any() else "" for row in shares)
    return upper, lower


def _part(crop: NDArray[np.uint8], place: tuple[float, float, float, float]) -> NDArray[np.uint8]:
    height, width = crop.shape[:2]
    top, bottom, left, right = place
    part = crop[
        int(top * height) : max(int(top * height) + 1, int(bottom * height)),
        int(left * width) : max(int(left * width) + 1, int(right * width)),
    ]
    return part[:: -(-part.shape[0] // _SIDE) or 1, :: -(-part.shape[1] // _SIDE) or 1]


def _shares(part: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return float32 (11,): how much of a part is of each colour."""
    if not part.size:
        return np.zeros(len(COLOURS), np.float32)
    numbers = _classes(part.reshape(-1, 3).astype(np.float32))
    counts = np.bincount(numbers, minlength=len(COLOURS))
    return np.asarray(counts / len(numbers), np.float32)


def _classes(pixels: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return intp (N,): the place in COLOURS of each BGR pixel, float32 (N, 3)."""
    blue, green, red = pixels.T
    value, least = pixels.max(axis=1), pixels.min(axis=1)
    chroma = value - least
    span = np.maximum(chroma, 1e-6)
    hue = np.where(
        value == red,
        (green - blue) / span % 6,
        np.where(value == green, (blue - red) / span + 2, (red - green) / span + 4),
    )
    names = np.array([COLOURS.index(name) for name in _OF_HUE])
    found = names[np.digitize(hue * 60, _HUES)]
    saturation = chroma / np.maximum(value, 1)
    warm = np.isin(found, [COLOURS.index("red"), COLOURS.index("orange")])
    found[warm & (value < 130) & (hue * 60 < 50) & (hue * 60 > 12)] = COLOURS.index("brown")
    found[warm & (value > 190) & (saturation < 0.45)] = COLOURS.index("pink")
    plain = (saturation < 0.16) | (chroma < 18)
    found[plain] = COLOURS.index("grey")
    found[plain & (value > 175)] = COLOURS.index("white")
    found[(value < 40) | (plain & (value < 72))] = COLOURS.index("black")
    return found
