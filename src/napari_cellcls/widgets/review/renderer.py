"""Renders what the controller knows into the panels of the dock *Review cells*."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject

from napari_cellcls.widgets.panels.inputs import Option
from napari_cellcls.widgets.review.rendering import cell_words, chances, impossible

if TYPE_CHECKING:
    from napari_cellcls.widgets.review.widget import ReviewWidget

_PASSING = ("JOURNAL-SAVE", "JOURNAL-GONE")


class Renderer(QObject):
    """Brings the panels in line; it decides nothing.

    Parameters
    ----------
    view : ReviewWidget
        Also the parent.
    """

    def __init__(self, view: ReviewWidget) -> None:
        super().__init__(view)
        self.view = view

    def show_cell(self, row: int | None) -> None:
        """Show the cell at hand, and what can be decided about it."""
        subject = self.view.controller.subject
        if subject is None or row is None:
            self.view.decide.show_cell(None, cell_words(subject, self.view.controller.state), ())
        else:
            picture = self.view.gallery.delegate.picture(row)
            told = chances(subject.sheet, row)
            self.view.decide.show_cell(
                picture, cell_words(subject, self.view.controller.state, row), told
            )
        self.view.map.scatter.set_current(row)
        self.view.why.show_cell(row)
        self.show_possible()

    def show_possible(self) -> None:
        """Enable what is possible; say of the rest why not."""
        controller = self.view.controller
        why_not, some = impossible(
            controller.subject, controller.keeper.project, self.view.gallery.current_row
        )
        self.view.decide.set_possible(why_not, some)

    def show_counts(self, _goal: int = 0) -> None:
        """Show labels per class and annotator, and what is missing to the goal."""
        controller = self.view.controller
        project = controller.keeper.project
        goal = self.view.classes.goal.value()
        if controller.desk is not None:
            counts, missing = controller.desk.counts(), controller.desk.missing(goal)
        else:
            counts = project.journal.state.counts() if project is not None else {}
            missing = {one.id: goal for one in controller.class_list()}
        self.view.classes.show_counts(counts, missing)
        refusal = controller.keeper.refusal
        subject = controller.subject
        no_model = (
            ""
            if subject is not None and subject.sheet.opinion is not None
            else "There is no model."
        )
        self.view.classes.set_possible("" if refusal is None else refusal.what, no_model)

    def show_saving(self) -> None:
        """Show whether everything is on the disk; a failure is an error that stays."""
        keeper = self.view.controller.keeper
        state = keeper.save_state
        if state is None or keeper.refusal is not None or keeper.project is None:
            return
        labels = sum(sum(n.values()) for n in keeper.project.journal.state.counts().values())
        self.view.project_bar.show_saving(state, labels)
        shown = self.view.error.error
        if state.status == "failed" and state.problem is not None:
            self.view.error.show_error(state.problem)
        elif shown is not None and shown.code in _PASSING and state.status == "saved":
            self.view.error.clear()

    def show_images(self) -> None:
        """Offer what is classified, and the images of the project."""
        controller = self.view.controller
        options = []
        session = controller.link.session
        if session is not None and session.image is not None:
            options.append(
                Option(f"{session.image.name} (Classify cells)", None, "What is classified")
            )
        if controller.state is not None:
            for one in controller.state.images.values():
                options.append(
                    Option(one.name, one.id, "An image of the project: the cells decided about")
                )
        self.view.project_bar.show_images(
            options, controller.images.image_id, "classify an image first"
        )
