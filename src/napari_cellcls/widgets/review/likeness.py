"""What is asked and answered about the labeled cells that a cell looks like, and the words for it. No Qt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.review.sheet import FLAGS

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.images.image import Image
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.project.project import Project
    from napari_cellcls.review.sheet import Sheet
    from napari_cellcls.review.state import CellState
    from napari_cellcls.vocabulary import InputPlane

_FAR = 0.2
_NO_COLOR = "#8a8a8a"


@dataclass(frozen=True)
class Example:
    """A labeled cell that another one looks like.

    Attributes
    ----------
    name, color : str
        Its class; several joined with ``, ``, the color of the first.
    likeness : float
        0..1: 1 is the same, above 0.5 is as near as neighbors usually are.
    row : int or None
        Its row where it is in this image.
    image : str
        Name of its image, empty for this one.
    picture : numpy.ndarray or None
        ``(S, S, 3)`` uint8 of a cell of another image.
    """

    name: str
    color: str
    likeness: float
    row: int | None = None
    image: str = ""
    picture: np.ndarray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Answer:
    """The examples, nearest first; how many were compared; or why there is no answer.

    Attributes
    ----------
    examples : tuple of Example
    here, elsewhere, images : int
        Labeled cells compared in this image, in others, and in how many of them.
    unknown : int
        Labeled cells of other images that are not described yet.
    missing : str
        What is needed first, in plain words; empty when there are examples.
    """

    examples: tuple[Example, ...] = ()
    here: int = 0
    elsewhere: int = 0
    images: int = 0
    unknown: int = 0
    missing: str = ""


@dataclass(frozen=True, eq=False)
class Others:
    """Where the labels of other images are, for a worker.

    Attributes
    ----------
    project : Project
    cells : tuple of CellState
        Taken in the thread of the window.
    known : dict
        What was found before: plane, cells and network -> embeddings; filled here.
    """

    project: Project
    cells: tuple[CellState, ...]
    known: dict[tuple[object, ...], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Question:
    """All that the answer follows from, taken at one moment.

    Attributes
    ----------
    row : int
        The cell.
    image, cells : Image, Cells
    plane : tuple
        ``(image id, scene, t, z)``.
    names, colors : tuple of str
        Class of every cell, as people said; empty without a label.
    embeddings : numpy.ndarray or None
        ``(N, E)`` of the classification; None: the shelf is asked.
    package : ModelPackage or None
        The model that saw, or is to see, the cells; None: the shelf is not asked.
    inputs : tuple of InputPlane
        What a model with open inputs sees.
    others : Others or None
        None: only this image counts.
    """

    row: int
    image: Image
    cells: Cells
    plane: tuple[str, str, int, int]
    names: tuple[str, ...]
    colors: tuple[str, ...]
    embeddings: np.ndarray | None
    package: ModelPackage | None
    inputs: tuple[InputPlane, ...] = ()
    others: Others | None = None


def labels_of(sheet: Sheet) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return class and color of every cell that people labeled, empty for the others and for bad outlines."""
    names, colors = [""] * len(sheet), [_NO_COLOR] * len(sheet)
    bad = sheet.flags >> FLAGS.index("bad_segmentation") & 1
    for row in np.flatnonzero((sheet.label >= 0) & (bad == 0)).tolist():
        told = [one.name for one, is_so in zip(sheet.classes, sheet.judged[row] == 1) if is_so]
        names[row] = ", ".join(told)
        colors[row] = sheet.classes[int(sheet.label[row])].color
    return tuple(names), tuple(colors)


def head_words(answer: Answer, cell: int, predicted: str) -> str:
    """Return what the examples say about a cell; ``predicted`` is empty where it is hidden or not known."""
    if answer.missing:
        return answer.missing
    names = [one.name for one in answer.examples]
    usual = max(names, key=names.count)
    share = f"{names.count(usual)} of {len(names)} are {usual}"
    if len(names) == 1:
        share = f"it is {usual}"
    if answer.examples[0].likeness < _FAR:
        return f"No labeled cell looks much like cell {cell}. The nearest: {share}."
    these = "this labeled cell" if len(names) == 1 else "these labeled cells"
    if not predicted:
        return f"Cell {cell} looks like {these}: {share}."
    if predicted == usual:
        return f"Cell {cell} is called {predicted} because it looks like {these}: {share}."
    return f"Cell {cell} is called {predicted}, yet it looks like {these}: {share}."


def compared_words(answer: Answer) -> str:
    """Return with how many cells it was compared, and which were left out."""
    if answer.missing:
        return ""
    total = answer.here + answer.elsewhere
    told = (
        "Compared with 1 labeled cell" if total == 1 else f"Compared with {total:,} labeled cells"
    )
    if answer.elsewhere:
        images = "1 other image" if answer.images == 1 else f"{answer.images:,} other images"
        told += f", {answer.elsewhere:,} of them in {images}"
    return f"{told}. {unknown_words(answer.unknown)}".strip()


def unknown_words(unknown: int) -> str:
    """Return how many labels could not be compared and what helps; empty when none."""
    if not unknown:
        return ""
    cells = "1 labeled cell" if unknown == 1 else f"{unknown:,} labeled cells"
    return (
        f"{cells} of other images could not be compared: this model has not described them yet. "
        "Fine-tune does it."
    )
