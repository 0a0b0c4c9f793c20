"""From a network's raw output to boxes, and from a picture to the network's input.

Decode and NMS of a (1, 84, 8400) head with 0 to 2000 candidates against Ultralytics' NMS (with
torchvision's and with its own), cv2 NMSBoxesBatched and NumPy; the same boxes are asked of all.
YOLO26 and YOLOX heads against NumPy. Letterbox against Ultralytics' LetterBox and blobFromImage.
One thread each.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks import harness
from benchmarks.harness import Report, Worker, median, seconds_a_call
from perception.detectors.heads import HEADS
from perception.detectors.letterbox import letterbox
from perception.kernels.decode import decode_end_to_end, decode_yolo, decode_yolox
from perception.kernels.nms import nms

CANVAS = (640, 640)
CELLS = 8400
SCORE, IOU, LIMIT = 0.25, 0.45, 300
CANDIDATES = (0, 50, 300, 2000)
CLASS_STEP = 7680
"""What Ultralytics adds to boxes of each class so that they do not overlap those of others."""
SIZES = {"720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840)}
Rows = NDArray[np.float32]
Found = tuple[Rows, Rows, NDArray[Any]]
"""Boxes, scores and classes, best first: columns, as each contender has them."""


def yolo_head(candidates: int, seed: int = 1) -> Rows:
    """Return a (84, 8400) head, so many of its cells above the score, in crowds of ten or so."""
    rng = np.random.default_rng(seed)
    head = np.empty((84, CELLS), np.float32)
    head[4:] = rng.uniform(0, 0.2, (80, CELLS))
    centres = rng.uniform(50, 590, (max(1, candidates // 10), 2))
    place = centres[rng.integers(0, len(centres), CELLS)]
    head[:2] = (place + rng.normal(0, 6, (CELLS, 2))).T
    head[2:4] = rng.uniform(20, 120, (CELLS, 2)).T
    cells = rng.choice(CELLS, candidates, replace=False)
    # Distinct scores: what is first among equals is no one's promise.
    scores = 0.26 + 0.7 * rng.permutation(candidates) / max(1, candidates)
    head[4 + rng.integers(0, 80, candidates) % 6, cells] = scores
    return head


def ours(head: Rows) -> Found:
    """Decode and suppress as detectors.model does."""
    boxes, scores, class_ids, _ = decode_yolo(head, SCORE)
    keep = nms(boxes, scores, class_ids, IOU, LIMIT)
    return boxes[keep], scores[keep], class_ids[keep]


def _numpy_candidates(head: Rows) -> tuple[Rows, Rows, NDArray[np.int64]]:
    best = head[4:].max(0)
    at = np.flatnonzero(best > SCORE)
    part = head[:, at]
    half = part[2:4] / 2
    boxes = np.concatenate((part[:2] - half, part[:2] + half)).T
    return boxes, best[at], part[4:].argmax(0)


def numpy_only(head: Rows) -> Found:
    """The same in NumPy, greedy NMS row by row."""
    boxes, scores, kinds = _numpy_candidates(head)
    order = np.argsort(-scores, kind="stable")
    moved = boxes + kinds[:, None].astype(np.float32) * CLASS_STEP
    area = (moved[:, 2] - moved[:, 0]) * (moved[:, 3] - moved[:, 1])
    keep: list[int] = []
    while len(order) and len(keep) < LIMIT:
        i, rest = order[0], order[1:]
        keep.append(int(i))
        low = np.maximum(moved[i, :2], moved[rest, :2])
        high = np.minimum(moved[i, 2:], moved[rest, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        order = rest[shared / (area[i] + area[rest] - shared) <= IOU]
    return boxes[keep], scores[keep], kinds[keep]


def numpy_and_cv2(head: Rows) -> Found:
    """NumPy candidates, OpenCV's batched NMS."""
    boxes, scores, kinds = _numpy_candidates(head)
    if not len(scores):
        return boxes, scores, kinds
    sides = boxes.copy()
    sides[:, 2:] -= sides[:, :2]
    keep = np.asarray(
        cv2.dnn.NMSBoxesBatched(sides.tolist(), scores.tolist(), kinds.tolist(), SCORE, IOU),
        np.int64,
    ).reshape(-1)[:LIMIT]
    return boxes[keep], scores[keep], kinds[keep]


