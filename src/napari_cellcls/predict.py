"""Cells to predictions: crops through an engine, the head, calibrated probabilities, classes.

Cutting crops runs ahead in a thread of its own while the engine works. Nothing here knows files,
layers or windows; a prediction never changes what a person decided.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.images.image import Image
from napari_cellcls.models.engines.base import Engine
from napari_cellcls.models.feed import Ahead
from napari_cellcls.models.head import decide, logits_of, need_classes, probabilities
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.models.turns import mean_of_turns
from napari_cellcls.vocabulary import (
    COLUMNS,
    CellsError,
    ChannelError,
    ClassScheme,
    EngineError,
    Progress,
    Task,
)

if TYPE_CHECKING:
    import pandas as pd

    from napari_cellcls.images.channels import ChannelMapping


@dataclass(frozen=True)
class Predictions:
    """What a model says about each cell.

    Attributes
    ----------
    ids : numpy.ndarray
        Cell ids ``(N,)`` int64, in the order of the cell table.
    scheme : ClassScheme
    logits, probabilities : numpy.ndarray
        ``(N, K)`` float32; probabilities are calibrated with the temperature of the model: softmax
        over the classes, or one sigmoid per class when a cell may have several.
    assigned : numpy.ndarray
        ``(N, K)`` bool: the classes whose probability passes their threshold.
    confidence : numpy.ndarray
        ``(N,)`` float32 in 0..1, see :func:`napari_cellcls.models.head.decide`.
    embeddings : numpy.ndarray or None
        ``(N, E)`` float32 when they were asked for.
    model, model_sha : str
        ``name@version`` and SHA-256 of the package.
    engine, device : str
        "" when there was no cell to predict.
    seconds : float
        Wall time from the first crop to the last prediction.
    """

    ids: np.ndarray
    scheme: ClassScheme
    logits: np.ndarray
    probabilities: np.ndarray
    assigned: np.ndarray
    confidence: np.ndarray
    embeddings: np.ndarray | None = field(repr=False)
    model: str
    model_sha: str
    engine: str
    device: str
    seconds: float

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.ids)

    @property
    def predicted(self) -> list[str]:
        """Class names per cell, several joined with ``|``, "" when none passes its threshold."""
        names = np.array([*self.scheme.names, ""], dtype=object)
        count = self.assigned.sum(axis=1)
        only = np.where(count == 1, self.assigned.argmax(axis=1) if len(names) > 1 else 0, -1)
        found: list[str] = names[only].tolist()
        for row in np.flatnonzero(count > 1):
            found[row] = COLUMNS.joiner.join(names[:-1][self.assigned[row]])
        return found

    def to_table(self, cells: Cells) -> pd.DataFrame:
        """Return the cell table with the columns of a prediction (``docs/file-formats.md``).

        Raises
        ------
        CellsError
            ``CELLS-OTHER`` when these predictions are not of these cells.
        """
        if not np.array_equal(self.ids, cells.ids):
            raise CellsError(
                "The predictions belong to other cells",
                code="CELLS-OTHER",
                why=f"{len(self.ids)} predictions for a table of {len(cells)} cells.",
                remedy="Classify again after changing the cells.",
            )
        table = cells.table.copy()
        flags = table.pop(COLUMNS.flags) if COLUMNS.flags in table else ""
        table[COLUMNS.predicted] = self.predicted
        table[COLUMNS.confidence] = self.confidence
        for i, class_id in enumerate(self.scheme.ids):
            table[COLUMNS.probability_prefix + class_id] = self.probabilities[:, i]
        table[COLUMNS.corrected] = ""
        table[COLUMNS.class_] = table[COLUMNS.predicted]
        table[COLUMNS.annotator] = ""
        table[COLUMNS.model] = f"{self.model} {self.model_sha[:8]}"
        table[COLUMNS.flags] = flags
        return table


def predict(
    image: Image,
    cells: Cells,
    package: ModelPackage,
    *,
    mapping: ChannelMapping | None = None,
    engine: Engine | None = None,
    batch_size: int = 256,
    keep_embeddings: bool = False,
) -> Task[Predictions]:
    """Classify every cell of an image.

    Parameters
    ----------
    image, cells : Image, Cells
    package : ModelPackage
    mapping : ChannelMapping, optional
        Image channels to model inputs; by default matched by role.
    engine : Engine, optional
        An open engine of this package, left open; by default one is opened and closed here.
    batch_size : int
        Cells per step: progress and cancel come between steps.
    keep_embeddings : bool
        Whether the result holds the embeddings.

    Returns
    -------
    Task of Predictions
        Closing it between two steps stops the work and leaves a given engine usable. A plane that
        may be absent and is absent is filled with the crop rule's ``fill``.

    Raises
    ------
    ModelError
        ``MODEL-NO-CLASSES`` for a backbone, at once.
    ChannelError
        ``CHANNEL-MISSING`` when the image lacks a needed channel, at once.
    EngineError
        When the engine cannot be opened or fails.
    """
    need_classes(package)
    indices = _indices(image, package, mapping)
    return _predict(image, cells, package, indices, engine, batch_size, keep_embeddings)


def predict_embeddings(
    image: Image,
    cells: Cells,
    package: ModelPackage,
    *,
    mapping: ChannelMapping | None = None,
    engine: Engine | None = None,
    batch_size: int = 256,
) -> Task[np.ndarray]:
    """Return the embeddings ``(N, E)`` float32 of every cell, in the order of the cell table.

    Works for models without classes. With the policy "each", E is the embedding size times the
    number of channels, channel after channel. Parameters and errors as in :func:`predict`.
    """
    indices = _indices(image, package, mapping)
    return _embed_cells(image, cells, package, indices, engine, batch_size, _Used())


def predict_crops(
    crops: np.ndarray, package: ModelPackage, engine: Engine, *, keep_embeddings: bool = False
) -> Predictions:
    """Classify ready crops.

    Parameters
    ----------
    crops : numpy.ndarray
        ``(N, Y, X, C)``, values in 0..1, cut by the rule of the package.
    package : ModelPackage
    engine : Engine
        An open engine of this package.
    keep_embeddings : bool

    Returns
    -------
    Predictions
        With ids 1..N.
    """
    need_classes(package)
    started = time.perf_counter()
    embeddings = embed_crops(np.asarray(crops), package, engine)
    used = _Used(engine.name, engine.device, time.perf_counter() - started)
    return _result(np.arange(1, len(crops) + 1), embeddings, package, used, keep_embeddings)


def embed_crops(crops: np.ndarray, package: ModelPackage, engine: Engine) -> np.ndarray:
    """Return embeddings of crops ``(N, Y, X, C)``, following channel policy and turns of the model."""
    if isinstance(engine, Engine) and engine.weights_sha256 != package.weights_sha256:
        raise EngineError(
            "The engine was opened for another model",
            code="ENGINE-OTHER-MODEL",
            why=f"{package.manifest.label} has other weights.",
            remedy="Open an engine for this model.",
        )
    if package.manifest.channel_policy == "joint":
        return mean_of_turns(engine.embed, crops, package.manifest.turns)
    n, y, x, channels = crops.shape
    planes = crops.transpose(0, 3, 1, 2).reshape(n * channels, y, x, 1)
    planes = np.repeat(planes, 3, axis=3)
    embeddings = mean_of_turns(engine.embed, planes, package.manifest.turns)
    return embeddings.reshape(n, channels * embeddings.shape[1])


@dataclass
class _Used:
    """Which engine did the work, for the result."""

    engine: str = ""
    device: str = ""
    seconds: float = 0.0


def _predict(
    image: Image,
    cells: Cells,
    package: ModelPackage,
    indices: tuple[int | None, ...],
    engine: Engine | None,
    batch_size: int,
    keep: bool,
) -> Task[Predictions]:
    used = _Used()
    embeddings = yield from _embed_cells(image, cells, package, indices, engine, batch_size, used)
    return _result(cells.ids, embeddings, package, used, keep)


def _embed_cells(
    image: Image,
    cells: Cells,
    package: ModelPackage,
    indices: tuple[int | None, ...],
    engine: Engine | None,
    batch_size: int,
    used: _Used,
) -> Task[np.ndarray]:
    from napari_cellcls.cells.crops import iter_crops

    total = len(cells)
    passes = len(indices) if package.manifest.channel_policy == "each" else 1
    result = np.zeros((total, package.embedding_size * passes), np.float32)
    if total == 0:
        return result
    yield Progress(0, total, f"Opening {package.manifest.title}")
    started = time.perf_counter()
    opened = _open(package) if engine is None else engine
    try:
        used.engine, used.device = opened.name, opened.device
        done = 0
        manifest = package.manifest
        # A step lasts as long with several looks as with one: cancel must not wait for all of them.
        step = max(1, batch_size // manifest.turns)
        cutting = iter_crops(image, cells, manifest.crop, manifest.normalization, indices, step)
        with Ahead(cutting) as batches:
            for rows, crops in batches:
                result[rows] = embed_crops(crops, package, opened)
                done += len(rows)
                yield Progress(done, total, "Classifying cells")
    finally:
        if engine is None:
            opened.close()
    used.seconds = time.perf_counter() - started
    return result


def _open(package: ModelPackage) -> Engine:
    from napari_cellcls.models.runtime import open_engine

    return open_engine(package)


def _indices(
    image: Image, package: ModelPackage, mapping: ChannelMapping | None
) -> tuple[int | None, ...]:
    manifest = package.manifest
    if not manifest.inputs:
        return tuple(range(len(image.channels))) if mapping is None else mapping.indices
    if mapping is None:
        from napari_cellcls.images.channels import match

        mapping = match(image, manifest.planes)
    indices = mapping.indices
    missing = [
        plane.name
        for plane, index in zip(manifest.planes, indices)
        if index is None and not plane.optional
    ]
    if len(indices) != len(manifest.inputs) or missing or all(i is None for i in indices):
        raise ChannelError(
            f"{manifest.title} cannot use these channels",
            code="CHANNEL-MISSING",
            path=image.path,
            why=f"missing: {', '.join(missing) or 'all'}; the image has "
            f"{', '.join(c.name for c in image.channels)}.",
            remedy="Map the channels by hand, for example --channels nucleus=DAPI.",
        )
    return indices


def _result(
    ids: np.ndarray, embeddings: np.ndarray, package: ModelPackage, used: _Used, keep: bool
) -> Predictions:
    manifest = package.manifest
    logits = logits_of(embeddings, package)
    values = probabilities(logits, manifest.temperature, manifest.multi_label)
    assigned, confidence = decide(values, manifest.thresholds, manifest.multi_label)
    return Predictions(
        ids=ids,
        scheme=manifest.scheme,
        logits=logits,
        probabilities=values,
        assigned=assigned,
        confidence=confidence,
        embeddings=embeddings if keep else None,
        model=manifest.label,
        model_sha=package.sha256,
        engine=used.engine,
        device=used.device,
        seconds=used.seconds,
    )
