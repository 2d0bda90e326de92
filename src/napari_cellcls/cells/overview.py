"""Looks at an image of any size cheaply: an even sample, and one part at full resolution."""

from __future__ import annotations

import numpy as np

from napari_cellcls.images.image import Image

_SPOT = 8
_MOST = 160
_PATCH = 1536
_TYPICAL_COVER = 0.35


def overview(image: Image, channels: tuple[int, ...]) -> np.ndarray:
    """Average spots of 8 x 8 pixels: all of them, or in a large image about 160 x 160 of them.

    Returns
    -------
    numpy.ndarray
        ``(len(channels), y, x)`` float32 in the image's own values.
    """
    spots = []
    for length in image.shape:
        size = min(_SPOT, length)
        pitch = max(size, length // _MOST)
        starts = np.arange(0, length - size + 1, pitch)
        spots.append((starts, (starts[:, None] + np.arange(size)).ravel(), size))
    (ys, rows, high), (xs, columns, wide) = spots
    out = []
    for channel in channels:
        sample = np.asarray(image.data[channel][rows][:, columns], np.float32)
        out.append(sample.reshape(len(ys), high, len(xs), wide).mean((1, 3)))
    return np.stack(out)


def choose_patch(
    image: Image, channels: tuple[int, ...], sight: np.ndarray, *, dark: bool
) -> tuple[tuple[int, int], np.ndarray]:
    """Read the part of the image on which size and stain are measured.

    Parameters
    ----------
    image : Image
    channels : tuple of int
    sight : numpy.ndarray
        ``(y, x)`` overview of the telling channel.
    dark : bool
        Whether cells are darker than their surroundings.

    Returns
    -------
    corner : tuple of int
        ``(y, x)`` in pixels.
    patch : numpy.ndarray
        ``(len(channels), y, x)`` in the image's own values: all of it up to 3072 pixels,
        else the part whose share of cells is nearest to a third.
    """
    height, width = image.shape
    if max(height, width) <= 2 * _PATCH:
        return (0, 0), image.planes(channels)
    middle = (np.percentile(sight, 5) + np.percentile(sight, 95)) / 2
    covered = sight < middle if dark else sight > middle
    best, place = 2.0, (0, 0)
    for y in np.linspace(0, max(height - _PATCH, 0), 6).astype(int) // 8 * 8:
        for x in np.linspace(0, max(width - _PATCH, 0), 6).astype(int) // 8 * 8:
            rows = slice(
                _scaled(y, covered, height, 0), _scaled(y + _PATCH, covered, height, 0) + 1
            )
            columns = slice(
                _scaled(x, covered, width, 1), _scaled(x + _PATCH, covered, width, 1) + 1
            )
            off = abs(float(covered[rows, columns].mean()) - _TYPICAL_COVER)
            if off < best:
                best, place = off, (int(y), int(x))
    window = (slice(place[0], place[0] + _PATCH), slice(place[1], place[1] + _PATCH))
    return place, image.planes(channels, window)


def _scaled(position: int, grid: np.ndarray, length: int, axis: int) -> int:
    size = int(grid.shape[axis])
    return min(position * size // length, size - 1)
