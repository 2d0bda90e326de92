"""Cells of a sheet that deserve another look: labels that may be wrong, and the sample for a second person."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from napari_cellcls.review.fold import State
from napari_cellcls.review.second import is_waiting
from napari_cellcls.review.sheet import Sheet
from napari_cellcls.review.suspects import find_suspects, find_suspects_multi, out_of_sample
from napari_cellcls.vocabulary import Progress, Task

FEWEST, FEWEST_EACH = 20, 5
"""Labels needed before errors can be told from rarities: in all, and in each of two classes."""


@dataclass(frozen=True)
class Candidates:
    """Rows to look at again.

    Attributes
    ----------
    rank : dict of int to float
        Row -> how much it deserves the look; the largest first.
    notes : dict of int to str
        Row -> why, in a few words.
    """

    rank: dict[int, float] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Judged:
    """The labels of a sheet at one moment, for a worker: ``(N, P)`` 1 yes, -1 no, 0 not judged."""

    judged: np.ndarray = field(repr=False)
    names: tuple[str, ...]
    multi_label: bool

    @classmethod
    def of(cls, sheet: Sheet, multi_label: bool) -> Judged:
        """Copy what people see of a sheet now."""
        return cls(sheet.judged.copy(), tuple(one.name for one in sheet.classes), multi_label)

    @property
    def labels(self) -> np.ndarray:
        """``(N,)`` class index, -1 for none and for classes with too few labels to compare with."""
        if not self.names:
            return np.full(len(self.judged), -1)
        yes = self.judged == 1
        labels = np.where(yes.any(axis=1), yes.argmax(axis=1), -1)
        many = np.bincount(labels[labels >= 0], minlength=len(self.names))
        return np.where((labels >= 0) & (many[labels] >= FEWEST_EACH), labels, -1)

    @property
    def comparable(self) -> list[int]:
        """Classes with enough labels to compare: yes and no each, where a cell may have several."""
        if self.multi_label:
            both = [(self.judged == value).sum(axis=0) for value in (1, -1)]
            return [int(k) for k in np.flatnonzero(np.minimum(*both) >= FEWEST_EACH)]
        return [int(k) for k in np.unique(self.labels[self.labels >= 0])]


def too_few(told: Judged, points: np.ndarray | None) -> str:
    """Return what is missing to look for label errors, in plain words; empty when nothing is."""
    if points is None:
        return (
            "Looking for label errors compares cells by what the model sees in them: "
            "classify the cells first."
        )
    have = int((told.judged != 0).any(axis=1).sum())
    needs = f"Looking for label errors needs {FEWEST} labeled cells in this image"
    if told.multi_label:
        needs += f", and one class with {FEWEST_EACH} times yes and {FEWEST_EACH} times no"
        missing = not told.comparable
    else:
        needs += f", {FEWEST_EACH} in each of two classes"
        missing = len(told.comparable) < 2
    if have < FEWEST:
        return f"{needs}. {have} so far: label some more, then come back."
    return f"{needs}. Label more of the rarer ones, then come back." if missing else ""


def suspect_rows(told: Judged, points: np.ndarray) -> Task[Candidates]:
    """Find labels that may be wrong, judged by heads that did not see them.

    Parameters
    ----------
    told : Judged
        For which :func:`too_few` says nothing.
    points : numpy.ndarray
        ``(N, D)`` embeddings, or fewer axes of them.
    """
    yield Progress(0, 1, "Looking for labels that may be wrong")
    rank: dict[int, float] = {}
    notes: dict[int, str] = {}
    if not told.multi_label:
        labels = told.labels
        chances = out_of_sample(points, labels, len(told.names))
        for one in find_suspects(labels, chances).found:
            rank[one.row] = one.gap
            notes[one.row] = f"cells like it are mostly {told.names[one.likely]}"
        return Candidates(rank, notes)
    columns = told.comparable
    judged = np.where(told.judged == 0, -1, np.where(told.judged == 1, 1, 0))[:, columns]
    chances = np.full(judged.shape, np.nan, np.float32)
    for k in range(len(columns)):
        yield Progress(k, len(columns), "Looking for labels that may be wrong")
        chances[:, k] = out_of_sample(points, judged[:, k], 2)[:, 1]
    for one in find_suspects_multi(judged, chances):
        rank.setdefault(one.row, one.gap)
        told_so = "" if one.likely else "not "
        name = told.names[columns[one.class_index]]
        notes.setdefault(one.row, f"cells like it are mostly {told_so}{name}")
    return Candidates(rank, notes)


def second_rows(sheet: Sheet, state: State, annotator: str, share: float) -> Candidates:
    """Return the cells that one other person has labeled and that are drawn for a second one.

    Parameters
    ----------
    sheet : Sheet
    state : State
    annotator : str
        Who is to look; cells judged or skipped already are left out.
    share : float
        0..1, see :mod:`napari_cellcls.review.second`.
    """
    waiting = {}
    for row in range(len(sheet)):
        cell_id = sheet.known_id(row)
        cell = state.cell(cell_id) if cell_id is not None else None
        if cell is not None and is_waiting(cell, annotator, share):
            waiting[row] = 0.0
    return Candidates(waiting)
