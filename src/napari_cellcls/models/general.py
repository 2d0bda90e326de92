"""Cells of a released model as a general network describes them: so that it can pass on what it knows.

A small network sees what tells its own classes apart and is blind to the rest, so a class that is added later may
not be in its numbers at all. With these cells its classes can be learned anew beside the new one, by a network
that was made to see any difference. They lie in ``reference.npz`` of the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_cellcls.models.package import ModelPackage

_VALUES, _LABELS = "general_values", "general_labels"
_OWN, _NETWORK = "general_own", "general_network"
_SHA_BYTES = 32


@dataclass(frozen=True, eq=False)
class General:
    """``M`` cells of a model of ``K`` classes that exclude each other.

    Attributes
    ----------
    values : numpy.ndarray
        ``(M, D)`` float32: embedding by the general network, then the measured numbers.
    labels : numpy.ndarray
        ``(M,)`` int, class of the model.
    logits : numpy.ndarray
        ``(M, K)`` float32, what the model itself says of them; its temperature is not taken in.
    network : str
        ``weights_sha256`` of the general network.
    """

    values: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    network: str

    def arrays(self) -> dict[str, np.ndarray]:
        """Return them as they are kept in ``reference.npz``."""
        return {
            _VALUES: self.values.astype(np.float16),
            _LABELS: self.labels.astype(np.int64),
            _OWN: self.logits.astype(np.float32),
            _NETWORK: np.frombuffer(bytes.fromhex(self.network), np.uint8),
        }


def general_of(package: ModelPackage) -> General | None:
    """Return the cells that a package brings; None when it brings none, or none that fit it."""
    reference = package.reference or {}
    if not {_VALUES, _LABELS, _OWN, _NETWORK} <= set(reference) or package.manifest.multi_label:
        return None
    values, labels = reference[_VALUES], reference[_LABELS]
    logits, network = reference[_OWN], reference[_NETWORK]
    count, classes = len(values), len(package.manifest.classes)
    fits = (
        (values.ndim, values.dtype.kind) == (2, "f")
        and (labels.shape, labels.dtype.kind) == ((count,), "i")
        and (logits.shape, logits.dtype.kind) == ((count, classes), "f")
        and (network.shape, network.dtype.str) == ((_SHA_BYTES,), "|u1")
    )
    if not fits or count == 0 or labels.min() < 0 or labels.max() >= classes:
        return None
    if not (np.isfinite(values).all() and np.isfinite(logits).all()):
        return None
    return General(
        values.astype(np.float32), labels.astype(int), logits.astype(np.float32), network.tobytes().hex()
    )  # fmt: skip
