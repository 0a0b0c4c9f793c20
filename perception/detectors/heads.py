"""Heads of detection networks: their input format, how their output shape is recognised, decoding.

One row of HEADS for each kind. Heads and runtimes (sessions.py) are independent. Used by detectors
only. Imports kernels and errors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from perception.errors import ModelError
from perception.kernels import decode

Canvas = tuple[int, int]
"""Height and width of a network's input, px."""
Shape = tuple[int, ...]

PAD = 114
"""Grey level of the letterbox margin. All three families were trained with it."""

COCO_80 = (
    "person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant "
    "stop_sign parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe "
    "backpack umbrella handbag tie suitcase frisbee skis snowboard sports_ball kite baseball_bat "
    "baseball_glove skateboard surfboard tennis_racket bottle wine_glass cup fork knife spoon bowl "
    "banana apple sandwich orange broccoli carrot hot_dog pizza donut cake chair couch "
    "potted_plant bed dining_table toilet tv laptop mouse remote keyboard cell_phone microwave "
    "oven toaster sink refrigerator book clock vase scissors teddy_bear hair_drier toothbrush"
)
COCO_NAMES = tuple(name.replace("_", " ") for name in COCO_80.split())


@dataclass(frozen=True, slots=True)
class Head:
    """One kind of head.

    rgb: the input is RGB, else BGR. divisor: pixel values are divided by it. centred: the picture
    is in the middle of the canvas, else at the top left. suppressed: the boxes need no NMS.
    form: the output shape in words. classes: function of output shape and canvas: number of
    classes, 0 where the shape does not contain it, None where the shape is not of this head.
    decode: function of the output without its batch axis, canvas, number of classes, lowest score
    and allowed classes. parts: function of that output: views of the boxes (x, y first) and of the
    scores. in_px: boxes are in px of the canvas, else in grid cells.
    """

    name: str
    rgb: bool
    divisor: float
    centred: bool
    suppressed: bool
    form: str
    classes: Callable[[Shape, Canvas], int | None]
    decode: Callable[[NDArray[Any], Canvas, int, float, NDArray[Any]], decode.Candidates]
    parts: Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]
    in_px: bool


def cells(canvas: Canvas, strides: Sequence[int] = decode.STRIDES) -> int:
    """Return the number of grid cells (anchors) of a canvas at these strides."""
    return sum((canvas[0] // s) * (canvas[1] // s) for s in strides)


def _yolo_classes(shape: Shape, canvas: Canvas) -> int | None:
    # Common models have the levels P3 to P5. Some add the finer P2 or the coarser P6.
    grids = ((8, 16, 32), (4, 8, 16, 32), (8, 16, 32, 64))
    fits = len(shape) == 3 and shape[1] > 4
    return shape[1] - 4 if fits and shape[2] in {cells(canvas, g) for g in grids} else None


def _yolox_classes(shape: Shape, canvas: Canvas) -> int | None:
    fits = len(shape) == 3 and shape[2] > 5 and shape[1] == cells(canvas)
    return shape[2] - 5 if fits else None


def _yolo26_classes(shape: Shape, canvas: Canvas) -> int | None:
    return 0 if len(shape) == 3 and shape[2] == 6 else None


HEADS = {
    head.name: head
    for head in (
        Head(
            name="yolo",
            rgb=True,
            divisor=255.0,
            centred=True,
            suppressed=False,
            form="(1, 4 + classes, cells)",
            classes=_yolo_classes,
            decode=lambda out, canvas, k, score, allowed: decode.decode_yolo(out, score, allowed),
            parts=lambda out: (out[:2], out[4:]),
            in_px=True,
        ),
        Head(
            name="yolox",
            rgb=False,
            divisor=1.0,
            centred=False,
            suppressed=False,
            form="(1, cells, 5 + classes)",
            classes=_yolox_classes,
            decode=lambda out, canvas, k, score, allowed: decode.decode_yolox(
                out, canvas, score, allowed
            ),
            parts=lambda out: (out[:, :2], out[:, 4:]),
            in_px=False,
        ),
        Head(
            name="yolo26",
            rgb=True,
            divisor=255.0,
            centred=True,
            suppressed=True,
            form="(1, rows, 6)",
            classes=_yolo26_classes,
            decode=lambda out, canvas, k, score, allowed: decode.decode_end_to_end(
                out, k, score, allowed
            ),
            parts=lambda out: (out[:, :4], out[:, 4]),
            in_px=True,
        ),
    )
}
"""In the order in which they are tried: the output of YOLOX with one class also fits yolo26."""


def recognise(shapes: Sequence[Shape], canvas: Canvas, wanted: str = "auto") -> tuple[Head, int]:
    """Return the head that fits the output shapes, and its number of classes (0: unknown).

    canvas: at which the shapes were found. wanted: "auto" or a name of HEADS. Raises ModelError
    with the shapes and what would fit.
    """
    candidates = list(HEADS.values()) if wanted == "auto" else [HEADS[wanted]]
    for head in candidates:
        classes = head.classes(shapes[0], canvas) if len(shapes) == 1 else None
        if classes is not None:
            return head, classes
    forms = ", ".join(f"{head.name}: one output {head.form}" for head in candidates)
    raise ModelError(
        f"outputs {list(shapes)} at input {canvas} fit no detection head ({forms}; "
        f"{cells(canvas)} cells)"
    )


def check_values(head: Head, output: NDArray[Any], canvas: Canvas) -> None:
    """Check that the values of a network have the meaning of its head.

    output: of a grey picture, without its batch axis. Raises ModelError for scores outside of 0..1
    (logits), boxes as fractions of the picture, and YOLOX boxes that are decoded already.
    """
    boxes, scores = head.parts(output)
    low, high, largest = float(scores.min()), float(scores.max()), float(abs(boxes).max())
    if not (low >= -0.01 and high <= 1.01):
        raise ModelError(f"head {head.name}: scores from {low:.3g} to {high:.3g}, expected 0 to 1")
    if head.in_px and not largest > 2:
        raise ModelError(f"head {head.name}: boxes reach {largest:.3g}, expected px of {canvas}")
    if not head.in_px and not largest < max(canvas) / 4:
        raise ModelError(
            f"head {head.name}: boxes reach {largest:.3g}, expected offsets in cells; export the "
            "model without --decode_in_inference"
        )


def class_names(classes: int, given: Sequence[str] | None) -> dict[int, str]:
    """Return class names by id: the given ones, else those of COCO for 80 classes, else numbers.

    classes: of the model; 0: unknown, then as many as are given, or COCO's. Raises ModelError where
    the numbers differ.
    """
    if given is not None and classes not in (0, len(given)):
        raise ModelError(f"the model has {classes} classes but {len(given)} names are given")
    if given is None:
        given = COCO_NAMES if classes in (0, 80) else [str(k) for k in range(classes)]
    return dict(enumerate(given))
