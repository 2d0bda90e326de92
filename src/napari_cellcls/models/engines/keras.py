"""Keras on TensorFlow (or torch, jax) in a child process; no Keras in this one."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from napari_cellcls.models.child import Child
from napari_cellcls.models.engines.base import Engine
from napari_cellcls.models.package import ModelPackage, weights_metadata
from napari_cellcls.models.tensors import write_tensors

_START_SECONDS = 180.0
_BATCH_SECONDS = 300.0
_BATCH = 256


class KerasEngine(Engine):
    """Runs the Keras network of a package in a child process.

    Parameters
    ----------
    package : ModelPackage
    device : {"cpu", "gpu"}
    backend : {"tensorflow", "torch", "jax"}
    batch_seconds : float
        Longest time for one batch before the child is ended.

    Raises
    ------
    EngineError
        ``ENGINE-CHILD-DIED``, ``ENGINE-TIMEOUT``, ``ENGINE-FAILED`` while starting.
    """

    name = "tensorflow"

    def __init__(
        self,
        package: ModelPackage,
        device: str = "cpu",
        backend: str = "tensorflow",
        batch_seconds: float = _BATCH_SECONDS,
    ) -> None:
        super().__init__(package)
        self.device = device
        self._batch_seconds = batch_seconds
        self._folder = Path(tempfile.mkdtemp(prefix="cellcls-"))
        self._child = Child(
            "napari_cellcls.models.keras_child",
            ["--backend", backend, "--device", device],
            f"The {backend} process",
        )
        try:
            self._load(package)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._child.pid

    def close(self) -> None:
        """End the child and remove its files."""
        self._child.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _load(self, package: ModelPackage) -> None:
        ref = package.manifest.architecture
        weights = self._folder / "weights.safetensors"
        weights.write_bytes(write_tensors(package.weights, weights_metadata(ref.id, ref.params)))
        request = {
            "do": "load",
            "architecture": ref.id,
            "params": ref.params,
            "weights": str(weights),
        }
        self.device = str(self._child.ask(request, _START_SECONDS)["device"])

    def _run(self, crops: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [self._batch(crops[i : i + _BATCH]) for i in range(0, len(crops), _BATCH)]
        )

    def _batch(self, crops: np.ndarray) -> np.ndarray:
        given, made = self._folder / "input.npy", self._folder / "output.npy"
        if not self._child.alive:
            self._child.ask({"do": "embed"}, 0)
        mapped = np.lib.format.open_memmap(given, "w+", np.float32, crops.shape)
        mapped[:] = crops
        mapped.flush()
        del mapped
        request = {"do": "embed", "input": str(given), "output": str(made)}
        self._child.ask(request, self._batch_seconds)
        return np.asarray(np.load(made, allow_pickle=False))
