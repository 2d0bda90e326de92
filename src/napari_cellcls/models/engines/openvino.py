"""OpenVINO in this process, with float32 arithmetic asked for explicitly."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from napari_cellcls.models.engines.base import Engine
from napari_cellcls.models.package import ModelPackage

_BLOCK = 16


def quiet_library() -> Any:
    """Import OpenVINO without its telemetry: nothing may leave the computer.

    Importing its model tools reports to an analytics service through a package of its own; without
    that package they use a stand-in that does nothing.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino


def devices() -> tuple[str, ...]:
    """Return the devices OpenVINO finds, in our words."""
    openvino = quiet_library()
    return tuple(name.lower() for name in openvino.Core().available_devices)


class OpenVinoEngine(Engine):
    """Runs the ONNX graph of a package, several blocks at once.

    Parameters
    ----------
    package : ModelPackage
    onnx : bytes
    device : str
        ``cpu``, ``gpu`` ...
    """

    name = "openvino"

    def __init__(self, package: ModelPackage, onnx: bytes, device: str = "cpu") -> None:
        super().__init__(package)
        openvino = quiet_library()
        core = openvino.Core()
        # On processors with AMX the default is bfloat16, which moves embeddings by some percent.
        options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
        compiled = core.compile_model(core.read_model(onnx), device.upper(), options)
        self.device = device
        self._queue: Any = openvino.AsyncInferQueue(compiled)
        self._queue.set_callback(self._store)
        self._result = np.zeros((0, self._size), np.float32)

    def _run(self, crops: np.ndarray) -> np.ndarray:
        self._result = np.empty((len(crops), self._size), np.float32)
        for start in range(0, len(crops), _BLOCK):
            self._queue.start_async({"crops": crops[start : start + _BLOCK]}, start)
        self._queue.wait_all()
        return self._result

    def _store(self, request: Any, start: int) -> None:
        block = request.get_output_tensor(0).data
        self._result[start : start + len(block)] = block
