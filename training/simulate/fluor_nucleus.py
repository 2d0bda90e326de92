"""Draw what is inside the nucleus and on its envelope."""

from __future__ import annotations

import numpy as np

from .fluor_cells import Monolayer
from .fluor_draw import Plane, dots, inside_nucleus, many
from .noise import smooth_noise


def nucleoplasm(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw the nucleus filled evenly, nucleoli left out."""
    grain = 0.72 + 0.1 * smooth_noise(rng, layer.shape, 0.35 * layer.px)
    return inside_nucleus(layer) * grain * (1 - 0.6 * layer.nucleoli)


def nuclear_membrane(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw a thin line on the nuclear envelope."""
    patch = np.clip(0.9 + 0.25 * smooth_noise(rng, layer.shape, 0.8 * layer.px), 0.2, 2)
    line = np.exp(-(((layer.rim + 0.2 * layer.px) / (0.38 * layer.px)) ** 2))
    return line * patch * (layer.cells > 0) + 0.13 * inside_nucleus(layer)


def nucleoli(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw the nucleoli, over a weak nucleoplasm."""
    grain = 0.95 + 0.12 * smooth_noise(rng, layer.shape, 0.3 * layer.px)
    return layer.nucleoli * grain + 0.1 * inside_nucleus(layer)


def nuclear_speckles(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw twenty to fifty irregular flecks between the nucleoli."""
    waves = smooth_noise(rng, layer.shape, 0.42 * layer.px)
    flecks = 0.5 + 0.5 * np.tanh((waves - 1.0) / 0.25)
    return np.asarray(inside_nucleus(layer) * (flecks * (1 - layer.nucleoli) + 0.15))


def nuclear_bodies(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw a few round, crisp dots in the nucleus."""
    where = (layer.rim < -0.9 * layer.px) * (1 - layer.nucleoli)
    return dots(rng, layer, where, many(rng, layer, 3, 11), 0.3) + 0.08 * inside_nucleus(layer)


def fibrillar_centers(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw a handful of crisp dots within each nucleolus, over a weak nucleolus."""
    where = inside_nucleus(layer) * (layer.nucleoli**3 + 1e-5)
    points = dots(rng, layer, where, many(rng, layer, 4, 11), 0.2, 0.3)
    return points + 0.14 * layer.nucleoli + 0.06 * inside_nucleus(layer)


def chromatin(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw DNA: grainy nuclei without their nucleoli; condensed and brighter in dividing cells."""
    grain = 0.74 + 0.13 * smooth_noise(rng, layer.shape, 0.45 * layer.px)
    grain += 0.09 * smooth_noise(rng, layer.shape, 1.3 * layer.px)
    dome = np.clip(-layer.rim / (1.6 * layer.px), 0, 1) ** 0.5
    blue = inside_nucleus(layer) * (0.35 + 0.65 * dome) * grain * (1 - 0.5 * layer.nucleoli)
    if layer.phases:
        gain = {"": 1.0, "metaphase": 2.0, "anaphase": 2.0, "daughter": 1.4}
        dense = np.array([gain[p] for p in layer.phases], np.float32)
        blue = blue * dense[layer.cells]
    return np.asarray(blue)
