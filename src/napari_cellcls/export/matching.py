"""Which cell of the project a row of a foreign file means: by id, by number, by place or by outline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.identity import Anchor, anchor_of_mask, anchors
from napari_cellcls.export.imported import Found

_SAME = 0.5


@dataclass(frozen=True)
class Matched:
    """Rows of a file and the cells they mean.

    Attributes
    ----------
    pairs : tuple of (Found, Anchor)
    lost : mapping of str to int
        Why rows mean no cell, in words -> how many.
    """

    pairs: tuple[tuple[Found, Anchor], ...]
    lost: Mapping[str, int]


def match(
    found: Sequence[Found],
    image_id: str,
    cells: Cells | None = None,
    *,
    known: Mapping[str, Anchor] | None = None,
    pixel_size_um: tuple[float, float] | None = None,
) -> Matched:
    """Say which cell each row means: by our id, its label number, its place, or its mask.

    Parameters
    ----------
    found : sequence of Found
        Of one image.
    image_id : str
    cells : Cells, optional
        A segmentation; without one, masks of the file become cells, and rows with a place alone are lost.
    known : mapping of str to Anchor, optional
        Cells of the journal by id.
    pixel_size_um : tuple of float, optional
        ``(y, x)``; for places in micrometers.

    Returns
    -------
    Matched
        No cell comes twice with different rows of one annotator: the later row wins, as in the file.
    """
    places = {} if cells is None else _by_label(cells, image_id, pixel_size_um)
    pairs, lost = [], Counter[str]()
    for one in found:
        anchor, why = _meant(one, image_id, cells, places, known or {}, pixel_size_um)
        if anchor is None:
            lost[why] += 1
        else:
            pairs.append((one, anchor))
    return Matched(tuple(pairs), dict(lost))


def _by_label(
    cells: Cells, image_id: str, pixel_size_um: tuple[float, float] | None
) -> dict[int, Anchor]:
    return {a.label: a for a in anchors(cells, image_id, pixel_size_um=pixel_size_um)}


def _meant(
    one: Found,
    image_id: str,
    cells: Cells | None,
    places: Mapping[int, Anchor],
    known: Mapping[str, Anchor],
    pixel_size_um: tuple[float, float] | None,
) -> tuple[Anchor | None, str]:
    if one.cell_id and one.cell_id in known:
        return known[one.cell_id], ""
    if one.mask is not None:
        if cells is None:
            return anchor_of_mask(one.mask, one.origin, image_id, one.label or 0, pixel_size_um), ""
        best = _most_alike(one.mask, one.origin, cells, places)
        return best, "" if best else "no cell has half of its area in common with the outline"
    if cells is None:
        return None, "the file has no masks, so a label image is needed"
    if one.label is not None:
        return places.get(one.label), f"no cell has such a number ({cells.method})"
    y, x = one.y, one.x
    if one.place_um is not None:
        if pixel_size_um is None:
            return None, "places are in micrometers, but the image has no pixel size"
        y, x = (p / size - 0.5 for p, size in zip(one.place_um, pixel_size_um))
    if y is None or x is None:
        return None, "the row says neither number nor place"
    row, column = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
    height, width = cells.labels.shape
    if not (0 <= row < height and 0 <= column < width):
        return None, "the place lies outside of the image"
    number = int(np.asarray(cells.labels[row, column]))
    return places.get(number), "there is no cell at the place"


def _most_alike(
    mask: np.ndarray, origin: tuple[int, int], cells: Cells, places: Mapping[int, Anchor]
) -> Anchor | None:
    y, x = origin
    height, width = (int(n) for n in cells.labels.shape)
    top, left = max(y, 0), max(x, 0)
    window = np.asarray(
        cells.labels[top : max(y + mask.shape[0], 0), left : max(x + mask.shape[1], 0)]
    )
    if not window.size or top >= height or left >= width:
        return None
    inside = mask[top - y : top - y + window.shape[0], left - x : left - x + window.shape[1]]
    numbers, shared = np.unique(window[inside], return_counts=True)
    best: tuple[float, Anchor] | None = None
    for number, count in zip(numbers.tolist(), shared.tolist()):
        anchor = places.get(number)
        if anchor is None:
            continue
        iou = count / (anchor.area_px + int(mask.sum()) - count)
        if iou >= _SAME and (best is None or iou > best[0]):
            best = (iou, anchor)
    return None if best is None else best[1]
