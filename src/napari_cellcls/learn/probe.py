"""The head that a training begins with: fitted on what the network sees before it learns anything.

A head of zeros or of chance pulls the network to and fro before it knows a class, and what the network knew is bent. Fitted first,
the network begins where a quick fine-tune ends (Kumar et al. 2022, ICLR, arXiv 2202.10054). Keras only inside functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cellcls.learn.head import fit_head
from napari_cellcls.vocabulary import DataError


def set_fitted_head(
    model: Any,
    images: np.ndarray,
    targets: np.ndarray,
    rows: np.ndarray,
    groups: np.ndarray,
    *,
    before: tuple[np.ndarray, np.ndarray] | None,
    multi_label: bool,
    seed: int = 42,
) -> str:
    """Fit the last layer of a classifier on its training side; return what was done, in words.

    Parameters
    ----------
    model : keras.Model
        Its last layer is the linear head.
    images : numpy.ndarray
        ``(N, Y, X, C)`` uint8 or float32 in 0..1.
    targets : numpy.ndarray
        ``(N, K)`` 1/0, NaN where nobody judged.
    rows : numpy.ndarray
        Of the training side.
    groups : numpy.ndarray
        ``(N,)`` str, kept together where the penalty is chosen.
    before : tuple of numpy.ndarray or None
        Kernel ``(E, K)`` and bias ``(K,)`` to stay near.
    multi_label : bool
    seed : int
    """
    import keras

    from napari_cellcls.learn.classifier import logits_of

    features = keras.Model(model.input, model.layers[-1].input)
    seen = logits_of(features, images, rows)
    try:
        head = fit_head(
            seen, targets[rows], groups=groups[rows], prior=before, multi_label=multi_label, seed=seed
        )  # fmt: skip
    except DataError as error:
        return f"The head is not fitted before the training: {error.what}"
    t = head.temperature
    model.layers[-1].set_weights([head.kernel / t, head.bias / t])
    return f"The head is fitted on {len(rows):,} cells before the network learns."
