"""Where a quick head starts: at nothing, or at the head of the model before, which it then stays near."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_cellcls.vocabulary import DataError

STRENGTHS = (0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001)
"""Ridge penalties tried, strongest first, per cell and on descriptors of unit mean square."""
NEAR = (10.0, 3.0, 1.0, 0.3, 0.1)
"""Tried before them where there is a head to stay near: so strong that few labels hardly move it."""


@dataclass(frozen=True)
class Start:
    """What learning starts from: logits ``(N, K)`` of the head before, and what holds them."""

    kernel: np.ndarray
    bias: np.ndarray
    logits: np.ndarray
    held: np.ndarray
    strengths: tuple[float, ...]

    @classmethod
    def of(cls, x: np.ndarray, classes: int, prior: tuple[np.ndarray, np.ndarray] | None) -> Start:
        """Return it for descriptors ``(N, D)``; zeros without a head before.

        ``held`` ``(K,)`` says whose bias is penalized: that of the classes it knew.
        """
        if prior is None:
            zero = np.zeros(classes)
            return cls(np.zeros(0), zero, np.zeros((len(x), classes)), zero, STRENGTHS)
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
        return cls(kernel, bias, logits, held, (*NEAR, *STRENGTHS))

    @property
    def unproven(self) -> float:
        """The penalty where too few cells choose it: near the head before, else the middle one."""
        return NEAR[1] if self.held.any() else STRENGTHS[len(STRENGTHS) // 2]

    def take(self, rows: np.ndarray) -> Start:
        """Return it for some of the rows."""
        return replace(self, logits=self.logits[rows])
