"""Random fields and outlines that both simulators share; everything is seeded by its caller."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> np.ndarray:
    """Return Gaussian noise of correlation length ``sigma`` pixels, mean 0, sd 1.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        ``(Y, X)`` in pixels.
    sigma : float
        Standard deviation of the smoothing kernel in pixels.

    Returns
    -------
    numpy.ndarray
        ``(Y, X)`` float32.
    """
    # Coarse noise is made on a coarse grid: the same look at a fraction of the cost.
    step = max(1, int(sigma / 2.0))
    coarse = (shape[0] // step + 4, shape[1] // step + 4)
    field = rng.standard_normal(coarse, dtype=np.float32)
    field = ndi.gaussian_filter(field, sigma / step, mode="wrap", truncate=3.0)
    field /= field.std() + 1e-9
    if step > 1:
        field = ndi.zoom(field, step, order=1)
    return np.ascontiguousarray(field[: shape[0], : shape[1]])


@dataclass(frozen=True)
class Outline:
    """A closed star-shaped outline in polar form.

    Attributes
    ----------
    radius : float
        Mean radius in pixels.
    aspect : float
        Long axis over short axis.
    angle : float
        Direction of the long axis in radians.
    cosines, sines : numpy.ndarray
        ``(K,)`` relative amplitudes of the harmonics 2..K+1.
    """

    radius: float
    aspect: float
    angle: float
    cosines: np.ndarray
    sines: np.ndarray

    @classmethod
    def random(
        cls,
        rng: np.random.Generator,
        radius: float,
        aspect: float = 1.0,
        roughness: float = 0.02,
        harmonics: int = 6,
    ) -> Outline:
        """Draw an outline whose harmonics fall off with their order."""
        fall = roughness / np.arange(1, harmonics + 1) ** 0.8
        return cls(
            radius,
            aspect,
            rng.uniform(0, np.pi),
            rng.standard_normal(harmonics) * fall,
            rng.standard_normal(harmonics) * fall,
        )

    def reach(self) -> int:
        """Return a half width in pixels that surely contains the outline."""
        return int(np.ceil(self.radius * np.sqrt(self.aspect) * 1.35)) + 6

    def relative_radius(self, y: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the distance from the center divided by the outline's distance there.

        Parameters
        ----------
        y, x : numpy.ndarray
            Offsets from the center in pixels, any one shape.

        Returns
        -------
        numpy.ndarray
            Same shape; 1 on the outline, smaller inside.
        """
        c, s = np.cos(self.angle), np.sin(self.angle)
        stretch = np.sqrt(self.aspect)
        u, v = (x * c + y * s) / stretch, (y * c - x * s) * stretch
        theta = np.arctan2(v, u)
        edge = np.ones_like(theta)
        for k, (a, b) in enumerate(zip(self.cosines, self.sines), start=2):
            edge += a * np.cos(k * theta) + b * np.sin(k * theta)
        return np.asarray(np.hypot(u, v) / (self.radius * np.maximum(edge, 0.3)))


def soft_step(distance: np.ndarray, width: float) -> np.ndarray:
    """Return a smooth 0..1 step: 0.5 at distance 0, rising over about ``width`` pixels."""
    return 0.5 + 0.5 * np.tanh(distance / max(width, 1e-3))


def offsets(center: tuple[float, float], reach: int, shape: tuple[int, int]) -> Window | None:
    """Return the window around a center, clipped to the image, with pixel offsets.

    Parameters
    ----------
    center : tuple of float
        ``(y, x)`` in pixels.
    reach : int
        Half width in pixels.
    shape : tuple of int
        ``(Y, X)`` of the image.

    Returns
    -------
    Window or None
        None when the window misses the image.
    """
    y0, x0 = max(0, int(center[0]) - reach), max(0, int(center[1]) - reach)
    y1, x1 = min(shape[0], int(center[0]) + reach + 1), min(shape[1], int(center[1]) + reach + 1)
    if y1 <= y0 or x1 <= x0:
        return None
    yy, xx = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    return Window((slice(y0, y1), slice(x0, x1)), yy - center[0], xx - center[1])


@dataclass(frozen=True)
class Window:
    """A clipped window: its slices and the offsets ``(y, x)`` of its pixels from a center."""

    where: tuple[slice, slice]
    y: np.ndarray
    x: np.ndarray
