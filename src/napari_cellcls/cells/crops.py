"""Cuts cells out of an image as network inputs: the crop rule of a model, exactly and fast.

One rule serves training and use. Every crop depends on its own frame only, so cutting window
by window from an image larger than memory gives the same numbers as cutting at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.frames import frames
from napari_cellcls.cells.resample import Places, sample
from napari_cellcls.images.image import Image
from napari_cellcls.vocabulary import CellsError, CropSpec, Normalization

_TILE = 1024
_SAMPLES = 1 << 21


def cut(
    image: Image,
    cells: Cells,
    spec: CropSpec,
    normalization: Normalization,
    mapping_indices: tuple[int | None, ...],
    rows: slice | np.ndarray | None = None,
    limits: np.ndarray | None = None,
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
    limits : numpy.ndarray, optional
        What :func:`channel_limits` says for this image, when it is known already.

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
    if limits is None:
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
        if not held and len(rows) == batch_size:
            yield rows, crops
            continue
        waiting_rows.append(rows)
        waiting.append(crops)
        held += len(rows)
        while held >= batch_size:
            all_rows, all_crops = np.concatenate(waiting_rows), np.concatenate(waiting)
            yield all_rows[:batch_size], all_crops[:batch_size]
            held -= batch_size
            waiting_rows = [all_rows[batch_size:]] if held else []
            waiting = [all_crops[batch_size:]] if held else []
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
    in_memory = isinstance(image.data, np.ndarray) and isinstance(cells.labels, np.ndarray)
    center = (place[:, :2] + place[:, 2:] / 2) // (max(image.shape) if in_memory else _TILE)
    tile = np.lexsort((center[:, 1], center[:, 0]))
    new = np.any(np.diff(center[tile], axis=0) != 0, axis=1)
    for group in np.split(tile, np.flatnonzero(new) + 1) if len(tile) else []:
        window = _Window.around(image, cells, spec, limits, indices, place[group])
        for begin in range(0, len(group), most):
            part = group[begin : begin + most]
            yield part, window.cut(place[part], ids[part])


@dataclass(frozen=True)
class _Window:
    """The pixels that some frames need, and the rule that makes crops of them.

    ``planes`` ``(C, y, x)`` are as stored; ``inputs`` says which input of the model each of them
    is, the other inputs are absent; ``origin`` is the place of the first pixel in the image.
    """

    planes: np.ndarray
    inputs: tuple[int, ...]
    labels: np.ndarray | None
    origin: tuple[int, int]
    spec: CropSpec
    limits: np.ndarray

    @classmethod
    def around(
        cls, image: Image, cells: Cells, spec: CropSpec, limits: np.ndarray,
        indices: tuple[int | None, ...], place: np.ndarray,
    ) -> _Window:  # fmt: skip
        """Read the region all frames need; neighboring planes in memory are not copied."""
        shape = np.array(image.shape)
        low = np.clip(np.floor(place[:, :2].min(axis=0)).astype(int), 0, shape - 1)
        high = np.clip(
            np.ceil((place[:, :2] + place[:, 2:]).max(axis=0)).astype(int) + 1, low + 1, shape
        )
        window = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))
        inputs = tuple(k for k, index in enumerate(indices) if index is not None)
        wanted = [index for index in indices if index is not None]
        if isinstance(image.data, np.ndarray) and wanted == list(range(wanted[0], wanted[-1] + 1)):
            planes = image.data[(slice(wanted[0], wanted[-1] + 1), *window)]
        else:
            planes = image.planes(tuple(wanted), window)
        labels = np.asarray(cells.labels[window]) if spec.mask else None
        return cls(planes, inputs, labels, (int(low[0]), int(low[1])), spec, limits)

    def cut(self, place: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Cut frames; what is outside the image or belongs to another label is ``fill``."""
        factors = self._factors()
        fill, (y0, x0) = np.float32(self.spec.fill), self.origin

        def read(i: int, y: Places, x: Places) -> np.ndarray:
            y, x = _shifted(y, y0), _shifted(x, x0)
            values = self.planes[:, y][..., x]
            if factors is None:
                each = zip(values, self.limits[list(self.inputs)])
                values = np.stack([_normalized(v, *limits) - fill for v, limits in each])
            if self.labels is not None:
                own = self.labels[y][:, x] == ids[i]
                # Plane after plane in memory, whatever the image's order: the mixing reads rows.
                values = np.multiply(values, own, out=np.empty(values.shape, values.dtype))
            return values.astype(np.float32, order="C", copy=False)

        bounds = (y0, y0 + self.planes.shape[1], x0, x0 + self.planes.shape[2])
        made = sample(read, len(self.inputs), place, self.spec.size, bounds, factors)
        if len(self.inputs) < len(self.limits):
            # Absent inputs look the same as everything outside: nothing but fill.
            found, made = made, np.zeros((*made.shape[:3], len(self.limits)), np.float32)
            made[..., list(self.inputs)] = found
        if fill:
            made += fill
        return made

    def _factors(self) -> list[float] | None:
        """Return one factor per plane where normalizing is nothing but that, else None.

        Then it is done last, on the crops: sampling is linear.
        """
        limits, dtype = self.limits[list(self.inputs)], self.planes.dtype
        small = dtype.kind == "u" and dtype.itemsize <= 2
        if self.spec.fill or limits[:, 0].any() or not small:
            return None
        if (limits[:, 1] < np.iinfo(dtype).max).any():
            return None
        return [float(1 / white) for white in limits[:, 1]]


def _shifted(places: Places, origin: int) -> Places:
    if isinstance(places, slice):
        return slice(places.start - origin, places.stop - origin)
    return places - origin


def _normalized(plane: np.ndarray, black: float, white: float) -> np.ndarray:
    if not white > black:
        return np.zeros(plane.shape, np.float32)
    values = (plane.astype(np.float32) - np.float32(black)) * np.float32(1 / (white - black))
    if plane.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0.0)
    return np.clip(values, 0, 1, out=values)


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
