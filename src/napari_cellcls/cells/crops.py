"""Cuts cells out of an image as network inputs: the crop rule of a model, exactly and fast.

Frames are resampled by OpenCV's bilinear ``resize``: half-pixel centers, no smoothing. That is how
the 50-pixel NIH malaria set was made of the originals: with 8-bit input all values of 200 crops come
out equal; in float32, used here, they differ by that rounding (mean 0.18, largest 0.78 gray levels).
One rule serves training and use. Every crop depends on its own frame only, so cutting window
by window from an image larger than memory gives the same numbers as cutting at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.frames import frames
from napari_cellcls.cells.scaling import channel_limits, over_background
from napari_cellcls.images.image import Image
from napari_cellcls.vocabulary import CellsError, CropSpec, Normalization

_TILE = 1024
_BAND = 64
# Whoever waits for crops can start on a small portion while the others are cut.
_FIRST = 32


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
        How values become 0..1; percentiles and background are those of the whole image.
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
    source = _Source.of(image, normalization, mapping_indices, limits)
    for places, crops in _by_window(source, cells, spec, chosen):
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
        Most crops per batch. Batches grow towards it from a small first one, so that work on
        the first cells starts while the others are cut.

    Yields
    ------
    rows : numpy.ndarray
        ``(n,)`` rows of the cell table.
    crops : numpy.ndarray
        ``(n, size, size, C)`` float32, equal to ``cut(...)[rows]``.
    """
    source = _Source.of(
        image, normalization, indices, channel_limits(image, normalization, indices)
    )
    every = np.arange(len(cells))
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    held, enough = 0, min(_FIRST, batch_size)
    for rows, crops in _by_window(source, cells, spec, every, batch_size):
        if held + len(rows) > batch_size:
            yield _joined(waiting)
            waiting, held = [], 0
        waiting.append((rows, crops))
        held += len(rows)
        if held >= enough:
            yield _joined(waiting)
            waiting, held = [], 0
            enough = min(2 * enough, batch_size)
    if waiting:
        yield _joined(waiting)


