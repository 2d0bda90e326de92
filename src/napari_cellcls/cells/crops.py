"""Cuts cells out of an image as network inputs: the crop rule of a model, exactly and fast.

One rule serves training and use. Every crop depends on its own frame only, so cutting window
by window from an image larger than memory gives the same numbers as cutting at once.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.frames import frames
from napari_cellcls.cells.resample import sample
from napari_cellcls.images.image import Image
from napari_cellcls.vocabulary import CellsError, CropSpec, Normalization

_TILE = 1024
_SAMPLES = 1 << 21
_EXACT_FLOAT32 = 1 << 24


def cut(
    image: Image,
    cells: Cells,
    spec: CropSpec,
    normalization: Normalization,
    mapping_indices: tuple[int | None, ...],
    rows: slice | np.ndarray | None = None,
) -> np.ndarray:
    """Cut cells into network inputs.

    Parameters
    ----------
    image, cells : Image, Cells
        Of the same size.
    spec : CropSpec
        The frame and its treatment.
    normalization : Normalization
        How values become 0..1; percentiles are taken from the whole image.
    mapping_indices : tuple of int or None
        Image channel per input plane; None gives a plane of ``spec.fill``.
    rows : slice or numpy.ndarray, optional
        Rows of the cell table, all by default; kept in this order.

    Returns
    -------
    numpy.ndarray
        ``(N, size, size, C)`` float32 in 0..1.

    Raises
    ------
    CellsError
        ``CELLS-SIZE`` when labels and image differ in size, ``CELLS-SCALE`` when a physical
        window meets an image without pixel size, ``CELLS-CHANNEL`` for a channel out of range.
    """
    chosen = np.arange(len(cells))[rows if rows is not None else slice(None)]
    out = np.empty((len(chosen), spec.size, spec.size, len(mapping_indices)), np.float32)
    limits = channel_limits(image, normalization, mapping_indices)
    for places, crops in _by_window(image, cells, spec, limits, mapping_indices, chosen):
        out[places] = crops
    return out


def iter_crops(
    image: Image,
    cells: Cells,
    spec: CropSpec,
    normalization: Normalization,
    indices: tuple[int | None, ...],
    batch_size: int = 256,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield all cells in batches, neighbors together, every row exactly once.

    Parameters
    ----------
    image, cells, spec, normalization, indices
        As for :func:`cut`.
    batch_size : int
        Crops per batch; the last one may be smaller.

    Yields
    ------
    rows : numpy.ndarray
        ``(n,)`` rows of the cell table.
    crops : numpy.ndarray
        ``(n, size, size, C)`` float32, equal to ``cut(...)[rows]``.
    """
    limits = channel_limits(image, normalization, indices)
    every = np.arange(len(cells))
    waiting_rows: list[np.ndarray] = []
    waiting: list[np.ndarray] = []
    held = 0
    for rows, crops in _by_window(image, cells, spec, limits, indices, every, batch_size):
        waiting_rows.append(rows)
        waiting.append(crops)
        held += len(rows)
        while held >= batch_size:
            all_rows, all_crops = np.concatenate(waiting_rows), np.concatenate(waiting)
            yield all_rows[:batch_size], all_crops[:batch_size]
            waiting_rows, waiting = [all_rows[batch_size:]], [all_crops[batch_size:]]
            held -= batch_size
    if held:
        yield np.concatenate(waiting_rows), np.concatenate(waiting)


def channel_limits(
    image: Image, normalization: Normalization, indices: tuple[int | None, ...]
) -> np.ndarray:
    """Return the values that become 0 and 1.

    Parameters
    ----------
    image : Image
    normalization : Normalization
    indices : tuple of int or None
        Channels; None stands for a plane that is not there.

    Returns
    -------
    numpy.ndarray
        ``(C, 2)`` float64 black and white per channel. Percentiles of planes with more than
        about two million pixels are taken from an even grid of that many.
    """
    _check_channels(image, indices)
    if normalization.kind == "full_scale":
        return np.tile(np.array(image.value_range, np.float64), (len(indices), 1))
    height, width = image.shape
    step = max(1, int(np.ceil(np.sqrt(height * width / _SAMPLES))))
    limits = np.zeros((len(indices), 2))
    for k, index in enumerate(indices):
        if index is None:
            continue
        values = np.asarray(image.data[index, ::step, ::step], np.float32)
        values = values[np.isfinite(values)]
        if values.size:
            limits[k] = np.percentile(values, [normalization.low, normalization.high])
    return limits


