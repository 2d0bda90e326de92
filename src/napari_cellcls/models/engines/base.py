"""What every engine has in common: checks of the crops, halving of a batch, the self-test at opening."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

import numpy as np

from napari_cellcls.files import reason
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.vocabulary import EngineError, ModelError

_MEMORY_WORDS = (
    "out of memory",
    "failed to allocate",
    "bad_alloc",
    "resourceexhausted",
    "out_of_memory",
)


class Engine(ABC):
    """A network ready to run; use as a context manager.

    Attributes
    ----------
    name : str
        ``onnxruntime``, ``openvino`` or ``tensorflow``.
    device : str
        What it really runs on, for example ``cpu`` or ``cuda``.
    weights_sha256 : str
        The weights it holds, so that it is never used for another model by mistake.
    """

    name: str
    device: str
    weights_sha256: str

    def __init__(self, package: ModelPackage) -> None:
        self.weights_sha256 = package.weights_sha256
        self._shape = package.input_shape
        self._size = package.embedding_size

    def embed(self, crops: np.ndarray) -> np.ndarray:
        """Run the network.

        Parameters
        ----------
        crops : numpy.ndarray
            ``(N, Y, X, C)``, values in 0..1; converted to float32 when it is another type.

        Returns
        -------
        numpy.ndarray
            Embeddings ``(N, E)``, float32.

        Raises
        ------
        EngineError
            ``ENGINE-SHAPE`` (crops of another shape), ``ENGINE-MEMORY`` (one crop does not fit),
            ``ENGINE-FAILED``, ``ENGINE-CHILD-DIED``, ``ENGINE-TIMEOUT``.
        """
        crops = np.ascontiguousarray(crops, dtype=np.float32)
        if crops.shape[1:] != self._shape:
            raise EngineError(
                "The crops do not fit the network",
                code="ENGINE-SHAPE",
                why=f"they are {crops.shape}, the network takes (N, {self._shape}).",
                remedy="Cut the crops with the crop rule of this model.",
            )
        if len(crops) == 0:
            return np.zeros((0, self._size), np.float32)
        return self._embed_or_halve(crops)

    @abstractmethod
    def _run(self, crops: np.ndarray) -> np.ndarray:
        """Return embeddings of at least one crop; any exception of the library may pass."""

    def close(self) -> None:  # noqa: B027 - most engines hold nothing to give back
        """Give back what the engine holds; safe to call twice."""

    def __enter__(self) -> Self:
        """Return the engine."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the engine."""
        self.close()

    def _embed_or_halve(self, crops: np.ndarray) -> np.ndarray:
        try:
            return self._run(crops)
        except EngineError as error:
            if error.code != "ENGINE-MEMORY":
                raise
        except Exception as error:
            if not is_memory_error(error):
                raise EngineError(
                    f"{self.name} failed on {self.device}",
                    code="ENGINE-FAILED",
                    why=reason(error),
                    remedy="Choose another engine or device; `cellcls doctor` lists them.",
                ) from error
        if len(crops) == 1:
            raise EngineError(
                "There is not enough memory to run the network on a single crop",
                code="ENGINE-MEMORY",
                why=f"{self.name} on {self.device} could not allocate for {crops.shape}.",
                remedy="Close other programs, or choose the device 'cpu'.",
            )
        half = len(crops) // 2
        return np.concatenate(
            [self._embed_or_halve(crops[:half]), self._embed_or_halve(crops[half:])]
        )


def is_memory_error(error: BaseException) -> bool:
    """Whether an exception of any library means that memory ran out."""
    text = f"{type(error).__name__} {error}".lower()
    return isinstance(error, MemoryError) or any(word in text for word in _MEMORY_WORDS)


def self_test(engine: Engine, package: ModelPackage) -> float:
    """Run the package's own test crops and return the largest difference.

    Raises
    ------
    ModelError
        ``MODEL-TEST`` when the embeddings are not those the package promises.
    """
    test = package.manifest.test
    got, expected = engine.embed(package.test_input), package.test_output
    difference = float(np.abs(got - expected).max())
    if not np.allclose(got, expected, rtol=test.rtol, atol=test.atol):
        raise ModelError(
            f"The model does not reproduce its own test output with {engine.name}",
            code="MODEL-TEST",
            path=package.path,
            why=f"embeddings differ by up to {difference:.3g} on {engine.device}.",
            remedy="Choose another engine or device; if all fail, get the package again.",
        )
    return difference
