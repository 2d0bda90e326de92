"""Finds cells: the one entry to the finders for smears, fluorescence and ready crops."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np

from napari_cellcls.cells.cells import Cells, Rejected
from napari_cellcls.cells.overview import choose_patch, overview
from napari_cellcls.cells.table import measure
from napari_cellcls.images.image import Image
from napari_cellcls.vocabulary import COLUMNS, CellsError, Progress, Task

Method = Literal["smear", "blood", "fluorescence", "whole"]

_CORE = 512
_LEAST_EDGE = 16
_LARGEST_CROP = 400


def find_cells(
    image: Image,
    method: Method,
    *,
    nucleus: int | None = None,
    cell: int | None = None,
    **options: Any,
) -> Task[Cells]:
    """Find the cells of an image; a long task that yields progress and returns :class:`Cells`.

    Parameters
    ----------
    image : Image
        Read window by window; never more than one window and its halo at once.
    method : {"smear", "blood", "fluorescence", "whole"}
        ``smear``: red cells of a stained blood smear; white cells, platelets, clumps and debris
        go to ``Cells.rejected``. ``blood``: the same objects, but white cells and platelets
        count as cells. ``fluorescence``: nuclei, then whole cells around them.
        ``whole``: the image is one cell (a ready crop); black corners are not part of it.
    nucleus, cell : int, optional
        Channels for ``fluorescence``; chosen by role when not given.
    **options
        ``diameter``: size of a red cell or nucleus in pixels (measured when not given).

    Returns
    -------
    Cells
        With a note that says why when none were found; never an error for an empty image.

    Raises
    ------
    CellsError
        ``CELLS-METHOD`` for an unknown method or option, or a smear without color planes;
        ``CELLS-CHANNEL`` for a channel that does not exist.
    """
    if method not in get_args(Method):
        raise CellsError(
            "There is no such way to find cells.",
            code="CELLS-METHOD",
            why=f"received {method!r}",
            remedy=f"Use one of {', '.join(get_args(Method))}.",
        )
    unknown = set(options) - {"diameter"}
    if unknown:
        raise CellsError(
            "There is no such option for finding cells.",
            code="CELLS-METHOD",
            why=f"received {', '.join(sorted(unknown))}",
            remedy="The only option is diameter (in pixels).",
        )
    if method == "whole":
        return _whole(image)
    if min(image.shape) < _LEAST_EDGE:
        return _too_small(image, method)
    if method == "fluorescence":
        from napari_cellcls.cells.fluorescence import find_fluorescent_cells

        return find_fluorescent_cells(image, nucleus, cell, options.get("diameter"))
    return _smear(image, method, options.get("diameter"))


def _whole(image: Image) -> Task[Cells]:
    yield Progress(0, 1, "taking the whole image as one cell")
    planes = image.planes()
    mask = np.ones(image.shape, bool)
    note: tuple[str, ...] = ()
    if _black_corners(planes):
        mask = np.asarray(planes.any(axis=0), bool)
        note = ("the black corners were taken as background",)
    labels = mask.astype(np.int32)
    yield Progress(1, 1, "taking the whole image as one cell")
    table = measure(labels, image.pixel_size_um)
    # A crop is cut at its cell: touching the edge says nothing here.
    table[COLUMNS.border] = False
    return Cells(labels, table, "whole", None, note)


def _black_corners(planes: np.ndarray) -> bool:
    corners = planes[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    return bool((corners == 0).all() and planes.any())


def _smear(image: Image, method: Method, diameter: float | None) -> Task[Cells]:
    from napari_cellcls.cells.smear import label_window, plan_smear
    from napari_cellcls.cells.tiles import find_by_tiles

    channels = _color_planes(image)
    yield Progress(0, 0, "measuring background, stain and cell size")
    if max(image.shape) <= _LARGEST_CROP and _black_corners(image.planes(channels)):
        why = "the image looks like one cell cut out on black; the method for that is whole"
        return no_cells(image, method, f"no cells found: {why}")
    sight = overview(image, channels)
    corner, patch = choose_patch(image, channels, sight[1], dark=True)
    plan = plan_smear(_scaled(image, sight), _scaled(image, patch), corner, image.shape, diameter)
    if isinstance(plan, str):
        return no_cells(image, method, f"no cells found: {plan}")

    def find(y0: int, x0: int, y1: int, x1: int) -> tuple[np.ndarray, np.ndarray]:
        rgb = _scaled(image, image.planes(channels, (slice(y0, y1), slice(x0, x1))))
        return label_window(rgb, y0, x0, plan, platelets=method == "blood")

    labels, kinds = yield from find_by_tiles(
        find,
        image.shape,
        core=_CORE * plan.step,
        halo=int(2.5 * plan.diameter) + plan.step,
        grid=plan.step,
        slack=0.25 * plan.diameter,
    )
    others = kinds[1]
    if method == "blood":
        others = _take_white_and_platelets(labels, others)
    table = measure(labels[0], image.pixel_size_um)
    notes: tuple[str, ...] = ()
    if len(table) == 0:
        what = "a red cell" if method == "smear" else "a cell of blood"
        notes = (f"no cells found: nothing in the image looks like {what}",)
    return Cells(labels[0], table, method, _rejected(labels[1], others), notes)


def _take_white_and_platelets(labels: list[np.ndarray], kinds: np.ndarray) -> np.ndarray:
    """Move white cells and platelets behind the red cells; return the kinds of what is left."""
    from napari_cellcls.cells.smear import PLATELET, WHITE

    taken = np.isin(kinds, (WHITE, PLATELET))
    left = ~taken
    left[0] = False
    number = np.where(taken, int(labels[0].max()) + np.cumsum(taken), 0).astype(np.int32)
    moved = number[labels[1]]
    np.copyto(labels[0], moved, where=moved > 0)
    labels[1] = np.where(left, np.cumsum(left), 0).astype(np.int32)[labels[1]]
    return np.concatenate([kinds[:1], kinds[left]])


def _rejected(labels: np.ndarray, kinds: np.ndarray) -> Rejected:
    from napari_cellcls.cells.smear import REASONS

    c = COLUMNS
    found = measure(labels)
    table = found[[c.label, c.y, c.x, c.area_px]].copy()
    table["reason"] = [REASONS[int(kinds[k])] for k in table[c.label]]
    return Rejected(labels, table)


def _too_small(image: Image, method: str) -> Task[Cells]:
    yield Progress(1, 1, "the image is too small to search")
    height, width = image.shape
    return no_cells(image, method, f"no cells found: the image is only {height} x {width} pixels")


def no_cells(image: Image, method: str, note: str) -> Cells:
    """Return an empty result that says why it is empty."""
    labels = np.zeros(image.shape, np.int32)
    return Cells(labels, measure(labels, image.pixel_size_um), method, None, (note,))


def _color_planes(image: Image) -> tuple[int, int, int]:
    count = len(image.channels)
    if image.is_rgb or count == 3:
        return 0, 1, 2
    if count == 1:
        return 0, 0, 0
    raise CellsError(
        "A smear needs a color photograph.",
        code="CELLS-METHOD",
        why=f"the image has {count} channels: {', '.join(c.name for c in image.channels)}",
        remedy="Choose the fluorescence method, or an image with red, green and blue planes.",
    )


def _scaled(image: Image, planes: np.ndarray) -> np.ndarray:
    """Bring values to 0..255, the scale the finders' constants are written for."""
    low, high = image.value_range
    if (low, high) == (0, 255):
        return planes
    scale = 255 / (high - low) if high > low else 1.0
    return np.asarray(np.clip((planes.astype(np.float32) - low) * np.float32(scale), 0, 255))
