"""Ties labels to masks: stores where cells are, and takes their labels over to a new segmentation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from napari_cellcls.cells.carry import Carried, carry
from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.identity import Anchor, anchors
from napari_cellcls.review.events import Draft, Kind
from napari_cellcls.review.fold import State
from napari_cellcls.review.journal import Journal
from napari_cellcls.vocabulary import CellsError


def place(journal: Journal, found: Iterable[Anchor]) -> list[str]:
    """Store where cells are, those not stored yet; return their ids in the order given.

    Call it before the first label of a cell; a cell that nobody labels needs no place.
    """
    wanted = {anchor.cell_id: anchor for anchor in found}
    fresh = [
        Draft(Kind.CELL, cell_id, image_id=anchor.image_id, payload=anchor.to_json())
        for cell_id, anchor in wanted.items()
        if not journal.state.anchor(cell_id)
    ]
    if fresh:
        journal.record(fresh)
    return list(wanted)


def anchor_of(state: State, cell_id: str) -> Anchor | None:
    """Return where a cell is now, None when that is not known or cannot be read."""
    stored = state.anchor(cell_id)
    if not stored:
        return None
    try:
        return Anchor.from_json(stored)
    except CellsError:
        return None


def labeled_anchors(
    state: State, image_id: str, scene: str = "", t: int = 0, z: int = 0
) -> dict[str, Anchor]:
    """Return the cells of one plane that anybody decided something about: cell id -> place."""
    found = {}
    for cell_id in tuple(state.cells):  # a copy: this may run beside the window, which decides on
        if state.image_of(cell_id) != image_id:
            continue
        anchor = anchor_of(state, cell_id)
        if anchor is not None and (anchor.image_id, anchor.scene, anchor.t, anchor.z) == (
            image_id, scene, t, z,
        ):  # fmt: skip
            found[cell_id] = anchor
    return found


def what_became(old: Mapping[str, Anchor], cells: Cells) -> Carried:
    """Return what became of labeled cells in another segmentation, by the ids of the journal."""
    by_mask = {anchor.cell_id: cell_id for cell_id, anchor in old.items()}
    result = carry(list(old.values()), cells.labels)
    return Carried(
        {by_mask[mask_id]: candidate for mask_id, candidate in result.kept.items()},
        tuple(replace(item, cell_id=by_mask[item.cell_id]) for item in result.review),
    )


def carry_over(
    journal: Journal,
    cells: Cells,
    image_id: str,
    *,
    pixel_size_um: tuple[float, float] | None = None,
    scene: str = "",
    t: int = 0,
    z: int = 0,
) -> Carried:
    """Take the labels of one plane over to a new segmentation; the old masks stay in the journal.

    Parameters
    ----------
    journal : Journal
    cells : Cells
        The new segmentation of the plane.
    image_id, pixel_size_um, scene, t, z
        Of the plane.

    Returns
    -------
    Carried
        With the ids under which the journal knows the cells. What is in ``review`` keeps its label
        on its old mask until a person decides.
    """
    old = labeled_anchors(journal.state, image_id, scene, t, z)
    result = what_became(old, cells)
    new = {
        anchor.label: anchor
        for anchor in anchors(
            cells, image_id, {c.label for c in result.kept.values()},
            pixel_size_um=pixel_size_um, scene=scene, t=t, z=z,
        )
    }  # fmt: skip
    drafts = []
    for cell_id, candidate in result.kept.items():
        anchor = new[candidate.label]
        if anchor.cell_id == old[cell_id].cell_id:
            continue
        link = {"same_as": cell_id, "iou": round(candidate.iou, 4), "auto": True}
        drafts.append(Draft(Kind.LINK, anchor.cell_id, image_id=image_id, payload=link))
        drafts.append(
            Draft(Kind.MASK_REPLACED, cell_id, image_id=image_id, payload=anchor.to_json())
        )
    if drafts:
        journal.record(drafts)
    return result
