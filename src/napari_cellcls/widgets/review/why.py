"""Answers "Why?": asks in a worker for the labeled cells that the cell at hand looks like, and goes to them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QDeadlineTimer, QEvent, QObject, QTimer
from qtpy.QtGui import QPixmap

from napari_cellcls.review.order import without_filters
from napari_cellcls.widgets.review.alike import look_alike
from napari_cellcls.widgets.review.crops import to_qimage
from napari_cellcls.widgets.review.likeness import (
    Answer,
    Example,
    Others,
    Question,
    compared_words,
    head_words,
    labels_of,
)
from napari_cellcls.widgets.worker import Runner

if TYPE_CHECKING:
    from napari_cellcls.widgets.review.subject import Subject
    from napari_cellcls.widgets.review.why_panel import WhyPanel
    from napari_cellcls.widgets.review.widget import ReviewWidget

_LAYING_OUT_MS = 500
_LAID_OUT = frozenset((QEvent.Type.Resize, QEvent.Type.Move))


class Why(QObject):
    """Behind the strip of labeled cells; it shows one cell's until another cell is at hand.

    Parameters
    ----------
    panel : WhyPanel
    view : ReviewWidget
        Also the parent.
    """

    def __init__(self, panel: WhyPanel, view: ReviewWidget) -> None:
        super().__init__(view)
        self.panel, self.view = panel, view
        self.answer = Answer()
        self._row: int | None = None
        self._known: dict[tuple[object, ...], tuple[np.ndarray, np.ndarray]] = {}
        self._scrolled: int | None = None
        self._laid_out = QDeadlineTimer(0)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._bring_into_sight)
        self._runner = Runner(self)
        self._runner.succeeded.connect(self._on_found)
        self._runner.failed.connect(self._on_failed)
        panel.asked.connect(self.ask)
        panel.picked.connect(self._on_picked)
        panel.installEventFilter(self)
        controller = view.controller
        controller.decided.connect(self._on_decided)
        for changed in (controller.subject_changed, controller.renewed):
            changed.connect(self.forget)
        controller.keeper.changed.connect(self._known.clear)

    @property
    def busy(self) -> bool:
        """Whether cells are being compared."""
        return self._runner.running or self._soon.isActive()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Keep an answer in sight while Qt lays it out: lines that wrap take several rounds."""
        if event is not None and event.type() in _LAID_OUT and not self._laid_out.hasExpired():
            self._soon.start()
        return bool(super().eventFilter(watched, event))

    def retire(self) -> None:
        """Stop what runs."""
        self._runner.cancel()
        self._soon.stop()

    def ask(self) -> None:
        """Ask about the cell at hand; asked again, the strip goes away."""
        subject, row = self.view.controller.subject, self.view.gallery.current_row
        if subject is None or row is None:
            return
        if row == self._row:
            self.forget()
            return
        self._row, self.answer = row, Answer()
        self.panel.show_answer("Looking for labeled cells like this one …", "", (), ())
        self.view.controller.guarded(
            lambda: self._runner.start(partial(look_alike, self._question(subject, row)))
        )

    def forget(self) -> None:
        """Show no answer any more."""
        if self._row is None:
            return
        self._runner.cancel()
        self._soon.stop()
        self._row, self.answer = None, Answer()
        self.panel.clear()
        if self._scrolled is not None:
            self.view.halves.lower.verticalScrollBar().setValue(self._scrolled)
            self._scrolled = None

    def show_cell(self, row: int | None) -> None:
        """Another cell may be at hand: the answer stays while one looks at its examples."""
        why_not = "" if row is not None else "Select a cell first."
        self.panel.set_possible(why_not)
        if row != self._row and row not in {one.row for one in self.answer.examples}:
            self.forget()

    def _question(self, subject: Subject, row: int) -> Question:
        controller, sheet, place = self.view.controller, subject.sheet, subject.sheet.plane
        session, project = controller.link.session, controller.keeper.project
        package = session.package if session is not None else None
        opinion = sheet.opinion
        if package is not None and opinion is not None and opinion.model_sha != package.sha256:
            package = None
        others = None
        # Who judges blind compares with their own labels alone: those of other images may be others'.
        if project is not None and not sheet.blind:
            others = Others(project, tuple(project.journal.state.cells.values()), self._known)
        names, colors = labels_of(sheet)
        mapping = session.mapping if session is not None else None
        return Question(
            row, subject.image, sheet.cells, (place.image_id, place.scene, place.t, place.z), names,
            colors, opinion.embeddings if opinion is not None else None, package,
            mapping.inputs if mapping is not None else (), others,
        )  # fmt: skip

    def _on_found(self, answer: Answer) -> None:
        subject, row = self.view.controller.subject, self._row
        if subject is None or row is None:
            return
        self.answer, sheet = answer, subject.sheet
        predicted = -1 if sheet.blind else int(sheet.predicted[row])
        name = sheet.classes[predicted].name if predicted >= 0 else ""
        head = head_words(answer, int(sheet.cells.ids[row]), name)
        pictures = [self._picture(one) for one in answer.examples]
        self.panel.show_answer(head, compared_words(answer), answer.examples, pictures)
        self._laid_out.setRemainingTime(_LAYING_OUT_MS)
        self._soon.start()  # once Qt has laid the strip out

    def _bring_into_sight(self) -> None:
        area = self.view.halves.lower
        if self._scrolled is None:
            self._scrolled = area.verticalScrollBar().value()
        area.ensureWidgetVisible(self.panel, 0, 0)

    def _picture(self, one: Example) -> QPixmap | None:
        if one.row is not None:
            return self.view.gallery.delegate.picture(one.row)
        return None if one.picture is None else QPixmap.fromImage(to_qimage(one.picture))

    def _on_failed(self, error: Any) -> None:
        self.forget()
        self.view.error.show_error(error)

    def _on_decided(self, rows: Sequence[int]) -> None:
        """Take away what would no longer be true: an example, or the cell, was decided about."""
        if {self._row, *(one.row for one in self.answer.examples)} & set(rows):
            self.forget()

    def _on_picked(self, number: int) -> None:
        if number < len(self.answer.examples):
            self.view.attempt(lambda: self._go(self.answer.examples[number]))

    def _go(self, one: Example) -> None:
        view = self.view
        if one.row is None:
            view.tell(
                f"This cell is in {one.image}. Choose that image under Image to see it there."
            )
            return
        if not view.gallery.tiles.index_of(one.row).isValid():
            view.show_view(without_filters(view.view_bar.view))
        view.gallery.choose(one.row)
        view.look_at(one.row)
        view.render.show_possible()
