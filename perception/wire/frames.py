"""A frame that stands in shared memory."""

from dataclasses import dataclass
from typing import Literal, get_args

from perception.wire.fields import Dotted, Natural, Side, Stamp

Coding = Literal["bgr", "bt601", "bt601-full", "bt709", "bt709-full", "bt2020", "bt2020-full"]
"""What the bytes of a frame mean: BGR, or planes of YUV 4:2:0 by matrix and range (pixels.py)."""

Damage = Literal["none", "carried", "direct"]
"""direct: data of the picture itself is missing; carried: it was predicted from a damaged one."""

CODINGS: tuple[Coding, ...] = get_args(Coding)


@dataclass(slots=True, eq=False, kw_only=True)
class FrameMessage:
    """A frame stands in shared memory: `ring` file, slot and the slot's generation.

    width, height: of the picture, whatever its coding.
    """

    stamp: Stamp
    ring: Dotted
    slot: Natural
    generation: Natural
    width: Side
    height: Side
    coding: Coding = "bgr"
    damage: Damage = "none"
