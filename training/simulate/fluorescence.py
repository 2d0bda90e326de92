"""Simulate red-green-blue-yellow fluorescence fields in the manner of the Human Protein Atlas.

Red: microtubules. Green: the protein whose location is the class. Blue: nucleus. Yellow:
endoplasmic reticulum. Planes are drawn in floating point, then blurred, mixed by bleed-through,
and recorded with shot noise, read noise and an offset at 8, 12 or 16 bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage as ndi

from .fluor_cells import Monolayer, grow
from .fluor_structures import STRUCTURES, height, inside_nucleus, microtubules, reticulum
from .noise import smooth_noise

PATTERNS = tuple(STRUCTURES)
"""Class names, a subset of the Human Protein Atlas vocabulary."""

CHANNELS = ("Microtubules", "Protein", "Nucleus", "ER")
CHANNEL_COLORS = ("#ff0000", "#00ff00", "#0000ff", "#ffff00")
PIXEL_SIZE_UM = 0.16


@dataclass(frozen=True)
class FluorescenceField:
    """One simulated field and its truth.

    Attributes
    ----------
    image : numpy.ndarray
        ``(4, Y, X)``, channels as in :data:`CHANNELS`; uint8 for 8 bit, else uint16.
    cells, nuclei : numpy.ndarray
        ``(Y, X)`` int32 instance masks with equal ids.
    table : pandas.DataFrame
        One row per cell: ``label, y, x`` (centroid, pixels) and ``class`` (labels joined by ``|``).
    pixel_size_um : float
    bits : int
        8, 12 or 16.
    """

    image: np.ndarray
    cells: np.ndarray
    nuclei: np.ndarray
    table: pd.DataFrame
    pixel_size_um: float
    bits: int


def simulate(
    seed: int,
    shape: tuple[int, int] = (1024, 1024),
    cells: int = 25,
    pixel_size_um: float = PIXEL_SIZE_UM,
    bits: int = 16,
    labels: Sequence[Sequence[str]] | None = None,
    one_protein: bool = False,
    quality: float = 1.0,
    softness: float = 1.0,
) -> FluorescenceField:
    """Simulate one field.

    Parameters
    ----------
    seed : int
        The same seed and arguments give the same arrays.
    shape : tuple of int
        ``(Y, X)`` in pixels.
    cells : int
        Number of cells to seed; a few may fall outside.
    pixel_size_um : float
    bits : {8, 12, 16}
    labels : sequence of sequences of str, optional
        Labels of the cells in turn (repeated as needed); drawn at random when absent.
    one_protein : bool
        Whether all cells share the labels of the first, as in one stained well.
    quality : float
        Light collected, 1 is a clean image, 0.1 a noisy one.
    softness : float
        Width of the lens blur, 1 is a good confocal image.

    Returns
    -------
    FluorescenceField

    Raises
    ------
    ValueError
        For a bit depth other than 8, 12, 16 or a label that is not in :data:`PATTERNS`.
    """
    if bits not in (8, 12, 16):
        raise ValueError(f"bits must be 8, 12 or 16; received {bits}")
    rng = np.random.default_rng(seed)
    layer = grow(rng, shape, cells, pixel_size_um)
    drawn = [draw_labels(rng) for _ in range(layer.count)]
    wanted = (
        drawn if labels is None else [tuple(labels[i % len(labels)]) for i in range(layer.count)]
    )
    if one_protein:
        wanted = wanted[:1] * layer.count
    wanted = _visible(layer, wanted)
    unknown = {name for names in wanted for name in names} - set(PATTERNS)
    if unknown:
        raise ValueError(f"Unknown patterns {sorted(unknown)}; known: {', '.join(PATTERNS)}")
    planes = _expose(rng, layer, _paint(rng, layer, wanted), softness)
    image = _record(rng, planes, bits, quality)
    return FluorescenceField(
        image, layer.cells, layer.nuclei, _truth(layer, wanted), pixel_size_um, bits
    )


def draw_labels(rng: np.random.Generator) -> tuple[str, ...]:
    """Draw one cell's labels: one pattern, or a pair four times in ten."""
    n = 2 if rng.random() < 0.4 else 1
    chosen = sorted(rng.choice(len(PATTERNS), n, replace=False))
    return tuple(PATTERNS[i] for i in chosen)


