"""The cells of one image plane as rows: who each is, what a model says, what people decided.

A sheet holds arrays, so that thousands of rows are sorted and filtered at once. It decides nothing and
writes nothing; see :mod:`napari_cellcls.review.desk`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.identity import Anchor, anchors
from napari_cellcls.review.events import Flag, Shown, Source
from napari_cellcls.review.fold import State
from napari_cellcls.review.queue import doubt_of
from napari_cellcls.review.state import CellState, ClassState, Decision
from napari_cellcls.vocabulary import COLUMNS, ClassScheme

FLAGS = tuple(str(flag) for flag in Flag)
"""Flag ``k`` is bit ``k`` of :attr:`Sheet.flags`."""
SOURCES = tuple(str(source) for source in Source)
"""Source ``k`` is number ``k`` in :attr:`Sheet.source`."""


class Opinion(Protocol):
    """What a model says about the cells, row by row (``predict.Predictions`` is one)."""

    @property
    def scheme(self) -> ClassScheme:
        """Classes of the model."""

    @property
    def probabilities(self) -> np.ndarray:
        """``(N, K)`` float32, calibrated."""

    @property
    def assigned(self) -> np.ndarray:
        """``(N, K)`` bool: classes that pass their threshold."""

    @property
    def confidence(self) -> np.ndarray:
        """``(N,)`` float32, 0..1."""

    @property
    def embeddings(self) -> np.ndarray | None:
        """``(N, E)`` float32, or None."""

    @property
    def model(self) -> str:
        """``name@version``."""

    @property
    def model_sha(self) -> str:
        """SHA-256 of the package."""


@dataclass(frozen=True)
class Plane:
    """Which plane the cells lie in: content id of the image, scene, time, depth, pixel size."""

    image_id: str
    name: str = ""
    path: str | None = None
    scene: str = ""
    t: int = 0
    z: int = 0
    pixel_size_um: tuple[float, float] | None = None


class Sheet:
    """Rows for the cells of one plane, in table order.

    Parameters
    ----------
    cells : Cells
    plane : Plane
    opinion : Opinion, optional
        Row ``i`` is about cell ``i``.
    ids : sequence of str, optional
        Ids of all cells where the journal knows them already (cells drawn from stored masks).

    Attributes
    ----------
    classes : tuple of ClassState
        Live classes of the project; the columns below.
    judged : numpy.ndarray
        ``(N, P)`` int8: 1 yes, -1 no, 0 not judged. The last word where people disagreed and somebody
        settled it; else my own judgment, else the latest of others.
    assigned : numpy.ndarray
        ``(N, P)`` bool, what the model says.
    label, predicted, shown : numpy.ndarray
        ``(N,)`` int16: number of the class people gave, of the one predicted, of the one people see
        (label, else prediction); -1 for none. A cell with several classes has the first here.
    mine, skipped, disagreed : numpy.ndarray
        ``(N,)`` bool.
    flags, source : numpy.ndarray
        ``(N,)`` uint8 bits and int8 (-1: no label).
    boxes : numpy.ndarray
        ``(N, 4)`` int64 ``y0, x0, y1, x1``, half-open.
    by : dict of str to numpy.ndarray
        Annotator -> ``(N,)`` bool.
    blind : bool
        Whether predictions, and what others decided, stay hidden.
    again : numpy.ndarray
        ``(N,)`` bool: cells that wait for me although I have judged them (a label that may be wrong).
    """

    def __init__(
        self,
        cells: Cells,
        plane: Plane,
        opinion: Opinion | None = None,
        ids: Sequence[str] | None = None,
    ) -> None:
        self.cells, self.plane, self.opinion = cells, plane, opinion
        self.blind = False
        count = len(cells)
        self.again = np.zeros(count, bool)
        self.doubt = np.full(count, np.nan, np.float32)
        self.confidence = np.full(count, np.nan, np.float32)
        if opinion is not None and len(opinion.scheme):
            self.confidence = np.asarray(opinion.confidence, np.float32)
            if len(opinion.scheme) > 1 or opinion.scheme.multi_label:
                several = opinion.scheme.multi_label
                self.doubt = doubt_of(opinion.probabilities, multi_label=several)
        self.boxes = cells.table[list(COLUMNS.bbox)].to_numpy(np.int64)
        self.area = cells.table[COLUMNS.area_px].to_numpy(np.float64)
        self._id_of: dict[int, str] = dict(enumerate(ids)) if ids is not None else {}
        self._row_of: dict[str, int] = {one: row for row, one in self._id_of.items()}
        self.annotator = ""
        self._take_classes(())

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.cells)

    def expect(self, classes: Sequence[ClassState]) -> None:
        """Show predictions with these classes while there is no project."""
        self._take_classes(tuple(classes))

    def forget(self) -> None:
        """Know no ids and no decisions any more: another project is opened."""
        self._id_of, self._row_of = {}, {}
        self._take_classes(())

    def link(self, state: State) -> tuple[str, ...]:
        """Find the cells that the journal knows; return the ids of those of this plane that are not here.

        The same mask in the same plane is the same cell. What is returned has labels on the masks
        of another segmentation (see :func:`~napari_cellcls.review.masks.carry_over`).
        """
        there = self._places_in(state)
        if not there:
            return ()
        columns = np.column_stack([self.boxes, self.area.astype(np.int64)])
        by_box: dict[tuple[int, ...], list[int]] = {}
        for row, box in enumerate(map(tuple, columns.tolist())):
            by_box.setdefault(box, []).append(row)
        likely = {cell_id: by_box.get(box, []) for cell_id, (box, _) in there.items()}
        rows = sorted({row for found in likely.values() for row in found})
        masks = dict(zip(rows, (one.mask for one in self.anchors(rows)), strict=True))
        strangers = []
        for cell_id, (_, mask) in there.items():
            same = [row for row in likely[cell_id] if masks[row] == mask]
            if same:
                self._know(same[0], cell_id)
            else:
                strangers.append(cell_id)
        return tuple(strangers)

    def _places_in(self, state: State) -> dict[str, tuple[tuple[int, ...], str]]:
        """Return box with area, and mask, of the cells decided about in this plane and not known yet."""
        plane, found = self.plane, {}
        for cell_id in tuple(state.cells):  # people may go on deciding meanwhile
            if cell_id in self._row_of or state.image_of(cell_id) != plane.image_id:
                continue
            stored = state.anchor(cell_id)
            where = tuple(stored.get(name) for name in ("scene", "t", "z"))
            box, area = stored.get("bbox"), stored.get("area_px")
            if where == (plane.scene, plane.t, plane.z) and isinstance(box, list):
                found[cell_id] = (*box, area), str(stored.get("mask"))
        return found

    def anchors(self, rows: Iterable[int]) -> list[Anchor]:
        """Return where cells are, in the order of ``rows``."""
        some = Cells(self.cells.labels, self.cells.table.iloc[list(rows)], self.cells.method)
        place = self.plane
        return anchors(
            some, place.image_id, pixel_size_um=place.pixel_size_um, scene=place.scene,
            t=place.t, z=place.z,
        )  # fmt: skip

    def known_id(self, row: int) -> str | None:
        """Return the id under which the journal knows a cell, None when it does not yet."""
        return self._id_of.get(row)

    def row_of(self, cell_id: str) -> int | None:
        """Return the row of a cell, None when it is in another plane or segmentation."""
        return self._row_of.get(cell_id)

    def meet(self, rows: Sequence[int], state: State) -> tuple[list[str], list[Anchor]]:
        """Return the ids of cells, and where those are that the journal does not know yet."""
        new = [row for row in rows if row not in self._id_of]
        found = self.anchors(new) if new else []
        for row, anchor in zip(new, found, strict=True):
            self._know(row, state.canonical(anchor.cell_id))
        return [self._id_of[row] for row in rows], found

    def shown_to(self, row: int, column: int | None = None) -> Shown | None:
        """Return what a person sees of the model's opinion: of one class, or of the one predicted."""
        opinion = self.opinion
        if opinion is None or self.blind:
            return None
        column = int(self.predicted[row]) if column is None else column
        if column < 0:
            return Shown(opinion.model, opinion.model_sha)
        k = int(self.model_columns[column])
        chance = float(opinion.probabilities[row, k]) if k >= 0 else None
        return Shown(opinion.model, opinion.model_sha, self.classes[column].id, chance)

    def probability(self, row: int, column: int) -> float | None:
        """Return the probability of a class of the project, None when the model does not know it."""
        k = int(self.model_columns[column])
        return None if k < 0 or self.opinion is None else float(self.opinion.probabilities[row, k])

    def refresh(self, state: State, annotator: str, rows: Sequence[int] | None = None) -> None:
        """Take in what the journal says now, about all cells or some rows."""
        self.annotator = annotator
        live = tuple(c for c in tuple(state.classes.values()) if c.merged_into is None)
        if rows is None or live != self.classes:
            self._take_classes(live)
            rows = list(self._id_of)
        for row in rows:
            cell = state.cell(self._id_of[row]) if row in self._id_of else None
            self._take_row(row, cell)
        self.shown = np.where(self.label >= 0, self.label, self._visible_prediction)

    @property
    def _visible_prediction(self) -> np.ndarray:
        return np.full(len(self), -1, np.int16) if self.blind else self.predicted

    def is_open(self) -> np.ndarray:
        """Return which cells still wait for me: neither judged nor skipped by me, ``(N,)`` bool."""
        return ~self.mine & ~self.skipped | self.again

    def effective(self) -> np.ndarray:
        """Return the classes each cell has, people's word before the model's: ``(N, P)`` bool."""
        decided = (self.judged != 0).any(axis=1)
        if self.blind:
            return np.asarray(self.judged == 1)
        return np.asarray(np.where(decided[:, None], self.judged == 1, self.assigned))

    def _know(self, row: int, cell_id: str) -> None:
        self._id_of[row] = cell_id
        self._row_of[cell_id] = row

    def _take_classes(self, live: tuple[ClassState, ...]) -> None:
        self.classes = live
        self._column = {one.id: k for k, one in enumerate(live)}
        count, width = len(self), len(live)
        self.model_columns = model_columns(live, self.opinion.scheme if self.opinion else None)
        self.assigned = np.zeros((count, width), bool)
        self.predicted = np.full(count, -1, np.int16)
        known = np.flatnonzero(self.model_columns >= 0)
        if self.opinion is not None and len(known):
            k = self.model_columns[known]
            self.assigned[:, known] = self.opinion.assigned[:, k]
            chance = np.where(self.assigned[:, known], self.opinion.probabilities[:, k], -1.0)
            best = known[chance.argmax(axis=1)]
            self.predicted = np.where(self.assigned.any(axis=1), best, -1).astype(np.int16)
        self.judged = np.zeros((count, width), np.int8)
        self.label = np.full(count, -1, np.int16)
        self.mine, self.skipped, self.disagreed = (np.zeros(count, bool) for _ in range(3))
        self.flags, self.source = np.zeros(count, np.uint8), np.full(count, -1, np.int8)
        self.by: dict[str, np.ndarray] = {}
        self.shown = self._visible_prediction.copy()

    def _take_row(self, row: int, cell: CellState | None) -> None:
        decisions: Mapping[str, Decision] = cell.decisions if cell is not None else {}
        mine = decisions.get(self.annotator)
        if self.blind:
            decisions = {self.annotator: mine} if mine is not None else {}
        for mask in self.by.values():
            mask[row] = False
        for name, one in decisions.items():
            if one.judged:
                self._mask_of(name)[row] = True
        told = mine if mine is not None and mine.judged else _latest(decisions)
        if cell is not None and cell.final is not None and not self.blind:
            told = cell.final
        self.judged[row] = 0
        if told is not None:
            for class_id, value in told.judged.items():
                if class_id in self._column:
                    self.judged[row, self._column[class_id]] = 1 if value == "yes" else -1
        yes = self.judged[row] == 1
        self.label[row] = int(yes.argmax()) if yes.any() else -1
        event = told.event if told is not None else None
        self.source[row] = SOURCES.index(event.source) if event is not None else -1
        self.mine[row] = mine is not None and bool(mine.judged)
        self.skipped[row] = mine is not None and mine.skipped
        self.disagreed[row] = _is_open_dispute(cell) and not self.blind
        raised = frozenset().union(*(one.flags for one in decisions.values()))
        self.flags[row] = sum(1 << k for k, name in enumerate(FLAGS) if name in raised)

    def _mask_of(self, annotator: str) -> np.ndarray:
        if annotator not in self.by:
            self.by[annotator] = np.zeros(len(self), bool)
        return self.by[annotator]


def model_columns(classes: Sequence[ClassState], scheme: ClassScheme | None) -> np.ndarray:
    """Return for each class of a project which output of a model it is, -1 for none.

    Classes are the same when their ids are, else when their names are (capitals do not matter).
    """
    found = np.full(len(classes), -1, np.int64)
    if scheme is None:
        return found
    ids = {one.id: k for k, one in enumerate(scheme.classes)}
    names = {one.name.casefold(): k for k, one in enumerate(scheme.classes)}
    for column, one in enumerate(classes):
        found[column] = ids.get(one.id, names.get(one.name.casefold(), -1))
    return found


def _is_open_dispute(cell: CellState | None) -> bool:
    return cell is not None and cell.final is None and cell.disagreed


def _latest(decisions: Mapping[str, Decision]) -> Decision | None:
    judged = [one for one in decisions.values() if one.judged and one.event is not None]
    return max(judged, key=lambda one: one.event.key if one.event else (0, ""), default=None)
