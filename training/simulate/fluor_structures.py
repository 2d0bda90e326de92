"""Draw subcellular structures of a monolayer, each as one float plane for the whole field.

A structure is a function ``(rng, layer) -> (Y, X) float32`` whose bright parts are near 1. The
table :data:`STRUCTURES` maps the class names of the Human Protein Atlas to these functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from .fluor_cells import Monolayer
from .noise import smooth_noise

Plane = np.ndarray


@dataclass(frozen=True)
class Filaments:
    """Starting points of filaments: positions ``(N, 2)`` pixels, directions, lengths, owners."""

    at: np.ndarray
    angle: np.ndarray
    length: np.ndarray
    owner: np.ndarray


def trace(
    rng: np.random.Generator,
    layer: Monolayer,
    seeds: Filaments,
    wander: float,
    keep_off: float = 1.2,
) -> Plane:
    """Walk all filaments of a field at once and return their summed density.

    Parameters
    ----------
    rng : numpy.random.Generator
    layer : Monolayer
    seeds : Filaments
        Lengths in micrometers.
    wander : float
        Standard deviation of the change of direction per micrometer, radians.
    keep_off : float
        Filaments turn away from the border of their cell within this many micrometers.
    """
    step = 0.9
    height, width = layer.shape
    at, angle = seeds.at.astype(np.float32).copy(), seeds.angle.astype(np.float32)
    heading = np.stack([np.sin(angle), np.cos(angle)], 1)
    left = np.ceil(seeds.length * layer.px / step).astype(int)
    owner = seeds.owner
    bend = wander * np.sqrt(step / layer.px)
    spots: list[np.ndarray] = []
    while len(at):
        row, col = at[:, 0].astype(int), at[:, 1].astype(int)
        ok = (left > 0) & (row >= 0) & (row < height) & (col >= 0) & (col < width)
        ok[ok] &= layer.cells[row[ok], col[ok]] == owner[ok]
        if not ok.all():
            at, heading, left, owner = at[ok], heading[ok], left[ok], owner[ok]
            row, col = row[ok], col[ok]
        spots.append(at.copy())
        turn = rng.standard_normal(len(at), dtype=np.float32)[:, None] * bend
        side = np.stack([heading[:, 1], -heading[:, 0]], 1)
        near = np.clip(1 - layer.edge[row, col] / (keep_off * layer.px), 0, 1)
        push = layer.inward[:, row, col].T * (0.35 * near)[:, None]
        heading = heading + turn * side + push
        heading /= np.linalg.norm(heading, axis=1, keepdims=True) + 1e-6
        at = at + step * heading
        left = left - 1
    return _splat(np.concatenate(spots) if spots else np.empty((0, 2)), layer.shape)


def _splat(points: np.ndarray, shape: tuple[int, int], weight: np.ndarray | None = None) -> Plane:
    """Add points to a plane with bilinear weights."""
    base = np.floor(points).astype(int)
    part = points - base
    weight = np.ones(len(points), np.float32) if weight is None else weight
    plane = np.zeros((shape[0] + 1) * (shape[1] + 1))
    for dy in (0, 1):
        for dx in (0, 1):
            share = np.abs(1 - dy - part[:, 0]) * np.abs(1 - dx - part[:, 1]) * weight
            row = np.clip(base[:, 0] + dy, 0, shape[0])
            col = np.clip(base[:, 1] + dx, 0, shape[1])
            plane += np.bincount(row * (shape[1] + 1) + col, share, plane.size)
    return plane.reshape(shape[0] + 1, shape[1] + 1)[:-1, :-1].astype(np.float32)


def _blur(plane: Plane, layer: Monolayer, micrometers: float) -> Plane:
    return np.asarray(ndi.gaussian_filter(plane, micrometers * layer.px, truncate=3.0))


def _ids(layer: Monolayer, per_cell: np.ndarray) -> np.ndarray:
    """Return owner ids, ``per_cell[i]`` copies of cell ``i + 1``."""
    return np.repeat(np.arange(1, layer.count + 1), per_cell)


def _somewhere(
    rng: np.random.Generator, layer: Monolayer, weight: Plane, per_cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw positions inside each cell with probability proportional to ``weight``; return (positions, owners)."""
    flat = layer.cells.ravel()
    mass = np.where(flat > 0, np.maximum(weight.ravel(), 0), 0)
    order = np.argsort(flat, kind="stable")
    total = np.cumsum(mass[order])
    ends = np.searchsorted(flat[order], np.arange(layer.count + 2))
    owners = _ids(layer, per_cell)
    before = np.concatenate([[0.0], total])
    low, high = before[ends[owners]], before[ends[owners + 1]]
    pick = np.searchsorted(total, low + rng.random(len(owners)) * (high - low), side="right")
    pixel = order[np.minimum(pick, len(order) - 1)]
    at = np.stack(np.divmod(pixel, layer.shape[1]), 1) + rng.random((len(owners), 2))
    good = (high > low) & (flat[pixel] == owners)
    return at[good], owners[good]


