"""Tells *Classify cells* what people said: its result table, tooltips and features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellcls.session import Corrected
from napari_cellcls.vocabulary import COLUMNS
from napari_cellcls.widgets.review.picture import decided, scheme_of

if TYPE_CHECKING:
    import pandas as pd

    from napari_cellcls.review.sheet import Sheet
    from napari_cellcls.session import Session

_LABELED = "labeled by people"


def tell(
    session: Session, layer: Any, sheet: Sheet, decides: bool, rows: Sequence[int] | None = None
) -> None:
    """Let a session and its layer say what people said about the cells that it classified.

    Parameters
    ----------
    session : Session
    layer : napari layer or None
        The one with ids and features.
    sheet : Sheet
        Nothing happens when it is about other predictions.
    decides : bool
        Whether a project is open.
    rows : sequence of int, optional
        What changed; all by default.
    """
    predictions = session.predictions
    if predictions is None or predictions is not sheet.opinion or not len(sheet.classes):
        return
    judged = int((sheet.judged != 0).any(axis=1).sum())
    if decides and judged and not sheet.blind:
        session.set_corrected(Corrected(scheme_of(sheet), sheet.effective(), judged))
    elif session.corrected is not None:
        session.set_corrected(None)
    tell_features(layer, sheet, rows)


def tell_features(layer: Any, sheet: Sheet, rows: Sequence[int] | None = None) -> None:
    """Set the class of rows (all by default) in the features of a layer, in place and without an event.

    An event would make napari rebuild its table of all cells: 0.2 s for 5,000 (measured).
    """
    if layer is None:
        return
    frame = layer.features
    if "class" not in frame or "index" not in frame:
        return
    if rows is None:
        wanted = np.flatnonzero(decided(sheet))
        if not len(wanted) and _LABELED not in frame:
            return
        wanted = np.arange(len(sheet))
    else:
        wanted = np.asarray(rows, np.int64)
    names = [COLUMNS.joiner.join(_names(sheet, row)) or "no class" for row in wanted.tolist()]
    _know(frame, set(names))
    if _LABELED not in frame:
        frame[_LABELED] = False
    at = _places(frame, sheet.cells.ids[wanted])
    if len(at) == 1:
        frame.iat[int(at[0]), frame.columns.get_loc("class")] = names[0]
        frame.iat[int(at[0]), frame.columns.get_loc(_LABELED)] = bool(decided(sheet)[wanted[0]])
        return
    frame.iloc[at, frame.columns.get_loc("class")] = names
    frame.iloc[at, frame.columns.get_loc(_LABELED)] = decided(sheet)[wanted]


def _names(sheet: Sheet, row: int) -> list[str]:
    judged = sheet.judged[row]
    has = judged == 1 if judged.any() or sheet.blind else sheet.assigned[row]
    return [one.name for one, yes in zip(sheet.classes, has, strict=True) if yes]


def _know(frame: pd.DataFrame, names: set[str]) -> None:
    """Let the column of classes take names it did not have."""
    known = set(frame["class"].cat.categories)
    new = sorted(names - known)
    if new:
        frame["class"] = frame["class"].cat.add_categories(new)


def _places(frame: pd.DataFrame, ids: np.ndarray) -> np.ndarray:
    index = frame["index"].to_numpy()
    top = len(index)
    dense = np.minimum(ids, top - 1)
    if np.array_equal(index[dense], ids):
        return np.asarray(dense)
    return np.asarray(np.searchsorted(index, ids))
