"""Draw microtubules and what gathers on them: their ends, spindle, bridge, centrosome; actin; vimentin."""

from __future__ import annotations

import numpy as np

from .fluor_cells import Bridge, Monolayer
from .fluor_division import bridge_frame
from .fluor_draw import (
    STEP,
    Filaments,
    Plane,
    blur,
    by_area,
    height,
    inside_nucleus,
    many,
    owners,
    somewhere,
    splat,
    spots,
    trace,
    walk,
)
from .noise import offsets, smooth_noise


def tubules(rng: np.random.Generator, layer: Monolayer) -> tuple[Plane, Plane]:
    """Draw microtubules from the organizing center to the border, others bent around the nucleus.

    Returns
    -------
    tuple of numpy.ndarray
        The filaments (spindles and bridges included), and comets on their growing ends.
    """
    radial = owners(layer, by_area(rng, layer, 130, 240))
    near_pole = layer.vary(1.1, 0.8, 3.5) * layer.px
    at = layer.poles[radial] + rng.normal(0, near_pole, (len(radial), 2))
    angle = rng.uniform(0, 2 * np.pi, len(radial))
    stays = 2 * np.exp(-np.maximum(layer.rim, 0) / (5 * layer.px)) * (layer.rim > 0) + 0.4
    free, owner = somewhere(rng, layer, stays, by_area(rng, layer, 120, 240))
    to_center = layer.centers[owner] - free
    round_about = np.arctan2(to_center[:, 0], to_center[:, 1]) + np.pi / 2
    round_about += rng.choice([0, np.pi], len(owner)) + rng.normal(0, 0.6, len(owner))
    long = layer.vary(1.0, 0.8, 2.2)
    seeds = Filaments(
        np.concatenate([at, free]),
        np.concatenate([angle, round_about]),
        np.concatenate([rng.uniform(8, 34, len(at)), long * rng.uniform(5, 20, len(free))]),
        np.concatenate([radial, owner]),
    )
    if layer.extra is not None:
        # Cell lines differ in how much of the array hangs on the organizing center.
        bound = np.arange(len(seeds.owner)) < len(radial)
        seeds = seeds.where(~bound | (layer.extra.random(len(bound)) < layer.vary(1, 0.15, 1)))
    seeds = seeds.where(~layer.mitotic[seeds.owner])
    way = walk(rng, layer, seeds, layer.vary(0.16, 0.06, 0.2))
    lines = splat(way.points, layer.shape)
    if layer.extra is not None:
        # Bundles: some filaments are many times brighter; and the cell is thick beside the nucleus.
        bundle = layer.extra.lognormal(-0.3, layer.vary(0, 0.2, 1.1), len(seeds.owner))
        lines = splat(way.points, layer.shape, bundle[way.filament].astype(np.float32))
        near = np.exp(-np.maximum(layer.rim, 0) / (layer.vary(4, 2, 6) * layer.px))
        lines *= 0.6 + layer.vary(0, 0, 1.6) * near
    under = 1 - inside_nucleus(layer) * rng.uniform(0.35, 0.95, layer.count + 1)[layer.cells]
    haze = blur(lines, layer, 0.9)
    plane = (0.26 * lines + layer.vary(0.22, 0.1, 0.5) * haze) * under.astype(np.float32)
    if layer.phases:
        around = 0.16 * height(layer) * layer.mitotic[layer.cells]
        plane = plane + spindle(rng, layer) + around + 1.2 * _bundles(layer, gap=True)
    to_end = way.left * STEP / layer.px
    tip = (to_end < 1.6) & _growing(layer, len(seeds.owner))[way.filament]
    comets = splat(way.points[tip], layer.shape, np.exp(-to_end[tip] / 0.6).astype(np.float32))
    return np.asarray(plane), np.asarray(1.1 * blur(comets, layer, 0.12))


def _growing(layer: Monolayer, filaments: int) -> np.ndarray:
    """Return which filaments carry a comet: in varied fields the others pause, shrink, or end out of focus."""
    if layer.extra is None:
        return np.ones(filaments, bool)
    # A stream of its own: the other structures of a seed stay as they are.
    (own,) = layer.extra.spawn(1)
    return np.asarray(own.random(filaments) < own.uniform(0.12, 0.5))