def _joined(parts: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    if len(parts) == 1:
        return parts[0]
    rows, crops = zip(*parts, strict=True)
    return np.concatenate(rows), np.concatenate(crops)


def need_same_size(image: Image, cells: Cells) -> None:
    """Raise ``CELLS-SIZE`` when the cells are those of an image of another size."""
    if tuple(cells.labels.shape) != image.shape:
        raise CellsError(
            "The cells do not have the size of the image.",
            code="CELLS-SIZE",
            why=f"labels are {tuple(cells.labels.shape)} (Y, X), the image is {image.shape}",
            remedy="Choose the cells found in this image.",
        )


@dataclass(frozen=True)
class _Source:
    """An image, which of its channels is which input (None: absent), and what becomes 0 and 1.

    ``leveled`` reads a window of the present channels as values over the background, None where
    pixels are taken as stored.
    """

    image: Image
    indices: tuple[int | None, ...]
    limits: np.ndarray
    leveled: Callable[[tuple[slice, slice]], np.ndarray] | None = None

    @classmethod
    def of(
        cls, image: Image, rule: Normalization, indices: tuple[int | None, ...], limits: np.ndarray
    ) -> _Source:
        if rule.kind != "background":
            return cls(image, indices, limits)
        present = tuple(k for k in indices if k is not None)
        return cls(image, indices, limits, over_background(image, present))

    def read(self, window: tuple[slice, slice]) -> np.ndarray:
        """Return the present channels ``(c, y, x)``; neighboring planes in memory are not copied."""
        if self.leveled is not None:
            return self.leveled(window)
        data, wanted = self.image.data, [k for k in self.indices if k is not None]
        if isinstance(data, np.ndarray) and wanted == list(range(wanted[0], wanted[-1] + 1)):
            return data[(slice(wanted[0], wanted[-1] + 1), *window)]
        return self.image.planes(tuple(wanted), window)


def _by_window(
    source: _Source, cells: Cells, spec: CropSpec, chosen: np.ndarray, most: int = 1024
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield ``(places in chosen, crops)`` of growing size; one window is read at once."""
    image = source.image
    need_same_size(image, cells)
    place = frames(cells.table.iloc[chosen], spec, image.pixel_size_um)
    ids = cells.ids[chosen]
    in_memory = isinstance(image.data, np.ndarray) and isinstance(cells.labels, np.ndarray)
    y, x = (place[:, :2] + place[:, 2:] / 2).T
    if in_memory and source.leveled is None:
        # One window, but still in bands: neighbors share memory pages.
        groups = [np.lexsort((x, y // _BAND))] if len(chosen) else []
    else:
        tile = np.lexsort((x // _TILE, y // _TILE))
        new = (np.diff(y[tile] // _TILE) != 0) | (np.diff(x[tile] // _TILE) != 0)
        groups = np.split(tile, np.flatnonzero(new) + 1) if len(tile) else []
    size = min(_FIRST, most)
    for group in groups:
        window = _Window.around(source, cells, spec, place[group])
        begin = 0
        while begin < len(group):
            part = group[begin : begin + size]
            yield part, window.cut(place[part], ids[part])
            begin, size = begin + size, min(2 * size, most)


@dataclass(frozen=True)
class _Window:
    """The pixels that some frames need, and the rule that makes crops of them.

    ``pixels`` ``(y, x, C)`` are as read; ``inputs`` says which input of the model each channel
    is, the other inputs are absent; ``origin`` is the place of the first pixel in the image.
    """

    pixels: np.ndarray
    inputs: tuple[int, ...]
    labels: np.ndarray | None
    origin: tuple[int, int]
    spec: CropSpec
    limits: np.ndarray

    @classmethod
    def around(cls, source: _Source, cells: Cells, spec: CropSpec, place: np.ndarray) -> _Window:
        """Read the region all frames need."""
        shape = np.array(source.image.shape)
        low = np.clip(place[:, :2].min(axis=0), 0, shape - 1)
        high = np.clip((place[:, :2] + place[:, 2:]).max(axis=0), low + 1, shape)
        window = (slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1])))
        inputs = tuple(k for k, index in enumerate(source.indices) if index is not None)
        planes = source.read(window)
        labels = np.asarray(cells.labels[window]) if spec.mask else None
        origin = (int(low[0]), int(low[1]))
        return cls(planes.transpose(1, 2, 0), inputs, labels, origin, spec, source.limits)

    def cut(self, place: np.ndarray, ids: np.ndarray) -> np.ndarray:
        """Cut frames; what is outside the image or belongs to another label is ``fill``."""
        from cv2 import INTER_LINEAR, resize

        factor, square = self._factor(), (self.spec.size, self.spec.size)
        made = np.empty((len(place), *square, len(self.inputs)), np.float32)
        frames = (place - (*self.origin, 0, 0)).tolist()
        for crop, frame, own in zip(made, frames, ids.tolist(), strict=True):
            pixels = self._frame(frame, own, factor)
            sampled = resize(pixels, square, interpolation=INTER_LINEAR)
            np.multiply(sampled.reshape(crop.shape), np.float32(factor or 1), out=crop)
        if len(self.inputs) < len(self.limits):
            # Absent inputs look the same as everything outside: nothing but fill.
            found, made = made, np.zeros((*made.shape[:3], len(self.limits)), np.float32)
            made[..., list(self.inputs)] = found
        if self.spec.fill:
            made += np.float32(self.spec.fill)
        return made

    def _frame(self, frame: list[int], own: int, factor: float | None) -> np.ndarray:
        """Return the pixels of a frame less ``fill``, ``(y, x, C)`` float32, 0 beyond the image."""
        from cv2 import copyTo

        top, left, height, width = frame
        y = slice(max(top, 0), max(top + height, 0))
        x = slice(max(left, 0), max(left + width, 0))
        values = self.pixels[y, x]
        if factor is None:
            values = self._normalized(values) - np.float32(self.spec.fill)
        if self.labels is not None:
            values = copyTo(values, (self.labels[y, x] == own).view(np.uint8))
        values = values.astype(np.float32, order="C", copy=False)
        if values.shape[:2] == (height, width):
            return values
        whole = np.zeros((height, width, len(self.inputs)), np.float32)
        inside = values.reshape(*values.shape[:2], -1)
        y0, x0 = y.start - top, x.start - left
        whole[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]] = inside
        return whole

    def _factor(self) -> float | None:
        """Return the one factor that normalizes all planes where nothing else is needed.

        Then it is applied last, on the crops: sampling is linear.
        """
        limits, dtype = self.limits[list(self.inputs)], self.pixels.dtype
        small = dtype.kind == "u" and dtype.itemsize <= 2
        if self.spec.fill or limits[:, 0].any() or np.ptp(limits[:, 1]) or not small:
            return None
        return float(1 / limits[0, 1]) if limits[0, 1] >= np.iinfo(dtype).max else None

    def _normalized(self, pixels: np.ndarray) -> np.ndarray:
        black, white = self.limits[list(self.inputs)].T
        scale = np.divide(1, white - black, out=np.zeros(len(white)), where=white > black)
        values = (pixels.astype(np.float32) - black.astype(np.float32)) * scale.astype(np.float32)
        if pixels.dtype.kind == "f":
            values = np.nan_to_num(values, nan=0.0)
        clipped: np.ndarray = np.clip(values, 0, 1, out=values)
        return clipped
