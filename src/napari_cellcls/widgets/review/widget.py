"""The dock widget *Review cells*: puts the panels together and renders what the controller knows."""

from __future__ import annotations

from typing import Any

import napari.viewer
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QShowEvent
from qtpy.QtWidgets import QWidget

from napari_cellcls.review.keys import class_keys
from napari_cellcls.review.order import Show, View
from napari_cellcls.widgets.canvas import CanvasGuard
from napari_cellcls.widgets.groups.opener import GroupsOpener
from napari_cellcls.widgets.panels.look import Section, caption
from napari_cellcls.widgets.panels.messages import ErrorPanel
from napari_cellcls.widgets.review.carried import CarriedList
from napari_cellcls.widgets.review.carried_panel import CarriedPanel
from napari_cellcls.widgets.review.class_edits import ClassEdits
from napari_cellcls.widgets.review.classes import ClassesPanel
from napari_cellcls.widgets.review.controller import ReviewController
from napari_cellcls.widgets.review.decide import DecidePanel
from napari_cellcls.widgets.review.deciding import Decider
from napari_cellcls.widgets.review.gallery import Gallery
from napari_cellcls.widgets.review.halves import Halves
from napari_cellcls.widgets.review.keyboard import Keyboard
from napari_cellcls.widgets.review.map_panel import MapPanel
from napari_cellcls.widgets.review.news import News
from napari_cellcls.widgets.review.pointing import Pointer
from napari_cellcls.widgets.review.project_bar import ProjectBar
from napari_cellcls.widgets.review.projects import project_in
from napari_cellcls.widgets.review.proving import Prover
from napari_cellcls.widgets.review.renderer import Renderer
from napari_cellcls.widgets.review.view_bar import ViewBar
from napari_cellcls.widgets.review.why import Why
from napari_cellcls.widgets.review.why_panel import WhyPanel