def microtubules(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw the microtubules alone."""
    return tubules(rng, layer)[0]


def microtubule_ends(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw comets on the growing ends of microtubules."""
    return tubules(rng, layer)[1]


def spindle(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw the spindles of dividing cells: fibers bowed from both poles to the plate, and asters."""
    found: list[np.ndarray] = []
    for i in np.flatnonzero(layer.mitotic):
        found += _fibers(rng, layer, int(i))
    lines = splat(np.concatenate(found) if found else np.empty((0, 2)), layer.shape)
    lines *= layer.mitotic[layer.cells]
    drawn = 0.22 * blur(lines, layer, 0.1) + 0.25 * blur(lines, layer, 0.35)
    # The poles gather all fibers; the camera of a microscopist is set for the fibers.
    return np.asarray(1.5 * np.tanh(0.6 * drawn))


def _fibers(rng: np.random.Generator, layer: Monolayer, i: int) -> list[np.ndarray]:
    px, middle = layer.px, layer.spindles[i].mean(0)
    split = layer.phases[i] == "anaphase"
    t = np.linspace(0, 1, int(8 * px))[:, None, None]
    parts = []
    for pole in layer.spindles[i]:
        axis = (middle - pole) / (np.linalg.norm(middle - pole) + 1e-6)
        side = np.array([-axis[1], axis[0]])
        reach = np.clip(rng.normal(0, 2.1, 70), -4.3, 4.3)[:, None] * px
        stop = np.linalg.norm(middle - pole) - (2.6 if split else 0.3) * px * rng.uniform(
            0.6, 1.2, (70, 1)
        )
        if split:
            # Some fibers overlap between the plates.
            stop[:20] = np.linalg.norm(middle - pole) + rng.uniform(0, 2, (20, 1)) * px
        end = pole + axis * stop + side * reach * 0.9
        bow = pole + axis * 0.45 * stop + side * reach
        parts.append(((1 - t) ** 2 * pole + 2 * t * (1 - t) * bow + t**2 * end).reshape(-1, 2))
        angle = np.arctan2(-axis[0], -axis[1]) + rng.normal(0, 1.0, 30)
        ray = np.stack([np.sin(angle), np.cos(angle)], 1) * rng.uniform(1, 4, (30, 1)) * px
        parts.append((pole + t[::3] * ray).reshape(-1, 2))
    return parts


def mitotic_spindle(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw a protein of the spindle, with a little left in the cytosol."""
    return spindle(rng, layer) + layer.vary(0.12, 0.04, 0.25) * height(layer)


def cytokinetic_bridge(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw a protein of the bridge between daughters: flanks of the midbody, or the whole bridge."""
    bundles = _bundles(layer, gap=bool(rng.random() < 0.5))
    return 1.2 * bundles + 0.09 * height(layer)


def _bundles(layer: Monolayer, gap: bool) -> Plane:
    """Draw the bundle of microtubules in every bridge; ``gap`` leaves out the midbody."""
    plane = np.zeros(layer.shape, np.float32)
    for bridge in layer.bridges:
        _bundle(plane, layer, bridge, gap)
    return plane


def _bundle(plane: Plane, layer: Monolayer, bridge: Bridge, gap: bool) -> None:
    px = layer.px
    window = offsets(bridge.middle, int(bridge.half + 6 * px), layer.shape)
    if window is None:
        return
    along, across = bridge_frame(bridge, window.y, window.x)
    wide = max(0.45 * px, 0.9) * (1 + 0.5 * (along / (bridge.half + 1.5 * px)) ** 2)
    shade = np.exp(-((across / wide) ** 2))
    shade *= 0.5 - 0.5 * np.tanh((np.abs(along) - bridge.half - 1.2 * px) / (0.5 * px))
    if gap:
        shade *= 1 - 0.85 * np.exp(-((along / (0.45 * px)) ** 2))
    mine = np.isin(layer.cells[window.where], bridge.cells)
    plane[window.where] += (shade * mine).astype(np.float32)


def _pole_places(layer: Monolayer, owner: np.ndarray) -> np.ndarray:
    """Return the organizing center of each owner, in dividing cells the two poles in turn."""
    at = layer.poles[owner]
    dividing = layer.mitotic[owner]
    if dividing.any():
        turn = np.arange(len(owner)) % 2
        at[dividing] = layer.spindles[owner[dividing], turn[dividing]]
    return np.asarray(at)


def centrosome(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw one or two crisp dots at the organizing center."""
    owner = owners(layer, many(rng, layer, 1, 2))
    at = _pole_places(layer, owner) + rng.normal(0, 0.5 * layer.px, (len(owner), 2))
    ones = np.ones(len(owner), np.float32)
    grain = 0.8 + 0.09 * smooth_noise(rng, layer.shape, 0.4 * layer.px)
    dim = rng.uniform(0.55, 0.9, layer.count + 1)[layer.cells]
    cytosol = height(layer) * grain * (1 - dim * inside_nucleus(layer))
    return np.asarray(1.4 * spots(layer, at, 0.3, ones) + 0.08 * cytosol)


def organizing_center(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw a cloud of specks at the organizing center, with the beginnings of its microtubules."""
    owner = owners(layer, many(rng, layer, 10, 22))
    at = _pole_places(layer, owner) + rng.normal(0, 0.6 * layer.px, (len(owner), 2))
    cloud = spots(layer, at, 0.28, rng.uniform(0.12, 0.4, len(at)).astype(np.float32))
    glow = spots(layer, _pole_places(layer, owner), 1.1, np.full(len(at), 0.02, np.float32))
    owner = owners(layer, many(rng, layer, 40, 70))
    start = _pole_places(layer, owner) + rng.normal(0, 0.3 * layer.px, (len(owner), 2))
    angle, length = rng.uniform(0, 2 * np.pi, len(owner)), rng.exponential(2.8, len(owner)) + 0.8
    aster = trace(rng, layer, Filaments(start, angle, length, owner), 0.1)
    return cloud + glow + 0.13 * blur(aster, layer, 0.1) + 0.07 * height(layer)


def actin(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw long parallel stress fibers along the cell, and a bright cortex."""
    at, owner = somewhere(rng, layer, layer.cells > 0, by_area(rng, layer, 35, 80))
    spread = layer.vary(0.12, 0.08, 0.4)
    angle = layer.axes[owner] + rng.normal(0, spread, len(at)) + rng.choice([0, np.pi], len(at))
    length = rng.uniform(6, 28, len(at))
    wander, cortical = layer.vary(0.015, 0.01, 0.06), layer.vary(0.6, 0.2, 1.0)
    fibers = trace(rng, layer, Filaments(at, angle, length, owner), wander, 0.4)
    cortex = np.exp(-((layer.edge / (0.55 * layer.px)) ** 2)) * (layer.cells > 0)
    patch = np.clip(0.7 + 0.5 * smooth_noise(rng, layer.shape, 1.5 * layer.px), 0.05, 2)
    return 1.0 * blur(fibers, layer, 0.12) + cortical * cortex * patch + 0.06 * height(layer)


def focal_adhesions(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw short thick dashes under the outer part of the cell, pointing inward, most in its corners."""
    far = np.clip(layer.rim / (10 * layer.px), 0, 1) ** 1.5
    where = np.exp(-layer.edge / (2.2 * layer.px)) * (0.1 + far) * (layer.edge > 0.5 * layer.px)
    at, owner = somewhere(rng, layer, where * (layer.rim > layer.px), by_area(rng, layer, 26, 60))
    way = layer.inward[:, at[:, 0].astype(int), at[:, 1].astype(int)]
    angle = np.arctan2(way[0], way[1]) + rng.normal(0, 0.35, len(at))
    dashes = Filaments(at, angle, rng.gamma(4, 0.55, len(at)) + 0.6, owner)
    return 1.5 * blur(trace(rng, layer, dashes, 0.04, 0.1), layer, 0.22) + 0.07 * height(layer)


def intermediate_filaments(rng: np.random.Generator, layer: Monolayer) -> Plane:
    """Draw a wavy cage around the nucleus that thins out towards the border."""
    where = np.exp(-np.maximum(layer.rim, 0) / (2 * layer.px)) * (layer.rim > 0)
    at, owner = somewhere(rng, layer, where, by_area(rng, layer, 110, 190))
    out = at - layer.centers[owner]
    angle = np.arctan2(out[:, 0], out[:, 1]) + rng.choice([-1, 0, 1], len(at)) * np.pi / 2
    angle += rng.normal(0, 0.6, len(at))
    hairs = Filaments(at, angle, rng.uniform(3, 14, len(at)), owner)
    lines = trace(rng, layer, hairs, layer.vary(0.42, 0.3, 0.55), 2.5)
    lines *= 1 - 0.75 * inside_nucleus(layer)
    return 0.5 * blur(lines, layer, 0.12) + 0.3 * blur(lines, layer, 0.7)
