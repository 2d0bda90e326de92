"""Which cells a person sees, in which order, and in which sections."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from napari_cellcls.review.candidates import Candidates
from napari_cellcls.review.sheet import FLAGS, SOURCES, Sheet
from napari_cellcls.review.suggestions import MOST, Decided, Suggestions


class Sort(StrEnum):
    """Orders of the gallery."""

    SUGGESTED = "suggested"
    DOUBT = "doubt"
    CONFIDENCE = "confidence"
    CLASS = "class"
    AREA = "area"
    SIMILAR = "similar"
    PLACE = "place"


class Show(StrEnum):
    """Which cells are shown, by what was decided about them."""

    ALL = "all"
    OPEN = "open"
    LABELED = "labeled"
    HUMAN = "human"
    ACCEPTED = "accepted"
    BULK = "bulk"
    IMPORTED = "imported"
    SKIPPED = "skipped"
    BAD_SEGMENTATION = "bad_segmentation"
    AMBIGUOUS = "ambiguous"
    BORDER = "border"
    DISAGREED = "disagreed"
    SUSPECTS = "suspects"
    SECOND = "second"


FOUND = frozenset({Show.SUSPECTS, Show.SECOND})
"""What is shown here was looked for; see :attr:`Ranker.found`."""


@dataclass(frozen=True)
class View:
    """What is shown and how.

    Attributes
    ----------
    sort : Sort
    show : Show
    class_id : str or None
        Only cells of this class, as decided or predicted.
    annotator : str or None
        Only cells this person labeled.
    sections : bool
        One section per class.
    only : tuple of int or None
        Only these rows (a lasso).
    """

    sort: Sort = Sort.SUGGESTED
    show: Show = Show.ALL
    class_id: str | None = None
    annotator: str | None = None
    sections: bool = False
    only: tuple[int, ...] | None = None

    @property
    def is_sectioned(self) -> bool:
        """Whether there is one section per class."""
        return self.sections or self.sort == Sort.CLASS


class Section(NamedTuple):
    """A run of rows of one class: column in ``sheet.classes`` (-1: no class), first place, and how many."""

    column: int
    start: int
    length: int


class Ranker:
    """Puts the rows of one sheet in order; holds what is expensive to find out, once per sheet.

    Attributes
    ----------
    found : Candidates
        Rows that :attr:`Show.SUSPECTS` and :attr:`Show.SECOND` show, filled in by whoever asks for them.
    suggestions : Suggestions
        What is suggested, and by which model: the one that is shown, until others are put here.

    Parameters
    ----------
    sheet : Sheet
    points : numpy.ndarray, optional
        :attr:`points` of an earlier ranker of the same cells and embeddings.
    """

    def __init__(self, sheet: Sheet, points: np.ndarray | None = None) -> None:
        self.sheet = sheet
        self.found = Candidates()
        opinion = sheet.opinion
        if opinion is None:
            self.suggestions = Suggestions(len(sheet))
            return
        self.suggestions = Suggestions(
            len(sheet), opinion.scheme, opinion.probabilities, opinion.embeddings, points
        )

    @property
    def knows_likeness(self) -> bool:
        """Whether cells can be sorted by similarity: only with embeddings."""
        return self.points is not None

    @property
    def points(self) -> np.ndarray | None:
        """Unit vectors ``(N, D)`` of the cells, None without embeddings."""
        return self.suggestions.points

    def look_ahead(self) -> None:
        """Ask now for what :meth:`order` needs longest; it uses that while nothing else is decided."""
        self.suggestions.first(Decided.of(self.sheet))

    def order(self, view: View, like: int | None = None) -> np.ndarray:
        """Return the rows to show, in order, int64.

        Parameters
        ----------
        view : View
        like : int, optional
            The row that others are compared with, for :attr:`Sort.SIMILAR`.
        """
        rows = np.flatnonzero(self.is_shown(view))
        rows = rows[self._ranked(view, rows, like)]
        if view.is_sectioned:
            rows = rows[np.argsort(_last(self.sheet.shown[rows]), kind="stable")]
        return np.asarray(rows, np.int64)

    def sections(self, view: View, rows: np.ndarray) -> list[Section]:
        """Return the sections of ordered rows; none when the view has none."""
        if not view.is_sectioned or not len(rows):
            return []
        column = self.sheet.shown[rows]
        starts = np.flatnonzero(np.diff(column, prepend=column[0] - 1))
        ends = np.append(starts[1:], len(rows))
        return [Section(int(column[a]), int(a), int(b - a)) for a, b in zip(starts, ends)]

    def is_shown(self, view: View) -> np.ndarray:
        """Return which rows pass the filters of a view, ``(N,)`` bool."""
        sheet, show = self.sheet, view.show
        kept = np.ones(len(sheet), bool)
        if show == Show.OPEN:
            kept &= sheet.is_open()
        elif show == Show.LABELED:
            kept &= sheet.label >= 0
        elif show == Show.SKIPPED:
            kept &= sheet.skipped
        elif show == Show.DISAGREED:
            kept &= sheet.disagreed
        elif show in FOUND:
            listed = np.zeros(len(sheet), bool)
            listed[list(self.found.rank)] = True
            kept &= listed
        elif show in SOURCES:
            kept &= sheet.source == SOURCES.index(show)
        elif show in FLAGS:
            kept &= (sheet.flags >> FLAGS.index(show) & 1).astype(bool)
        if view.only is not None:
            chosen = np.zeros(len(sheet), bool)
            chosen[[row for row in view.only if row < len(sheet)]] = True
            kept &= chosen
        if view.annotator is not None:
            kept &= sheet.by.get(view.annotator, np.zeros(len(sheet), bool))
        if view.class_id is not None:
            columns = [k for k, one in enumerate(sheet.classes) if one.id == view.class_id]
            kept &= sheet.effective()[:, columns].any(axis=1)
        return np.asarray(kept, bool)

    def _ranked(self, view: View, rows: np.ndarray, like: int | None) -> np.ndarray:
        sheet, sort = self.sheet, view.sort
        blind = sheet.blind and sort in (Sort.CONFIDENCE, Sort.CLASS)
        if sort == Sort.PLACE or blind or not len(rows):
            return np.arange(len(rows))
        if sort == Sort.AREA:
            return np.argsort(-sheet.area[rows], kind="stable")
        if sort == Sort.SIMILAR and like is not None and self.points is not None:
            points = self.points
            near = points[rows] @ points[like]
            near[rows == like] = np.inf
            return np.asarray(np.argsort(-near, kind="stable"))
        if sort in (Sort.CONFIDENCE, Sort.CLASS):
            return np.argsort(-_last_float(sheet.confidence[rows]), kind="stable")
        if sort == Sort.SUGGESTED and view.show in FOUND:
            worth = np.array([self.found.rank[row] for row in rows.tolist()])
            return np.asarray(np.argsort(-worth, kind="stable"))
        doubtful = np.argsort(-_last_float(sheet.doubt[rows]), kind="stable")
        if sort != Sort.SUGGESTED:
            return doubtful
        return self._suggested(rows, doubtful)

    def _suggested(self, rows: np.ndarray, doubtful: np.ndarray) -> np.ndarray:
        """Return what the queue asks for first, then open cells by doubt, then those judged."""
        sheet = self.sheet
        asked = self.suggestions.first(Decided.of(sheet))
        place = np.full(len(sheet), MOST, np.int64)
        place[list(asked)] = np.arange(len(asked))
        later = ~sheet.is_open()[rows[doubtful]]
        return doubtful[np.lexsort((np.arange(len(rows)), place[rows[doubtful]], later))]


def without_filters(view: View) -> View:
    """Return a view of the same order that shows every cell."""
    return replace(view, show=Show.ALL, class_id=None, annotator=None, only=None)


def _last(columns: np.ndarray) -> np.ndarray:
    return np.where(columns < 0, np.iinfo(np.int16).max, columns)


def _last_float(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.nan_to_num(values, nan=-1.0))