class ReviewWidget(QWidget):
    """Check and correct the classes of cells.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Injected by napari.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.setAcceptDrops(True)
        self.project_bar, self.view_bar, self.gallery = (
            ProjectBar(self),
            ViewBar(self),
            Gallery(self),
        )
        self.decide, self.classes = DecidePanel(self), ClassesPanel(self)
        self.classes_section = Section("Classes and progress", self.classes, self)
        self.map = MapPanel(self)
        self.map_section = Section("Map of likeness", self.map, self)
        self.error, self.message = ErrorPanel(self), caption("", self)
        self.carried_panel, self.why_panel = CarriedPanel(self), WhyPanel(self)
        self.message.hide()
        self.halves = Halves(self)
        self.canvas_guard = CanvasGuard(napari_viewer, self)
        self.controller = ReviewController(napari_viewer, self)
        self.decider = Decider(self.gallery, self.controller.ready_desk, self)
        self.keyboard = Keyboard(self, self.act)
        self.pointer = Pointer(napari_viewer, self.controller.layers.row_at, self)
        self.render = Renderer(self)
        self.edits = ClassEdits(self.classes, self.controller, self.attempt, self)
        self.carried = CarriedList(self.carried_panel, self)
        self.why = Why(self.why_panel, self)
        self.news, self.prover = News(self.controller), Prover(self.controller)
        keeper, asked = self.controller.keeper, self.project_bar.groups_asked
        self.groups = GroupsOpener(asked, lambda: keeper.project, self, self.controller.in_place)
        self._retired = self._has_room = False
        self._cells: Any = None
        self._kept_row: int | None = None
        self._connect()
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self._begin)
        self._turn.start()

    @property
    def busy(self) -> bool:
        """Whether something is on its way into the dock or the viewer."""
        return self._turn.isActive() or any(
            part.busy for part in (self.controller, self.carried, self.news, self.why)
        )

    def act(self, name: str) -> None:
        """Do what a key or button of this name stands for."""
        if name == "outlines":
            self.controller.layers.toggle()
        elif name == "why":
            self.why.ask()
        elif name == "renew":
            self.controller.guarded(self.controller.collect)
            self.news.look_now()
        elif name.startswith("class:"):
            self.set_class(name.removeprefix("class:"))
        else:
            self.attempt(lambda: self.decider.act(name))

    def set_class(self, class_id: str, rows: list[int] | None = None) -> None:
        """Give the selection, or rows, a class."""
        self.attempt(lambda: self.decider.set_class(class_id, rows))

    def changeEvent(self, event: QEvent) -> None:
        """Save and stop when napari takes the dock away: it sends no close event (napari#8071)."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None and not self._retired:
            self._retired = True
            self._turn.stop()
            self.keyboard.release()
            self.pointer.retire()
            self.map.retire()
            self.carried.retire()
            self.why.retire()
            self.news.retire()
            self.prover.retire()
            self.controller.retire()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Look whether *Classify cells* was opened meanwhile."""
        super().showEvent(event)
        self.canvas_guard.remember()
        self.controller.link.look()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        """Take project folders."""
        if event is not None and project_in(event) is not None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        """Open the project dropped."""
        folder = project_in(event) if event is not None else None
        if event is not None and folder is not None:
            event.acceptProposedAction()
            self.open_project(folder)

    def open_project(self, folder: str) -> None:
        """Open a project; an error is shown and the present one stays."""
        self.attempt(lambda: self.controller.open_project(folder))

    def new_project(self, folder: str) -> None:
        """Make a project with the classes of the model shown."""
        subject = self.controller.subject
        opinion = subject.sheet.opinion if subject is not None else None
        scheme = opinion.scheme if opinion is not None else None
        self.attempt(lambda: self.controller.keeper.create(folder, scheme))

    def look_at(self, row: int) -> None:
        """Show one cell everywhere: in the panel, framed in the image, with the camera on it."""
        self.render.show_cell(row)
        self.controller.layers.frame_row(row)
        self.controller.layers.fly_to(row)
        if self.controller.desk is not None:
            self.controller.desk.look_at(row)

    def show_view(self, view: View) -> None:
        """Show another view of the cells."""
        self.view_bar.set_view(view)
        self._on_view(view)

    def tell(self, text: str) -> None:
        """Say in one line what happened; an empty text takes the line away."""
        self.message.setText(text)
        self.message.setVisible(bool(text))

    def attempt(self, act: Any) -> None:
        """Do something that the user asked for; an error is shown."""
        self.error.clear()
        self.tell("")
        self.controller.guarded(act)

    def _connect(self) -> None:
        controller, bar, keeper = self.controller, self.project_bar, self.controller.keeper
        controller.subject_changed.connect(self._on_subject)
        controller.order_changed.connect(self._on_order)
        controller.decided.connect(self._on_decided)
        controller.renewed.connect(self._on_renewed)
        controller.drawn.connect(self._on_drawn)
        controller.failed.connect(self.error.show_error)
        controller.looks.told.connect(self.tell)
        self.news.told.connect(bar.show_news)
        for at_work in (controller.decided, self.gallery.chosen, self.decider.went):
            at_work.connect(self.news.act)
        keeper.changed.connect(self._on_project)
        keeper.saving_changed.connect(self.render.show_saving)
        bar.new_asked.connect(self.new_project)
        bar.open_asked.connect(self.open_project)
        bar.close_asked.connect(keeper.close)
        bar.image_picked.connect(self._on_image_picked)
        self.view_bar.changed.connect(self._on_view)
        self.view_bar.resized.connect(self.gallery.set_edge)
        self.view_bar.renewed.connect(self._on_renew)
        self.gallery.chosen.connect(self.look_at)
        self.gallery.selected.connect(self.render.show_possible)
        self.decider.went.connect(self.look_at)
        self.decider.told.connect(self.tell)
        self.decide.class_asked.connect(self.set_class)
        self.decide.class_dropped.connect(self.set_class)
        self.decide.asked.connect(self.act)
        self.decide.remarked.connect(self._on_remark)
        self.decide.blind_changed.connect(controller.set_blind)
        self.decide.advance_changed.connect(self.decider.set_goes_on)
        self.pointer.picked.connect(self._on_picked)
        self.map_section.button.toggled.connect(self.map.set_open)
        self.map.picked.connect(self._on_map_picked)
        self.map.lassoed.connect(self.view_bar.show_only)
        self.map.failed.connect(self.error.show_error)
        controller.decided.connect(self.map.recolor)
        controller.renewed.connect(self.map.recolor)
        self.classes.refused.connect(self.tell)
        self.classes.goal_changed.connect(self.render.show_counts)

    def _begin(self) -> None:
        self._on_subject()
        self._on_project()
        self.controller.link.look()
        self.controller.link.share_a_tab()
        self.controller.attach()

    # What changed

    def _on_subject(self) -> None:
        subject = self.controller.subject
        cells = subject.sheet.cells if subject is not None else None
        self._kept_row = self.gallery.current_row if cells is self._cells else None
        if cells is not self._cells:
            self.view_bar.forget_rows()
        self._cells = cells
        self.map.show_subject(subject)
        self.gallery.show_subject(subject)
        why_not = "Nothing is open."
        if subject is not None:
            why_not = (
                ""
                if subject.ranker.knows_likeness
                else "There are no embeddings: classify the cells first."
            )
        self.view_bar.set_likeness(why_not)
        self._on_renewed()
        self.render.show_images()
        if subject is not None and not self._has_room:
            self._has_room = True
            self.halves.give_room()

    def _on_order(self) -> None:
        controller, subject = self.controller, self.controller.subject
        sheet = subject.sheet if subject is not None else None
        sections = []
        if subject is not None:
            sections = subject.ranker.sections(controller.view_wanted, controller.order)
        before, kept, self._kept_row = self.gallery.current_row, self._kept_row, None
        self.gallery.show_order(sheet, controller.order, sections)
        self.view_bar.show_total(len(controller.order), len(sheet) if sheet is not None else 0)
        if kept is not None:
            self.gallery.choose(kept)
        if self.gallery.current_row is None and len(controller.order):
            self.gallery.choose(int(controller.order[0]))
        current = self.gallery.current_row
        if current != before or current is None:
            self.render.show_cell(current)
            controller.layers.frame_row(current)
            if current is not None and controller.desk is not None:
                controller.desk.look_at(current)

    def _on_decided(self, rows: Any) -> None:
        self.gallery.touch(rows)
        self.carried.check(rows)
        self.render.show_cell(self.gallery.current_row)
        self.render.show_counts()

    def _on_renewed(self) -> None:
        classes = self.controller.class_list()
        keys = class_keys(classes)
        self.decide.show_classes(classes, keys)
        self.classes.show_classes(classes, keys)
        self.keyboard.set_classes(keys)
        people = tuple(self.controller.state.counts()) if self.controller.state is not None else ()
        self.view_bar.set_choices(classes, people)
        self.controller.view_wanted = self.view_bar.view
        self.gallery.touch()
        self.render.show_cell(self.gallery.current_row)
        self.render.show_counts()
        self.carried.look()

    def _on_project(self) -> None:
        keeper = self.controller.keeper
        project, refusal = keeper.project, keeper.refusal
        if project is None:
            self.project_bar.show_project("", "", ())
        else:
            self.project_bar.show_project(
                project.description.name, str(project.folder), keeper.notes
            )
            self.render.show_saving()
        if refusal is not None:
            self.project_bar.show_reading(refusal.why)
            self.error.show_error(refusal)
        self._on_renewed()
        self.render.show_images()

    def _on_drawn(self) -> None:
        for layer in (self.controller.layers.outlines, self.controller.link.cells_layer):
            if layer is not None:
                self.keyboard.bind(layer)
        if self.viewer.layers.selection.active is None:
            self.viewer.layers.selection.active = (
                self.controller.link.cells_layer or self.controller.layers.outlines
            )
        self.controller.layers.frame_row(self.gallery.current_row)

    def _on_view(self, view: Any) -> None:
        self.decide.hold_blind(view.show == Show.SECOND)
        self.controller.guarded(lambda: self.controller.show_view(view, self.gallery.current_row))

    def _on_renew(self) -> None:
        self.act("renew")

    def _on_remark(self, text: str) -> None:
        self.attempt(lambda: self.decider.remark(text))

    def _on_map_picked(self, row: int) -> None:
        self._on_picked(row, False)
        self.controller.layers.fly_to(row)

    def _on_picked(self, row: int, also: bool) -> None:
        chosen = self.gallery.selected_rows if also else []
        if not self.gallery.choose(row, [one for one in chosen if one != row]):
            self.tell("This cell is not among those shown; the filters leave it out.")
            return
        self.render.show_cell(row)
        self.controller.layers.frame_row(row)
        self.render.show_possible()
        if self.controller.desk is not None:
            self.controller.desk.look_at(row)

    # Projects

    def _on_image_picked(self, image_id: Any) -> None:
        self.attempt(lambda: self.controller.pick_image(image_id))
        self.render.show_images()