def rows(found: Found) -> Rows:
    """Return columns as one table."""
    return np.column_stack(found).astype(np.float32)


def differs(a: Rows, b: Rows) -> str:
    """Return "" for the same boxes in the same order, else what differs."""
    if len(a) != len(b):
        return f"{len(a)} boxes, peer {len(b)}"
    if not len(a):
        return ""
    order_a, order_b = np.argsort(-a[:, 4], kind="stable"), np.argsort(-b[:, 4], kind="stable")
    gap = np.abs(a[order_a] - b[order_b]).max()
    return "" if gap == 0 else f"differs by {gap:.2g}"


def yolo(report: Report, peer: Worker | None, rounds: int, folder: Path) -> None:
    """Add the rows of decode and NMS."""
    for count in CANDIDATES:
        head = yolo_head(count)
        path = folder / f"head-{count}.npy"
        np.save(path, head[None])
        found = {"ours": rows(ours(head))}
        calls: dict[str, Callable[[], float]] = {
            "ours": lambda head=head: seconds_a_call(lambda: ours(head)) * 1e6
        }
        for name, function in {"NumPy": numpy_only, "NumPy + cv2 NMS": numpy_and_cv2}.items():
            found[name] = rows(function(head))
            calls[name] = lambda f=function, head=head: seconds_a_call(lambda: f(head)) * 1e6
        if peer is not None:
            for own in (False, True):
                name = f"Ultralytics ({'its own NMS' if own else 'torchvision'})"

                def call(
                    own: bool = own, name: str = name, path: Path = path, found: Any = found
                ) -> float:
                    answer = peer.call(
                        "suppress", head=str(path), conf=SCORE, iou=IOU, max_det=LIMIT,
                        seconds=0.02, own=own,
                    )  # fmt: skip
                    found[name] = np.array(answer["boxes"], np.float32).reshape(-1, 6)
                    return answer["us"]

                calls[name] = call
        times = harness.interleave(calls, rounds)
        for name, values in times.items():
            if name == "ours":
                continue
            least = 5.0 if name.startswith("Ultralytics") and count <= 300 else 4.0
            least = 3.0 if name == "NumPy" else least
            wanted = name == "NumPy" or name.startswith("Ultralytics (torch")
            report.add(
                f"decode + NMS, {count} candidates", "us", median(times["ours"]), name,
                median(values), target=f"x{least:g}" if wanted else "",
                met=(lambda r, least=least: r >= least) if wanted else None,
                note=differs(found["ours"], found[name]) or f"same {len(found[name])} boxes",
            )  # fmt: skip


