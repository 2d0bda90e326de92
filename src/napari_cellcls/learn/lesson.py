"""What a deep fine-tune learns from: crops of the labeled cells, and of others with the answer of the base.

A package keeps no pictures of the cells that its model was trained on. So that the model does not forget them, it is
asked about cells of the project's images that nobody labeled, and its own answer is learned there: "stay as you
are where nobody said otherwise". A label counts as far as it is sure: the rest of the target is that answer too.
In groups held out such cells are not learned from: they show later what was forgotten.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.crops import cut
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.embed import View
from napari_cellcls.images.channels import match
from napari_cellcls.images.image import Image
from napari_cellcls.learn.datasets.cellset import TRAINING_ONLY, CellSet
from napari_cellcls.learn.described import open_plane
from napari_cellcls.learn.labels import Labels
from napari_cellcls.models.engines.base import Engine
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.predict import predict_crops
from napari_cellcls.review.known import fits, layers
from napari_cellcls.vocabulary import (
    COLUMNS,
    CellClsError,
    DataError,
    InputPlane,
    Progress,
    Task,
)

if TYPE_CHECKING:
    from napari_cellcls.project.project import Project

REPLAYED = 2.0
"""Cells replayed for each labeled one, so far as there are any."""
_MOST_REPLAYED = 2000
_WATCHED = 300
SURE = 0.8
"""Probability from which on an answer of the base is taken for what it knows."""
_BATCH = 256


@dataclass(frozen=True, eq=False)
class Lesson:
    """Crops and what is learned of them.

    Attributes
    ----------
    data : CellSet
        Labeled cells first, then the replayed ones, which are for training only.
    rows : numpy.ndarray
        ``(M,)`` row in the labels of each labeled cell.
    known : numpy.ndarray
        ``(N, K)`` float32, what the base says of every cell; NaN for classes that it does not know.
    inputs : tuple of InputPlane
        What the network sees.
    notes : tuple of str
        Images that were not found, and why nothing is replayed, in sentences.
    """

    data: CellSet
    rows: np.ndarray
    known: np.ndarray
    inputs: tuple[InputPlane, ...]
    notes: tuple[str, ...]


@dataclass
class _Parts:
    crops: list[np.ndarray] = field(default_factory=list)
    rows: list[np.ndarray] = field(default_factory=list)
    known: list[np.ndarray] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


def make_lesson(
    project: Project,
    labels: Labels,
    base: ModelPackage,
    classes: Sequence[str],
    targets: np.ndarray,
    knows: Sequence[int | None],
    *,
    multi_label: bool,
    held: Collection[str] = (),
    seed: int = 42,
) -> Task[Lesson]:
    """Cut the labeled cells of a project, and some that nobody labeled, as the base sees them.

    Parameters
    ----------
    project : Project
    labels : Labels
    base : ModelPackage
    classes : sequence of str
        ``K`` classes to learn.
    targets : numpy.ndarray
        ``(N, K)`` 1/0/NaN of the labels; a cell without any of these classes is left out.
    knows : sequence of int or None
        Class of the base for each class; None for one that it does not know.
    multi_label : bool
    held : collection of str
        Groups held out: their unlabeled cells are cut too, also where nothing is replayed.
    seed : int
        Which of the unlabeled cells are cut.

    Raises
    ------
    DataError
        ``LEARN-FEW`` when no image of the labels was found.
    CellClsError
        When the engine of the base cannot be opened.
    """
    from napari_cellcls.models.runtime import open_engine

    learned, replay = _Parts(), _Parts()
    why_not, watches = _no_replay(base, knows), _has_others(base)
    notes = [why_not] if why_not else []
    usable = np.isfinite(targets).any(axis=1) if multi_label else (targets == 1).any(axis=1)
    inputs = base.manifest.planes
    # What a model with open inputs is to see, the image with most labels decides.
    planes = sorted(labels.planes().items(), key=lambda one: (-len(one[1]), one[0]))
    with open_engine(base) as engine:
        for done, (key, rows) in enumerate(planes):
            yield Progress(done, len(planes), "Cutting the cells")
            try:
                image = open_plane(project, key)
                mapping = match(image, inputs)
                view = View.of(image, base, mapping)
            except CellClsError as error:
                notes.append(f"{len(rows):,} labels are not used: {error.what}")
                continue
            inputs = inputs or mapping.inputs
            inside = [bool(usable[row]) and fits(labels.anchors[row], image.shape) for row in rows]
            rows = rows[inside]
            drawn = layers([labels.anchors[row] for row in rows], image.shape)
            group = str(labels.groups[rows[0]]) if len(rows) else ""
            for of, own in drawn:
                _add(learned, view, own, group, engine, base, rows[of])
            wanted = min(round(REPLAYED * len(rows)), _MOST_REPLAYED) if not why_not else 0
            wanted = _WATCHED if watches and group in held else wanted
            if wanted and drawn:
                others = yield from _others(image, [c for _, c in drawn], base, wanted, seed + done)
                _add(replay, view, others, group, engine, base, np.full(len(others), -1))
    if not learned.names:
        raise _nothing(notes)
    rows = np.concatenate(learned.rows)
    known = _in_classes(np.concatenate([*learned.known, *replay.known]), knows)
    answer = known.copy() if multi_label else np.nan_to_num(known)
    first = slice(0, len(rows))
    answer[first] = mixed(targets[rows], labels.weights[rows], answer[first], base.head is not None)
    data = _cells(classes, targets[rows], answer, learned, replay, multi_label)
    return Lesson(data, rows, known, inputs, tuple(notes))


def _nothing(notes: Sequence[str]) -> DataError:
    return DataError(
        "There is nothing to learn from.",
        code="LEARN-FEW",
        why="; ".join(notes) or "no cell is labeled",
        remedy="Label some cells, and put their images where the project finds them.",
    )


def _no_replay(base: ModelPackage, knows: Sequence[int | None]) -> str:
    """Return why nothing can be replayed, "" when something can."""
    if base.head is None:
        return "The model before has no classes: there is nothing to keep."
    if None in knows:
        return (
            "No unlabeled cells are learned with the answers of the model before: some may be of a class "
            "that it does not know."
        )
    return "" if _has_others(base) else "Ready crops hold no unlabeled cells to keep to."


def _has_others(base: ModelPackage) -> bool:
    """Return whether there may be unlabeled cells that the base has an answer for."""
    return base.head is not None and base.manifest.cells != "whole"


def _others(
    image: Image, own: Sequence[Cells], base: ModelPackage, wanted: int, seed: int
) -> Task[Cells]:
    """Return cells of the image that nobody labeled, chosen at random."""
    found = yield from find_cells(image, base.manifest.cells)
    labels = np.asarray(found.labels)
    taken = np.unique(np.concatenate([labels[np.asarray(one.labels) > 0] for one in own]))
    free = np.flatnonzero(~np.isin(found.ids, taken))
    rows = np.random.default_rng(seed).choice(free, min(len(free), wanted), replace=False)
    table = found.table.iloc[np.sort(rows)].reset_index(drop=True)
    return Cells(found.labels, table, found.method)


def _add(
    parts: _Parts, view: View, cells: Cells, group: str, engine: Engine, base: ModelPackage, rows: np.ndarray
) -> None:  # fmt: skip
    if not len(cells):
        return
    rule = base.manifest
    made = cut(view.image, cells, rule.crop, rule.normalization, view.indices)
    known = np.zeros((len(made), len(rule.classes)), np.float32)
    for start in range(0, len(made), _BATCH) if base.head is not None else ():
        part = slice(start, start + _BATCH)
        known[part] = predict_crops(made[part], base, engine).probabilities
    keep = np.arange(len(made))
    if rows[0] < 0 and not rule.multi_label:
        keep = np.flatnonzero(known.max(axis=1) >= SURE)
    parts.crops.append(np.round(made[keep] * 255).astype(np.uint8))
    parts.known.append(known[keep])
    parts.rows.append(rows[keep])
    kind = "cell" if rows[0] >= 0 else "unlabeled"
    numbers = cells.table[COLUMNS.label].to_numpy()[keep]
    parts.names += [f"{view.image.name} {kind} {n}" for n in numbers]
    parts.groups += [group] * len(keep)


def _in_classes(known: np.ndarray, knows: Sequence[int | None]) -> np.ndarray:
    """Return the answers of the base in the classes that are learned, ``(N, K)``; NaN for others."""
    found = np.full((len(known), len(knows)), np.nan, np.float32)
    for k, of in enumerate(knows):
        if of is not None:
            found[:, k] = known[:, of]
    return found


def _cells(
    classes: Sequence[str],
    targets: np.ndarray,
    answer: np.ndarray,
    learned: _Parts,
    replay: _Parts,
    multi_label: bool,
) -> CellSet:
    hard = answer.copy()
    hard[: len(targets)] = targets
    if multi_label:
        given = np.asarray(np.nan_to_num(hard) > 0.5, np.uint8)
    else:
        given = hard.argmax(axis=1).astype(np.int64)
    only = [""] * len(targets) + ["1"] * (len(answer) - len(targets))
    return CellSet(
        images=np.concatenate([*learned.crops, *replay.crops]),
        labels=given,
        classes=tuple(classes),
        groups=np.array([*learned.groups, *replay.groups]),
        names=np.array([*learned.names, *replay.names]),
        extra={TRAINING_ONLY: np.array(only)},
        group_kind="image",
        layout="cells of a project",
        soft=answer,
    )


def mixed(
    targets: np.ndarray, weights: np.ndarray, answer: np.ndarray, has_answer: bool
) -> np.ndarray:
    """Return what is learned of labeled cells: the label as far as it counts, else the base's answer.

    Parameters
    ----------
    targets : numpy.ndarray
        ``(N, K)`` float32, NaN where nobody judged.
    weights : numpy.ndarray
        ``(N,)`` 0..1.
    answer : numpy.ndarray
        ``(N, K)`` float32; NaN for classes that the base does not know.
    has_answer : bool
        Whether the base has classes at all.
    """
    if not has_answer:
        return np.asarray(targets, np.float32)
    share = np.clip(weights, 0, 1)[:, None]
    both = share * targets + (1 - share) * answer
    # Of a class the base does not know the label is all there is, and where nobody judged, the answer.
    return np.asarray(
        np.where(np.isnan(targets), answer, np.where(np.isnan(answer), targets, both)), np.float32
    )
