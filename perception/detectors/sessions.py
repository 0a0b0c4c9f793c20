"""Runtimes behind one seam: a model file becomes a function from a canvas to float32 outputs.

To add a runtime: a class like the two here and one row in RUNTIMES. Runtimes know nothing of heads.
Used by detectors only; a runtime is imported when it is asked for.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from perception.detectors.heads import Canvas, Shape
from perception.detectors.names import parse_names
from perception.errors import ModelError

Runtime = Literal["openvino", "onnxruntime"]
Precision = Literal["f32", "bf16"]
Device = Literal["cpu", "cuda"]
Run = Callable[[NDArray[np.uint8]], list[NDArray[np.float32]]]
"""From a uint8 (H, W, 3) BGR canvas to the outputs; they are overwritten by the next call."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model file says of itself. canvas: its fixed input size, None where any size goes.

    names: class names, None where the file has none or they cannot be read. task: "" where it says
    nothing. unreadable_names: the text that should be names and is not, "" otherwise.
    """

    canvas: Canvas | None
    names: list[str] | None
    task: str
    unreadable_names: str = ""


class Network(Protocol):
    """A model file opened in a runtime."""

    facts: Facts

    def shapes(self, canvas: Canvas) -> list[Shape]:
        """Return the output shapes at a canvas. Raises ModelError where the size does not go."""
        ...

    def compile(self, canvas: Canvas, *, rgb: bool, divisor: float) -> Run:
        """Make it ready to run. rgb: the network wants RGB. divisor: of pixel values."""
        ...


class OpenVinoNetwork:
    """OpenVINO on the CPU; the canvas goes in as it is, colour and scale are part of the graph."""

    def __init__(self, path: Path, threads: int, precision: Precision, device: Device) -> None:
        # Its tools send usage to their maker, unasked, where this optional package is found.
        sys.modules.setdefault("openvino_telemetry", cast("ModuleType", None))
        import openvino as ov

        if device != "cpu":
            raise ModelError(f"runtime openvino runs on device cpu, not {device}")
        self._ov, self._core, self._path = ov, ov.Core(), path
        if precision == "bf16" and "BF16" not in self._core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise ModelError("precision bf16: this CPU has no bf16 instructions; take f32")
        try:
            self._model = self._core.read_model(path)
        except RuntimeError as error:
            raise ModelError(f"{path}: not a model that OpenVINO reads: {_brief(error)}") from None
        self._config = {
            "INFERENCE_PRECISION_HINT": precision,  # its default is bf16 where the CPU has it
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            # Pinning would put the first thread of every process on the same core.
            "ENABLE_CPU_PINNING": False,
        }
        shapes = [
            [dim.get_length() if dim.is_static else None for dim in port.get_partial_shape()]
            for port in self._model.inputs
        ]
        said = {
            key: str(self._model.get_rt_info(["framework", key]).value)
            for key in ("names", "task")
            if self._model.has_rt_info(["framework", key])
        }
        self.facts = _facts(path, shapes, said)

    def shapes(self, canvas: Canvas) -> list[Shape]:
        return [
            tuple(dim.get_length() if dim.is_static else 0 for dim in port.get_partial_shape())
            for port in self._sized(canvas).outputs
        ]

    def compile(self, canvas: Canvas, *, rgb: bool, divisor: float) -> Run:
        from openvino.preprocess import ColorFormat, PrePostProcessor

        ov = self._ov
        steps = PrePostProcessor(self._sized(canvas))
        steps.input().tensor().set_element_type(ov.Type.u8).set_layout(
            ov.Layout("NHWC")
        ).set_color_format(ColorFormat.BGR)
        chain = steps.input().preprocess().convert_element_type(ov.Type.f32)
        if rgb:
            chain.convert_color(ColorFormat.RGB)
        if divisor != 1:
            chain.scale(divisor)
        steps.input().model().set_layout(ov.Layout("NCHW"))
        for index in range(len(self._model.outputs)):
            steps.output(index).tensor().set_element_type(ov.Type.f32)
        try:
            compiled = self._core.compile_model(steps.build(), "CPU", self._config)
        except RuntimeError as error:
            raise ModelError(f"{self._path}: OpenVINO cannot run it: {_brief(error)}") from None
        request = compiled.create_infer_request()

        def run(image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
            request.set_input_tensor(ov.Tensor(image[None], shared_memory=True))
            request.infer()
            return [request.get_output_tensor(i).data for i in range(len(compiled.outputs))]

        return run

    def _sized(self, canvas: Canvas) -> Any:
        model = self._model.clone()
        try:
            model.reshape([1, 3, *canvas])
        except RuntimeError as error:
            raise ModelError(f"{self._path}: no input of {canvas}: {_brief(error)}") from None
        return model


class OnnxRuntimeNetwork:
    """ONNX Runtime on the CPU, or on CUDA where onnxruntime-gpu is installed."""

    def __init__(self, path: Path, threads: int, precision: Precision, device: Device) -> None:
        import onnxruntime as rt

        if precision != "f32":
            raise ModelError(
                f"precision {precision}: runtime onnxruntime runs the file's own (f32)"
            )
        provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
        if provider not in rt.get_available_providers():
            raise ModelError(
                f"device {device}: this onnxruntime has no {provider}; "
                "pip install 'perception-line[gpu]'"
            )
        options = rt.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        # Spinning threads made two busy cores slower than one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # what it would log is raised here
        wrong = onnxruntime_errors()
        try:
            self._session = rt.InferenceSession(str(path), options, providers=[provider])
        except wrong as error:
            raise ModelError(
                f"{path}: not a model that ONNX Runtime reads: {_brief(error)}"
            ) from None
        if provider not in self._session.get_providers():  # it falls back to the CPU by itself
            raise ModelError(
                f"device {device}: {provider} finds no GPU that works here (driver, CUDA libraries)"
            )
        self._path, self._wrong = path, wrong
        inputs = self._session.get_inputs()
        shapes = [[dim if isinstance(dim, int) else None for dim in port.shape] for port in inputs]
        self.facts = _facts(path, shapes, self._session.get_modelmeta().custom_metadata_map)
        self._input: str = inputs[0].name
        self._dtype = np.float16 if "float16" in inputs[0].type else np.float32

    def shapes(self, canvas: Canvas) -> list[Shape]:
        run = self.compile(canvas, rgb=True, divisor=255.0)
        return [out.shape for out in run(np.zeros((*canvas, 3), np.uint8))]

    def compile(self, canvas: Canvas, *, rgb: bool, divisor: float) -> Run:
        def run(image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
            blob = cv2.dnn.blobFromImage(image, 1 / divisor, swapRB=rgb)
            try:
                outputs = self._session.run(
                    None, {self._input: blob.astype(self._dtype, copy=False)}
                )
            except self._wrong as error:
                raise ModelError(f"{self._path}: no input of {canvas}: {_brief(error)}") from None
            return [np.asarray(out, np.float32) for out in outputs]

        return run


RUNTIMES: dict[Runtime, Callable[[Path, int, Precision, Device], Network]] = {
    "openvino": OpenVinoNetwork,
    "onnxruntime": OnnxRuntimeNetwork,
}


def open_network(
    path: Path,
    runtime: Literal["auto", "openvino", "onnxruntime"] = "auto",
    *,
    threads: int = 1,
    precision: Precision = "f32",
    device: Device = "cpu",
) -> Network:
    """Open a model file. auto: OpenVINO on the CPU where it is installed, else ONNX Runtime.

    Raises ModelError where the file is no ONNX model or the machine lacks what was asked for.
    """
    if path.suffix == ".pt":
        raise ModelError(
            f"{path}: weights of PyTorch; take the detector `ultralytics`, or make ONNX of them "
            "with `perception models export`"
        )
    if runtime == "auto":
        has_openvino = importlib.util.find_spec("openvino") is not None
        runtime = "openvino" if device == "cpu" and has_openvino else "onnxruntime"
    if importlib.util.find_spec(runtime) is None:
        raise ModelError(f"runtime {runtime} is not installed: pip install {runtime}")
    return RUNTIMES[runtime](path, threads, precision, device)


def _facts(path: Path, inputs: list[list[int | None]], said: dict[str, str]) -> Facts:
    form = inputs[0] if len(inputs) == 1 else []
    if len(form) != 4 or form[0] not in (1, None) or form[1] not in (3, None):
        raise ModelError(f"{path}: inputs {inputs}, expected one of (1, 3, H, W)")
    height, width = form[2:]
    canvas = None if height is None or width is None else (height, width)
    text = said.get("names", "")
    names = parse_names(text) if text else None
    return Facts(canvas, names, said.get("task", ""), "" if names else text)


def onnxruntime_errors() -> tuple[type[Exception], ...]:
    """Return what it raises: classes of its extension module without a common base of its own."""
    if importlib.util.find_spec("onnxruntime") is None:
        return (RuntimeError,)
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    errors = [v for v in vars(state).values() if isinstance(v, type) and issubclass(v, Exception)]
    return (*errors, RuntimeError)


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[-200:]
