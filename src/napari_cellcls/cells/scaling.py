"""What pixel values mean: which become 0 and 1, and what was measured over the background.

Stained bright-field color is measured as optical density over the fitted empty glass; fluorescence
over the darkest part of its plane, in parts of its bright one. Windows of an image give the same
values as the whole.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_cellcls.cells.illumination import fit_background
from napari_cellcls.cells.overview import overview
from napari_cellcls.images.image import Image
from napari_cellcls.vocabulary import CellsError, Normalization

Window = tuple[slice, slice]
_SAMPLES = 1 << 21
_DENSEST = 1.5
"""Optical density shown as full scale; parasites and nuclei reach about that."""
_BACKGROUND = Normalization("percentile", 1.0, 99.8)
_TINY = 1e-6


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
        ``(C, 2)`` float64 black and white per channel, of the kind ``background`` in values over
        the background. Percentiles of planes with more than about two million pixels are taken
        from an even grid of that many.
    """
    _check_channels(image, indices)
    if normalization.kind == "full_scale":
        return np.tile(np.array(image.value_range, np.float64), (len(indices), 1))
    if normalization.kind == "background":
        return np.tile([0.0, _DENSEST if image.is_rgb else 1.0], (len(indices), 1))
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


def over_background(
    image: Image, indices: tuple[int | None, ...]
) -> Callable[[Window], np.ndarray]:
    """Return what reads a window of an image as values over its background.

    Parameters
    ----------
    image : Image
    indices : tuple of int or None
        Channels; None gives a plane of zeros.

    Returns
    -------
    callable
        Window in ``(Y, X)`` (slices with start and stop) to ``(C, y, x)`` float32. Color
        photographs: optical density over the empty glass. Others: the 1st percentile of a channel
        is 0, the 99.8th is 1, not clipped.
    """
    wanted = [k for k in indices if k is not None]
    places = [i for i, k in enumerate(indices) if k is not None]
    read = _density(image, wanted) if image.is_rgb else _signal(image, wanted)
    if len(wanted) == len(indices):
        return read

    def filled(window: Window) -> np.ndarray:
        found = read(window)
        out = np.zeros((len(indices), *found.shape[1:]), np.float32)
        out[places] = found
        return out

    return filled


def _density(image: Image, wanted: list[int]) -> Callable[[Window], np.ndarray]:
    low, high = image.value_range
    factor = np.float32(255 / (high - low))
    sight = (overview(image, tuple(range(len(image.channels)))) - low) * factor
    glass = fit_background(sight, image.shape)

    def read(window: Window) -> np.ndarray:
        planes = (image.planes(None, window) - np.float32(low)) * factor
        return glass.density(planes, window[0].start, window[1].start)[wanted]

    return read


def _signal(image: Image, wanted: list[int]) -> Callable[[Window], np.ndarray]:
    limits = channel_limits(image, _BACKGROUND, tuple(wanted)).astype(np.float32)[:, :, None, None]
    spread = np.maximum(limits[:, 1] - limits[:, 0], _TINY)

    def read(window: Window) -> np.ndarray:
        planes = image.planes(tuple(wanted), window).astype(np.float32)
        return np.asarray((planes - limits[:, 0]) / spread, np.float32)

    return read


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
