"""Draw organelles of the cytoplasm."""

from __future__ import annotations

import numpy as np

from .fluor_cells import Monolayer
from .fluor_draw import (
    Filaments,
    Plane,
    away_from,
    blur,
    by_area,
    dots,
    height,
    inside_nucleus,
    many,
    owners,
    somewhere,
    splat,
    trace,
)
from .noise import Outline, offsets, smooth_noise, soft_step


def reticulum(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw a net of tubules, dense beside the nucleus and loose outside, with the nuclear envelope."""
    net = np.zeros(layer.shape, np.float32)
    for sigma, share in ((0.28, 0.6), (0.5, 0.6)):
        waves = smooth_noise(rng, layer.shape, sigma * layer.px)
        net += share * np.exp(-((waves / 0.32) ** 2))
    near = np.exp(-np.maximum(layer.rim, 0) / (4.5 * layer.px))
    flank = np.clip(layer.edge / (2.5 * layer.px), 0, 1)
    patch = 1 + 0.35 * smooth_noise(rng, layer.shape, 2.5 * layer.px)
    if layer.extra is not None:
        # Most of it on one side, where the Golgi is.
        near = near * (0.5 + np.exp(-away_from(layer, layer.poles) / layer.vary(8, 5, 20)))
    body = (
        flank * (0.16 + 0.84 * near) * (net + layer.vary(0.3, 0.15, 0.6)) * np.clip(patch, 0.2, 2)
    )
    nucleus = inside_nucleus(layer)
    envelope = np.exp(-((layer.rim / (0.4 * layer.px)) ** 2))
    # A dividing cell has no envelope.
    walled = (layer.cells > 0) & ~layer.mitotic[layer.cells]
    return np.asarray(body * (1 - 0.8 * nucleus) + layer.vary(0.35, 0.03, 0.35) * envelope * walled)


def mitochondria(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw short worms in the cytoplasm, thick, mostly around the nucleus."""
    where = np.exp(-np.maximum(layer.rim, 0) / (7 * layer.px)) * (layer.rim > 0.4 * layer.px)
    at, owner = somewhere(rng, layer, where * (layer.edge > layer.px), by_area(rng, layer, 90, 190))
    out = at - layer.centers[owner]
    angle = np.arctan2(out[:, 0], out[:, 1]) + rng.normal(0, 0.9, len(at))
    worms = trace(rng, layer, Filaments(at, angle, rng.uniform(0.8, 4.5, len(at)), owner), 0.6)
    return 1.6 * blur(worms, layer, 0.17) * (1 - 0.8 * inside_nucleus(layer))


def golgi(
    rng: np.random.Generator, layer: Monolayer, spread: tuple[float, float] = (1.0, 2.2)
) -> Plane:
    """Draw ribbons and stacks heaped on one side of the nucleus, at the organizing center.

    Parameters
    ----------
    rng : numpy.random.Generator
    layer : Monolayer
    spread : tuple of float
        Least and greatest standard deviation of the heap, micrometers.
    """
    owner = owners(layer, many(rng, layer, 14, int(layer.vary(30, 30, 60))))
    wide = rng.uniform(*spread) * layer.vary(1.0, 1.1, 2.4) * layer.px
    at = layer.poles[owner] + rng.normal(0, wide, (len(owner), 2))
    out = at - layer.centers[owner]
    angle = np.arctan2(out[:, 0], out[:, 1]) + np.pi / 2 + rng.normal(0, 0.5, len(at))
    ribbons = trace(rng, layer, Filaments(at, angle, rng.uniform(0.8, 4.0, len(at)), owner), 0.5)
    return (
        1.5
        * blur(ribbons, layer, layer.vary(0.24, 0.15, 0.24))
        * (1 - 0.88 * inside_nucleus(layer))
    )


def golgi_gpp130(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw the same Golgi as :func:`golgi`, a little tighter and with a few vesicles that left it.

    Giantin and GPP130 are in the same organelle: the pair is the hard one of 2D HeLa on purpose.
    """
    where = np.exp(-away_from(layer, layer.poles) / 3.5) * (layer.rim > 0.5 * layer.px)
    vesicles = dots(rng, layer, where, many(rng, layer, 6, 18), 0.2)
    return golgi(rng, layer, (0.9, 2.0)) + 0.55 * vesicles


def lipid_droplets(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw the skins of droplets of mixed sizes in the thick part of the cell, small ones filled."""
    where = (layer.rim > 0.8 * layer.px) * (layer.edge > layer.px) * height(layer) ** 2
    at, _ = somewhere(rng, layer, where, many(rng, layer, 12, 34))
    skins = _rings(rng, layer, at, np.clip(rng.lognormal(-0.35, 0.35, len(at)), 0.35, 1.5))
    small = dots(rng, layer, where, many(rng, layer, 10, 40), 0.26)
    return 1.1 * blur(skins, layer, 0.16) + 0.8 * small


def peroxisomes(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw very many small dots of one size and brightness, spread evenly over the cytoplasm."""
    where = (layer.rim > 0.6 * layer.px) * (layer.edge > 0.8 * layer.px)
    return dots(rng, layer, where, by_area(rng, layer, 150, 320), 0.16, 0.2) + 0.04 * height(layer)


def endosomes(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw vesicles of very uneven brightness all over the cytoplasm, the large ones hollow."""
    where = (layer.rim > 0.5 * layer.px) * (0.35 + height(layer))
    early = dots(rng, layer, where, by_area(rng, layer, 30, 75), 0.24, 0.75)
    at, _ = somewhere(rng, layer, where * (layer.edge > 1.5 * layer.px), many(rng, layer, 0, 3))
    hollow = _rings(rng, layer, at, rng.uniform(0.45, 0.8, len(at)))
    return 0.8 * early + 0.9 * blur(hollow, layer, 0.14) + 0.05 * height(layer)


def lysosomes(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw filled vesicles of mixed sizes, crowded on the side of the organizing center."""
    crowd = np.exp(-away_from(layer, layer.poles) / 4.0) + 0.01
    where = crowd * (layer.rim > 0.5 * layer.px) * (layer.edge > layer.px)
    large = dots(rng, layer, where, many(rng, layer, 16, 34), 0.5, 0.3)
    small = dots(rng, layer, where, many(rng, layer, 10, 30), 0.3, 0.4)
    return np.asarray(np.tanh(large) + 0.7 * small + 0.05 * height(layer))


def _rings(
    rng: np.random.Generator, layer: Monolayer, at: np.ndarray, radius_um: np.ndarray
) -> Plane:
    """Draw thin circles around places; the density along them is that of a filament."""
    points = []
    for center, radius in zip(at, radius_um * layer.px):
        angle = np.linspace(0, 2 * np.pi, max(8, int(7 * radius)), endpoint=False)
        flat = np.array([rng.uniform(0.75, 1.0), 1.0])
        points.append(center + radius * flat * np.stack([np.sin(angle), np.cos(angle)], 1))
    plane = splat(np.concatenate(points) if points else np.empty((0, 2)), layer.shape)
    return plane * (layer.cells > 0)


def aggresome(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw one large dense clump against the nucleus, at the organizing center."""
    plane = np.zeros(layer.shape, np.float32)
    for i in range(1, layer.count + 1):
        out = layer.poles[i] - layer.centers[i]
        size = rng.uniform(1.6, 3.0) * layer.px
        clump = Outline.random(rng, size, rng.uniform(1.0, 1.6), 0.12, 6)
        # As near to the nucleus as the clump's own size allows.
        place = layer.centers[i] + out * rng.uniform(0.88, 1.0)
        window = offsets((float(place[0]), float(place[1])), clump.reach(), layer.shape)
        if window is None:
            continue
        inside = (1 - clump.relative_radius(window.y, window.x)) * clump.radius
        mine = layer.cells[window.where] == i
        plane[window.where] += soft_step(inside, 0.3 * layer.px) * mine
    grain = np.clip(1 + 0.18 * smooth_noise(rng, layer.shape, 0.3 * layer.px), 0.3, 2)
    free = 1 - 0.75 * inside_nucleus(layer)
    return np.asarray(1.1 * plane * grain * free + 0.07 * cytosol(rng, layer))


def cytoplasmic_bodies(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw a few round crisp dots in the cytoplasm, over a weak cytosol."""
    where = (layer.rim > 1.2 * layer.px) * (layer.edge > 1.2 * layer.px)
    points = dots(rng, layer, where, many(rng, layer, 4, 13), 0.32, 0.3)
    return points + 0.13 * cytosol(rng, layer)


def rods_and_rings(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw a few straight rods and closed rings of several micrometers, mostly in the cytoplasm."""
    where = (layer.edge > 1.5 * layer.px) * np.where(layer.rim > 0, 1.0, 0.15)
    at, owner = somewhere(rng, layer, where, many(rng, layer, 1, 4))
    length = rng.uniform(3, 8, len(at))
    rods = Filaments(at, rng.uniform(0, 2 * np.pi, len(at)), length, owner)
    lines = trace(rng, layer, rods, 0.02, 0.2)
    places, _ = somewhere(rng, layer, where * (layer.edge > 2.5 * layer.px), many(rng, layer, 1, 2))
    lines += _rings(rng, layer, places, rng.uniform(1.0, 2.2, len(places)))
    return 1.7 * blur(lines, layer, 0.2) + 0.06 * cytosol(rng, layer)


def cytosol(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw the cell body filled evenly, dimmer in the nucleus."""
    grain = 0.8 + 0.09 * smooth_noise(rng, layer.shape, 0.4 * layer.px)
    dim = rng.uniform(0.55, 0.9, layer.count + 1)[layer.cells]
    return np.asarray(height(layer) * grain * (1 - dim * inside_nucleus(layer)))
