"""Ultralytics as a worker (harness.Worker) in the peers' environment; imports nothing of ours.

Where torchvision is missing or broken (a CPU torch installed without it), a stand-in with
Ultralytics' own NMS takes its place, and `about` says so.
"""

from __future__ import annotations

import os
import sys
import time
import types
from importlib import metadata
from typing import Any

from benchmarks import harness

os.environ.update(YOLO_AUTOINSTALL="false", YOLO_OFFLINE="true", YOLO_VERBOSE="false")


def stand_in() -> bool:
    """Put a minimal torchvision where there is none; return whether it was needed."""
    try:
        metadata.version("torchvision")
        import torchvision.ops  # noqa: F401
    except (ImportError, RuntimeError):
        pass
    else:
        return False
    true_version = metadata.version
    metadata.version = lambda name: "0.0" if name == "torchvision" else true_version(name)
    module, ops = types.ModuleType("torchvision"), types.ModuleType("torchvision.ops")

    def nms(boxes: Any, scores: Any, iou: float) -> Any:
        from ultralytics.utils.nms import TorchNMS

        return TorchNMS.nms(boxes, scores, iou)

    ops.nms, module.ops, module.__version__ = nms, ops, "0.0"  # type: ignore[attr-defined]
    for name, made in (("torchvision", module), ("torchvision.ops", ops)):
        made.__spec__ = types.SimpleNamespace(name=name)  # type: ignore[assignment]
        sys.modules[name] = made
    return True


