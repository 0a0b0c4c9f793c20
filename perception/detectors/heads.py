"""What the end of a network looks like: how it is fed, recognised by its shape, and decoded.

One row a head; runtimes know nothing of heads and heads nothing of runtimes. Used by detectors
only; imports kernels and errors.
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
"""Grey level around a letterboxed picture: what all three families were trained with."""

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
    """One family of network ends.

    rgb: channel order it wants. divisor: pixel values are divided by it. centred: the picture
    stands in the middle of the canvas, else at the top left. suppressed: boxes need no NMS.
    form: its output shape in words. classes: number of classes of an output shape on a canvas,
    0 where the shape does not tell, None where it does not fit. decode: of the (first and only)
    output without its batch axis, canvas, class count, score, allowed classes. parts: views of the
    boxes (x, y first) and of the scores in that output. in_px: boxes are canvas px, else cells.
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
    """Return how many grid cells (anchors) a canvas has at these strides."""
    return sum((canvas[0] // s) * (canvas[1] // s) for s in strides)


def _yolo_classes(shape: Shape, canvas: Canvas) -> int | None:
    # P3 to P5 is the common layout; P2 and P6 models add a finer or a coarser grid.
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
"""In the order in which they are tried: a one-class YOLOX output also looks like YOLO26's."""


def recognise(shapes: Sequence[Shape], canvas: Canvas, wanted: str = "auto") -> tuple[Head, int]:
    """Return the head that output shapes fit on a canvas, and its class count (0: not told).

    wanted: "auto" or a name of HEADS. Raises ModelError that names the shapes and what would fit.
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
    """Refuse a network whose shape fits a head but whose numbers mean something else.

    output: what it says of a grey picture, without its batch axis. Raises ModelError for scores
    outside 0..1 (logits), boxes as fractions, or YOLOX boxes that are decoded already.
    """
    boxes, scores = head.parts(output)
    low, high, reach = float(scores.min()), float(scores.max()), float(abs(boxes).max())
    if not (low >= -0.01 and high <= 1.01):
        raise ModelError(f"head {head.name}: scores from {low:.3g} to {high:.3g}, expected 0 to 1")
    if head.in_px and not reach > 2:
        raise ModelError(f"head {head.name}: boxes reach {reach:.3g}, expected px of {canvas}")
    if not head.in_px and not reach < max(canvas) / 4:
        raise ModelError(
            f"head {head.name}: boxes reach {reach:.3g}, expected offsets in cells; export the "
            "model without --decode_in_inference"
        )


def class_names(classes: int, given: Sequence[str] | None) -> dict[int, str]:
    """Return class names by id: those given, else COCO's for 80 classes, else the numbers.

    classes: 0 where the model does not tell. Raises ModelError where the counts differ.
    """
    if given is not None and classes not in (0, len(given)):
        raise ModelError(f"the model has {classes} classes but {len(given)} names are given")
    if given is None:
        given = COCO_NAMES if classes in (0, 80) else [str(k) for k in range(classes)]
    return dict(enumerate(given))
