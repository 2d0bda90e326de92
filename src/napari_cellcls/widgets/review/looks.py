"""Fills the lists *likely label errors* and *second look*, and says how many wait or what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_cellcls.review.candidates import (
    Candidates,
    Judged,
    second_rows,
    suspect_rows,
    too_few,
)
from napari_cellcls.review.order import FOUND, Show, View
from napari_cellcls.widgets.settings import preferences
from napari_cellcls.widgets.worker import Runner

if TYPE_CHECKING:
    from napari_cellcls.review.order import Ranker
    from napari_cellcls.widgets.review.controller import ReviewController
    from napari_cellcls.widgets.review.subject import Subject


class Looks(QObject):
    """Keeps what :attr:`Ranker.found` holds in line with the view.

    Parameters
    ----------
    controller : ReviewController
        Also the parent.

    Signals
    -------
    told(str)
        One line on what is shown; empty when the list is left.
    """

    told = Signal(str)

    def __init__(self, controller: ReviewController) -> None:
        super().__init__(controller)
        self._controller = controller
        self._filled: tuple[Ranker, Show] | None = None
        self._of: Ranker | None = None
        self._kept: set[int] = set()
        self._runner = Runner(self)
        self._runner.succeeded.connect(self._on_suspects)
        self._runner.failed.connect(controller.failed)

    @property
    def busy(self) -> bool:
        """Whether labels are being looked through."""
        return self._runner.running

    def retire(self) -> None:
        """Stop what runs."""
        self._runner.cancel()

    def forget(self) -> None:
        """Look anew when the cells are put in order next."""
        self._filled = None

    def prepare(self, subject: Subject, view: View) -> None:
        """Fill the list that a view shows, unless it is; leave the one it no longer shows."""
        before, wanted = self._filled, (subject.ranker, view.show)
        if before == wanted:
            return
        self._runner.cancel()
        if self._of is not subject.ranker:
            self._of, self._kept = subject.ranker, set()
        if view.show not in FOUND:
            self._filled = None
            if before is not None:
                self._fill(subject, Candidates())
                self.told.emit("")
            return
        self._filled = wanted
        if view.show == Show.SECOND:
            self._second(subject)
        else:
            self._suspects(subject)

    def take_off(self, rows: Sequence[int]) -> None:
        """Let rows that were decided about wait no more, nor be suspected again."""
        subject = self._controller.subject
        if subject is not None and self._filled is not None:
            self._kept.update(row for row in rows if subject.sheet.again[row])
            subject.sheet.again[list(rows)] = False

    def _fill(self, subject: Subject, found: Candidates, again: bool = False) -> None:
        subject.ranker.found = found
        subject.sheet.again[:] = False
        if again:
            subject.sheet.again[list(found.rank)] = True

    def _second(self, subject: Subject) -> None:
        project, percent = self._controller.keeper.project, preferences().second_percent
        found = Candidates()
        if project is not None:
            journal = project.journal
            found = second_rows(subject.sheet, journal.state, journal.annotator, percent / 100)
        self._fill(subject, found)
        count = len(found.rank)
        if count:
            cells = "1 cell waits" if count == 1 else f"{count:,} cells wait"
            told = f"{cells} for your second look. What others and the model said stays hidden."
        elif project is None:
            told = "A second look is at cells that somebody else has labeled: open such a project."
        else:
            told = (
                f"No cell of this image waits for your second look. {percent} % of the cells that exactly "
                "one other person has labeled are drawn (Preferences > Cell Classifier > Reviewing)."
            )
        self.told.emit(told)

    def _suspects(self, subject: Subject) -> None:
        self._fill(subject, Candidates())
        project = self._controller.keeper.project
        told = Judged.of(subject.sheet, project is not None and project.description.multi_label)
        points = subject.ranker.points
        missing = too_few(told, points)
        if missing or points is None:
            self.told.emit(missing)
            return
        self.told.emit("Looking for labels that may be wrong …")
        self._runner.start(partial(suspect_rows, told, points), "Looking for label errors")

    def _on_suspects(self, found: Candidates) -> None:
        subject = self._controller.subject
        if subject is None or self._filled != (subject.ranker, Show.SUSPECTS):
            return
        rank = {row: gap for row, gap in found.rank.items() if row not in self._kept}
        self._fill(subject, Candidates(rank, found.notes), again=True)
        count = len(rank)
        if count:
            labels = "1 label does" if count == 1 else f"{count:,} labels do"
            told = f"{labels} not fit cells labeled alike, the least fitting first. Enter keeps a label."
        else:
            told = "Every label fits the cells that are labeled alike."
        self.told.emit(told)
        self._controller.rank()
