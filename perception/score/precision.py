"""Average precision of boxes, by faster-coco-eval (extra `eval`).

Source: Lin et al. 2014 (arXiv 1405.0312) and COCO's evaluation: IoU .5 to .95, 101 recalls, at most
100 boxes a picture and class. Imports pairing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception.errors import ConfigError
from perception.score.pairing import Pair

MISSING = "the score card needs faster-coco-eval and trackeval: pip install 'perception-line[eval]'"


@dataclass(frozen=True)
class Precision:
    """Average precision 0..1; nan where there is no truth.

    ap: mean over IoU .5 to .95 and classes. ap50, ap75: at one IoU. ar: average recall. curve:
    float64 (101,), precision at IoU .5 by recall 0, .01 .. 1, mean of the classes. by_class: ap of
    each class.
    """

    ap: float
    ap50: float
    ap75: float
    ar: float
    curve: NDArray[np.float64]
    by_class: dict[str, float]


def dataset(pair: Pair) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return truth as a COCO data set, and the result as COCO results."""
    images = [{"id": n, "width": 0, "height": 0} for n in range(1, len(pair.frames) + 1)]
    categories = [{"id": k, "name": name} for k, name in enumerate(pair.names, 1)]
    truth, result = pair.truth, pair.result
    annotations = [
        {
            "id": n, "image_id": at + 1, "category_id": class_id + 1, "bbox": box,
            "area": box[2] * box[3], "iscrowd": int(ignored),
        }
        for n, (at, class_id, box, ignored) in enumerate(
            zip(truth.at.tolist(), truth.class_ids.tolist(), truth.boxes.tolist(),
                truth.ignored.tolist(), strict=True), 1,
        )
    ]  # fmt: skip
    results = [
        {"image_id": at + 1, "category_id": class_id + 1, "bbox": box, "score": score}
        for at, class_id, box, score in zip(
            result.at.tolist(), result.class_ids.tolist(), result.boxes.tolist(),
            result.scores.tolist(), strict=True,
        )
    ]  # fmt: skip
    return {"images": images, "categories": categories, "annotations": annotations}, results


def precision(pair: Pair) -> Precision:
    """Return the average precision. Raises ConfigError where the library is not installed."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise ConfigError(MISSING) from None
    truth: Any = COCO()
    truth.dataset, results = dataset(pair)
    truth.createIndex()
    run: Any = COCOeval_faster(truth, truth.loadRes(results), "bbox", print_function=_silent)
    run.evaluate()
    run.accumulate()
    # IoU, recall, class, area (the first is all), most boxes (the last is 100).
    values = np.asarray(run.eval["precision"], np.float64)[:, :, :, 0, -1]
    recalls = np.asarray(run.eval["recall"], np.float64)[:, :, 0, -1]
    known = values[0, 0] >= 0
    values, recalls = values[:, :, known], recalls[:, known]
    names = [name for name, there in zip(pair.names, known.tolist(), strict=True) if there]
    if not names:
        nan = float("nan")
        return Precision(nan, nan, nan, nan, np.zeros(101), {})
    return Precision(
        float(values.mean()), float(values[0].mean()), float(values[5].mean()),
        float(recalls.mean()), values[0].mean(axis=1),
        {name: float(values[:, :, k].mean()) for k, name in enumerate(names)},
    )  # fmt: skip


def _silent(*_: object) -> None:
    return None