class Peer:
    """One loaded model and one running track()."""

    def __init__(self) -> None:
        self._model: Any = None
        self._stream: Any = None
        self._arguments: dict[str, Any] = {}

    def about(self) -> dict[str, str]:
        """Return versions, and whether torchvision is the real one."""
        torchvision = "stand-in" if stand_in() else metadata.version("torchvision")
        found = {p: metadata.version(p) for p in ("torch", "ultralytics")}
        return {**found, "torchvision": torchvision}

    def load(self, weights: str, threads: int, device: str = "cpu") -> dict[str, float]:
        """Import and load; return the seconds of both. threads: of torch, set when it predicts."""
        started = time.perf_counter()
        stand_in()
        import torch
        from ultralytics import YOLO

        imported = time.perf_counter()
        self._model = YOLO(weights, task="detect")
        loaded = time.perf_counter()

        def set_threads(_: Any) -> None:
            # Ultralytics sets them to cores - 1 when it makes its predictor.
            torch.set_num_threads(threads)

        self._model.add_callback("on_predict_start", set_threads)
        self._device = device
        return {"import_s": imported - started, "load_s": loaded - imported}

    def track(self, source: str, conf: float, iou: float) -> None:
        """Begin YOLO.track with ByteTrack from the clip's start; `frames` goes on with it."""
        self._arguments = {
            "source": source, "stream": True, "persist": False, "tracker": "bytetrack.yaml",
            "imgsz": 640, "conf": conf, "iou": iou, "device": self._device, "verbose": False,
        }  # fmt: skip
        self._stream = iter(self._model.track(**self._arguments))

    def rows(self, source: str, tracker: str, classes: list[int]) -> list[list[float]]:
        """Track a whole clip, all else at its defaults; return frame from 1, id and xyxy px."""
        found: list[list[float]] = []
        results = self._model.track(
            source=source, stream=True, tracker=f"{tracker}.yaml", classes=classes, verbose=False
        )
        for n, result in enumerate(results, 1):
            if result.boxes.id is not None:
                boxes, ids = result.boxes.xyxy.tolist(), result.boxes.id.tolist()
                found += [[n, i, *box] for i, box in zip(ids, boxes, strict=True)]
        return found

    def frames(self, count: int) -> dict[str, Any]:
        """Track that many frames, the clip over again at its end; return ms of each and CPU ms."""
        times: list[float] = []
        tracks = boxes = 0
        speeds: dict[str, list[float]] = {}
        cpu = time.process_time()
        last = time.perf_counter()
        while len(times) < count:
            result = next(self._stream, None)
            if result is None:
                self._stream = iter(self._model.track(**self._arguments))
                continue
            now = time.perf_counter()
            times.append((now - last) * 1e3)
            last = now
            boxes += len(result.boxes)
            tracks += 0 if result.boxes.id is None else len(result.boxes.id)
            for step, ms in result.speed.items():
                speeds.setdefault(step, []).append(ms)
        return {
            "ms": times,
            "cpu_ms": (time.process_time() - cpu) * 1e3,
            "tracks": tracks,
            "boxes": boxes,
            "speed": {step: harness.median(values) for step, values in speeds.items()},
        }

    def predict(
        self, image: str, count: int, imgsz: int | list[int], conf: float = 0.25
    ) -> dict[str, Any]:
        """Predict in one picture (.npy, BGR) that many times; return ms and CPU ms of each."""
        import numpy as np

        picture = np.load(image)
        times, cpus, found = [], [], 0
        for _ in range(count):
            cpu, start = time.process_time(), time.perf_counter()
            result = self._model.predict(
                picture, imgsz=imgsz, conf=conf, device=self._device, verbose=False
            )[0]
            times.append((time.perf_counter() - start) * 1e3)
            cpus.append((time.process_time() - cpu) * 1e3)
            found = len(result.boxes)
        return {"ms": times, "cpu_ms": cpus, "found": found}

    def raw(self, blob: str, out: str) -> None:
        """Write what the network says of a float32 (1, 3, H, W) blob (.npy)."""
        import numpy as np
        import torch

        network = self._model.model.float().eval()
        with torch.no_grad():
            answer = network(torch.from_numpy(np.load(blob)))
        np.save(out, (answer[0] if isinstance(answer, (list, tuple)) else answer).numpy())

    def suppress(
        self, head: str, conf: float, iou: float, max_det: int, seconds: float, own: bool
    ) -> dict[str, Any]:
        """Time Ultralytics' NMS of a raw head (.npy, (1, 84, A)); own: with its TorchNMS.

        Returns the median us of a call, and the boxes (x1, y1, x2, y2, score, class).
        """
        import numpy as np
        import torch
        from ultralytics.utils import nms as module

        torch.set_num_threads(1)
        prediction = torch.from_numpy(np.load(head))
        hidden = sys.modules.get("torchvision")
        if own:
            # It takes torchvision's where that has been imported, else its own.
            sys.modules.pop("torchvision", None)
        else:
            import torchvision  # noqa: F401
        try:

            def call() -> Any:
                return module.non_max_suppression(prediction, conf, iou, max_det=max_det)[0]

            boxes = call().tolist()
            took = harness.seconds_a_call(call, seconds, 2000)
        finally:
            if hidden is not None:
                sys.modules["torchvision"] = hidden
        return {"us": took * 1e6, "boxes": boxes}

    def letterbox(self, image: str, canvas: list[int], seconds: float) -> dict[str, Any]:
        """Time its LetterBox and the way to a float tensor, as its predictor does it."""
        import numpy as np
        import torch
        from ultralytics.data.augment import LetterBox

        torch.set_num_threads(1)
        picture, box = np.load(image), LetterBox(tuple(canvas), auto=False)

        def call() -> Any:
            stacked = np.stack([box(image=picture)])
            turned = np.ascontiguousarray(stacked[..., ::-1].transpose((0, 3, 1, 2)))
            return torch.from_numpy(turned).float() / 255

        grey = call().numpy()[0]
        return {"us": harness.seconds_a_call(call, seconds, 2000) * 1e6, "mean": float(grey.mean())}


def main() -> None:
    """Serve."""
    peer = Peer()
    names = ("about", "load", "track", "rows", "frames", "predict", "raw", "suppress", "letterbox")
    harness.serve({name: getattr(peer, name) for name in names})


if __name__ == "__main__":
    main()
