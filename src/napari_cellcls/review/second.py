"""The sample that two people label: a share of the cells, the same for everybody, chosen by the cell's id alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from napari_cellcls.review.fold import State
from napari_cellcls.review.state import CellState


def is_shared(cell_id: str, share: float, seed: int = 0) -> bool:
    """Return whether a cell is for two annotators.

    The answer depends on id, share and seed alone, so all computers agree without asking each other;
    a larger share keeps all cells of a smaller one.

    Parameters
    ----------
    cell_id : str
    share : float
        0 (none) to 1 (all).
    seed : int
    """
    digest = hashlib.blake2b(f"{seed}|{cell_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * 2**64


def shared(cell_ids: Iterable[str], share: float, seed: int = 0) -> list[str]:
    """Return the cells that are for two annotators, in the order given."""
    return [cell_id for cell_id in cell_ids if is_shared(cell_id, share, seed)]


def waiting_for(state: State, annotator: str, share: float, seed: int = 0) -> list[str]:
    """Return shared cells that one other person has labeled and ``annotator`` has not, sorted by id.

    What the other said, and the prediction, should stay hidden until ``annotator`` has decided.
    Cells that two have judged already, or that the annotator skipped, are not asked for.
    """
    cells = state.cells.values()
    return sorted(cell.cell_id for cell in cells if is_waiting(cell, annotator, share, seed))


def is_waiting(cell: CellState, annotator: str, share: float, seed: int = 0) -> bool:
    """Return whether a cell waits for the second look of an annotator, see :func:`waiting_for`."""
    mine = cell.decisions.get(annotator)
    if mine is not None and (mine.judged or mine.skipped):
        return False
    others = sum(1 for name, d in cell.decisions.items() if name != annotator and d.judged)
    return others == 1 and is_shared(cell.cell_id, share, seed)
