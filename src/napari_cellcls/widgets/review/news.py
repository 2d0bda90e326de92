"""Takes up what others decide, beside the work and without moving a cell in the gallery."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_cellcls.vocabulary import CellClsError, Progress, Task
from napari_cellcls.widgets.review.rendering import news_words
from napari_cellcls.widgets.worker import Runner

if TYPE_CHECKING:
    from napari_cellcls.project.project import Project
    from napari_cellcls.review.events import Event
    from napari_cellcls.widgets.review.controller import ReviewController

EVERY_MS = 30_000
_STILL_SECONDS, _PATIENCE_SECONDS, _AGAIN_MS = 3.0, 60.0, 1_000


class News(QObject):
    """Looks every half minute for what others decided, and takes it in when the hands are still.

    Files or the server are read in a worker.

    Parameters
    ----------
    controller : ReviewController
        Also the parent.

    Signals
    -------
    told(str, str)
        One line on what came, and a tooltip; both empty for nothing.
    """

    told = Signal(str, str)

    def __init__(self, controller: ReviewController) -> None:
        super().__init__(controller)
        self._controller = controller
        self._acted = self._found_at = 0.0
        self._waiting: tuple[Project, list[Event]] | None = None
        self._at_once = False
        self._runner = Runner(self)
        self._runner.succeeded.connect(self._on_found)
        self._runner.failed.connect(self._on_failed)
        self._timer = QTimer(self)
        self._timer.setInterval(EVERY_MS)
        self._timer.timeout.connect(self.look)
        self._timer.start()
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(_AGAIN_MS)
        self._again.timeout.connect(self._take)
        controller.keeper.changed.connect(self._on_project)

    @property
    def busy(self) -> bool:
        """Whether files are being read."""
        return self._runner.running

    def retire(self) -> None:
        """Look no more."""
        self._timer.stop()
        self._again.stop()
        self._runner.cancel()
        self._waiting = None
        self._controller.keeper.changed.disconnect(self._on_project)

    def act(self, *_what: Any) -> None:
        """Note that somebody is at work now."""
        self._acted = time.monotonic()

    def look_now(self) -> None:
        """Look at once, take in what there is, and put the cells in order with it."""
        self.told.emit("", "")
        self._runner.cancel()
        self._at_once = True
        self.look()

    def look(self) -> None:
        """Look for what others decided; it is taken in when it is there."""
        keeper = self._controller.keeper
        if keeper.project is None or keeper.refusal is not None or self._runner.running:
            return
        self._runner.start(partial(_read, keeper.project))

    def _on_found(self, found: tuple[Project, list[Event]]) -> None:
        project, events = found
        if project is not self._controller.keeper.project:
            return
        earlier = self._waiting[1] if self._waiting is not None else []
        if not events and not earlier:
            self._at_once = False
            return
        if self._waiting is None:
            self._found_at = time.monotonic()
        self._waiting = project, [*earlier, *events]
        self._take()

    def _take(self) -> None:
        """Take in what was found, once nobody is at work."""
        controller, now = self._controller, time.monotonic()
        if self._waiting is None or self._waiting[0] is not controller.keeper.project:
            self._waiting = None
            return
        still = now - self._acted > _STILL_SECONDS or now - self._found_at > _PATIENCE_SECONDS
        if not still and not self._at_once:
            self._again.start()
            return
        (project, events), self._waiting = self._waiting, None
        ranks, self._at_once = self._at_once, False
        controller.guarded(lambda: self._tell(project, events, ranks))

    def _tell(self, project: Project, events: Sequence[Event], ranks: bool) -> None:
        controller = self._controller
        classes = controller.class_list()
        with controller.in_place():
            fresh = project.take(events)
        if ranks or (fresh and controller.class_list() != classes):
            controller.collect()
        text = news_words(fresh, project.journal.author)
        if text:
            tip = "" if ranks else "They are taken in. F5 puts the cells in order with them."
            self.told.emit(text, tip)

    def _on_failed(self, error: CellClsError) -> None:
        self._at_once = False
        self.told.emit("What others decided cannot be read now.", str(error))

    def _on_project(self) -> None:
        self._runner.cancel()
        self._waiting = None
        self.told.emit("", "")


def _read(project: Project) -> Task[tuple[Project, list[Event]]]:
    yield Progress(0, 1, "Looking for decisions of others")
    return project, project.look()
