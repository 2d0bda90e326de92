"""Decides what the dock *Fine-tune* does: starts and stops what learns, and puts a model in use when asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer, Signal

from napari_cellcls.learn import deep, deep_begin
from napari_cellcls.learn.finetune import Tuned, default_base, finetune
from napari_cellcls.learn.recipe import read_recipe
from napari_cellcls.models import registry
from napari_cellcls.project import versions
from napari_cellcls.vocabulary import CellClsError, Task
from napari_cellcls.widgets.defaults import model_options
from napari_cellcls.widgets.tune import words
from napari_cellcls.widgets.tune.chooser import Chooser
from napari_cellcls.widgets.tune.relearner import Relearner
from napari_cellcls.widgets.tune.source import TuneSource
from napari_cellcls.widgets.worker import Runner, unexpected

if TYPE_CHECKING:
    from napari_cellcls.models.registry import ModelEntry
    from napari_cellcls.project.project import Project
    from napari_cellcls.widgets.tune.widget import TuneWidget


@dataclass
class Keeping:
    """Whether a training that nobody follows any more shall go on; asked by the thread that works."""

    wanted: bool = False
    canceled: bool = False

    def __call__(self) -> bool:
        """Return it."""
        return self.wanted and not self.canceled


def _shown(project: Project, task: Task[Tuned]) -> Task[Tuned]:
    """Run a task, and read what the window shows next: not in the thread that draws it."""
    made = yield from task
    versions.history(project)
    return made


class TuneController(QObject):
    """Everything behind the dock.

    Parameters
    ----------
    view : TuneWidget
        The panels; also the parent.

    Signals
    -------
    tuned(object)
        A :class:`~napari_cellcls.learn.finetune.Tuned`, once per finished run.
    """

    tuned = Signal(object)

    def __init__(self, view: TuneWidget) -> None:
        super().__init__(view)
        self.view = view
        self.source = TuneSource(view)
        self.chooser = Chooser(self)
        self.relearner = Relearner(self.source, self)
        self.runner = Runner(self)
        self.entries: list[ModelEntry] = []
        self.result: Tuned | None = None
        self.folder: Path | None = None
        self._epochs: tuple[Path | None, int] = None, 0
        self.before = ""
        self.base = ""
        self.keeping = Keeping()
        self._given_up: Path | None = None
        self._soon, self._look = QTimer(self), QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(200)
        self._soon.timeout.connect(self._count)
        self._look.setInterval(400)
        self._look.timeout.connect(self._show_curve)
        self._connect()

    def _connect(self) -> None:
        view = self.view
        self.source.changed.connect(self._on_project)
        self.source.labeled.connect(self._soon.start)
        self.runner.progressed.connect(view.run.show_progress)
        self.runner.succeeded.connect(self._on_succeeded)
        self.runner.failed.connect(self._on_failed)
        self.runner.ended.connect(self._on_ended)
        view.teach.open_asked.connect(self._on_open)
        view.teach.base_picked.connect(self._on_base)
        view.teach.as_i_label.connect(self._on_as_i_label)
        self.relearner.failed.connect(self._on_failed)
        self.relearner.told.connect(view.tell)
        view.run.start_asked.connect(self.start)
        view.run.cancel_asked.connect(self.cancel)
        view.run.way_changed.connect(self._count)
        view.run.keep_going.toggled.connect(self._on_keep_going)
        self.chooser.connect_to(view.verdict, view.versions)

    @property
    def project(self) -> Project | None:
        """The project that teaches."""
        return self.source.project

    @property
    def busy(self) -> bool:
        """Whether something is on its way."""
        return self.runner.running or self.relearner.running or self._soon.isActive()

    def begin(self) -> None:
        """Read the models at hand and find the project."""
        self.entries = [
            one
            for one in registry.entries()
            if one.manifest is not None and one.manifest.level != "tuned"
        ]
        self.source.look()
        self.source.share_a_tab()
        self._on_project()

    def retire(self) -> None:
        """Stop what runs, unless it was asked to go on; let the project go."""
        self._soon.stop()
        self._look.stop()
        self.runner.cancel()
        self.relearner.retire()
        self.source.close()

    def start(self) -> None:
        """Learn from the labels, quickly or deeply."""
        project = self.project
        if project is None:
            return
        self.keeping.canceled = False
        self.guarded(lambda: self._start(project))

    def cancel(self) -> None:
        """Give up; the model in use stays as it is."""
        if self.runner.running:
            self.keeping.canceled = True
            # A training that is over is kept: hours of work, and seconds to judge it.
            is_over = self.folder is not None and deep.is_finished(self.folder)
            self._given_up = None if is_over else self.folder
            self.runner.cancel()
            kept = " The training is over and kept: go on to have it judged." if is_over else ""
            self.view.tell(f"Canceled. The model in use is the same as before.{kept}")

    def guarded(self, act: Callable[[], Any]) -> None:
        """Do something; an exception must not leave a Qt slot."""
        self.view.error.clear()
        self.view.tell("")
        try:
            act()
        except Exception as error:  # noqa: BLE001 - see above
            self._on_failed(error if isinstance(error, CellClsError) else unexpected(error))

    # What runs

    def _start(self, project: Project) -> None:
        running = versions.in_use(project)
        self.before = running.label if running is not None else ""
        self.view.verdict.hide()
        self.result = None
        if self.view.run.is_deep:
            self._start_deep(project)
            return
        self.folder = None
        # Called here, in the thread that decides: the journal is read at the call.
        task = _shown(project, finetune(project, self.base))
        self.runner.start(lambda: task, "Fine-tuning")
        self.view.run.set_running("Learning")

    def _start_deep(self, project: Project) -> None:
        self.folder = self._left(project)
        keeps = self.keeping
        if self.folder is None:
            task = deep.finetune_deep(
                project, self.base, keeps_going=keeps, on_folder=self._take_folder
            )
        else:
            task = deep.go_on(project, self.folder, keeps_going=keeps)
        task = _shown(project, task)
        self.runner.start(lambda: task, "Training")
        self.view.run.set_running("Learning")
        self.view.run.curve.show_points((), 0)
        self._look.start()

    def _take_folder(self, folder: Path) -> None:
        self.folder = folder  # from the thread that works: one assignment

    def _show_curve(self) -> None:
        folder = self.folder
        if folder is None:
            return
        if self._epochs[0] != folder:
            try:
                self._epochs = folder, read_recipe(folder / deep_begin.RECIPE).training.epochs
            except CellClsError:
                return
        self.view.run.curve.show_points(deep.curve(folder), self._epochs[1])

    def _on_succeeded(self, result: object) -> None:
        if isinstance(result, Tuned):
            self._show_curve()
            self.result = result
            notes = words.notes_words(result.notes, dict(result.left_out))
            self.view.verdict.show_verdict(result.verdict, notes, result.label)
            self.chooser.show()
            self.tuned.emit(result)

    def _on_failed(self, error: CellClsError) -> None:
        self.view.error.show_error(error)

    def _on_ended(self) -> None:
        self._look.stop()
        text = ""
        if self.result is not None:
            text = f"{self.result.labels_used:,} labels learned in {self.result.seconds:.1f} s."
        self.view.run.set_idle(text)
        self._offer()

    # What teaches

    def _on_open(self, folder: str) -> None:
        self.guarded(lambda: self.source.open(folder))

    def _on_base(self, path: str) -> None:
        self.base = self.relearner.model = path
        self._count()

    def _on_as_i_label(self, on: bool) -> None:
        self.relearner.model = self.base
        self.relearner.set_on(on)

    def _on_keep_going(self, on: bool) -> None:
        self.keeping.wanted = on

    def _on_project(self) -> None:
        self.result = None
        self.view.verdict.hide()
        self.guarded(self._render_project)

    def _render_project(self) -> None:
        project = self.project
        view = self.view
        if project is None:
            view.teach.show_project("", "")
        else:
            view.teach.show_project(project.description.name, str(project.folder))
        wanted = default_base(project) if project is not None else ""
        names = {one.label: one for one in self.entries} | {one.name: one for one in self.entries}
        chosen = names.get(wanted) or (self.entries[0] if self.entries else None)
        self.base = str(chosen.path) if chosen is not None else ""
        view.teach.show_bases(model_options(self.entries), self.base, "")
        self.chooser.show()
        self._count()
        self._offer()

    def _offer(self) -> None:
        """Take up a training that is at work, or offer to go on with one that was left."""
        project = self.project
        left = self._left(project) if project is not None else None
        self.view.run.offer_to_go_on(left is not None and not self.runner.running)
        if left is None or self.runner.running:
            return
        self.view.run.deep.setChecked(True)
        if deep.is_at_work(left):
            self.start()

    def _left(self, project: Project) -> Path | None:
        """Return the training that has not come to its end; one that was canceled is on its way out."""
        found = deep.unfinished(project)
        return None if found is not None and found == self._given_up else found

    def _count(self) -> None:
        project, run = self.project, self.view.run
        stock = words.stock_of(project.journal.state) if project is not None else None
        self.view.teach.show_stock(stock, run.is_deep)
        why = "Open a project, or label cells first." if stock is None else stock.why_not
        run.set_ready(why or ("" if self.base else "There is no model to start from."))

    @property
    def base_entry(self) -> ModelEntry | None:
        """The released model chosen."""
        return next((one for one in self.entries if str(one.path) == self.base), None)
