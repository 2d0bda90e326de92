"""Turns a stained bright-field photograph into optical density, free of lamp color and shading.

The empty glass is fitted by a smooth surface per color plane; everything is then measured as
natural-log optical density over that surface, so that white, green or yellow backgrounds and
vignetting give the same numbers for the same cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_DEGREE = 2
_ROUNDS = 8
_MAX_SPREAD = 0.03
_RED_WINDOW, _BLUE_WINDOW = 0.12, 0.15


@dataclass(frozen=True)
class Background:
    """The empty glass of one image.

    Attributes
    ----------
    coefficients : numpy.ndarray
        ``(terms, 3)``: a polynomial of degree 2 in ``(y, x)`` scaled to -1..1 over the whole
        image, in natural logarithms of the pixel value plus one.
    shape : tuple of int
        ``(Y, X)`` of the whole image.
    spread : float
        Standard deviation of empty glass in optical density (green).
    share : float
        Fraction of the overview that was taken for empty glass.
    """

    coefficients: np.ndarray
    shape: tuple[int, int]
    spread: float
    share: float

    def density(
        self, rgb: np.ndarray, y0: float = 0.0, x0: float = 0.0, step: int = 1
    ) -> np.ndarray:
        """Return optical density of a window.

        Parameters
        ----------
        rgb : numpy.ndarray
            ``(3, y, x)`` pixel values 0..255 (any real dtype), possibly averaged ``step`` fold.
        y0, x0 : float
            Corner of the window in pixels of the whole image.
        step : int
            Image pixels per window pixel.

        Returns
        -------
        numpy.ndarray
            ``(3, y, x)`` float32; 0 on empty glass, positive where light is absorbed.
        """
        rows = (y0 + (np.arange(rgb.shape[1]) + 0.5) * step) / self.shape[0] * 2 - 1
        columns = (x0 + (np.arange(rgb.shape[2]) + 0.5) * step) / self.shape[1] * 2 - 1
        powers_y = np.stack([rows**j for j in range(_DEGREE + 1)], 1).astype(np.float32)
        powers_x = np.stack([columns**i for i in range(_DEGREE + 1)], 0).astype(np.float32)
        glass = np.empty(rgb.shape, np.float32)
        for plane in range(3):
            square = np.zeros((_DEGREE + 1, _DEGREE + 1), np.float32)
            for (i, j), value in zip(_terms(_DEGREE), self.coefficients[:, plane]):
                square[j, i] = value
            glass[plane] = powers_y @ square @ powers_x
        return glass - np.log(rgb.astype(np.float32) + 1)


def fit_background(overview: np.ndarray, shape: tuple[int, int]) -> Background:
    """Fit the empty glass on a small, averaged picture of the whole image.

    Parameters
    ----------
    overview : numpy.ndarray
        ``(3, y, x)`` float, values 0..255, covering the whole image evenly.
    shape : tuple of int
        ``(Y, X)`` of the whole image in pixels.

    Notes
    -----
    The fit starts from the bright side of an Otsu split of green and is repeated with the
    pixels within 2.5 standard deviations. The deviation is measured on the bright side only:
    cells are never brighter than glass, so they cannot widen it in crowded fields.
    """
    height, width = overview.shape[1:]
    log = np.log(overview.reshape(3, -1).T.astype(np.float64) + 1)
    keep = log[:, 1] > _otsu(log[:, 1])
    if not keep.any():
        keep = np.ones(len(log), bool)
    coefficients, spread = np.zeros((len(_terms(_DEGREE)), 3)), _MAX_SPREAD
    basis = _basis(height, width)
    for turn in range(_ROUNDS):
        degree = 0 if turn == 0 else 1 if turn < 3 else _DEGREE
        used = [k for k, (i, j) in enumerate(_terms(_DEGREE)) if i + j <= degree]
        coefficients[:] = 0
        coefficients[used] = np.linalg.lstsq(basis[keep][:, used], log[keep], rcond=None)[0]
        rest = log - basis @ coefficients
        bright = rest[keep & (rest[:, 1] > 0), 1]
        spread = min(1.48 * float(np.median(bright)) + 0.003 if len(bright) else 0.003, _MAX_SPREAD)
        if turn == 0:
            near = (rest[:, 1] > -0.12) & (rest[:, 1] < 0.4)
        else:
            near = np.abs(rest[:, 1]) < 2.5 * spread
            near &= (np.abs(rest[:, 0]) < _RED_WINDOW) & (np.abs(rest[:, 2]) < _BLUE_WINDOW)
        if near.sum() < 50:
            break
        keep = near
    return Background(coefficients, shape, spread, float(keep.mean()))


def shrink(planes: np.ndarray, step: int) -> np.ndarray:
    """Average ``step x step`` pixels: ``(C, Y, X)`` to float32 ``(C, Y // step, X // step)``."""
    if step == 1:
        return planes.astype(np.float32)
    height, width = planes.shape[1] // step, planes.shape[2] // step
    part = planes[:, : height * step, : width * step]
    rows = np.zeros((planes.shape[0], height, width * step), np.float32)
    for k in range(step):
        rows += part[:, k::step]
    total = np.zeros((planes.shape[0], height, width), np.float32)
    for k in range(step):
        total += rows[:, :, k::step]
    return total / np.float32(step * step)


def _terms(degree: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(degree + 1) for j in range(degree + 1 - i)]


def _basis(height: int, width: int) -> np.ndarray:
    y = ((np.arange(height) + 0.5) / height * 2 - 1)[:, None]
    x = ((np.arange(width) + 0.5) / width * 2 - 1)[None]
    columns = [np.broadcast_to(y**j * x**i, (height, width)) for i, j in _terms(_DEGREE)]
    return np.stack(columns, -1).reshape(height * width, -1)


def _otsu(values: np.ndarray) -> float:
    from skimage.filters import threshold_otsu

    return float(threshold_otsu(values)) if np.ptp(values) > 0 else float(values[0]) - 1
