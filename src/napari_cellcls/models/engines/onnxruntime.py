"""ONNX Runtime in this process: the default engine."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from napari_cellcls.models.engines.base import Engine
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.vocabulary import EngineError

# Small networks are bound by memory traffic: on one thread, blocks of 16 crops gave 1.3 times the crops
# per second of blocks of 256 (cell_resnet, 50 px). So blocks stay small and each core takes its own.
_BLOCK = 16
PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}


def quiet_library() -> Any:
    """Import ONNX Runtime with its telemetry off: nothing may leave the computer.

    Since 1.31 the library looks up its maker's servers and keeps a device id in the user's cache
    unless this variable is set before the import.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def devices() -> tuple[str, ...]:
    """Return the devices this installation of ONNX Runtime was built for, fastest first."""
    onnxruntime = quiet_library()
    present = set(onnxruntime.get_available_providers())
    return tuple(device for device, provider in PROVIDERS.items() if provider in present)


def usable_cpus() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OnnxRuntimeEngine(Engine):
    """Runs the ONNX graph of a package.

    Parameters
    ----------
    package : ModelPackage
    onnx : bytes
        The graph, derived from the package by us.
    device : str
        A key of :data:`PROVIDERS`.
    """

    name = "onnxruntime"

    def __init__(self, package: ModelPackage, onnx: bytes, device: str = "cpu") -> None:
        super().__init__(package)
        onnxruntime = quiet_library()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        providers = list(dict.fromkeys([PROVIDERS[device], PROVIDERS["cpu"]]))
        self.device = device
        if device not in devices():
            raise self._no_device("this installation was not built for it")
        self._session: Any = onnxruntime.InferenceSession(onnx, options, providers=providers)
        # A provider that is built in but finds no hardware falls back to the CPU without an error.
        if self._session.get_providers()[0] != PROVIDERS[device]:
            raise self._no_device(f"it fell back to {self._session.get_providers()[0]}")
        self._workers = usable_cpus() if device == "cpu" else 1
        self._block = _BLOCK if device == "cpu" else 1 << 20
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="cellcls-onnx")

    def _run(self, crops: np.ndarray) -> np.ndarray:
        # Equal shares for all cores: a core left with the odd last block would hold up the others.
        rounds = -(-len(crops) // (self._block * self._workers))
        blocks = np.array_split(crops, min(rounds * self._workers, len(crops)))
        return np.concatenate(list(self._pool.map(self._run_block, blocks)))

    def _run_block(self, crops: np.ndarray) -> np.ndarray:
        return np.asarray(self._session.run(["embeddings"], {"crops": crops})[0])

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _no_device(self, why: str) -> EngineError:
        return EngineError(
            f"ONNX Runtime cannot use the device {self.device!r} here",
            code="ENGINE-DEVICE",
            why=f"{why}.",
            remedy="Check the graphics driver, or choose the device 'cpu'.",
        )
