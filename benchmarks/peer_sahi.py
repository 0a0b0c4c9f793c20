"""SAHI as a worker (harness.Worker) in the peers' environment; imports nothing of ours."""

from __future__ import annotations

import time
from importlib import metadata
from typing import Any

from benchmarks import harness
from benchmarks.peer_ultralytics import stand_in


class Sahi:
    """Sliced prediction with the weights of Ultralytics."""

    def __init__(self) -> None:
        self._model: Any = None

    def load(self, weights: str, threads: int, score: float) -> dict[str, str]:
        """Load the weights; return the version. threads: of torch."""
        stand_in()
        import torch
        from sahi import AutoDetectionModel

        torch.set_num_threads(threads)
        self._model = AutoDetectionModel.from_pretrained(
            model_type="ultralytics",
            model_path=weights,
            confidence_threshold=score,
            device="cpu",
            image_size=640,
        )
        return {"sahi": metadata.version("sahi")}

    def slices(self, path: str, size: int, overlap: float) -> dict[str, Any]:
        """Return seconds, and boxes xyxy with score and class name, of one picture."""
        from sahi.predict import get_sliced_prediction

        started = time.perf_counter()
        found = get_sliced_prediction(
            path,
            self._model,
            slice_height=size,
            slice_width=size,
            overlap_height_ratio=overlap,
            overlap_width_ratio=overlap,
            verbose=0,
        )
        taken = time.perf_counter() - started
        rows = [
            [*map(float, one.bbox.to_xyxy()), float(one.score.value), one.category.name]
            for one in found.object_prediction_list
        ]
        return {"s": taken, "rows": rows}


if __name__ == "__main__":
    peer = Sahi()
    harness.serve({"load": peer.load, "slices": peer.slices})