def _numpy_yolox(head: Rows) -> Rows:
    grid = np.concatenate(
        [
            np.column_stack(
                (np.tile(np.arange(640 // s), 640 // s), np.repeat(np.arange(640 // s), 640 // s))
            )
            for s in (8, 16, 32)
        ]
    ).astype(np.float32)
    stride = np.repeat((8, 16, 32), [(640 // s) ** 2 for s in (8, 16, 32)]).astype(np.float32)
    scores = head[:, 5:].max(1) * head[:, 4]
    at = np.flatnonzero(scores > SCORE)
    centre = (head[at, :2] + grid[at]) * stride[at, None]
    half = np.exp(head[at, 2:4]) * stride[at, None] / 2
    return np.column_stack((centre - half, centre + half, scores[at], head[at, 5:].argmax(1)))


def other_heads(report: Report, rounds: int) -> None:
    """Add the rows of YOLO26's and YOLOX's decoders, NMS left out."""
    rng = np.random.default_rng(2)
    yolox = rng.uniform(0, 0.3, (CELLS, 85)).astype(np.float32)
    hits = rng.choice(CELLS, 300, replace=False)
    yolox[hits, 4] = 0.9
    yolox[hits, 5 + rng.integers(0, 80, 300)] = rng.uniform(0.5, 1, 300)
    end = rng.uniform(0, 640, (300, 6)).astype(np.float32)
    end[:, 2:4] += end[:, :2]
    end[:, 4], end[:, 5] = np.linspace(0.99, 0.0, 300), rng.integers(0, 80, 300)

    def numpy_end() -> Rows:
        return end[end[:, 4] > SCORE]

    pairs = {
        "YOLOX head, 300 candidates": (
            lambda: decode_yolox(yolox, CANVAS, SCORE), lambda: _numpy_yolox(yolox)
        ),
        "YOLO26 head (300, 6)": (lambda: decode_end_to_end(end, 80, SCORE), numpy_end),
    }  # fmt: skip
    for name, (mine, theirs) in pairs.items():
        times = harness.interleave(
            {
                "ours": lambda f=mine: seconds_a_call(f) * 1e6,
                "NumPy": lambda f=theirs: seconds_a_call(f) * 1e6,
            },
            rounds,
        )
        found = mine()
        made = np.column_stack((found.boxes, found.scores, found.class_ids)).astype(np.float32)
        answer = theirs()
        gap = float(np.abs(made - answer).max()) if len(made) == len(answer) else float("nan")
        report.add(
            name, "us", median(times["ours"]), "NumPy", median(times["NumPy"]),
            note=f"{len(made)} / {len(answer)} candidates, largest difference {gap:.2g}",
        )  # fmt: skip


def letterboxes(report: Report, peer: Worker | None, rounds: int, folder: Path) -> None:
    """Add the rows of picture to network input, 384x640."""
    canvas, head = (384, 640), HEADS["yolo"]
    for size, shape in SIZES.items():
        image = np.random.default_rng(3).integers(0, 256, (*shape, 3), np.uint8)
        image = cv2.GaussianBlur(image, (0, 0), 3)
        path = folder / f"{size}.npy"
        np.save(path, image)

        def blob(image: NDArray[np.uint8] = image) -> Any:
            out = np.full((*canvas, 3), 114, np.uint8)
            out[12:372] = cv2.resize(image, (640, 360))
            return cv2.dnn.blobFromImage(out, 1 / 255, swapRB=True)

        calls = {
            "ours": lambda i=image: seconds_a_call(lambda: letterbox(i, canvas, head)) * 1e6,
            "cv2.resize + blobFromImage": lambda f=blob: seconds_a_call(f) * 1e6,
        }
        if peer is not None:
            calls["Ultralytics LetterBox"] = lambda p=path: peer.call(
                "letterbox", image=str(p), canvas=list(canvas), seconds=0.02
            )["us"]
        times = harness.interleave(calls, rounds)
        ours_mean = letterbox(image, canvas, head).canvas.mean() / 255
        for name, values in times.items():
            if name == "ours":
                continue
            wanted = name.startswith("Ultra")
            report.add(
                f"letterbox {size} to 384x640", "us", median(times["ours"]), name, median(values),
                target="x2" if wanted else "", met=(lambda r: r >= 2) if wanted else None,
                note=f"mean {ours_mean:.4f} / {float(blob().mean()):.4f}",
            )  # fmt: skip


def main() -> None:
    """Measure."""
    asked = harness.options("postprocess", __doc__, rounds=(int, 20, "rounds"))
    rounds = max(3, asked.rounds // (4 if asked.short else 1))
    cv2.setNumThreads(1)
    with harness.report("postprocess", asked.out) as report, contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        python = harness.peer_python("ultralytics", "torch")
        peer = None
        if python is None:
            report.missing("Ultralytics")
        else:
            one = {"OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
            peer = stack.enter_context(Worker("benchmarks.peer_ultralytics", python, one))
            report.note_versions(peer.call("about"))
        yolo(report, peer, rounds, folder)
        other_heads(report, rounds)
        letterboxes(report, peer, rounds, folder)


if __name__ == "__main__":
    main()
