"""The dock widget *Classify cells*: puts the panels together and renders the session into them."""

from __future__ import annotations

from typing import Any

import napari.viewer
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from napari_cellcls.widgets import defaults
from napari_cellcls.widgets.canvas import CanvasGuard
from napari_cellcls.widgets.controller import Controller
from napari_cellcls.widgets.evidence import Evidence
from napari_cellcls.widgets.hover import Hover
from napari_cellcls.widgets.notices import notices
from napari_cellcls.widgets.panels.card import CardDialog
from napari_cellcls.widgets.panels.channels import ChannelsPanel
from napari_cellcls.widgets.panels.input_card import InputCard
from napari_cellcls.widgets.panels.inputs import InputsPanel
from napari_cellcls.widgets.panels.look import Section, TallArea
from napari_cellcls.widgets.panels.messages import ErrorPanel, NoticesPanel
from napari_cellcls.widgets.panels.results import ResultsPanel
from napari_cellcls.widgets.panels.run import RunPanel
from napari_cellcls.widgets.panels.thresholds import ThresholdsPanel
from napari_cellcls.widgets.settings import preferences


class ClassifyWidget(QWidget):
    """Classify the cells of an image.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Injected by napari.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.inputs, self.channels, self.thresholds = (
            InputsPanel(self),
            ChannelsPanel(self),
            ThresholdsPanel(self),
        )
        self.channels_section = Section("Channels", self.channels, self)
        self.thresholds_section = Section("Thresholds", self.thresholds, self)
        self.input_card, self.run, self.results = (
            InputCard(self),
            RunPanel(self),
            ResultsPanel(self),
        )
        self.error, self.notices = ErrorPanel(self), NoticesPanel(self)
        self._lay_out()
        # One choice changes several parts of the session in a row; they are rendered together.
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._render_common)
        self.canvas_guard = CanvasGuard(napari_viewer, self)
        self.controller = Controller(napari_viewer, self)
        self.session = self.controller.session
        self.hover = Hover(
            napari_viewer, self.session, self.controller.layers, self.input_card, self
        )
        self.evidence = Evidence(
            napari_viewer, self.session, self.controller.layers, self.input_card, self
        )
        self._connect()
        # The dock shows at once; what takes a while to read follows, one part per turn.
        self._opening = iter((self._read_models, self._begin, self._look_for_engines))
        self._turn = QTimer(self)
        self._turn.setInterval(0)
        self._turn.timeout.connect(self._open_further)
        self._turn.start()

    def _open_further(self) -> None:
        step = next(self._opening, None)
        if step is None:
            self._turn.stop()
        else:
            step()

    def _read_models(self) -> None:
        self.controller.catalog.reload()
        self.show_models()

    def _begin(self) -> None:
        self.controller.begin()
        self._render_all()

    def changeEvent(self, event: QEvent) -> None:
        """Stop working when napari takes the dock away: it sends no close event (napari#8071)."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.controller.retire()
            self.hover.retire()
            self.evidence.retire()
            self._soon.stop()
            self._turn.stop()
            self.viewer.dims.events.current_step.disconnect(self._on_step)

    def _lay_out(self) -> None:
        content = QWidget(self)
        column = QVBoxLayout(content)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        for part in (
            self.inputs, self.channels_section, self.thresholds_section, self.input_card, self.run,
            self.error, self.results, self.notices,
        ):  # fmt: skip
            column.addWidget(part)
        column.addStretch(1)
        area = TallArea(content, self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def _connect(self) -> None:
        session = self.session
        session.image_changed.connect(self._on_image)
        session.cells_changed.connect(self._on_cells)
        session.model_changed.connect(self._on_model)
        session.mapping_changed.connect(self._on_mapping)
        session.predictions_changed.connect(self._on_predictions)
        session.thresholds_changed.connect(self._on_thresholds)
        session.corrections_changed.connect(self._on_corrections)
        self.controller.veil.changed.connect(self._soon.start)
        self.controller.project_model.changed.connect(self._soon.start)
        self.viewer.dims.events.current_step.connect(self._on_step)
        self.controller.catalog.surveyed.connect(self._render_engines)
        self.inputs.card_asked.connect(self.show_card)

    def show_card(self) -> None:
        """Open the model card."""
        if self.session.manifest is not None:
            self.card_dialog = CardDialog(self.session.manifest, self)
            self.card_dialog.show()

    def _on_image(self) -> None:
        self._soon.start()

    def _on_step(self, _event: Any) -> None:
        self._soon.start()

    def _on_cells(self) -> None:
        self.controller.layers.draw()
        self._render_results()
        self._soon.start()

    def _on_model(self) -> None:
        self._render_thresholds()
        self._soon.start()

    def _on_mapping(self) -> None:
        self._render_channels()
        self._soon.start()

    def _on_predictions(self) -> None:
        self.controller.layers.draw()
        if self.session.predictions is not None and preferences().show_tooltips:
            # For this viewer only: the user's own setting (layer_tooltip_visibility) stays as it is.
            self.viewer.tooltip.visible = True
        self._render_results()
        self._soon.start()

    def _on_thresholds(self) -> None:
        self.thresholds.set_values(self._threshold_values())

    def _on_corrections(self) -> None:
        self._render_results()

    def _render_all(self) -> None:
        self._render_engines()
        self._render_channels()
        self._render_thresholds()
        self._render_results()
        self._render_common()

    def _render_common(self) -> None:
        session = self.session
        obstacle = session.obstacle
        self.run.set_ready("" if obstacle is None else f"{obstacle.what} {obstacle.remedy}".strip())
        self.inputs.set_card_state(
            "" if session.manifest is not None else "There is no model to describe."
        )
        self.inputs.set_find_state("" if session.image is not None else "Open an image first.")
        self.notices.show_notices(notices(session) + self.controller.notices())
        self.hover.refresh()

    def show_models(self) -> None:
        """Offer the models that the catalog knows now."""
        catalog = self.controller.catalog
        options = defaults.model_options([*catalog.entries, *catalog.damaged])
        self.inputs.model.fill(options, None, empty="no models found")

    def _render_engines(self) -> None:
        catalog, session = self.controller.catalog, self.session
        options = defaults.engine_options(catalog.reports, catalog.automatic, catalog.error)
        self.inputs.device.fill(options, (session.engine, session.device))

    def _render_channels(self) -> None:
        session = self.session
        if session.image is None or session.manifest is None:
            self.channels.show_note("Choose an image and a model first.")
            return
        planes, mapping, error = session.manifest.planes, session.mapping, session.mapping_error
        if not planes:
            self.channels.show_note("This model takes any channels, each on its own.")
            return
        names = tuple(channel.name for channel in session.image.channels)
        indices, reasons = (mapping.indices, mapping.reasons) if mapping is not None else ((), ())
        refusal = "" if error is None else f"{error.what} {error.why} {error.remedy}".strip()
        self.channels.show_mapping(planes, names, indices, reasons, session.overrides, refusal)
        if error is not None:
            self.channels_section.set_open(True)

    def _render_thresholds(self) -> None:
        self.thresholds.show_scheme(self.session.scheme, self._threshold_values())

    def _render_results(self) -> None:
        session, counts = self.session, self.session.counts()
        rejected = {}
        if session.cells is not None and session.cells.rejected is not None:
            rejected = session.cells.rejected.counts()
        if counts is not None:
            judged = 0 if session.corrected is None else session.corrected.judged
            self.results.show_counts(counts, rejected, session.parasitaemia(), judged)
        elif session.cells is not None:
            self.results.show_cells(len(session.cells), rejected)
        else:
            self.results.hide()

    def _threshold_values(self) -> tuple[float, ...]:
        session = self.session
        if session.thresholds is not None:
            return session.thresholds
        count = len(session.scheme) if session.scheme is not None else 0
        return (1 / max(count, 1),) * count

    def _look_for_engines(self) -> None:
        self.controller.catalog.survey()
