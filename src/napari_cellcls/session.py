"""The session: the one mutable object per viewer. It owns what is chosen and what was found.

It knows no Qt and no napari, and it imports nothing heavy: the windows and scripts that use it
listen to its signals and call its methods. Long work comes back as a
:data:`~napari_cellcls.vocabulary.Task` that reads the session once, at its start, and never
writes to it: the caller hands the result to :meth:`Session.accept`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_cellcls import workflow
from napari_cellcls.vocabulary import CellClsError, ChannelError, ClassScheme, Estimate, Task
from napari_cellcls.workflow import METHODS, Method, Outcome

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.counting import ClassCounts
    from napari_cellcls.images.channels import ChannelMapping
    from napari_cellcls.images.image import Image
    from napari_cellcls.models.manifest import Manifest
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.predict import Predictions


@dataclass(frozen=True, eq=False)
class Corrected:
    """The classes of all cells, people's word before the model's.

    Attributes
    ----------
    scheme : ClassScheme
        Of the project; may have more classes than the model.
    assigned : numpy.ndarray
        ``(N, K)`` bool.
    judged : int
        Cells that people decided about.
    """

    scheme: ClassScheme
    assigned: np.ndarray
    judged: int


class Session:
    """Image, cells, model, channel mapping, engine, thresholds and predictions of one viewer.

    Signals (psygnal, without arguments) fire after the change. What depends on a changed part is
    dropped first (a new image drops cells and predictions): no listener sees old and new mixed.
    """

    image_changed = Signal()
    cells_changed = Signal()
    model_changed = Signal()
    mapping_changed = Signal()
    engine_changed = Signal()
    predictions_changed = Signal()
    thresholds_changed = Signal()
    corrections_changed = Signal()

    def __init__(self) -> None:
        self.image: Image | None = None
        self.cells: Cells | None = None
        self.method: Method | None = None
        self.manifest: Manifest | None = None
        self.package: ModelPackage | None = None
        self.model_name = ""
        self.overrides: dict[str, str | int] = {}
        self.mapping: ChannelMapping | None = None
        self.mapping_error: ChannelError | None = None
        self.engine, self.device = "auto", "auto"
        self.thresholds: tuple[float, ...] | None = None
        self.predictions: Predictions | None = None
        self.corrected: Corrected | None = None
        self._raw: Predictions | None = None

    def set_image(self, image: Image | None) -> None:
        """Use another image; cells, predictions and channel overrides are dropped."""
        self.image, self.overrides = image, {}
        self._drop_cells()
        self._match()
        self.image_changed.emit()

    def set_method(self, method: Method | None) -> None:
        """Find the cells with ``method`` when they are needed (None: no cells chosen)."""
        if method is not None and method not in METHODS:
            raise ValueError(f"method must be one of {METHODS}; received {method!r}")
        self.method = method
        self._drop_cells()

    def set_cells(self, cells: Cells | None) -> None:
        """Use ready cells (found, or made from a label image)."""
        self._drop_predictions()
        self.cells = cells
        self.cells_changed.emit()

    def set_model(
        self, manifest: Manifest | None, *, name: str = "", package: ModelPackage | None = None
    ) -> None:
        """Use another model; thresholds and channel choices return to its own.

        ``manifest`` is enough for everything but classifying; ``name`` (or a path) is what
        :func:`models.registry.load` gets the weights by, unless ``package`` is given.
        """
        self.manifest, self.package = manifest, package
        self.model_name = name or (manifest.name if manifest is not None else "")
        self.overrides, self.thresholds = {}, workflow.default_thresholds(manifest)
        self._drop_predictions()
        self._match()
        self.model_changed.emit()

    def set_engine(self, engine: str = "auto", device: str = "auto") -> None:
        """Choose engine and device; predictions stay (engines agree within 1e-3)."""
        if (engine, device) != (self.engine, self.device):
            self.engine, self.device = engine, device
            self.engine_changed.emit()

    def set_overrides(self, overrides: Mapping[str, str | int]) -> None:
        """Map model inputs (by role) to channels (by name or index) by hand."""
        self.overrides = dict(overrides)
        self._drop_predictions()
        self._match()

    def set_thresholds(self, thresholds: tuple[float, ...] | None) -> None:
        """Set the probability from which on a class is assigned, one per class, each in 0..1."""
        scheme = self.scheme
        if thresholds is not None and (scheme is None or len(thresholds) != len(scheme)):
            raise ValueError(f"one threshold per class is needed; received {thresholds}")
        if thresholds == self.thresholds:
            return
        self.thresholds, self.corrected = thresholds, None
        self.predictions = self._apply_thresholds(self._raw)
        self.thresholds_changed.emit()
        if self.predictions is not None:
            self.predictions_changed.emit()

    def set_precision(self, precision: float) -> None:
        """Set the thresholds above which that share of the cells of each class is right.

        It is the share that the calibrated probabilities of these cells tell (0.5 to 0.999).
        Nothing changes before a classification.
        """
        from napari_cellcls.models.head import thresholds_for

        if self._raw is not None and len(self._raw):
            self.set_thresholds(thresholds_for(self._raw.probabilities, precision))

    def set_corrected(self, corrected: Corrected | None) -> None:
        """Count with what people said where they said it; None: with the predictions alone.

        :attr:`predictions` stays what the model said.
        """
        self.corrected = corrected if self.predictions is not None else None
        self.corrections_changed.emit()

    def find_cells(self) -> Task[Cells]:
        """Return the task that finds the cells with the chosen method (``NO-IMAGE``, ``NO-CELLS-CHOSEN``)."""
        if self.image is None:
            raise workflow.no_image()
        if self.method is None:
            raise workflow.no_method()
        return workflow.find(self.image, self.method)

    def classify(self, *, batch_size: int = 256) -> Task[Outcome]:
        """Return the task that finds the cells if need be and predicts their classes.

        Parameters
        ----------
        batch_size : int
            Cells per network call.

        Raises
        ------
        CellClsError
            When a choice is missing; the same text as :attr:`obstacle`.
        """
        obstacle = self.obstacle
        if obstacle is not None:
            raise obstacle
        assert self.image is not None and self.mapping is not None
        setup = workflow.Setup(
            self.image, self.cells, self.method, self.package, self.model_name, self.mapping,
            self.engine, self.device, batch_size,
        )  # fmt: skip
        return workflow.classify(setup)

    def accept(self, outcome: Outcome) -> None:
        """Take the result of :meth:`classify`; call it in the thread that owns the session."""
        if self.cells is not outcome.cells:
            self.cells = outcome.cells
            self.cells_changed.emit()
        self.package, self._raw, self.corrected = outcome.package, outcome.predictions, None
        self.predictions = self._apply_thresholds(outcome.predictions)
        self.predictions_changed.emit()

    @property
    def scheme(self) -> ClassScheme | None:
        """Classes of the model, None without a model or for one that has no classes yet."""
        return None if self.manifest is None else workflow.class_scheme(self.manifest)

    @property
    def obstacle(self) -> CellClsError | None:
        """What keeps :meth:`classify` from starting, None when nothing does."""
        if self.image is None:
            return workflow.no_image()
        if self.cells is None and self.method is None:
            return workflow.no_method()
        if self.manifest is None:
            return workflow.no_model()
        if self.scheme is None:
            return workflow.no_classes(self.manifest)
        if self.mapping_error is not None:
            return self.mapping_error
        if self.cells is not None and not len(self.cells):
            return workflow.no_cells(self.cells)
        return None

    @property
    def codes(self) -> np.ndarray:
        """Class number of each cell, uint8 ``(N,)``: 1..K, K + 1 for "no class", 0 unclassified.

        A cell with several classes shows the most probable of them.
        """
        if self.cells is None:
            return np.zeros(0, np.uint8)
        if self.predictions is None:
            return np.zeros(len(self.cells), np.uint8)
        assigned = np.asarray(self.predictions.assigned, bool)
        if not len(assigned):
            return np.zeros(0, np.uint8)
        best = np.where(assigned, self.predictions.probabilities, -1.0).argmax(axis=1) + 1
        codes = np.where(assigned.any(axis=1), best, assigned.shape[1] + 1)
        return np.asarray(codes, np.uint8)

    def row_of(self, label: int) -> int | None:
        """Return the table row of cell ``label``, None when it is no cell of the session."""
        if self.cells is None or label <= 0:
            return None
        ids = self.cells.ids
        row = int(np.searchsorted(ids, label))
        return row if row < len(ids) and ids[row] == label else None

    def counts(self) -> ClassCounts | None:
        """Return the counts per class, people's word before the model's; None before a classification."""
        from napari_cellcls.counting import class_counts, counts_of

        if self.corrected is not None:
            return counts_of(self.corrected.assigned, self.corrected.scheme)
        return None if self.predictions is None else class_counts(self.predictions)

    def parasitaemia(self) -> dict[str, Estimate]:
        """Return share of infected cells, apparent and corrected; empty for other models.

        The apparent one counts people's word where there is one. Correcting for the model's errors
        is about its predictions alone.
        """
        from napari_cellcls.counting import parasitaemia, parasitaemia_of

        if self.predictions is None or self.package is None or not len(self.predictions.ids):
            return {}
        found = parasitaemia(self.predictions, self.package)
        counts = self.counts()
        if found and self.corrected is not None and counts is not None:
            told = parasitaemia_of(counts, self.package.manifest.metrics)
            found["apparent"] = told.get("apparent", found["apparent"])
        return found

    def _drop_cells(self) -> None:
        had, self.cells = self.cells is not None, None
        self._drop_predictions()
        if had:
            self.cells_changed.emit()

    def _drop_predictions(self) -> None:
        if self.predictions is not None:
            self.predictions = self._raw = self.corrected = None
            self.predictions_changed.emit()

    def _match(self) -> None:
        from napari_cellcls.images.channels import match

        self.mapping, self.mapping_error = None, None
        if self.image is not None and self.manifest is not None:
            try:
                self.mapping = match(self.image, self.manifest.planes, self.overrides)
            except ChannelError as error:
                self.mapping_error = error
        self.mapping_changed.emit()

    def _apply_thresholds(self, raw: Predictions | None) -> Predictions | None:
        from napari_cellcls.models.head import decide

        if raw is None or self.thresholds is None:
            return raw
        assigned, confidence = decide(raw.probabilities, self.thresholds, raw.scheme.multi_label)
        return replace(raw, assigned=assigned, confidence=confidence)
