"""Decides what the dock *Review cells* shows: project, image, cells, and what follows from each decision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject, QTimer, Signal

from napari_cellcls.review.desk import Desk
from napari_cellcls.review.order import Sort, View
from napari_cellcls.review.state import ClassState
from napari_cellcls.vocabulary import CellClsError
from napari_cellcls.widgets.layers import Placement
from napari_cellcls.widgets.review.features import tell
from napari_cellcls.widgets.review.images import ProjectImages
from napari_cellcls.widgets.review.layers import ReviewLayers
from napari_cellcls.widgets.review.looks import Looks
from napari_cellcls.widgets.review.projects import ProjectKeeper
from napari_cellcls.widgets.review.source import ClassifyLink
from napari_cellcls.widgets.review.subject import Subject, Wanted, painted, prepare, states_of
from napari_cellcls.widgets.settings import preferences
from napari_cellcls.widgets.worker import Runner, unexpected

if TYPE_CHECKING:
    import napari.viewer

    from napari_cellcls.review.fold import State
    from napari_cellcls.widgets.review.widget import ReviewWidget


class ReviewController(QObject):
    """Everything behind the dock.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    view : ReviewWidget
        Also the parent.

    Signals
    -------
    subject_changed(), order_changed(), decided(object), renewed(), drawn()
        Another plane; another order; decisions about rows; anything about any cell; layers are
        in the viewer.
    failed(CellClsError)
    """

    subject_changed = Signal()
    order_changed = Signal()
    decided = Signal(object)
    renewed = Signal()
    drawn = Signal()
    failed = Signal(object)

    def __init__(self, viewer: napari.viewer.Viewer, view: ReviewWidget) -> None:
        super().__init__(view)
        self.viewer = viewer
        self.keeper = ProjectKeeper(self)
        self.link = ClassifyLink(view)
        self.layers = ReviewLayers(viewer, self)
        self.images = ProjectImages(viewer, self)
        self.subject: Subject | None = None
        self.desk: Desk | None = None
        self.order = np.zeros(0, np.int64)
        self.view_wanted = View()
        self.like: int | None = None
        self.looks = Looks(self)
        self._blind = self._stays = False
        self._stale: set[int] = set()
        self._preparing, self._painting = Runner(self), Runner(self)
        self._preparing.succeeded.connect(self._on_prepared)
        self._preparing.failed.connect(self.failed)
        self._painting.succeeded.connect(self._on_painted)
        self._painting.failed.connect(self.failed)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(20)
        self._soon.timeout.connect(self.attach)
        self.link.changed.connect(self._soon.start)
        self.link.drawn.connect(self._on_classify_drew)
        self.keeper.changed.connect(self._on_project)
        for emitter in (viewer.layers.events.inserted, viewer.layers.events.removed):
            emitter.connect(self._on_layers)

    @property
    def busy(self) -> bool:
        """Whether something is on its way into the dock or the viewer."""
        waits = self._soon.isActive() or self.looks.busy
        return waits or self._preparing.running or self._painting.running

    @property
    def state(self) -> State | None:
        """What the open project amounts to."""
        return self.keeper.project.journal.state if self.keeper.project is not None else None

    def retire(self) -> None:
        """Stop, save, and take everything out of the viewer."""
        for emitter in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            emitter.disconnect(self._on_layers)
        self._soon.stop()
        self._preparing.cancel()
        self._painting.cancel()
        self.looks.retire()
        self._leave()
        self.keeper.changed.disconnect(self._on_project)
        self.link.changed.disconnect(self._soon.start)
        if self.link.session is not None:
            self.link.session.set_corrected(None)
        self.link.forget()
        self.layers.retire()
        self.keeper.close()

    def attach(self) -> None:
        """Review what there is now: the image of the project that was picked, else what was classified."""
        if self.images.image is None and self.link.renews(self.subject):
            return  # what is shown stays until the new predictions are there
        wanted = self._wanted()
        self._preparing.cancel()
        if wanted is None:
            self._leave()
            self.subject = None
            self.layers.clear()
            self.subject_changed.emit()
            return
        # A bar in napari's activity dock takes the window longer than all of this where nothing is read.
        title = "" if isinstance(wanted.image.data, np.ndarray) else "Getting the cells ready"
        self._preparing.start(partial(prepare, wanted, self.state, self.subject), title)

    def ready_desk(self, start: bool) -> Desk | None:
        """Return the desk; with ``start`` a project is made where none is open."""
        if not start or self.subject is None:
            return self.desk
        plane, opinion = self.subject.sheet.plane, self.subject.sheet.opinion
        if self.keeper.project is None:
            self.keeper.start(plane.name, opinion.scheme if opinion is not None else None)
        self.keeper.know_image(plane)
        return self.desk

    def open_project(self, folder: str) -> None:
        """Open a project; where nothing is classified, show its first image that is there.

        Raises
        ------
        CellClsError
        """
        self.keeper.open(folder)
        session = self.link.session
        if self.state is None or (session is not None and session.cells is not None):
            return
        for image_id in self.state.images:
            try:
                self.pick_image(image_id)
            except CellClsError as error:
                self.failed.emit(error)
                continue
            return

    def pick_image(self, image_id: str | None) -> None:
        """Review an image of the project; None: what *Classify cells* has.

        Raises
        ------
        CellClsError
            When it cannot be shown; what was shown stays.
        """
        if image_id is None or self.keeper.project is None:
            self.images.forget_image()
        else:
            self.images.show(self.keeper.project, image_id)
        self._soon.start()

    def show_view(self, view: View, like: int | None = None) -> None:
        """Put the cells in order as ``view`` says."""
        self.view_wanted = view
        if like is not None or view.sort != Sort.SIMILAR:
            self.like = like
        self.rank()

    def rank(self) -> None:
        """Put the cells in order again."""
        self.order = np.zeros(0, np.int64)
        if self.subject is not None:
            self.looks.prepare(self.subject, self.view_wanted)
            self.order = self.subject.ranker.order(self.view_wanted, self.like)
        self.order_changed.emit()

    def collect(self) -> None:
        """Put the cells in order again, with all that was decided meanwhile."""
        self.looks.forget()
        self.rank()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Leave the cells where they are in the gallery, whatever is taken in meanwhile."""
        self._stays = True
        try:
            yield
        finally:
            self._stays = False

    def set_blind(self, blind: bool) -> None:
        """Hide predictions and other people's labels, or show them again."""
        self._blind = blind
        if self.desk is not None:
            self.desk.set_blind(blind)
        elif self.subject is not None:
            self.subject.sheet.blind = blind
            self.subject.sheet.expect(self.subject.sheet.classes)
            self._on_renewed()

    def class_list(self) -> tuple[ClassState, ...]:
        """Return the classes to choose from: those of the project, else of the model."""
        if self.subject is not None:
            return self.subject.sheet.classes
        if self.state is None:
            return ()
        return tuple(one for one in self.state.classes.values() if one.merged_into is None)

    def _wanted(self) -> Wanted | None:
        settings, project = preferences(), self.keeper.project
        who = project.journal.annotator if project is not None else ""
        look = settings.outline_width, settings.show_letters, who, self._blind
        if self.images.image is not None:
            self.layers.placement = Placement.of(self.images.layer)
            return Wanted(self.images.image, None, None, *look)
        session = self.link.session
        if (
            session is None
            or session.image is None
            or session.cells is None
            or not len(session.cells)
        ):
            return None
        assert self.link.layers is not None
        self.layers.placement = self.link.layers.placement
        return Wanted(session.image, session.cells, session.predictions, *look)

    def _on_prepared(self, subject: Subject) -> None:
        self._leave()
        self.subject = subject
        subject.sheet.blind = self._blind
        self._sit_down()
        self.subject_changed.emit()
        self.rank()
        self._paint()
        self._correct()

    def _sit_down(self) -> None:
        """Make the desk of the open project for the plane shown, or show predictions alone."""
        if self.subject is None:
            return
        project, sheet = self.keeper.project, self.subject.sheet
        if project is None:
            scheme = sheet.opinion.scheme if sheet.opinion is not None else None
            sheet.expect(states_of(scheme))
            return
        self.desk = Desk(project.journal, sheet, multi_label=project.description.multi_label)
        self.desk.decided.connect(self._on_decided)
        self.desk.renewed.connect(self._on_renewed)

    def _leave(self) -> None:
        if self.desk is not None:
            self.desk.decided.disconnect(self._on_decided)
            self.desk.renewed.disconnect(self._on_renewed)
            self.desk.release()
            self.desk = None

    def _on_project(self) -> None:
        """Show the decisions of another project about the same cells, at once; nothing is prepared anew."""
        self._leave()
        self.looks.forget()
        self.images.forget_image()
        if self.subject is None or self.subject.sheet.opinion is None:
            self._soon.start()
        if self.subject is not None:
            sheet = self.subject.sheet
            sheet.forget()
            self._sit_down()
            self._on_renewed()
        else:
            self.renewed.emit()

    def _on_decided(self, rows: Sequence[int]) -> None:
        self._stale.update(rows)
        self.looks.take_off(rows)
        self.layers.repaint(rows)
        self.decided.emit(rows)
        self._correct(rows)

    def _on_renewed(self) -> None:
        self.renewed.emit()
        if not self._stays:
            self.rank()
        self._paint()
        self._correct()

    def _paint(self) -> None:
        """Draw all outlines, computed beside the window."""
        if self.subject is None:
            return
        self._stale.clear()
        self._painting.start(partial(painted, self.subject))

    def _on_painted(self, made: tuple[Subject, np.ndarray | None]) -> None:
        subject, drawn = made
        if subject is not self.subject:
            return
        beneath = self.link.classes_layer
        if self.images.image is not None:
            self.layers.reference = self.images.layer
        else:
            self.layers.reference = self.link.cells_layer
        self.layers.draw(subject, drawn, beneath if self.images.image is None else None)
        self.layers.repaint(self._stale)
        self.drawn.emit()

    def _on_classify_drew(self) -> None:
        beneath = self.link.classes_layer
        if self.layers.outlines is not None and beneath is not None and self.images.image is None:
            self.layers.veil.cover(beneath)
        self.drawn.emit()
        self._correct()

    def _correct(self, rows: Sequence[int] | None = None) -> None:
        """Let the result table and the tooltips of *Classify cells* say what people said."""
        if self.subject is None or self.link.session is None:
            return
        tell(
            self.link.session,
            self.link.cells_layer,
            self.subject.sheet,
            self.desk is not None,
            rows,
        )

    def _on_layers(self, event: Any) -> None:
        self.link.look()
        if self.images.lost(self.viewer.layers):
            self._soon.start()

    def guarded(self, act: Callable[[], Any]) -> None:
        """Do something; an exception must not leave a Qt slot."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - see above
            self.failed.emit(error if isinstance(error, CellClsError) else unexpected(error))
