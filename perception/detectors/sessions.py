"""Inference runtimes: each turns a model file into a function from a canvas to float32 outputs.

To add a runtime: a class that fits Network, and one row in RUNTIMES. Runtimes do not depend on
heads. A runtime is imported when it is used. Used by detectors only.
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
"""From a uint8 (H, W, 3) BGR canvas to the outputs. The next call overwrites them."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Metadata of a model file. canvas: fixed input size; None: any size.

    names: class names; None: the file has none, or they cannot be parsed. task: "" if unknown.
    unreadable_names: the text of class names that cannot be parsed, else "".
    """

    canvas: Canvas | None
    names: list[str] | None
    task: str
    unreadable_names: str = ""


class Network(Protocol):
    """A model file opened in a runtime."""

    facts: Facts

    def shapes(self, canvas: Canvas) -> list[Shape]:
        """Return the shape of each output, batch axis included; 0 for a side that is not fixed.

        canvas: height and width of the input, px. Raises ModelError where the size does not fit.
        """
        ...

    def compile(self, canvas: Canvas, *, rgb: bool, divisor: float) -> Run:
        """Return the function that runs the model. rgb: convert BGR to RGB. divisor: of pixels."""
        ...


class OpenVinoNetwork:
    """OpenVINO on the CPU. Colour order and scale of the pixels are part of the compiled graph."""

    def __init__(self, path: Path, threads: int, precision: Precision, device: Device) -> None:
        # OpenVINO sends usage data where this optional package is installed. None blocks its
        # import.
        sys.modules.setdefault("openvino_telemetry", cast("ModuleType", None))
        import openvino as ov

        if device != "cpu":
            raise ModelError(f"runtime openvino runs on device cpu, not {device}")
        self._ov, self._core, self._path = ov, ov.Core(), path
        if precision == "bf16" and "BF16" not in self._core.get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            raise ModelError("precision bf16: this CPU has no bf16 instructions; use f32")
        try:
            self._model = self._core.read_model(path)
        except RuntimeError as error:
            raise ModelError(f"{path}: not a model that OpenVINO reads: {_brief(error)}") from None
        self._config = {
            "INFERENCE_PRECISION_HINT": precision,  # the default is bf16 on a CPU that has it
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            # With pinning the first thread of every process runs on the same core.
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
        # With spinning threads two busy cores were slower than one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # errors are raised below, not logged
        wrong = onnxruntime_errors()
        try:
            self._session = rt.InferenceSession(str(path), options, providers=[provider])
        except wrong as error:
            raise ModelError(
                f"{path}: not a model that ONNX Runtime reads: {_brief(error)}"
            ) from None
        if provider not in self._session.get_providers():  # ONNX Runtime fell back to the CPU
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
    """Open a model file. auto: OpenVINO for the CPU if it is installed, else ONNX Runtime.

    Raises ModelError where the file is no ONNX model, or the runtime, precision or device is not
    available on this machine.
    """
    if path.suffix == ".pt":
        raise ModelError(
            f"{path}: PyTorch weights; use the detector `ultralytics`, or convert them to ONNX "
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
    """Return the exception classes of ONNX Runtime. They have no common base class."""
    if importlib.util.find_spec("onnxruntime") is None:
        return (RuntimeError,)
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    errors = [v for v in vars(state).values() if isinstance(v, type) and issubclass(v, Exception)]
    return (*errors, RuntimeError)


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[-200:]
