"""What a network has forgotten: cells that nobody labeled, in groups held out, answered before and after.

A package holds no pictures of the cells its model learned from, and exemplars are numbers of the old network, which say
nothing to a new one. What is at hand are cells of the project that the model before was sure of. Of some it was wrong:
so often as the labels say of the cells it was sure of, or as its own probabilities say. What surely goes more than five
points beyond that is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_cellcls.counting import wilson
from napari_cellcls.embed import embed_crops
from napari_cellcls.learn.datasets.cellset import CellSet
from napari_cellcls.learn.datasets.cut import read_cut
from napari_cellcls.learn.deep_begin import ANSWERS, DATA
from napari_cellcls.learn.gate import FALL, NAMED_CELLS, Fall, Verdict
from napari_cellcls.learn.lesson import SURE
from napari_cellcls.models.head import probabilities
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.vocabulary import Progress, Task

_BATCH = 256


def look_back(folder: Path, network: ModelPackage) -> Task[tuple[tuple[Fall, ...], int]]:
    """Ask a trained network about the cells watched in the folder of its training.

    Parameters
    ----------
    folder : Path
        Of the training.
    network : ModelPackage
        What came out of it, with its head.

    Returns
    -------
    Task of (tuple of Fall, int)
        The classes that it forgets, and how many cells were watched.

    Raises
    ------
    DataError
        ``DATA-UNREADABLE`` when the cells of the folder are damaged.
    """
    from napari_cellcls.models.runtime import open_engine

    path = folder / ANSWERS
    if not path.is_file():
        return (), 0
    size, planes = network.manifest.crop.size, len(network.manifest.inputs)
    data = read_cut(folder / DATA, (size, size, planes), None)
    known = np.load(path, allow_pickle=False)
    rows = watched(data, known)
    if not len(rows):
        return (), 0
    assert network.head is not None
    kernel, bias = network.head
    logits = np.zeros((len(rows), len(bias)), np.float32)
    with open_engine(network) as engine:
        for start in range(0, len(rows), _BATCH):
            yield Progress(start, len(rows), "Looking for what was forgotten")
            part = slice(start, start + _BATCH)
            crops = data.images[rows[part]] / np.float32(255)
            logits[part] = embed_crops(crops, network, engine) @ kernel + bias
    said = answers(network, logits, np.isfinite(known).any(axis=0))
    names = [one.name for one in network.manifest.classes]
    return forgotten(names, data, known, rows, said), len(rows)


def watched(data: CellSet, known: np.ndarray) -> np.ndarray:
    """Return the rows of cells that show what is forgotten: of groups held out, and the model before was sure.

    Parameters
    ----------
    data : CellSet
        Of a training.
    known : numpy.ndarray
        ``(N, K)`` probabilities of the model before; NaN for classes that it did not know.
    """
    judges = [group for group, side in data.sides.items() if side == "test"]
    sure = (np.nan_to_num(known) >= SURE).any(axis=1)
    return np.flatnonzero(sure & data.training_only & np.isin(data.groups, judges))


def answers(network: ModelPackage, logits: np.ndarray, old: np.ndarray) -> np.ndarray:
    """Return what a network says of cells among the classes known before, ``(N, K)`` bool.

    A class that is new cannot be forgotten: what else it would have said is what counts.

    Parameters
    ----------
    network : ModelPackage
    logits : numpy.ndarray
        ``(N, K)``.
    old : numpy.ndarray
        ``(K,)`` bool, classes known before.
    """
    manifest = network.manifest
    if manifest.multi_label:
        limits = 0.5 if manifest.thresholds is None else np.asarray(manifest.thresholds)
        return np.asarray(probabilities(logits, manifest.temperature, True) >= limits)
    best = np.where(old, logits, -np.inf).argmax(axis=1)
    return np.asarray(best[:, None] == np.arange(logits.shape[1]))


def forgotten(
    names: Sequence[str], data: CellSet, known: np.ndarray, rows: np.ndarray, said: np.ndarray
) -> tuple[Fall, ...]:
    """Return the classes that a network forgets: shares that it should keep and keeps of the cells watched.

    Parameters
    ----------
    names : sequence of str
        ``K`` classes.
    data : CellSet
        Of a training; ``soft`` is what is learned of labeled cells.
    known : numpy.ndarray
        ``(N, K)`` probabilities of the model before.
    rows : numpy.ndarray
        ``(W,)``, from :func:`watched`.
    said : numpy.ndarray
        ``(W, K)`` bool, from :func:`answers`.
    """
    falls = []
    sure = np.nan_to_num(known) >= SURE
    for k, name in enumerate(names):
        own = sure[rows, k]
        cells, lost = int(own.sum()), int((own & ~said[:, k]).sum())
        if cells < NAMED_CELLS:
            continue
        expected = max(float((1 - known[rows, k])[own].mean()), _corrected(data, known, sure, k))
        if wilson(lost, cells).low > expected + FALL:
            falls.append(Fall(name, 1 - expected, 1 - lost / cells, cells))
    return tuple(falls)


def named(found: Verdict, falls: tuple[Fall, ...]) -> Verdict:
    """Return a verdict that names the classes forgotten."""
    if not falls:
        return found
    told = ", ".join(f"{one} ({one.cells:,} cells)" for one in falls)
    why = (
        f"It forgets what the model before knew, of cells that nobody labeled in images held out: {told}. "
        "Use it for this project only."
    )
    return replace(
        found, local=True, forgotten=(*found.forgotten, *falls), reasons=(*found.reasons, why)
    )


def _corrected(data: CellSet, known: np.ndarray, sure: np.ndarray, k: int) -> float:
    """Return how often people say no where the model before was sure of a class."""
    if data.soft is None:
        return 0.0
    soft = data.soft[:, k]
    # Where nobody judged, what is learned is the answer before itself.
    asked = sure[:, k] & ~data.training_only & (soft != known[:, k])
    return float((soft[asked] < 0.5).mean()) if asked.any() else 0.0
