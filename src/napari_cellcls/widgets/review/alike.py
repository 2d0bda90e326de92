"""Finds the labeled cells that a cell looks like: in its image, and in the project's where they are described. No Qt.

Cells are compared by what the network sees in them, and nothing is computed by it here: embeddings come from
the classification, or from the shelf.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.vocabulary import CellClsError, Progress, Task
from napari_cellcls.widgets.review.likeness import (
    Answer,
    Example,
    Others,
    Question,
    unknown_words,
)

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.cells.identity import Anchor
    from napari_cellcls.images.image import Image
    from napari_cellcls.learn.labels import Labels, PlaneKey
    from napari_cellcls.project.project import Project

COUNT = 5
_MOST = 4000
"""Cells of the image that tell in which directions cells differ."""
_MOST_IMAGES = 30


def look_alike(asked: Question) -> Task[Answer]:
    """Return the labeled cells that a cell looks like."""
    from napari_cellcls.explain import most_alike

    yield Progress(0, 1, "Comparing with labeled cells")
    seen, found = _seen_here(asked)
    if seen is None or not found[asked.row]:
        return Answer(missing=_not_described(found))
    labeled = np.array([bool(name) for name in asked.names]) & found
    labeled[asked.row] = False
    far, unknown = yield from _elsewhere(asked, seen.shape[1])
    here = np.flatnonzero(labeled)
    if not len(here) and not far:
        return Answer(unknown=unknown, missing=_not_labeled(asked, unknown))
    # All cells, not only the labeled, tell how much cells differ: one label is enough for an answer.
    rows = np.flatnonzero(found)
    rows = np.union1d(rows[np.linspace(0, len(rows) - 1, min(len(rows), _MOST)).astype(int)], here)
    every = np.concatenate([seen[rows], *(one.values for one in far)])
    near = most_alike(seen[[asked.row]], every, (every.shape[1], 0), len(every))
    is_example = np.concatenate([labeled[rows], np.ones(len(every) - len(rows), bool)])
    kept = is_example[near.rows[0]]
    nearest = near.rows[0][kept][:COUNT].tolist()
    likeness = (1 / (1 + near.distances[0][kept][:COUNT].astype(float) ** 2)).tolist()
    examples = []
    for at, like in zip(nearest, likeness):
        if at < len(rows):
            row = int(rows[at])
            examples.append(Example(asked.names[row], asked.colors[row], like, row))
        else:
            yield Progress(len(examples), COUNT, "Cutting the cells out")
            examples.append(_far_example(asked, far, at - len(rows), like))
    elsewhere = sum(len(one.values) for one in far)
    return Answer(tuple(examples), len(here), elsewhere, len(far), unknown)


def _not_described(found: np.ndarray) -> str:
    if not found.any():
        return "What the model sees in these cells is not known yet: classify them, then ask again."
    return "What the model sees in this cell is not known: classify the cells anew, then ask again."


def _not_labeled(asked: Question, unknown: int) -> str:
    only = "this is the only labeled cell" if asked.names[asked.row] else "no cell is labeled yet"
    told = f"There is nothing to compare with: {only}. Label some cells, then ask again."
    return f"{told} {unknown_words(unknown)}".strip()


def _seen_here(asked: Question) -> tuple[np.ndarray | None, np.ndarray]:
    """Return embeddings of the cells of this image, and which are known."""
    if asked.embeddings is not None:
        return asked.embeddings, np.isfinite(asked.embeddings).all(axis=1)
    if asked.package is None:
        return None, np.zeros(len(asked.cells), bool)
    try:
        found, seen = _recalled(asked, asked.image, asked.cells)
    except CellClsError:  # the model of the window cannot see this image
        return None, np.zeros(len(asked.cells), bool)
    return seen, found & np.isfinite(seen).all(axis=1)


def _recalled(asked: Question, image: Image, cells: Cells) -> tuple[np.ndarray, np.ndarray]:
    from napari_cellcls.embed import recall_cells
    from napari_cellcls.images.channels import match

    assert asked.package is not None
    planes = asked.package.manifest.planes or asked.inputs
    return recall_cells(image, cells, asked.package, mapping=match(image, planes))


@dataclass(frozen=True, eq=False)
class _Far:
    """Labeled and described cells of one other image."""

    key: PlaneKey
    name: str
    labels: Labels
    rows: np.ndarray
    values: np.ndarray


def _elsewhere(asked: Question, size: int) -> Task[tuple[list[_Far], int]]:
    """Return the cells of other images to compare with, and how many are not described."""
    from napari_cellcls.learn.labels import labeled_cells

    others = asked.others
    if others is None or asked.package is None:
        return [], 0
    project = others.project
    labels = labeled_cells(
        project.journal.state, multi_label=project.description.multi_label, cells=others.cells
    )
    planes = [
        (key, rows[(labels.targets[rows] == 1).any(axis=1)])
        for key, rows in labels.planes().items()
        if tuple(key) != asked.plane
    ]
    planes = sorted((one for one in planes if len(one[1])), key=lambda one: (-len(one[1]), one[0]))
    far, unknown = [], sum(len(rows) for _, rows in planes)
    for done, (key, rows) in enumerate(planes[:_MOST_IMAGES]):
        yield Progress(done, len(planes), "Looking through the other images")
        found, values = _known(asked, others, labels, key, rows)
        unknown -= int(found.sum())
        if found.any() and values.shape[1] == size:
            known = project.journal.state.images.get(key.image_id)
            name = known.name if known is not None else key.image_id[:8]
            far.append(_Far(key, name, labels, rows[found], values[found]))
    return far, unknown


def _known(
    asked: Question, others: Others, labels: Labels, key: PlaneKey, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    from napari_cellcls.learn.described import open_plane
    from napari_cellcls.review.known import fits, layers

    assert asked.package is not None
    ids = tuple(labels.ids[row] for row in rows)
    name = (key, ids, asked.package.sha256)
    if name in others.known:
        return others.known[name]
    found, values = np.zeros(len(rows), bool), np.zeros((len(rows), 0), np.float32)
    try:
        image = open_plane(others.project, key)
        inside = [k for k, row in enumerate(rows) if fits(labels.anchors[row], image.shape)]
        places = [labels.anchors[rows[k]] for k in inside]
        for some, cells in layers(places, image.shape):
            there, seen = _recalled(asked, image, cells)
            at = np.array(inside)[some]
            if not values.shape[1]:
                values = np.zeros((len(rows), seen.shape[1]), np.float32)
            found[at], values[at] = there & np.isfinite(seen).all(axis=1), seen
    except CellClsError:  # gone, changed, or without a channel: as good as not described
        found[:] = False
    if found.any():  # what is not described now may be so later
        others.known[name] = found, values
    return found, values


def _far_example(asked: Question, far: Sequence[_Far], at: int, likeness: float) -> Example:
    for one in far:
        if at < len(one.values):
            break
        at -= len(one.values)
    row = int(one.rows[at])
    yes = np.flatnonzero(one.labels.targets[row] == 1)
    classes = [one.labels.classes[k] for k in yes]
    assert asked.others is not None
    picture = _picture(asked.others.project, one.key, one.labels.anchors[row])
    told = ", ".join(each.name for each in classes)
    return Example(told, classes[0].color, likeness, None, one.name, picture)


def _picture(project: Project, key: PlaneKey, anchor: Anchor) -> np.ndarray | None:
    from napari_cellcls.learn.described import open_plane
    from napari_cellcls.review.known import layers
    from napari_cellcls.widgets.review.crops import Cutter
    from napari_cellcls.widgets.review.subject import limits_of

    try:
        image = open_plane(project, key)
    except CellClsError:  # gone since
        return None
    _, cells = layers([anchor], image.shape)[0]
    return Cutter(image, cells, limits_of(image)).cut(0)
