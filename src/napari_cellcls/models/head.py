"""From embeddings to classes: the linear head, calibrated probabilities, thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_cellcls.models.package import ModelPackage
from napari_cellcls.vocabulary import ModelError


def need_classes(package: ModelPackage) -> None:
    """Raise ``MODEL-NO-CLASSES`` for a model without a head."""
    if package.head is None:
        raise ModelError(
            f"{package.manifest.title} has no classes yet",
            code="MODEL-NO-CLASSES",
            path=package.path,
            why="it is a backbone: it describes cells but does not name them.",
            remedy="Label some cells and fine-tune, or choose a model with classes.",
        )


def need_no_image(package: ModelPackage, *, cut: bool = False) -> None:
    """Raise ``MODEL-NEEDS-IMAGE`` for a model that cannot judge crops without their image.

    Parameters
    ----------
    package : ModelPackage
    cut : bool
        Whether the crops were cut from whole images by the rule of the model.
    """
    manifest = package.manifest
    if manifest.descriptor != "embedding":
        why = "it measures the shape of each cell in its image, beside what its network sees."
    elif manifest.normalization.kind == "background" and not cut:
        why = "it measures over the background of the whole image, which a crop does not show."
    else:
        return
    raise ModelError(
        f"{manifest.title} cannot judge crops without their image",
        code="MODEL-NEEDS-IMAGE",
        path=package.path,
        why=why,
        remedy="Give whole images with their cells, for example a project.",
    )


def logits_of(embeddings: np.ndarray, package: ModelPackage) -> np.ndarray:
    """Return the logits ``(N, K)`` float32 of the model's linear head.

    Raises
    ------
    ModelError
        ``MODEL-NO-CLASSES`` when the model has no head.
    """
    need_classes(package)
    assert package.head is not None
    kernel, bias = package.head
    return np.asarray(embeddings @ kernel + bias, np.float32)


def probabilities(logits: np.ndarray, temperature: float, multi_label: bool) -> np.ndarray:
    """Return calibrated probabilities ``(N, K)`` float32 from logits of the same shape."""
    scaled = np.asarray(logits, np.float64) / temperature
    if multi_label:
        # tanh does not overflow where exp would.
        return np.asarray(0.5 * (1 + np.tanh(scaled / 2)), np.float32)
    exponents = np.exp(scaled - scaled.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)


def decide(
    values: np.ndarray, thresholds: tuple[float, ...] | None, multi_label: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Choose classes from probabilities.

    Parameters
    ----------
    values : numpy.ndarray
        Probabilities ``(N, K)``.
    thresholds : tuple of float or None
        One per class. With one class per cell and no thresholds the most probable class wins; with
        thresholds, the class that exceeds its own by the largest factor, or none. With several
        classes per cell every class at or above its threshold (0.5 by default).
    multi_label : bool

    Returns
    -------
    assigned : numpy.ndarray
        ``(N, K)`` bool.
    confidence : numpy.ndarray
        ``(N,)`` float32: the lowest probability among the assigned classes; when there is none,
        1 minus the highest probability.
    """
    limits = np.full(values.shape[1], 0.5) if thresholds is None else np.asarray(thresholds)
    passed = values >= limits
    if multi_label:
        assigned = passed
    else:
        factor = values if thresholds is None else values / np.maximum(limits, 1e-9)
        best = np.arange(values.shape[1]) == factor.argmax(axis=1)[:, None]
        assigned = best if thresholds is None else best & passed
    lowest = np.where(assigned, values, 1.0).min(axis=1, initial=1.0)
    none = 1.0 - values.max(axis=1, initial=0.0)
    return assigned, np.where(assigned.any(axis=1), lowest, none).astype(np.float32)


def thresholds_for(
    values: np.ndarray, precision: float, truth: np.ndarray | None = None
) -> tuple[float, ...]:
    """Return the lowest threshold per class above which that share of cells is right.

    Parameters
    ----------
    values : numpy.ndarray
        Calibrated probabilities ``(N, K)``.
    precision : float
        Wanted share of right ones among the cells of a class, 0.5 to 0.999.
    truth : numpy.ndarray, optional
        ``(N, K)`` bool, where it is known. Without it the probabilities say how many are right,
        which holds as far as they are calibrated on images like this one.

    Returns
    -------
    tuple of float
        One per class: never below chance, 1 where no cell is sure enough.
    """
    if not 0.5 <= precision <= 0.999:
        raise ValueError(f"a wanted precision lies between 0.5 and 0.999; received {precision}")
    p = np.asarray(values, np.float64)
    right = p if truth is None else np.asarray(truth, np.float64)
    found = []
    for k in range(p.shape[1]):
        order = np.argsort(-p[:, k], kind="stable")
        ordered = np.append(p[order, k], 0.0)
        share = np.cumsum(right[order, k]) / np.arange(1, len(order) + 1)
        # Cells of one probability cannot be told apart.
        enough = np.flatnonzero((share >= precision) & (ordered[:-1] > ordered[1:]))
        middle = ordered[enough[-1] : enough[-1] + 2].mean() if len(enough) else 1.0
        found.append(float(max(middle, 1 / p.shape[1])))
    return tuple(found)


def sets_of(values: np.ndarray, limits: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the classes each cell could be; the most probable one is always among them.

    Parameters
    ----------
    values : numpy.ndarray
        Probabilities ``(N, K)``.
    limits : sequence of float
        ``(K,)``: a class belongs to the set when its probability is at least this.

    Returns
    -------
    numpy.ndarray
        ``(N, K)`` bool.
    """
    found = np.asarray(values, np.float64) >= np.asarray(limits, np.float64)
    if len(found):
        found[np.arange(len(found)), values.argmax(axis=1)] = True
    return np.asarray(found)
