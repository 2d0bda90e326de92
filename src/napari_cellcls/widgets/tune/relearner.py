"""Learn as I label: after some labels the cells still open are put in another order. Nothing that is shown changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_cellcls.embed import Descriptors, describe_cells
from napari_cellcls.images.channels import match
from napari_cellcls.learn.relearn import network_of, relearn
from napari_cellcls.models import registry
from napari_cellcls.review.order import Sort
from napari_cellcls.review.suggestions import Decided, Suggestions
from napari_cellcls.vocabulary import CellClsError, Progress, Task
from napari_cellcls.widgets.worker import Runner

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.project.project import Project
    from napari_cellcls.widgets.review.subject import Subject
    from napari_cellcls.widgets.tune.source import TuneSource

EVERY = 10
"""Labels after which the order is made anew."""


@dataclass(eq=False)
class Seen:
    """What the networks of one model see in the cells of one image; filled by the thread that works.

    Attributes
    ----------
    cells : Cells
    model : str
        Path of the released model.
    package : ModelPackage or None
        The model, once it is read.
    values : dict of str to Descriptors
        By the weights of the network.
    refused : bool
        Whether the general network could not describe the cells: it is not asked again.
    """

    cells: Cells
    model: str
    package: ModelPackage | None = None
    values: dict[str, Descriptors] = field(default_factory=dict)
    refused: bool = False


@dataclass(frozen=True, eq=False)
class Learned:
    """What to suggest, from how many labels, and the network that has not seen the cells yet and would see more."""

    suggestions: Suggestions
    labels: int
    better: ModelPackage | None


class Relearner(QObject):
    """Follows the labels of *Review cells* while it is on.

    The network is chosen as for a fine-tune. Where that is a general one, which has not seen the cells yet, the
    model's own tells the order until it has: describing all cells of an image takes a while.

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
        self._seen: Seen | None = None
        self._runner, self._describing = Runner(self), Runner(self)
        self._runner.succeeded.connect(self._on_learned)
        self._runner.failed.connect(self.failed)
        self._describing.succeeded.connect(self._on_described)
        self._describing.failed.connect(self._on_refused)
        source.decided.connect(self._on_decided)

    @property
    def running(self) -> bool:
        """Whether it learns just now, or looks at the cells anew."""
        return self._runner.running or self._describing.running

    def set_on(self, on: bool) -> None:
        """Learn from now on, at once the first time; or no more."""
        self._on, self._since = on, 0
        if on:
            self.learn()
        else:
            self._runner.cancel()
            self._describing.cancel()

    def retire(self) -> None:
        """Stop."""
        self.set_on(False)

    def learn(self) -> None:
        """Learn from the labels of the image in the window, beside it."""
        review, project = self.source.review, self.source.project
        subject = review.controller.subject if review is not None else None
        if subject is None or project is None or not self.model:
            return
        cells, seen = subject.sheet.cells, self._seen
        if seen is None or seen.cells is not cells or seen.model != self.model:
            self._describing.cancel()
            seen = self._seen = Seen(cells, self.model)
        self._since, self._subject = 0, subject
        ids = [subject.sheet.known_id(row) for row in range(len(subject.sheet))]
        task = _learned(subject, seen, project, ids, Decided.of(subject.sheet))
        self._runner.start(lambda: task)

    def _on_decided(self, rows: Sequence[int]) -> None:
        if not self._on:
            return
        self._since += len(rows)
        if self._since >= EVERY and not self._runner.running:
            self.learn()

    def _on_learned(self, found: Learned | None) -> None:
        review, subject, seen = self.source.review, self._subject, self._seen
        if found is None or review is None or review.controller.subject is not subject:
            return
        assert subject is not None and seen is not None
        subject.ranker.suggestions = found.suggestions
        told = ""
        if review.controller.view_wanted.sort == Sort.SUGGESTED:
            review.controller.rank()
            told = f"The order follows {found.labels:,} labels of this image."
        better = found.better
        if better is not None and not self._describing.running:
            told += (
                f" {better.manifest.title} does not know every class that was labeled: another network looks "
                "at the cells now, and the order will follow it."
            )
            self._describing.start(
                lambda: _described(subject, seen, better), "Looking at the cells"
            )
        if told:
            self.told.emit(told.strip())

    def _on_described(self, seen: Seen) -> None:
        if self._on and seen is self._seen:
            self.learn()

    def _on_refused(self, error: CellClsError) -> None:
        if self._seen is not None:
            self._seen.refused = True
        self.failed.emit(error)


def _learned(
    subject: Subject, seen: Seen, project: Project, ids: list[str | None], decided: Decided
) -> Task[Learned | None]:
    yield Progress(0, 0, "Looking at the cells")
    state, several = project.journal.state, project.description.multi_label
    if seen.package is None:
        seen.package = registry.load(seen.model)
    package, better = seen.package, None
    network = network_of(state, ids, package, multi_label=several)
    if network is not package and network.weights_sha256 not in seen.values:
        better, network = None if seen.refused else network, package
    if network.weights_sha256 not in seen.values:
        yield from _described(subject, seen, network)
    described = seen.values[network.weights_sha256]
    found = relearn(state, described, ids, package, multi_label=several)
    if found is None:
        return None
    suggestions = Suggestions(
        len(ids), found.scheme, found.probabilities, points=subject.ranker.points
    )
    suggestions.first(decided)  # here, and not in the thread that draws the window
    return Learned(suggestions, found.labels, better)


def _described(subject: Subject, seen: Seen, network: ModelPackage) -> Task[Seen]:
    assert seen.package is not None
    mapping = None
    if network is not seen.package:
        mapping = match(subject.image, seen.package.manifest.planes)
    found = yield from describe_cells(subject.image, seen.cells, network, mapping=mapping)
    seen.values[network.weights_sha256] = found
    return seen
