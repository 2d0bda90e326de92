"""Where a quick head starts: at nothing, or at the head of the model before, which it then stays near."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_cellcls.vocabulary import DataError

STRENGTHS = (1.6, 0.5, 0.16, 0.05, 0.016, 0.005)
"""Ridge penalties tried, strongest first, on descriptors of unit mean square and the summed loss: how large weights
are expected to be does not depend on how many cells are labeled."""
NEAR = (10.0, 3.0, 1.0, 0.3, 0.1)
"""Tried before them where there is a head to stay near, on the mean loss: so strong that few labels hardly move it."""
_USUAL, _USUALLY_NEAR = 3, 1


@dataclass(frozen=True)
class Start:
    """What learning starts from: logits ``(N, K)`` of the head before, and what holds them.

    ``strengths`` are the penalties to try, strongest first; that at ``usual`` is taken unless cells say otherwise.
    """

    kernel: np.ndarray
    bias: np.ndarray
    logits: np.ndarray
    held: np.ndarray
    strengths: tuple[float, ...]
    usual: int

    @classmethod
    def of(cls, x: np.ndarray, classes: int, prior: tuple[np.ndarray, np.ndarray] | None) -> Start:
        """Return it for descriptors ``(N, D)``; zeros without a head before.

        ``held`` ``(K,)`` says whose bias is penalized: that of the classes it knew.
        """
        free = tuple(strength / len(x) for strength in STRENGTHS)
        if prior is None:
            zero = np.zeros(classes)
            return cls(np.zeros(0), zero, np.zeros((len(x), classes)), zero, free, _USUAL)
        kernel, bias = (np.asarray(part, np.float32) for part in prior)
        if kernel.shape != (x.shape[1], classes) or bias.shape != (classes,):
            raise DataError(
                "The head of the model before does not fit these descriptors and classes.",
                code="DATA-SHAPE",
                why=f"kernel {kernel.shape} and bias {bias.shape}, descriptors have {x.shape[1]} numbers, there are {classes} classes",
                remedy="Describe the cells with the same model.",
            )
        logits = (x @ kernel + bias).astype(np.float64)
        held = kernel.any(axis=0).astype(float)
        # Of few cells the mean is no weak penalty: strongest first, whichever list it is from.
        strengths = tuple(sorted({*NEAR, *free}, reverse=True))
        usual = strengths.index(NEAR[_USUALLY_NEAR] if held.any() else free[_USUAL])
        return cls(kernel, bias, logits, held, strengths, usual)

    def take(self, rows: np.ndarray) -> Start:
        """Return it for some of the rows."""
        return replace(self, logits=self.logits[rows])
