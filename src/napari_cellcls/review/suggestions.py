"""What the queue asks for first, remembered: made beside the window, and anew only when something was decided.

The answer belongs to the decisions that it was asked with. Where others were made meanwhile it is not used, so
that an answer that comes late can never be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_cellcls.review import queue
from napari_cellcls.review.sheet import Sheet, model_columns
from napari_cellcls.review.state import ClassState
from napari_cellcls.vocabulary import ClassScheme

MOST = 60
"""Cells that the queue is asked for."""


@dataclass(frozen=True, eq=False)
class Decided:
    """What people had decided about a sheet at one moment.

    Attributes
    ----------
    closed : numpy.ndarray
        Rows that wait for nobody, int64, ascending.
    classes : tuple of ClassState
    labels : numpy.ndarray
        ``(P,)`` cells with each class.
    """

    closed: np.ndarray
    classes: tuple[ClassState, ...]
    labels: np.ndarray

    @classmethod
    def of(cls, sheet: Sheet) -> Decided:
        """Copy it; in the thread that owns the sheet."""
        closed = np.flatnonzero(~sheet.is_open())
        return cls(closed, sheet.classes, (sheet.judged == 1).sum(axis=0))

    def per_output(self, scheme: ClassScheme) -> tuple[int, ...]:
        """Return the cells with each class of a model."""
        counts = [0] * len(scheme)
        for column, k in enumerate(model_columns(self.classes, scheme)):
            if k >= 0:
                counts[k] += int(self.labels[column])
        return tuple(counts)


class Suggestions:
    """What one model says of the cells of a sheet, and which of them it suggests to look at.

    Attributes
    ----------
    scheme : ClassScheme or None
        Classes of the model.

    Parameters
    ----------
    count : int
        Cells, ``N``.
    scheme : ClassScheme, optional
        Classes of the model; None where nothing was predicted.
    probabilities : numpy.ndarray, optional
        ``(N, K)``.
    embeddings : numpy.ndarray, optional
        ``(N, E)``.
    points : numpy.ndarray, optional
        :attr:`points` of earlier ones of the same cells and embeddings.
    """

    def __init__(
        self,
        count: int,
        scheme: ClassScheme | None = None,
        probabilities: np.ndarray | None = None,
        embeddings: np.ndarray | None = None,
        points: np.ndarray | None = None,
    ) -> None:
        self.scheme = scheme
        self._pool = queue.pool(
            [str(row) for row in range(count)], embeddings, probabilities,
            multi_label=scheme is not None and scheme.multi_label, points=points,
        )  # fmt: skip
        self._known: tuple[tuple[bytes, Sequence[int] | None], tuple[int, ...]] | None = None

    @property
    def points(self) -> np.ndarray | None:
        """Unit vectors ``(N, D)`` of the cells, None without embeddings."""
        return self._pool.points

    def first(self, decided: Decided) -> tuple[int, ...]:
        """Return the rows to look at first, at most :data:`MOST`; at once where nothing changed since."""
        labels = None
        if self.scheme is not None and self._pool.probabilities is not None:
            labels = decided.per_output(self.scheme)
        asked = decided.closed.tobytes(), labels
        if self._known is None or self._known[0] != asked:
            closed = {str(row) for row in decided.closed.tolist()}
            found = queue.next_cells(self._pool, closed, MOST, class_counts=labels)
            self._known = asked, tuple(item.row for item in found)
        return self._known[1]
