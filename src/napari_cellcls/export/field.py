"""One field ready to be written for others: masks, one row per cell, classes, where it came from.

All exporters take a :class:`Field`. It comes from a project (the journal knows masks and labels of cells that
somebody judged) or from cells and predictions at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cellcls.cells.identity import Anchor, anchors
from napari_cellcls.review.masks import anchor_of
from napari_cellcls.review.table import (
    CELL,
    COMMENTS,
    DISAGREED,
    NOTES,
    OPINIONS,
    SOURCE,
    WHEN,
    decided,
)
from napari_cellcls.vocabulary import CLASS_COLORS, COLUMNS, CellClass, ClassScheme

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.predict import Predictions
    from napari_cellcls.review.fold import State


@dataclass(frozen=True)
class Field:
    """The cells of one plane of one image.

    Attributes
    ----------
    name : str
        Of the image.
    image_id : str
        Its content id, "" when not known.
    anchors : tuple of Anchor
        Place and mask of each cell; ``label`` is unique here.
    table : pandas.DataFrame
        One row per cell in the order of ``anchors``: the columns of
        :data:`~napari_cellcls.vocabulary.COLUMNS`, ``p_<class id>`` where predictions are known,
        ``cell``, ``source``, ``labeled_utc``, ``comments``, ``opinions`` and ``notes``.
    classes : tuple of CellClass
    shape : tuple of int or None
        ``(Y, X)``; None when the image is not at hand.
    multi_label : bool
    group : str
        What its cells must not be separated from when a model is judged: patient, slide, else the image.
    """

    name: str
    image_id: str
    anchors: tuple[Anchor, ...]
    table: pd.DataFrame
    classes: tuple[CellClass, ...]
    shape: tuple[int, int] | None = None
    multi_label: bool = False
    group: str = ""

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.anchors)

    @property
    def pixel_size_um(self) -> tuple[float, float] | None:
        """``(y, x)`` in micrometers, None when not known."""
        return next((a.pixel_size_um for a in self.anchors if a.pixel_size_um), None)

    @property
    def extent(self) -> tuple[int, int]:
        """``(Y, X)``: the image, or as far as the cells reach."""
        if self.shape is not None:
            return self.shape
        boxes = [a.bbox for a in self.anchors]
        return max((b[2] for b in boxes), default=1), max((b[3] for b in boxes), default=1)

    @property
    def probability_columns(self) -> list[str]:
        """Names of the columns ``p_<class id>``."""
        return [c for c in self.table.columns if c.startswith(COLUMNS.probability_prefix)]

    def class_names(self, row: int) -> list[str]:
        """Return the classes of a cell as names, none when nobody and no model said."""
        text = str(self.table[COLUMNS.class_].iloc[row])
        return text.split(COLUMNS.joiner) if text else []

    def label_image(self) -> np.ndarray:
        """Return ``(Y, X)`` int32 of label numbers; where masks overlap, the later row."""
        found = np.zeros(self.extent, np.int32)
        for anchor in self.anchors:
            y0, x0, y1, x1 = anchor.bbox
            found[y0:y1, x0:x1][anchor.pixels()] = anchor.label
        return found


def fields_of_state(
    state: State,
    *,
    shapes: Mapping[str, tuple[int, int]] | None = None,
    predictions: Mapping[str, pd.DataFrame] | None = None,
    multi_label: bool = False,
) -> list[Field]:
    """Return the fields of a project: every cell that somebody judged and whose place is known.

    Parameters
    ----------
    state : State
    shapes : mapping, optional
        Image id -> ``(Y, X)``.
    predictions : mapping, optional
        Image id -> table with the index ``cell`` and columns ``p_<class id>``.
    multi_label : bool

    Returns
    -------
    list of Field
        One per plane, sorted by name; images with several planes have scene, time and depth in the name.
    """
    planes: dict[tuple[str, str, int, int], list[tuple[Anchor, str]]] = {}
    for cell_id in sorted(state.cells):
        anchor = anchor_of(state, cell_id)
        if anchor is not None:
            plane = (anchor.image_id, anchor.scene, anchor.t, anchor.z)
            planes.setdefault(plane, []).append((anchor, cell_id))
    several = {key[0] for key in planes if sum(k[0] == key[0] for k in planes) > 1}
    fields = []
    for (image_id, scene, t, z), members in sorted(planes.items()):
        known = state.images.get(image_id)
        name = known.name if known else image_id
        group = known.group if known and known.groups else name
        if image_id in several:
            name = f"{name} {scene} t{t} z{z}".replace("  ", " ")
        members.sort(key=lambda member: (member[0].label, member[1]))
        places = _numbered([anchor for anchor, _ in members])
        rows = [
            {**_place(place), **decided(state, cell_id)}
            for place, (_, cell_id) in zip(places, members)
        ]
        table = pd.DataFrame(rows)
        if predictions and image_id in predictions:
            found = predictions[image_id].reindex(table[CELL])
            for column in found.columns:
                table[column] = found[column].to_numpy()
        shape = (shapes or {}).get(image_id)
        fields.append(
            Field(
                name, image_id, tuple(places), table, classes_of(state), shape, multi_label, group
            )
        )
    return sorted(fields, key=lambda f: f.name)


def field_of_cells(
    name: str,
    cells: Cells,
    predictions: Predictions,
    *,
    image_id: str = "",
    pixel_size_um: tuple[float, float] | None = None,
    state: State | None = None,
) -> Field:
    """Return a field of cells at hand, with the decisions of a journal where it has some.

    Parameters
    ----------
    name : str
    cells : Cells
    predictions : Predictions
        Of these cells.
    image_id : str
        Content id; needed to find the decisions of ``state``.
    pixel_size_um : tuple of float, optional
    state : State, optional

    Raises
    ------
    CellsError
        ``CELLS-OTHER`` when the predictions are not of these cells.
    """
    places = anchors(cells, image_id, pixel_size_um=pixel_size_um)
    table = predictions.to_table(cells)
    table[CELL] = [place.cell_id for place in places]
    empty = dict.fromkeys((SOURCE, WHEN, COMMENTS, OPINIONS, NOTES), "")
    table = table.assign(**empty)
    if state is not None:
        for row, place in enumerate(places):
            if state.cell(place.cell_id) is not None:
                _decide(table, row, decided(state, place.cell_id))
    classes = predictions.scheme.classes
    if state is not None:
        known = {one.name for one in classes}
        classes = (*classes, *(one for one in classes_of(state) if one.name not in known))
    height, width = (int(n) for n in cells.labels.shape)
    return Field(
        name, image_id, tuple(places), table, classes, (height, width),
        predictions.scheme.multi_label,
    )  # fmt: skip


def classes_of(state: State) -> tuple[CellClass, ...]:
    """Return the classes of a project, those merged into others left out."""
    return tuple(
        CellClass(c.id, c.name, c.color) for c in state.classes.values() if c.merged_into is None
    )


def scheme_of(names: Iterable[str]) -> tuple[CellClass, ...]:
    """Return classes for names that have neither ids nor colors."""
    scheme = ClassScheme.from_names(list(names))
    return tuple(
        CellClass(c.id or f"class_{i}", c.name, CLASS_COLORS[i % len(CLASS_COLORS)])
        for i, c in enumerate(scheme.classes)
    )


def _decide(table: pd.DataFrame, row: int, values: Mapping[str, Any]) -> None:
    # What a model said stays; only what people said is taken from the journal.
    said = (COLUMNS.corrected, COLUMNS.annotator, SOURCE, WHEN, COMMENTS, OPINIONS, NOTES)
    for column in said:
        table.loc[table.index[row], column] = values[column]
    words = [w for w in (table[COLUMNS.flags].iloc[row], values[COLUMNS.flags]) if w]
    table.loc[table.index[row], COLUMNS.flags] = COLUMNS.joiner.join(words)
    if values[COLUMNS.corrected] or DISAGREED in values[COLUMNS.flags]:
        table.loc[table.index[row], COLUMNS.class_] = values[COLUMNS.corrected]


def _place(anchor: Anchor) -> dict[str, Any]:
    c = COLUMNS
    values = (anchor.label, anchor.y, anchor.x, anchor.area_px, anchor.area_um2, *anchor.bbox)
    return dict(zip((c.label, c.y, c.x, c.area_px, c.area_um2, *c.bbox), values))


def _numbered(places: Sequence[Anchor]) -> list[Anchor]:
    """Give every cell a number of its own; the first to have one keeps it."""
    from dataclasses import replace

    taken: set[int] = set()
    top = max((place.label for place in places), default=0)
    found = []
    for place in places:
        label = place.label
        if label in taken or label < 1:
            top += 1
            label = top
        taken.add(label)
        found.append(place if label == place.label else replace(place, label=label))
    return found
