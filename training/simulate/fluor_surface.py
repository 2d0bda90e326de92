"""Draw what lies on the border of the cell."""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

from .fluor_cells import Monolayer
from .fluor_draw import Filaments, Plane, blur, by_area, height, inside_nucleus, somewhere, trace
from .noise import smooth_noise


def plasma_membrane(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw the border of the cell, patchy, with ruffles just inside; in varied fields often microvilli."""
    patch = np.clip(0.8 + 0.5 * smooth_noise(rng, layer.shape, 1.0 * layer.px), 0.05, 2.2)
    line = np.exp(-((layer.edge / (0.7 * layer.px)) ** 2)) * patch
    ruffle = np.clip(smooth_noise(rng, layer.shape, 0.25 * layer.px) - 0.9, 0, 2)
    zone = np.exp(-layer.edge / (2.0 * layer.px))
    if layer.vary(0, 0, 1) > 0.3:
        return _microvilli(rng, layer) + layer.vary(0, 0, 0.4) * line * (layer.cells > 0)
    return (line + 0.7 * ruffle * zone + 0.09) * (layer.cells > 0)


def _microvilli(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw short bright worms, dense near the border: a membrane in folds.

    In half of the fields the upper side of the cell is in focus too, where most folds lie over its
    thick part.
    """
    border = np.exp(-layer.edge / (layer.vary(2.0, 1.2, 3.0) * layer.px))
    upper = max(0.0, layer.vary(0, -0.6, 0.6))
    where = border + layer.vary(0.05, 0.01, 0.2) + upper * height(layer)
    at, owner = somewhere(rng, layer, where * (layer.cells > 0), by_area(rng, layer, 300, 1100))
    way = layer.inward[:, at[:, 0].astype(int), at[:, 1].astype(int)]
    angle = np.arctan2(-way[0], -way[1]) + rng.normal(0, 0.8, len(at))
    worms = Filaments(at, angle, rng.gamma(1.5, layer.vary(0.4, 0.2, 1.1), len(at)) + 0.1, owner)
    folds = blur(trace(rng, layer, worms, 0.5, 0.1), layer, 0.15)
    patch = np.clip(0.7 + 0.7 * smooth_noise(rng, layer.shape, 2.0 * layer.px), 0.1, 2.6)
    body = (layer.vary(0.08, 0.03, 0.16) + 0.3 * upper) * height(layer) + layer.vary(
        0, 0, 0.12
    ) * inside_nucleus(layer)
    return np.asarray(1.2 * folds * patch + body)


def cell_junctions(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw beads along borders that two cells share."""
    reach = int(1.6 * layer.px) | 1
    upper = ndi.maximum_filter(layer.cells, reach)
    apart = np.where(layer.cells > 0, layer.cells, layer.count + 9)
    shared = (upper != ndi.minimum_filter(apart, reach)) & (layer.cells > 0)
    bare = ndi.minimum_filter((layer.cells > 0).astype(np.uint8), reach) > 0
    beads = np.clip(0.8 + 0.7 * smooth_noise(rng, layer.shape, 0.4 * layer.px), 0, 2.2)
    line = np.exp(-((layer.edge / (0.55 * layer.px)) ** 2))
    seam = blur((shared & bare).astype(np.float32), layer, 0.3)
    return np.asarray(line * beads * seam + 0.04 * height(layer))
