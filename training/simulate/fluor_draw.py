"""Tools that draw on a monolayer: filaments that walk, spots, places inside cells, soft masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from .fluor_cells import Monolayer

Plane = np.ndarray
STEP = 0.9
"""Length of a step of a filament in pixels."""


@dataclass(frozen=True)
class Filaments:
    """Starting points of filaments: positions ``(N, 2)`` pixels, directions, lengths, owners."""

    at: np.ndarray
    angle: np.ndarray
    length: np.ndarray
    owner: np.ndarray

    def where(self, keep: np.ndarray) -> Filaments:
        """Return the filaments marked in ``(N,)`` bool."""
        return Filaments(self.at[keep], self.angle[keep], self.length[keep], self.owner[keep])


@dataclass(frozen=True)
class Walk:
    """Where filaments went: points ``(P, 2)``, the filament of each, steps left to its end."""

    points: np.ndarray
    filament: np.ndarray
    left: np.ndarray


def walk(
    rng: np.random.Generator,
    layer: Monolayer,
    seeds: Filaments,
    wander: float,
    keep_off: float = 1.2,
) -> Walk:
    """Walk all filaments of a field at once, each inside its own cell.

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
    rows, columns = layer.shape
    at, angle = seeds.at.astype(np.float32).copy(), seeds.angle.astype(np.float32)
    heading = np.stack([np.sin(angle), np.cos(angle)], 1)
    left = np.ceil(seeds.length * layer.px / STEP).astype(int)
    which = np.arange(len(at))
    bend = wander * np.sqrt(STEP / layer.px)
    spots, ids = [], []
    while len(at):
        row, col = at[:, 0].astype(int), at[:, 1].astype(int)
        ok = (left > 0) & (row >= 0) & (row < rows) & (col >= 0) & (col < columns)
        ok[ok] &= layer.cells[row[ok], col[ok]] == seeds.owner[which[ok]]
        if not ok.all():
            at, heading, left, which = at[ok], heading[ok], left[ok], which[ok]
            row, col = row[ok], col[ok]
        spots.append(at.copy())
        ids.append(which)
        turn = rng.standard_normal(len(at), dtype=np.float32)[:, None] * bend
        side = np.stack([heading[:, 1], -heading[:, 0]], 1)
        near = np.clip(1 - layer.edge[row, col] / (keep_off * layer.px), 0, 1)
        push = layer.inward[:, row, col].T * (0.35 * near)[:, None]
        heading = heading + turn * side + push
        heading /= np.linalg.norm(heading, axis=1, keepdims=True) + 1e-6
        at = at + STEP * heading
        left = left - 1
    if not spots:
        none = np.empty((0, 2), np.float32)
        return Walk(none, np.empty(0, int), np.empty(0, int))
    at_step = np.repeat(np.arange(len(spots)), [len(s) for s in spots])
    which = np.concatenate(ids)
    last = np.zeros(len(seeds.at), int)
    last[which] = at_step  # later steps come later: the last one stays
    return Walk(np.concatenate(spots), which, last[which] - at_step)


def trace(
    rng: np.random.Generator,
    layer: Monolayer,
    seeds: Filaments,
    wander: float,
    keep_off: float = 1.2,
) -> Plane:
    """Walk all filaments of a field (see :func:`walk`) and return their summed density."""
    return splat(walk(rng, layer, seeds, wander, keep_off).points, layer.shape)


def splat(points: np.ndarray, shape: tuple[int, int], weight: np.ndarray | None = None) -> Plane:
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


def blur(plane: Plane, layer: Monolayer, micrometers: float) -> Plane:
    """Blur by a Gaussian of the given standard deviation."""
    return np.asarray(ndi.gaussian_filter(plane, micrometers * layer.px, truncate=3.0))


def owners(layer: Monolayer, per_cell: np.ndarray) -> np.ndarray:
    """Return owner ids, ``per_cell[i]`` copies of cell ``i + 1``."""
    return np.repeat(np.arange(1, layer.count + 1), per_cell)


def somewhere(
    rng: np.random.Generator, layer: Monolayer, weight: Plane, per_cell: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw positions inside each cell with probability proportional to ``weight``; return (positions, owners)."""
    flat = layer.cells.ravel()
    mass = np.where(flat > 0, np.maximum(weight.ravel(), 0), 0)
    order = np.argsort(flat, kind="stable")
    total = np.cumsum(mass[order])
    ends = np.searchsorted(flat[order], np.arange(layer.count + 2))
    own = owners(layer, per_cell)
    before = np.concatenate([[0.0], total])
    low, high = before[ends[own]], before[ends[own + 1]]
    pick = np.searchsorted(total, low + rng.random(len(own)) * (high - low), side="right")
    pixel = order[np.minimum(pick, len(order) - 1)]
    at = np.stack(np.divmod(pixel, layer.shape[1]), 1) + rng.random((len(own), 2))
    good = (high > low) & (flat[pixel] == own)
    return at[good], own[good]


def many(rng: np.random.Generator, layer: Monolayer, low: int, high: int) -> np.ndarray:
    """Return how many of a thing each cell has, between ``low`` and ``high``."""
    return rng.integers(low, high + 1, layer.count)


def by_area(rng: np.random.Generator, layer: Monolayer, low: int, high: int) -> np.ndarray:
    """Return numbers for a cell of 800 square micrometers, scaled with each cell's area."""
    area = np.bincount(layer.cells.ravel(), minlength=layer.count + 1)[1:] / layer.px**2
    scale = np.clip(area / 800, 0.2, 2.0)
    return np.ceil(many(rng, layer, low, high) * scale).astype(int)


def dots(
    rng: np.random.Generator,
    layer: Monolayer,
    where: Plane,
    per_cell: np.ndarray,
    size_um: float,
    uneven: float = 0.45,
) -> Plane:
    """Draw round dots of one size, placed in proportion to ``where``, of uneven brightness."""
    at, _ = somewhere(rng, layer, where, per_cell)
    weight = rng.lognormal(0, uneven, len(at)).astype(np.float32)
    return spots(layer, at, size_um, weight)


def spots(layer: Monolayer, at: np.ndarray, size_um: float, weight: np.ndarray) -> Plane:
    """Draw Gaussian spots of height ``weight`` (before they overlap) at given places."""
    peak = 2 * np.pi * (size_um * layer.px) ** 2
    return peak * blur(splat(at, layer.shape, weight), layer, size_um)


def away_from(layer: Monolayer, places: np.ndarray) -> Plane:
    """Return each pixel's distance in micrometers to the place ``(n + 1, 2)`` of its own cell."""
    row, col = np.indices(layer.shape, np.float32, sparse=True)
    y, x = (places[:, k].astype(np.float32)[layer.cells] for k in (0, 1))
    return np.asarray(np.hypot(row - y, col - x) / layer.px, np.float32)


def height(layer: Monolayer) -> Plane:
    """Return the cell's thickness, about 1 beside the nucleus and thin towards the border."""
    flank = np.clip(layer.edge / (5 * layer.px), 0, 1) ** 0.7
    return np.asarray(
        flank * (0.3 + 0.7 * np.exp(-np.maximum(layer.rim, 0) / (6 * layer.px))), np.float32
    )


def inside_nucleus(layer: Monolayer) -> Plane:
    """Return the nuclei as soft masks, 1 inside."""
    return (0.5 - 0.5 * np.tanh(layer.rim / (0.25 * layer.px))).astype(np.float32)
