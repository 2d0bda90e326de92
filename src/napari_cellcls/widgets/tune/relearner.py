"""Learn as I label: after some labels the cells still open are put in another order. Nothing that is shown changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_cellcls.embed import Descriptors, describe_cells
from napari_cellcls.learn.relearn import Relearned, relearn
from napari_cellcls.models import registry
from napari_cellcls.review.order import Sort
from napari_cellcls.vocabulary import Progress, Task
from napari_cellcls.widgets.worker import Runner

if TYPE_CHECKING:
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.review.fold import State
    from napari_cellcls.widgets.review.subject import Subject
    from napari_cellcls.widgets.tune.source import TuneSource

EVERY = 10
"""Labels after which the order is made anew."""


class Relearner(QObject):
    """Follows the labels of *Review cells* while it is on.

    Parameters
    ----------
    source : TuneSource
    parent : QObject

    Signals
    -------
    failed(CellClsError)
    told(str)
        What happened, in a line.
    """

    failed = Signal(object)
    told = Signal(str)

    def __init__(self, source: TuneSource, parent: QObject) -> None:
        super().__init__(parent)
        self.source = source
        self.model = ""
        self._on, self._since = False, 0
        self._subject: Subject | None = None
        self._described: tuple[Any, str, Descriptors, ModelPackage] | None = None
        self._runner = Runner(self)
        self._runner.succeeded.connect(self._on_learned)
        self._runner.failed.connect(self.failed)
        source.decided.connect(self._on_decided)

    @property
    def running(self) -> bool:
        """Whether it learns just now."""
        return self._runner.running

    def set_on(self, on: bool) -> None:
        """Learn from now on, at once the first time; or no more."""
        self._on, self._since = on, 0
        if on:
            self.learn()
        else:
            self._runner.cancel()

    def retire(self) -> None:
        """Stop."""
        self.set_on(False)

    def learn(self) -> None:
        """Learn from the labels of the image in the window, beside it."""
        review, project = self.source.review, self.source.project
        subject = review.controller.subject if review is not None else None
        if subject is None or project is None or not self.model:
            return
        self._since, self._subject = 0, subject
        ids = [subject.sheet.known_id(row) for row in range(len(subject.sheet))]
        task = self._learned(subject, project.journal.state, ids, project.description.multi_label)
        self._runner.start(lambda: task)

    def _learned(
        self, subject: Subject, state: State, ids: list[str | None], several: bool
    ) -> Task[Relearned | None]:
        yield Progress(0, 0, "Looking at the cells")
        cells, model = subject.sheet.cells, self.model
        if (
            self._described is None
            or self._described[0] is not cells
            or self._described[1] != model
        ):
            package = registry.load(model)
            described = yield from describe_cells(subject.image, cells, package)
            self._described = cells, model, described, package
        _, _, described, package = self._described
        return relearn(state, described, ids, package, multi_label=several)

    def _on_decided(self, rows: Sequence[int]) -> None:
        if not self._on:
            return
        self._since += len(rows)
        if self._since >= EVERY and not self._runner.running:
            self.learn()

    def _on_learned(self, found: Relearned | None) -> None:
        review = self.source.review
        if found is None or review is None or review.controller.subject is not self._subject:
            return
        assert self._subject is not None
        self._subject.ranker.learn(found.scheme, found.probabilities)
        if review.controller.view_wanted.sort == Sort.SUGGESTED:
            review.controller.rank()
            self.told.emit(f"The order follows {found.labels:,} labels of this image.")