def _many(rng: np.random.Generator, layer: Monolayer, low: int, high: int) -> np.ndarray:
    return rng.integers(low, high + 1, layer.count)


def _by_area(rng: np.random.Generator, layer: Monolayer, low: int, high: int) -> np.ndarray:
    """Return numbers for a cell of 800 square micrometers, scaled with each cell's area."""
    area = np.bincount(layer.cells.ravel(), minlength=layer.count + 1)[1:] / layer.px**2
    scale = np.clip(area / 800, 0.2, 2.0)
    return np.ceil(_many(rng, layer, low, high) * scale).astype(int)


def height(layer: Monolayer) -> Plane:
    """Return the cell's thickness, about 1 beside the nucleus and thin towards the border."""
    flank = np.clip(layer.edge / (5 * layer.px), 0, 1) ** 0.7
    return np.asarray(
        flank * (0.3 + 0.7 * np.exp(-np.maximum(layer.rim, 0) / (6 * layer.px))), np.float32
    )


def inside_nucleus(layer: Monolayer) -> Plane:
    """Return the nuclei as soft masks, 1 inside."""
    return (0.5 - 0.5 * np.tanh(layer.rim / (0.25 * layer.px))).astype(np.float32)


def microtubules(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw filaments from the organizing center to the border, with others bent around the nucleus."""
    radial = _ids(layer, _by_area(rng, layer, 130, 240))
    at = layer.poles[radial] + rng.normal(0, 1.1 * layer.px, (len(radial), 2))
    angle = rng.uniform(0, 2 * np.pi, len(radial))
    stays = 2 * np.exp(-np.maximum(layer.rim, 0) / (5 * layer.px)) * (layer.rim > 0) + 0.4
    free, owner = _somewhere(rng, layer, stays, _by_area(rng, layer, 120, 240))
    to_center = layer.centers[owner] - free
    round_about = np.arctan2(to_center[:, 0], to_center[:, 1]) + np.pi / 2
    round_about += rng.choice([0, np.pi], len(owner)) + rng.normal(0, 0.6, len(owner))
    seeds = Filaments(
        np.concatenate([at, free]),
        np.concatenate([angle, round_about]),
        np.concatenate([rng.uniform(8, 34, len(at)), rng.uniform(5, 20, len(free))]),
        np.concatenate([radial, owner]),
    )
    lines = trace(rng, layer, seeds, 0.16)
    under = 1 - inside_nucleus(layer) * rng.uniform(0.35, 0.95, layer.count + 1)[layer.cells]
    haze = _blur(lines, layer, 0.9)
    return np.asarray((0.26 * lines + 0.22 * haze) * under.astype(np.float32))


def reticulum(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw a net of tubules, dense beside the nucleus and loose outside, with the nuclear envelope."""
    net = np.zeros(layer.shape, np.float32)
    for sigma, share in ((0.28, 0.6), (0.5, 0.6)):
        waves = smooth_noise(rng, layer.shape, sigma * layer.px)
        net += share * np.exp(-((waves / 0.32) ** 2))
    near = np.exp(-np.maximum(layer.rim, 0) / (4.5 * layer.px))
    flank = np.clip(layer.edge / (2.5 * layer.px), 0, 1)
    patch = 1 + 0.35 * smooth_noise(rng, layer.shape, 2.5 * layer.px)
    body = flank * (0.16 + 0.84 * near) * (net + 0.3) * np.clip(patch, 0.2, 2)
    nucleus = inside_nucleus(layer)
    envelope = np.exp(-((layer.rim / (0.4 * layer.px)) ** 2))
    return np.asarray(body * (1 - 0.8 * nucleus) + 0.35 * envelope * (layer.cells > 0))


def mitochondria(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw short worms in the cytoplasm, thick, mostly around the nucleus."""
    where = np.exp(-np.maximum(layer.rim, 0) / (7 * layer.px)) * (layer.rim > 0.4 * layer.px)
    at, owner = _somewhere(
        rng, layer, where * (layer.edge > layer.px), _by_area(rng, layer, 90, 190)
    )
    out = at - layer.centers[owner]
    angle = np.arctan2(out[:, 0], out[:, 1]) + rng.normal(0, 0.9, len(at))
    worms = trace(rng, layer, Filaments(at, angle, rng.uniform(0.8, 4.5, len(at)), owner), 0.6)
    return 1.6 * _blur(worms, layer, 0.17) * (1 - 0.8 * inside_nucleus(layer))


def actin(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw long parallel stress fibers along the cell, and a bright cortex."""
    at, owner = _somewhere(rng, layer, layer.cells > 0, _by_area(rng, layer, 35, 80))
    angle = layer.axes[owner] + rng.normal(0, 0.12, len(at)) + rng.choice([0, np.pi], len(at))
    length = rng.uniform(6, 28, len(at))
    fibers = trace(rng, layer, Filaments(at, angle, length, owner), 0.015, 0.4)
    cortex = np.exp(-((layer.edge / (0.55 * layer.px)) ** 2)) * (layer.cells > 0)
    patch = np.clip(0.7 + 0.5 * smooth_noise(rng, layer.shape, 1.5 * layer.px), 0.05, 2)
    return 1.0 * _blur(fibers, layer, 0.12) + 0.6 * cortex * patch + 0.06 * height(layer)


def intermediate_filaments(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw a wavy cage around the nucleus that thins out towards the border."""
    where = np.exp(-np.maximum(layer.rim, 0) / (3 * layer.px)) * (layer.rim > 0)
    at, owner = _somewhere(rng, layer, where, _by_area(rng, layer, 70, 130))
    angle = rng.uniform(0, 2 * np.pi, len(at))
    lines = trace(rng, layer, Filaments(at, angle, rng.uniform(4, 16, len(at)), owner), 0.75, 2.5)
    lines *= 1 - 0.75 * inside_nucleus(layer)
    return 0.5 * _blur(lines, layer, 0.12) + 0.3 * _blur(lines, layer, 0.7)


def golgi(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw ribbons and stacks heaped on one side of the nucleus, at the organizing center."""
    owner = _ids(layer, _many(rng, layer, 14, 30))
    at = layer.poles[owner] + rng.normal(0, rng.uniform(1.0, 2.2) * layer.px, (len(owner), 2))
    out = at - layer.centers[owner]
    angle = np.arctan2(out[:, 0], out[:, 1]) + np.pi / 2 + rng.normal(0, 0.5, len(at))
    ribbons = trace(rng, layer, Filaments(at, angle, rng.uniform(0.8, 4.0, len(at)), owner), 0.5)
    return 1.5 * _blur(ribbons, layer, 0.24) * (1 - 0.88 * inside_nucleus(layer))


def _dots(
    rng: np.random.Generator, layer: Monolayer, where: Plane, per_cell: np.ndarray, size_um: float
) -> Plane:
    at, _ = _somewhere(rng, layer, where, per_cell)
    weight = rng.lognormal(0, 0.45, len(at)).astype(np.float32)
    peak = 2 * np.pi * (size_um * layer.px) ** 2
    return peak * _blur(_splat(at, layer.shape, weight), layer, size_um)


def lipid_droplets(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw small rings of mixed sizes in the cytoplasm."""
    where = (layer.rim > 0.8 * layer.px) * height(layer)
    large = _dots(rng, layer, where, _many(rng, layer, 10, 30), 0.5)
    small = _dots(rng, layer, where, _many(rng, layer, 20, 60), 0.28)
    return np.exp(-(((large - 0.55) / 0.25) ** 2)) * (large > 0.15) + 0.8 * small


def centrosome(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw one or two crisp dots at the organizing center."""
    owner = _ids(layer, _many(rng, layer, 1, 2))
    at = layer.poles[owner] + rng.normal(0, 0.5 * layer.px, (len(owner), 2))
    spot = 2 * np.pi * (0.3 * layer.px) ** 2 * _blur(_splat(at, layer.shape), layer, 0.3)
    return 1.4 * spot + 0.08 * cytosol(rng, layer)


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
    return _dots(rng, layer, where, _many(rng, layer, 3, 11), 0.3) + 0.08 * inside_nucleus(layer)


def plasma_membrane(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw the border of the cell, patchy, with ruffles just inside."""
    patch = np.clip(0.8 + 0.5 * smooth_noise(rng, layer.shape, 1.0 * layer.px), 0.05, 2.2)
    line = np.exp(-((layer.edge / (0.7 * layer.px)) ** 2)) * patch
    ruffle = np.clip(smooth_noise(rng, layer.shape, 0.25 * layer.px) - 0.9, 0, 2)
    zone = np.exp(-layer.edge / (2.0 * layer.px))
    return (line + 0.7 * ruffle * zone + 0.09) * (layer.cells > 0)


def cell_junctions(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw beads along borders that two cells share."""
    reach = int(1.6 * layer.px) | 1
    upper = ndi.maximum_filter(layer.cells, reach)
    apart = np.where(layer.cells > 0, layer.cells, layer.count + 9)
    shared = (upper != ndi.minimum_filter(apart, reach)) & (layer.cells > 0)
    bare = ndi.minimum_filter((layer.cells > 0).astype(np.uint8), reach) > 0
    beads = np.clip(0.8 + 0.7 * smooth_noise(rng, layer.shape, 0.4 * layer.px), 0, 2.2)
    line = np.exp(-((layer.edge / (0.55 * layer.px)) ** 2))
    seam = _blur((shared & bare).astype(np.float32), layer, 0.3)
    return np.asarray(line * beads * seam + 0.04 * height(layer))


def cytosol(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw the cell body filled evenly, dimmer in the nucleus."""
    grain = 0.8 + 0.09 * smooth_noise(rng, layer.shape, 0.4 * layer.px)
    dim = rng.uniform(0.55, 0.9, layer.count + 1)[layer.cells]
    return np.asarray(height(layer) * grain * (1 - dim * inside_nucleus(layer)))


STRUCTURES: dict[str, Callable[[np.random.Generator, Monolayer], Plane]] = {
    "Nucleoplasm": nucleoplasm,
    "Nuclear membrane": nuclear_membrane,
    "Nucleoli": nucleoli,
    "Nuclear speckles": nuclear_speckles,
    "Nuclear bodies": nuclear_bodies,
    "Endoplasmic reticulum": reticulum,
    "Golgi apparatus": golgi,
    "Intermediate filaments": intermediate_filaments,
    "Actin filaments": actin,
    "Microtubules": microtubules,
    "Centrosome": centrosome,
    "Lipid droplets": lipid_droplets,
    "Plasma membrane": plasma_membrane,
    "Cell junctions": cell_junctions,
    "Mitochondria": mitochondria,
    "Cytosol": cytosol,
}