def _by_window(
    image: Image,
    cells: Cells,
    spec: CropSpec,
    limits: np.ndarray,
    indices: tuple[int | None, ...],
    chosen: np.ndarray,
    most: int = 1024,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield ``(places in chosen, crops)``; the frames of one window are read together."""
    if tuple(cells.labels.shape) != image.shape:
        raise CellsError(
            "The cells do not have the size of the image.",
            code="CELLS-SIZE",
            why=f"labels are {tuple(cells.labels.shape)} (Y, X), the image is {image.shape}",
            remedy="Choose the cells found in this image.",
        )
    place = frames(cells.table.iloc[chosen], spec, image.pixel_size_um)
    ids = cells.ids[chosen]
    center = (place[:, :2] + place[:, 2:] / 2) // _TILE
    tile = np.lexsort((center[:, 1], center[:, 0]))
    new = np.any(np.diff(center[tile], axis=0) != 0, axis=1)
    for group in np.split(tile, np.flatnonzero(new) + 1) if len(tile) else []:
        stack, origin, names = _read(image, cells, spec, limits, indices, place[group], ids[group])
        for begin in range(0, len(group), most):
            part = slice(begin, begin + most)
            crops = sample(
                stack,
                place[group[part]],
                spec.size,
                names[part] if spec.mask else None,
                origin,
                keep=len(indices),
            )
            if spec.fill:
                crops += np.float32(spec.fill)
            yield group[part], crops


def _read(
    image: Image,
    cells: Cells,
    spec: CropSpec,
    limits: np.ndarray,
    indices: tuple[int | None, ...],
    place: np.ndarray,
    ids: np.ndarray,
) -> tuple[np.ndarray, tuple[int, int], np.ndarray]:
    """Read the region all frames need: normalized planes (and labels) interleaved, less fill."""
    shape = np.array(image.shape)
    low = np.clip(np.floor(place[:, :2].min(axis=0)).astype(int), 0, shape - 1)
    high = np.clip(
        np.ceil((place[:, :2] + place[:, 2:]).max(axis=0)).astype(int) + 1, low + 1, shape
    )
    window = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))
    count = len(indices) + spec.mask
    # Three planes are padded to four: rows of 16 bytes are moved much faster.
    stack = np.zeros((*(high - low), 4 if count == 3 else count), np.float32)
    present = [k for k, index in enumerate(indices) if index is not None]
    planes = image.planes(tuple(indices[k] for k in present), window)  # type: ignore[misc]
    for k, plane in zip(present, planes):
        stack[..., k] = _normalized(plane, *limits[k]) - np.float32(spec.fill)
    names = ids.astype(np.float32)
    if spec.mask:
        labels = np.asarray(cells.labels[window])
        if int(ids.max()) >= _EXACT_FLOAT32:
            labels, names = _renumbered(labels, ids)
        stack[..., -1] = labels
    return stack, (int(low[0]), int(low[1])), names


def _normalized(plane: np.ndarray, black: float, white: float) -> np.ndarray:
    if not white > black:
        return np.zeros(plane.shape, np.float32)
    values = (plane.astype(np.float32) - np.float32(black)) * np.float32(1 / (white - black))
    if plane.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0.0)
    return np.clip(values, 0, 1, out=values)


def _renumbered(labels: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = np.unique(ids)
    spot = np.searchsorted(known, labels)
    hit = (spot < len(known)) & (known[np.minimum(spot, len(known) - 1)] == labels)
    return np.where(hit, spot + 1, 0), (np.searchsorted(known, ids) + 1).astype(np.float32)


def _check_channels(image: Image, indices: tuple[int | None, ...]) -> None:
    count = len(image.channels)
    wrong = [k for k in indices if k is not None and not 0 <= k < count]
    if wrong:
        raise CellsError(
            "A channel to cut does not exist.",
            code="CELLS-CHANNEL",
            why=f"channel {wrong[0]} of an image with {count} channels (counted from 0)",
            remedy="Check which channel is mapped to which input of the model.",
        )
