"""Decides: turns what the panels emit into changes of the session, and long work into runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer

from napari_cellcls.cells.cells import Cells
from napari_cellcls.images.image import Image
from napari_cellcls.session import Session
from napari_cellcls.vocabulary import CellClsError, CellsError, Progress, Task
from napari_cellcls.widgets import choices, defaults
from napari_cellcls.widgets.catalog import Catalog
from napari_cellcls.widgets.layers import Placement, SessionLayers
from napari_cellcls.widgets.notices import Notice, plane_notices
from napari_cellcls.widgets.project_model import ProjectModel
from napari_cellcls.widgets.settings import preferences
from napari_cellcls.widgets.veil import Veil
from napari_cellcls.widgets.worker import Runner, unexpected
from napari_cellcls.workflow import METHODS, Outcome, default_thresholds

if TYPE_CHECKING:
    import napari.viewer

    from napari_cellcls.widgets.classify import ClassifyWidget

_FIND_AT_ONCE_PIXELS = 16_000_000


class Controller(QObject):
    """Everything that happens in the dock *Classify cells*.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    view : ClassifyWidget
        The panels; also the parent, so that the controller dies with the dock.
    """

    def __init__(self, viewer: napari.viewer.Viewer, view: ClassifyWidget) -> None:
        super().__init__(view)
        self.viewer, self.view = viewer, view
        self.session = Session()
        self.layers = SessionLayers(viewer, self.session, self)
        self.veil = Veil(self)
        self.runner = Runner(self)
        self.catalog = Catalog(self)
        self.project_model = ProjectModel(self)
        self.choice: choices.ImageChoice | None = None
        self.labels_layer: Any = None
        self._plane: tuple[int, ...] = ()
        self._end_text, self._begun, self._retired = "", False, False
        self.classifying = False
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(0)
        self._later.timeout.connect(self.refresh_choices)
        self.session.set_engine(preferences().engine)
        self._connect()

    def _connect(self) -> None:
        inputs, run = self.view.inputs, self.view.run
        inputs.image_picked.connect(self.use_image)
        inputs.cells_picked.connect(self.use_cells)
        inputs.model_picked.connect(self.pick_model)
        inputs.engine_picked.connect(self.use_engine)
        inputs.find_asked.connect(self.find_cells)
        self.view.channels.changed.connect(self.session.set_overrides)
        self.view.thresholds.changed.connect(self.session.set_thresholds)
        self.view.thresholds.reset_asked.connect(self.reset_thresholds)
        run.classify_asked.connect(self.classify)
        run.cancel_asked.connect(self.cancel)
        self.runner.progressed.connect(self._on_progress)
        self.runner.succeeded.connect(self._on_succeeded)
        self.runner.failed.connect(self._on_failed)
        self.runner.ended.connect(self._on_ended)
        self.layers.drawn.connect(self._on_drawn)
        self.layers.failed.connect(self._on_failed)
        events = self.viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered):
            emitter.connect(self._on_layers)

    @property
    def busy(self) -> bool:
        """Whether the dock is opening, a task runs, or its result is not drawn yet."""
        at_work = self.runner.running or self.layers.busy or self.project_model.busy
        return not self._begun or at_work

    def begin(self) -> None:
        """Start with the image at hand, once the models are known."""
        self._begun = True
        self.project_model.look()
        self.refresh_choices()

    def retire(self) -> None:
        """Stop what runs and react to nothing more; what is drawn stays in the viewer."""
        if self._retired:
            return
        self._retired = True
        self.runner.cancel()
        self.project_model.retire()
        self.catalog.stop()
        self._later.stop()
        events = self.viewer.layers.events
        for emitter in (events.inserted, events.removed, events.reordered):
            emitter.disconnect(self._on_layers)
        self.layers.release()
        self.veil.lift()

    def refresh_choices(self) -> None:
        """Bring the menus in line with the viewer's layers; pick an image when there is none."""
        if not self._begun:
            return
        found = choices.image_choices(self.viewer.layers)
        if self.choice not in found:
            if self.choice is not None and self.runner.running:
                self.cancel("Stopped: the image was removed.")
            self.use_image(self._preferred(found))
        if self.labels_layer is not None and self.labels_layer not in self.viewer.layers:
            self.labels_layer = None
            self.use_cells(
                defaults.default_method(self.session.image) if self.session.image else None
            )
        self.view.inputs.image.fill(
            defaults.image_options(found), self.choice, empty="open an image first"
        )
        self._fill_cells()

    def use_image(self, choice: choices.ImageChoice | None) -> None:
        """Work on another image, with ready choices for cells and model."""
        self.runner.cancel()
        self.view.error.clear()
        if self.session.predictions is None:
            self.layers.clear()
        else:
            self.layers.release()
        self.veil.lift()
        self.choice, self.labels_layer = choice, None
        self.session.set_image(None)
        self.view.inputs.image.select(choice)
        if choice is None:
            return
        self.layers.placement = Placement.of(choice.layers[0])
        step = tuple(self.viewer.dims.current_step)
        self._plane = choices.plane_index(choice.layers[0], step)
        if not choices.is_quick(choice):
            self._start(_reading(choice, step), "Reading the image")
            return
        try:
            self._take_image(choices.to_image(choice, step))
        except Exception as error:  # noqa: BLE001 - an exception must not leave a Qt slot
            self._on_failed(error if isinstance(error, CellClsError) else unexpected(error))

    def _take_image(self, image: Image) -> None:
        """Fill in model and cells for a new image."""
        self.session.set_image(image)
        entry = self.project_model.best(image)
        if entry is not None:
            self.use_model(str(entry.path))
        self.use_cells(defaults.method_for(image, self.session.manifest))

    def notices(self) -> tuple[Notice, ...]:
        """Say what the session cannot know: what of the viewer is used, and what is hidden."""
        if self.choice is None:
            return ()
        sizes = choices.stack_sizes(self.choice.layers[0])
        return (
            plane_notices(self._plane, self._plane_shown(), sizes)
            + self.veil.notices()
            + self.project_model.notices()
        )

    def _plane_shown(self) -> tuple[int, ...]:
        if self.choice is None:
            return ()
        return choices.plane_index(self.choice.layers[0], self.viewer.dims.current_step)

    def use_cells(self, chosen: Any) -> None:
        """Find the cells with a method, or take those of a Labels layer."""
        self.runner.cancel()
        self.view.error.clear()
        self.veil.lift()
        method = chosen if isinstance(chosen, str) and chosen in METHODS else None
        self.labels_layer = None if method is not None else chosen
        self.session.set_method(method)
        self._fill_cells()
        image = self.session.image
        if self.labels_layer is not None:
            self._start(self._take_labels(self.labels_layer), "Measuring the cells")
        elif method is not None and image is not None and self._find_at_once(image):
            self.find_cells()

    def use_model(self, path: str) -> None:
        """Use the model in the package file ``path``."""
        entry = self.catalog.entry(path)
        if entry is not None:
            self.session.set_model(entry.manifest, name=path)
            self.view.inputs.model.select(path)

    def pick_model(self, path: str) -> None:
        """Use the model that the person picked."""
        self.project_model.pick(path)
        self.change_model(path)

    def change_model(self, path: str) -> None:
        """Use a model, and find what it classifies: red cells, or all cells of blood."""
        self.use_model(path)
        wanted, method = self.session.manifest, self.session.method
        if wanted is not None and {wanted.cells, method} == {"smear", "blood"}:
            self.use_cells(wanted.cells)

    def adopt(self, path: str) -> None:
        """Use a model that may not be in the menu yet, and classify the cells at hand with it."""
        if self.catalog.add(path) is None:
            return
        self.project_model.adopt(path)
        self.view.show_models()
        self.use_model(path)
        if self.session.cells is not None and self.session.obstacle is None:
            self.classify()

    def use_engine(self, engine_and_device: tuple[str, str]) -> None:
        """Compute with another engine or device."""
        self.session.set_engine(*engine_and_device)

    def reset_thresholds(self) -> None:
        """Return to the model's own thresholds."""
        self.session.set_thresholds(default_thresholds(self.session.manifest))

    def find_cells(self) -> None:
        """Look for the cells (again), in the plane shown; predictions are dropped."""
        if self._plane != self._plane_shown():
            self.use_image(self.choice)
            return
        if self.labels_layer is not None:
            self.use_cells(self.labels_layer)
            return
        try:
            task = self.session.find_cells()
        except CellClsError as error:
            self.view.error.show_error(error)
            return
        self._start(task, "Finding cells")

    def classify(self) -> None:
        """Find cells if need be, then predict their classes."""
        self.runner.cancel()
        wanted = preferences()
        self.layers.outline_width = wanted.outline_width
        self.layers.show_letters = wanted.show_letters
        try:
            task = self.session.classify(batch_size=wanted.batch_size)
        except CellClsError as error:
            self.view.error.show_error(error)
            return
        self._start(task, "Classifying cells")
        self.classifying = True

    def cancel(self, text: str = "Canceled.") -> None:
        """Give the running work up; the window is free at once."""
        if self.runner.running:
            self._end_text = text or "Canceled."
            self.runner.cancel()

    def _take_labels(self, layer: Any) -> Task[Cells]:
        from napari_cellcls.cells.table import cells_from_labels

        image, name = self.session.image, layer.name
        labels = choices.plane(layer, self.viewer.dims.current_step)
        yield Progress(0, 0, "Measuring the cells")
        try:
            return cells_from_labels(
                labels,
                pixel_size_um=image.pixel_size_um if image is not None else None,
                method=f"labels “{name}”",
                image_shape=image.shape if image is not None else None,
            )
        except CellsError as error:
            raise error.at(layer.source.path) from None

    def _start(self, task: Task[Any], title: str) -> None:
        self.view.error.clear()
        self._end_text, self.classifying = "", False
        self.runner.start(lambda: task, title)
        self.view.run.set_running(title)

    def _on_progress(self, step: Progress) -> None:
        self.view.run.show_progress(step)

    def _on_succeeded(self, result: object) -> None:
        if self.choice is None or any(
            layer not in self.viewer.layers for layer in self.choice.layers
        ):
            return  # the image was removed while this result waited in the queue
        try:
            if isinstance(result, Outcome):
                self.session.accept(result)
            elif isinstance(result, Cells):
                self.session.set_cells(result)
            elif isinstance(result, Image):
                self._take_image(result)
        except Exception as error:  # noqa: BLE001 - an exception must not leave a Qt slot
            self._on_failed(error if isinstance(error, CellClsError) else unexpected(error))

    def _on_failed(self, error: CellClsError) -> None:
        self._end_text = ""
        if isinstance(error, CellsError) and self.session.image is not None:
            error.at(self.session.image.path)
        self.view.error.show_error(error)

    def _on_ended(self) -> None:
        self.classifying &= self.runner.running
        if not self.runner.running:  # the next task may have been started by the result of this one
            self.view.run.set_idle(self._end_text)

    def _on_drawn(self) -> None:
        if self.labels_layer is not None:
            self.veil.cover(self.labels_layer)

    @staticmethod
    def _find_at_once(image: Image) -> bool:
        return (
            preferences().find_cells_at_once
            and image.shape[0] * image.shape[1] <= _FIND_AT_ONCE_PIXELS
        )

    def _on_layers(self, _event: Any) -> None:
        self._later.start()

    def _preferred(self, found: list[choices.ImageChoice]) -> choices.ImageChoice | None:
        active = self.viewer.layers.selection.active
        for choice in found:
            if active is not None and active in choice.layers:
                return choice
        return found[-1] if found else None

    def _fill_cells(self) -> None:
        shape = None if self.session.image is None else self.session.image.shape
        labels = choices.labels_choices(self.viewer.layers)
        current = self.labels_layer if self.labels_layer is not None else self.session.method
        self.view.inputs.cells.fill(defaults.cells_options(labels, shape), current)


def _reading(choice: choices.ImageChoice, step: tuple[int, ...]) -> Task[Image]:
    yield Progress(0, 0, "Reading the image")
    return choices.to_image(choice, step)
