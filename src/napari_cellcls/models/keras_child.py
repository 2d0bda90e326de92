"""The child process that runs Keras: JSON lines in, JSON lines out, arrays through ``.npy`` files.

TensorFlow must not share a process with napari (its LLVM symbols clash with those of Mesa), so only
this module, run as ``python -m napari_cellcls.models.keras_child``, imports it. The process ends
when its standard input closes, even in the middle of a batch.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np


def main(arguments: list[str] | None = None) -> int:
    """Answer requests until standard input closes.

    Requests: ``load`` (architecture, params, weights), ``embed`` (input, output). Replies:
    ``{"ok": true, ...}`` or ``{"error": text, "memory": bool}``.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--backend", default="tensorflow", choices=("tensorflow", "torch", "jax"))
    parser.add_argument("--device", default="cpu", choices=("cpu", "gpu"))
    options = parser.parse_args(arguments)
    replies = _take_stdout()
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    _prepare(options.backend, options.device)
    server = _Server(options.backend, options.device)
    while True:
        request = requests.get()
        try:
            reply = server.answer(request)
        except Exception as error:  # noqa: BLE001 - every failure is told to the parent
            reply = {"error": f"{type(error).__name__}: {error}", "memory": _is_memory(error)}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


class _Server:
    def __init__(self, backend: str, device: str) -> None:
        self._backend = backend
        self._device = device
        self._model: Any = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] == "load":
            return self._load(request)
        if request["do"] == "embed":
            return self._embed(request)
        raise ValueError(f"unknown request {request['do']!r}")

    def _load(self, request: dict[str, Any]) -> dict[str, Any]:
        device = _claim_device(self._backend, self._device)
        import keras

        from napari_cellcls.models import networks, plan, tensors

        arch_id, params = request["architecture"], request["params"]
        spec = networks.weight_spec(arch_id, params)
        weights = tensors.read_tensors(Path(request["weights"]).read_bytes(), spec)
        self._model = networks.build(arch_id, params)
        plan.assign(self._model, weights)
        return {"ok": True, "device": device, "keras": keras.__version__}

    def _embed(self, request: dict[str, Any]) -> dict[str, Any]:
        crops = np.load(request["input"], mmap_mode="r", allow_pickle=False)
        result = np.asarray(self._model.predict_on_batch(np.asarray(crops)), np.float32)
        np.save(request["output"], result, allow_pickle=False)
        return {"ok": True}


def _take_stdout() -> IO[str]:
    """Keep standard output for replies; what libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def _read_requests(requests: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin.buffer:
        requests.put(json.loads(line))
    # The parent closed the pipe or died: a batch at work must not keep this process alive.
    os._exit(0)


def _prepare(backend: str, device: str) -> None:
    """Set the environment that Keras and TensorFlow read at import."""
    os.environ["KERAS_BACKEND"] = backend
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"


def _claim_device(backend: str, device: str) -> str:
    if backend != "tensorflow":
        return device
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    if device == "gpu" and not found:
        raise RuntimeError("TensorFlow finds no GPU here")
    for gpu in found:
        tf.config.experimental.set_memory_growth(gpu, True)
    return "gpu" if found else "cpu"


def _is_memory(error: Exception) -> bool:
    from napari_cellcls.models.engines.base import is_memory_error

    return is_memory_error(error)


if __name__ == "__main__":
    sys.exit(main())