def _visible(layer: Monolayer, wanted: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Give a cell that touches no other cell a plasma membrane where it was to have junctions."""
    a, b = layer.cells[:, 1:], layer.cells[:, :-1]
    c, d = layer.cells[1:], layer.cells[:-1]
    left, right = (a != b) & (a > 0) & (b > 0), (c != d) & (c > 0) & (d > 0)
    contact = np.bincount(
        np.concatenate([a[left], b[left], c[right], d[right]]), minlength=layer.count + 1
    )
    out = []
    for i, names in enumerate(wanted, start=1):
        alone = contact[i] < 4 * layer.px
        swapped = ["Plasma membrane" if n == "Cell junctions" and alone else n for n in names]
        out.append(tuple(dict.fromkeys(swapped)))
    return out


def _truth(layer: Monolayer, wanted: list[tuple[str, ...]]) -> pd.DataFrame:
    ids = np.arange(1, layer.count + 1)
    centers = np.array(ndi.center_of_mass(layer.cells > 0, layer.cells, ids)).reshape(-1, 2)
    return pd.DataFrame(
        {
            "label": ids,
            "y": centers[:, 0].round(2),
            "x": centers[:, 1].round(2),
            "class": ["|".join(names) for names in wanted],
        }
    )


def _paint(
    rng: np.random.Generator, layer: Monolayer, wanted: list[tuple[str, ...]]
) -> list[np.ndarray]:
    """Return the four clean planes, structures near 1."""
    tubules, net = microtubules(rng, layer), reticulum(rng, layer)
    shared = {"Microtubules": tubules, "Endoplasmic reticulum": net}
    body = height(layer)
    diffuse = rng.uniform(0.02, 0.09, layer.count + 1).astype(np.float32)
    green = body * diffuse[layer.cells]
    for name in dict.fromkeys(n for names in wanted for n in names):
        weight = np.zeros(layer.count + 1, np.float32)
        for i, names in enumerate(wanted, start=1):
            if name in names:
                alone = len(names) == 1
                weight[i] = rng.lognormal(0, 0.18) * (1 if alone else rng.uniform(0.55, 1.0))
        plane = shared.get(name)
        green += weight[layer.cells] * (STRUCTURES[name](rng, layer) if plane is None else plane)
    chromatin = 0.74 + 0.13 * smooth_noise(rng, layer.shape, 0.45 * layer.px)
    chromatin += 0.09 * smooth_noise(rng, layer.shape, 1.3 * layer.px)
    dome = np.clip(-layer.rim / (1.6 * layer.px), 0, 1) ** 0.5
    blue = inside_nucleus(layer) * (0.35 + 0.65 * dome) * chromatin * (1 - 0.5 * layer.nucleoli)
    red = tubules + 0.05 * body
    yellow = net + 0.05 * body
    return [red, green, blue, yellow]


def _expose(
    rng: np.random.Generator, layer: Monolayer, planes: list[np.ndarray], softness: float
) -> list[np.ndarray]:
    """Apply each cell's own brightness, the lens, and bleed-through between neighbors in color."""
    out = []
    for k, plane in enumerate(planes):
        own = rng.lognormal(0, 0.2, layer.count + 1).astype(np.float32)[layer.cells]
        sharp = ndi.gaussian_filter(
            plane * own, softness * rng.uniform(0.10, 0.15) * layer.px, truncate=3.0
        )
        glow = ndi.gaussian_filter(sharp[::2, ::2], 0.8 * layer.px, truncate=2.5)
        glow = np.repeat(np.repeat(glow, 2, 0), 2, 1)[: layer.shape[0], : layer.shape[1]]
        out.append(sharp + (0.06, 0.05, 0.03, 0.06)[k] * glow)
    red, green, blue, yellow = out
    leak = rng.uniform(0, 0.03, 4)
    green = green + leak[0] * yellow + leak[1] * blue
    yellow = yellow + leak[2] * green
    red = red + leak[3] * yellow
    return [red, green, blue, yellow]


def _record(
    rng: np.random.Generator, planes: list[np.ndarray], bits: int, quality: float
) -> np.ndarray:
    """Turn light into counts: gain, shot noise, read noise, offset, clipping, bit depth."""
    full = 2**bits - 1
    image = np.empty((len(planes), *planes[0].shape), np.uint8 if bits == 8 else np.uint16)
    for k, plane in enumerate(planes):
        white = max(float(np.percentile(plane[::2, ::2], 99.7)), 1e-3)
        light = plane / white * rng.uniform(0.6, 0.85)
        electrons = light * 900 * quality
        electrons += rng.standard_normal(plane.shape, dtype=np.float32) * np.sqrt(
            np.maximum(electrons + 4, 0)
        )
        counts = electrons / (900 * quality) * full + 0.012 * full
        image[k] = np.clip(counts, 0, full).round()
    return image
