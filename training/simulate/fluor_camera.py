"""The microscope of the fluorescence simulator: lens, lamp, filters and camera."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from scipy import ndimage as ndi

from .fluor_cells import Monolayer

ELECTRONS = 900
"""Electrons of a full pixel at quality 1."""


@dataclass(frozen=True)
class Optics:
    """How a field is looked at.

    Attributes
    ----------
    quality : float
        Light collected, 1 is a clean image, 0.1 a noisy one.
    softness : float
        Width of the lens blur, 1 is a good confocal image.
    uneven : float
        How much darker the darkest corner is than the brightest place, 0..1.
    bleed : float
        Greatest share of a neighbor's light that passes the filter of a channel.
    jpeg : int
        JPEG quality of an 8 bit image, 0 leaves it uncompressed.
    """

    quality: float = 1.0
    softness: float = 1.0
    uneven: float = 0.0
    bleed: float = 0.03
    jpeg: int = 0

    @classmethod
    def random(cls, rng: np.random.Generator) -> Optics:
        """Draw the optics of a microscope that nobody has tidied up."""
        return cls(
            quality=float(10 ** rng.uniform(-0.9, 0.3)),
            softness=float(rng.choice([1.0, rng.uniform(1.0, 2.4)])),
            uneven=float(rng.choice([0.0, rng.uniform(0, 0.5)])),
            bleed=float(rng.uniform(0.0, 0.1)),
            jpeg=int(rng.choice([0, rng.integers(60, 96)])),
        )


def expose(
    rng: np.random.Generator, layer: Monolayer, planes: list[np.ndarray], optics: Optics
) -> list[np.ndarray]:
    """Apply each cell's own brightness, lens, lamp, and bleed-through between neighbors in color.

    Parameters
    ----------
    rng : numpy.random.Generator
    layer : Monolayer
    planes : list of numpy.ndarray
        Clean planes red, green, blue, yellow, each ``(Y, X)``.
    optics : Optics
    """
    out = []
    for k, plane in enumerate(planes):
        own = rng.lognormal(0, 0.2, layer.count + 1).astype(np.float32)[layer.cells]
        blur = optics.softness * rng.uniform(0.10, 0.15) * layer.px
        sharp = ndi.gaussian_filter(plane * own, blur, truncate=3.0)
        glow = ndi.gaussian_filter(sharp[::2, ::2], 0.8 * layer.px, truncate=2.5)
        glow = np.repeat(np.repeat(glow, 2, 0), 2, 1)[: layer.shape[0], : layer.shape[1]]
        out.append(sharp + (0.06, 0.05, 0.03, 0.06)[k] * glow)
    red, green, blue, yellow = out
    leak = rng.uniform(0, optics.bleed, 4)
    green = green + leak[0] * yellow + leak[1] * blue
    yellow = yellow + leak[2] * green
    red = red + leak[3] * yellow
    light = [red, green, blue, yellow]
    if optics.uneven:
        lamp = _lamp(rng, layer.shape, optics.uneven)
        light = [plane * lamp for plane in light]
    return light


def _lamp(rng: np.random.Generator, shape: tuple[int, int], uneven: float) -> np.ndarray:
    """Return the lamp's light on the field, 1 at its brightest place and ``1 - uneven`` at its darkest."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)
    cy, cx = rng.normal(0, 0.4, 2)
    far = (y - cy) ** 2 + (x - cx) ** 2
    far -= far.min()
    return np.asarray(1 - uneven * far / far.max(), np.float32)


def record(
    rng: np.random.Generator, planes: list[np.ndarray], bits: int, optics: Optics, guard: float = 0
) -> np.ndarray:
    """Turn light into counts: gain, shot noise, read noise, offset, clipping, bit depth.

    Parameters
    ----------
    rng : numpy.random.Generator
    planes : list of numpy.ndarray
    bits : {8, 12, 16}
    optics : Optics
    guard : float
        Share of the very brightest light that is not clipped: keeps the few bright dots of a
        centrosome inside the range, at the cost of a darker image.

    Returns
    -------
    numpy.ndarray
        ``(C, Y, X)`` uint8 for 8 bit, else uint16.
    """
    full, electrons = 2**bits - 1, ELECTRONS * optics.quality
    image = np.empty((len(planes), *planes[0].shape), np.uint8 if bits == 8 else np.uint16)
    for k, plane in enumerate(planes):
        white = max(float(np.percentile(plane[::2, ::2], 99.7)), 1e-3)
        if guard:
            white = max(white, guard * float(np.percentile(plane[::2, ::2], 99.97)))
        light = plane / white * rng.uniform(0.6, 0.85) * electrons
        # Shot noise of the light, and read noise of two electrons.
        light += rng.standard_normal(plane.shape, dtype=np.float32) * np.sqrt(
            np.maximum(light + 4, 0)
        )
        counts = light / electrons * full + 0.012 * full
        image[k] = np.clip(counts, 0, full).round()
        if optics.jpeg and bits == 8:
            image[k] = _compress(image[k], optics.jpeg)
    return image


def _compress(plane: np.ndarray, quality: int) -> np.ndarray:
    memory = io.BytesIO()
    PillowImage.fromarray(plane).save(memory, "JPEG", quality=quality)
    return np.asarray(PillowImage.open(memory))
