"""Cells to predictions: descriptors through the head, calibrated probabilities, classes, doubts.

Nothing here knows files, layers or windows; a prediction never changes what a person decided.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.embed import (
    Descriptors,
    Used,
    View,
    describe_view,
    embed_cells,
    embed_crops,
)
from napari_cellcls.images.image import Image
from napari_cellcls.models import habits
from napari_cellcls.models.domain import FAR, domain_of
from napari_cellcls.models.engines.base import Engine
from napari_cellcls.models.head import (
    decide,
    logits_of,
    need_classes,
    need_no_image,
    probabilities,
    sets_of,
)
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.trust import doubts
from napari_cellcls.vocabulary import (
    COLUMNS,
    RGB_ROLES,
    CellsError,
    ClassScheme,
    Task,
)

if TYPE_CHECKING:
    import pandas as pd

    from napari_cellcls.images.channels import ChannelMapping

UNFAMILIAR = "unfamiliar"


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
        Wall time from the first crop to the last embedding.
    strangeness : numpy.ndarray or None
        ``(N,)`` float32, how far each cell lies from what the model learned from, see
        :class:`napari_cellcls.models.domain.Domain`; None when its package brings no exemplars.
    sets : numpy.ndarray or None
        ``(N, K)`` bool: classes the cell could be, together right as often as the model promises;
        None when it promises nothing.
    notes : tuple of str
        What speaks against trusting the classes of this image, for people.
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
    strangeness: np.ndarray | None = None
    sets: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.ids)

    @property
    def predicted(self) -> list[str]:
        """Class names per cell, several joined with ``|``, "" when none passes its threshold."""
        return self._joined(self.assigned)

    @property
    def could_be(self) -> list[str]:
        """Classes per cell, joined with ``|``, where the model leaves more than one open; else ""."""
        if self.sets is None:
            return [""] * len(self)
        return self._joined(self.sets & (self.sets.sum(axis=1) > 1)[:, None])

    @property
    def unfamiliar(self) -> np.ndarray:
        """Which cells are unlike all that the model learned from, ``(N,)`` bool."""
        if self.strangeness is None:
            return np.zeros(len(self), bool)
        return np.asarray(self.strangeness > FAR)

    def _joined(self, chosen: np.ndarray) -> list[str]:
        names = np.array([*self.scheme.names, ""], dtype=object)
        count = chosen.sum(axis=1)
        only = np.where(count == 1, chosen.argmax(axis=1) if len(names) > 1 else 0, -1)
        found: list[str] = names[only].tolist()
        for row in np.flatnonzero(count > 1):
            found[row] = COLUMNS.joiner.join(names[:-1][chosen[row]])
        return found

    def flags(self, cells: Cells) -> list[str]:
        """Return the remarks on each of these cells, the model's among them, joined with ``|``."""
        known = cells.table[COLUMNS.flags] if COLUMNS.flags in cells.table else [""] * len(cells)
        return [
            COLUMNS.joiner.join(filter(None, (str(text), UNFAMILIAR if new else "")))
            for text, new in zip(known, self.unfamiliar, strict=True)
        ]

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
        flags = self.flags(cells)
        table = table.drop(columns=COLUMNS.flags, errors="ignore")
        table[COLUMNS.predicted] = self.predicted
        table[COLUMNS.confidence] = self.confidence
        if self.sets is not None:
            table[COLUMNS.could_be] = self.could_be
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
    cache: bool = False,
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
    cache : bool
        Whether descriptors are taken from the disk and kept there, as for fine-tuning: the second
        time costs nearly nothing, embeddings are rounded to float16.

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
    view = View.of(image, package, mapping)
    return _predict(view, cells, engine, batch_size, keep_embeddings, cache)


def answer(ids: np.ndarray, descriptors: Descriptors, package: ModelPackage) -> Predictions:
    """Classify cells that are described already; no engine is needed.

    Parameters
    ----------
    ids : numpy.ndarray
        ``(N,)`` cell ids.
    descriptors : Descriptors
        Of these cells, by the network of this package.
    package : ModelPackage

    Raises
    ------
    ModelError
        ``MODEL-NO-CLASSES``; ``MODEL-DESCRIBED`` when another model described the cells.
    """
    return _answer(np.asarray(ids), descriptors, package, Used(), keep=True)


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
    number of channels, channel after channel; a color photograph counts as one. Parameters and errors as in :func:`predict`.
    """
    return embed_cells(View.of(image, package, mapping), cells, engine, batch_size, Used())


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
    need_no_image(package, cut=True)
    started = time.perf_counter()
    embeddings = embed_crops(np.asarray(crops), package, engine)
    used = Used(engine.name, engine.device, time.perf_counter() - started)
    return _result(np.arange(1, len(crops) + 1), embeddings, package, used, keep_embeddings)


def _predict(
    view: View, cells: Cells, engine: Engine | None, batch_size: int, keep: bool, cache: bool
) -> Task[Predictions]:
    used, package = Used(), view.package
    if package.manifest.descriptor != "embedding" or cache:
        described = yield from describe_view(view, cells, engine, batch_size, used, cache=cache)
        return _answer(cells.ids, described, package, used, keep)
    seen = habits.of_package(package)
    used.means = None if seen is None else []
    numbers = yield from embed_cells(view, cells, engine, batch_size, used)
    plain = None if used.means is None else habits.of_batches(used.means, cells)
    return _doubted(_result(cells.ids, numbers, package, used, keep), package, plain)


def _answer(
    ids: np.ndarray, descriptors: Descriptors, package: ModelPackage, used: Used, keep: bool
) -> Predictions:
    made = _result(ids, descriptors.for_head(package), package, used, keep)
    with_measured = package.manifest.descriptor != "embedding"
    plain = habits.of_measured(descriptors.measured) if with_measured else None
    return _doubted(made, package, plain)


def _doubted(made: Predictions, package: ModelPackage, plain: np.ndarray | None) -> Predictions:
    """Return predictions with what speaks against them; ``plain`` as of :mod:`models.habits`."""
    manifest = package.manifest
    shift = None if plain is None else habits.shift_of(habits.of_package(package), plain)
    # Of photographs, what is measured over the background is what absorbs the light.
    over = manifest.descriptor != "embedding" or manifest.normalization.kind == "background"
    as_density = over and tuple(i.role for i in manifest.inputs) == RGB_ROLES
    planes = [i.name for i in manifest.inputs]
    return replace(made, notes=doubts(made.unfamiliar, shift, planes, as_density=as_density))


def _result(
    ids: np.ndarray, numbers: np.ndarray, package: ModelPackage, used: Used, keep: bool
) -> Predictions:
    manifest = package.manifest
    logits = logits_of(numbers, package)
    values = probabilities(logits, manifest.temperature, manifest.multi_label)
    assigned, confidence = decide(values, manifest.thresholds, manifest.multi_label)
    embeddings = numbers[:, : package.described_size]
    domain = domain_of(package)
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
        strangeness=None if domain is None else domain.strangeness(numbers),
        sets=None if manifest.sets is None else sets_of(values, manifest.sets.limits),
    )
