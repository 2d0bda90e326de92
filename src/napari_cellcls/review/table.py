"""The labels of a journal as a table: one row per cell and annotator, in the columns of every table."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from napari_cellcls.review.fold import State
from napari_cellcls.review.masks import anchor_of
from napari_cellcls.review.state import CellState, Decision
from napari_cellcls.vocabulary import COLUMNS

IMAGE, CELL, SOURCE, RULED_OUT, SKIPPED, WHEN, COMMENTS = (
    "image", "cell", "source", "ruled_out", "skipped", "labeled_utc", "comments",
)  # fmt: skip
"""Columns beside those of :data:`~napari_cellcls.vocabulary.COLUMNS`."""

_PLACE = (
    COLUMNS.label, COLUMNS.y, COLUMNS.x, COLUMNS.area_px, COLUMNS.area_um2, *COLUMNS.bbox,
)  # fmt: skip
_DECISION = (
    COLUMNS.predicted, COLUMNS.confidence, COLUMNS.corrected, COLUMNS.class_, RULED_OUT, SKIPPED,
    SOURCE, COLUMNS.annotator, WHEN, COLUMNS.model, COLUMNS.flags, COMMENTS,
)  # fmt: skip
LABEL_COLUMNS = (IMAGE, CELL, *_PLACE, *_DECISION)
"""All columns, in order."""

OPINIONS = "opinions"
"""Column of tables with one row per cell: annotator -> class names, for every annotator; JSON text.

Names are joined with ``|``; ``!`` in front says that the class was ruled out.
"""
NOTES = "notes"
"""Column of tables with one row per cell: who flagged, skipped and remarked what; JSON text.

``{"ana": {"flags": ["ambiguous"], "skipped": true, "comments": ["torn"]}}``, only what there is.
"""
DISAGREED = "disagreed"
"""Flag of a cell on which people differ and nobody said the last word."""


def decided(state: State, cell_id: str) -> dict[str, Any]:
    """Return what is to be taken of a cell, as one row: the last word, else what people agree on.

    Where they differ, ``corrected`` and ``class`` are empty and the flag ``disagreed`` is set; what each
    of them said is in ``opinions`` in any case.
    """
    cell = state.cells[state.canonical(cell_id)]
    settled = cell.settled
    judged = {name: d for name, d in cell.decisions.items() if d.judged}
    row = _decided(state, settled if settled is not None else Decision(""))
    flags = set(cell.flags)
    if settled is None and len(judged) > 1:
        flags.add(DISAGREED)
    if cell.final is None and judged:
        row[COLUMNS.annotator] = COLUMNS.joiner.join(judged)
    opinions = {name: _opinion(state, d) for name, d in judged.items()}
    return {
        CELL: cell.cell_id,
        **row,
        SKIPPED: any(d.skipped for d in cell.decisions.values()),
        COLUMNS.flags: COLUMNS.joiner.join(sorted(flags)),
        COMMENTS: " / ".join(comment.text for comment in cell.comments),
        OPINIONS: json.dumps(opinions, ensure_ascii=False) if opinions else "",
        NOTES: json.dumps(notes, ensure_ascii=False) if (notes := _notes(cell)) else "",
    }


def label_table(state: State) -> pd.DataFrame:
    """Return everything that was decided about cells.

    Returns
    -------
    pandas.DataFrame
        Columns :data:`LABEL_COLUMNS`, sorted by image, label, cell and annotator. ``predicted`` and
        ``confidence`` are what was shown to the annotator; ``corrected`` and ``class`` are the
        annotator's classes, joined with ``|``; ``ruled_out`` the classes judged *no*. What is not
        known is empty.
    """
    rows = [row for cell_id in state.cells for row in _rows(state, state.cells[cell_id])]
    table = pd.DataFrame(rows, columns=list(LABEL_COLUMNS))
    for name in (COLUMNS.label, COLUMNS.area_px, *COLUMNS.bbox):
        table[name] = table[name].astype("Int64")
    return table.sort_values(
        [IMAGE, COLUMNS.label, CELL, COLUMNS.annotator], kind="stable", ignore_index=True
    )


def _rows(state: State, cell: CellState) -> list[dict[str, Any]]:
    place = _place(state, cell.cell_id)
    comments: dict[str, list[str]] = {}
    for comment in cell.comments:
        comments.setdefault(comment.annotator, []).append(comment.text)
    rows = []
    for annotator in sorted({*cell.decisions, *comments}):
        decision = cell.decisions.get(annotator, Decision(annotator))
        rows.append(
            {
                **place,
                **_decided(state, decision),
                COMMENTS: " / ".join(comments.get(annotator, [])),
            }
        )
    if cell.final is not None:
        rows.append({**place, **_decided(state, cell.final), COMMENTS: ""})
    return rows


def _place(state: State, cell_id: str) -> dict[str, Any]:
    anchor = anchor_of(state, cell_id)
    if anchor is None:
        return {IMAGE: "", CELL: cell_id}
    image = state.images.get(anchor.image_id)
    name = image.name if image else anchor.image_id
    values = (
        anchor.label, anchor.y, anchor.x, anchor.area_px, anchor.area_um2, *anchor.bbox,
    )  # fmt: skip
    return {IMAGE: name, CELL: cell_id, **dict(zip(_PLACE, values))}


def _decided(state: State, decision: Decision) -> dict[str, Any]:
    event = decision.event
    classes = _names(state, decision.classes)
    model = ""
    if event is not None and event.shown_model:
        model = f"{event.shown_model} {(event.shown_sha or '')[:8]}".strip()
    shown = event.shown_class if event is not None else None
    return {
        COLUMNS.predicted: _names(state, (shown,)) if shown else "",
        COLUMNS.confidence: event.shown_prob if event is not None else None,
        COLUMNS.corrected: classes,
        COLUMNS.class_: classes,
        RULED_OUT: _names(state, decision.ruled_out),
        SKIPPED: decision.skipped,
        SOURCE: event.source if event is not None else "",
        COLUMNS.annotator: decision.annotator,
        WHEN: event.created_utc if event is not None else "",
        COLUMNS.model: model,
        COLUMNS.flags: COLUMNS.joiner.join(sorted(decision.flags)),
    }


def _opinion(state: State, decision: Decision) -> str:
    ruled_out = (f"!{_names(state, (class_id,))}" for class_id in decision.ruled_out)
    names = [_names(state, decision.classes), *ruled_out]
    return COLUMNS.joiner.join(name for name in names if name)


def _notes(cell: CellState) -> dict[str, dict[str, Any]]:
    notes: dict[str, dict[str, Any]] = {}
    for name, decision in cell.decisions.items():
        if decision.flags:
            notes.setdefault(name, {})["flags"] = sorted(decision.flags)
        if decision.skipped:
            notes.setdefault(name, {})["skipped"] = True
    for comment in cell.comments:
        notes.setdefault(comment.annotator, {}).setdefault("comments", []).append(comment.text)
    return notes


def _names(state: State, class_ids: tuple[str, ...]) -> str:
    known = state.classes
    return COLUMNS.joiner.join(known[c].name if c in known else c for c in class_ids)
