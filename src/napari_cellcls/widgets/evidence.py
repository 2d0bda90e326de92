"""Shows where in one cell the evidence for its class lies, as an image layer in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QObject

from napari_cellcls.vocabulary import CellClsError
from napari_cellcls.widgets.choices import META, OURS
from napari_cellcls.widgets.worker import Runner

if TYPE_CHECKING:
    import napari.viewer

    from napari_cellcls.explain import Heat
    from napari_cellcls.session import Session
    from napari_cellcls.widgets.layers import SessionLayers
    from napari_cellcls.widgets.panels.input_card import InputCard

# Blue, nothing, red: where nothing hangs on a place, the image is seen.
_COLORS = ((0.02, 0.19, 0.6, 1.0), (1.0, 1.0, 1.0, 0.0), (0.7, 0.02, 0.1, 1.0))
_OPACITY = 0.7


class Evidence(QObject):
    """Answers the button of the input card; one layer, which the next answer replaces.

    Red speaks for the class: covered, the model is less sure. Blue speaks against it.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        session: Session,
        layers: SessionLayers,
        card: InputCard,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self.viewer, self.session, self.layers, self.card = viewer, session, layers, card
        self.layer: Any = None
        self._label = 0
        self._runner = Runner(self)
        self._runner.succeeded.connect(self._on_found)
        self._runner.failed.connect(self._on_failed)
        card.evidence_asked.connect(self.look)
        session.predictions_changed.connect(self._forget)

    @property
    def busy(self) -> bool:
        """Whether a cell is being looked at."""
        return self._runner.running

    def retire(self) -> None:
        """React to nothing more."""
        self._runner.cancel()

    def look(self) -> None:
        """Look for the evidence in the cell of the card."""
        session, view = self.session, self.card.view
        image, cells, package = session.image, session.cells, session.package
        if view is None or image is None or cells is None or package is None:
            return
        mapping, label = session.mapping, view.label
        engine, device = session.engine, session.device

        def task() -> Any:
            from napari_cellcls.explain import heat_of
            from napari_cellcls.models.runtime import open_engine

            with open_engine(package, engine=engine, device=device) as opened:
                return (
                    yield from heat_of(image, cells, label, package, mapping=mapping, engine=opened)
                )

        self._label = label
        self._runner.start(task, "Looking where the evidence lies")

    def _on_found(self, heat: Heat) -> None:
        from napari.utils.colormaps import Colormap

        session = self.session
        row = session.row_of(self._label)
        if session.predictions is None or session.image is None or row is None:
            return
        k = int(session.predictions.probabilities[row].argmax())
        name = f"{session.image.name}: evidence for {session.predictions.scheme.names[k]}"
        values = heat.values[k]
        most = max(float(np.abs(heat.values).max()), 1e-6)
        active = self.viewer.layers.selection.active
        self._remove()
        self.layer = self.viewer.add_image(
            values, name=f"{name}, cell {self._label}", opacity=_OPACITY,
            colormap=Colormap(_COLORS, name="evidence"), contrast_limits=(-most, most), blending="translucent",
            metadata={META: {OURS: True}}, **self._place(heat.origin),
        )  # fmt: skip
        if active is not None and active in self.viewer.layers:
            self.viewer.layers.selection.active = active

    def _place(self, origin: tuple[int, int]) -> dict[str, Any]:
        """Return the placement of a part of the image that begins at ``origin``."""
        from napari.utils.transforms import Affine

        options = dict(self.layers.placement.options)
        kept = {k: options[k] for k in ("scale", "rotate", "shear") if k in options}
        moved = np.asarray(Affine(ndim=2, **kept)(origin))
        options["translate"] = tuple(np.asarray(options.get("translate", (0.0, 0.0))) + moved)
        return options

    def _on_failed(self, error: CellClsError) -> None:
        self.card.verdict.setText(f"{error.what} {error.why}".strip())

    def _forget(self) -> None:
        """Take away what was said by other predictions."""
        self._runner.cancel()
        self._remove()

    def _remove(self) -> None:
        if self.layer is not None and self.layer in self.viewer.layers:
            self.viewer.layers.remove(self.layer)
        self.layer = None
