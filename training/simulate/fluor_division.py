"""Let chosen cells of a monolayer divide: rounded cells with condensed chromatin, and daughter pairs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .fluor_cells import Bridge, Monolayer, distances, largest_parts, organizing_centers
from .noise import Outline, offsets, smooth_noise, soft_step

PHASES = ("metaphase", "anaphase", "daughter")


class _Draft:
    """The masks of a field while cells are taken out and drawn anew."""

    def __init__(self, layer: Monolayer) -> None:
        self.cells, self.nuclei = layer.cells.copy(), layer.nuclei.copy()
        self.nucleoli = layer.nucleoli.copy()
        self.centers = [tuple(c) for c in layer.centers]
        self.axes = list(layer.axes)
        self.phases = [""] * (layer.count + 1)
        self.spindles = [np.zeros((2, 2)) for _ in range(layer.count + 1)]
        self.bridges: list[Bridge] = []
        self.px, self.shape = layer.px, layer.shape

    def clear(self, i: int) -> None:
        """Take cell ``i`` off the floor."""
        self.nucleoli[self.nuclei == i] = 0
        self.nuclei[self.nuclei == i] = 0
        self.cells[self.cells == i] = 0


def divide(
    rng: np.random.Generator, layer: Monolayer, wanted: dict[int, str]
) -> tuple[Monolayer, list[int]]:
    """Put cells into a phase of division.

    Parameters
    ----------
    rng : numpy.random.Generator
    layer : Monolayer
        Cells in interphase.
    wanted : dict
        Cell id -> one of :data:`PHASES`. ``daughter`` makes a pair: the cell and a new one, joined by a bridge.

    Returns
    -------
    Monolayer
        With the new cells at the end; a cell without room for a pair stays in interphase.
    list of int
        The mother of each new cell.
    """
    draft, mothers = _Draft(layer), []
    for i, phase in sorted(wanted.items()):
        if phase == "daughter":
            if _split(rng, draft, i):
                mothers.append(i)
        else:
            _round_up(rng, draft, i, phase)
    changed = np.array([bool(p) for p in draft.phases])
    cells = largest_parts(draft.cells, len(draft.centers) - 1)
    nuclei = np.where(cells == draft.nuclei, draft.nuclei, 0)
    edge, rim, inward = distances(cells, nuclei, layer.px)
    centers, spindles = np.array(draft.centers), np.stack(draft.spindles)
    poles = np.concatenate([layer.poles, np.zeros((len(mothers), 2))])
    fresh = organizing_centers(rng, centers, edge, rim, layer.px)
    poles[changed] = np.where(
        spindles[changed].any((1, 2))[:, None], spindles[changed, 0], fresh[changed]
    )
    return replace(
        layer, cells=cells, nuclei=nuclei, centers=centers, poles=poles, axes=np.array(draft.axes),
        edge=edge, rim=rim, inward=inward, nucleoli=draft.nucleoli, phases=tuple(draft.phases),
        spindles=spindles, bridges=tuple(draft.bridges),
    ), mothers  # fmt: skip


def _round_up(rng: np.random.Generator, draft: _Draft, i: int, phase: str) -> None:
    """Replace a cell by a rounded one with its chromatin on one plate, or on two, if there is room."""
    px, center = draft.px, draft.centers[i]
    angle = rng.uniform(0, np.pi)
    aspect = rng.uniform(1.0, 1.12) if phase == "metaphase" else rng.uniform(1.2, 1.45)
    body = replace(Outline.random(rng, rng.uniform(7.6, 9.4) * px, aspect, 0.025, 5), angle=angle)
    window = offsets(center, body.reach(), draft.shape)
    if window is None:
        return
    free = np.isin(draft.cells[window.where], (0, i))
    mask = free & (body.relative_radius(window.y, window.x) < 1)
    if mask.sum() < 0.6 * np.pi * body.radius**2:
        return  # cut off by the image or crowded by neighbors: left in interphase
    draft.clear(i)
    draft.cells[window.where][mask] = i
    along = (window.x * np.cos(angle) + window.y * np.sin(angle)) / px
    across = (window.y * np.cos(angle) - window.x * np.sin(angle)) / px
    along = along + 0.3 * smooth_noise(rng, mask.shape, 0.5 * px)
    across = across + 0.4 * smooth_noise(rng, mask.shape, 0.5 * px)
    long = rng.uniform(4.2, 5.6)
    if phase == "metaphase":
        thick, apart = rng.uniform(1.1, 1.7), 0.0
        far = along
    else:
        thick, apart, long = rng.uniform(0.9, 1.3), rng.uniform(2.4, 4.4), 0.85 * long
        # The arms trail behind: each plate is bent towards the middle.
        far = np.abs(along) - apart + 0.05 * across**2
    plate = (far / thick) ** 4 + (across / long) ** 4 < 1
    draft.nuclei[window.where][mask & plate] = i
    reach = (rng.uniform(5.4, 6.4) if phase == "metaphase" else apart + 2.0) * px
    step = reach * np.array([np.sin(angle), np.cos(angle)])
    draft.spindles[i] = np.stack([center + step, center - step])
    draft.phases[i], draft.axes[i] = phase, angle


def _split(rng: np.random.Generator, draft: _Draft, i: int) -> bool:
    """Replace a cell by two daughters with a bridge; return False where there is no room."""
    px, center = draft.px, np.array(draft.centers[i])
    radii = rng.uniform(5.6, 7.2, 2) * px
    half = rng.uniform(1.2, 3.6) * px
    angle, others = rng.uniform(0, np.pi) + np.arange(8) * np.pi / 8, draft.cells.copy()
    others[others == i] = 0
    along = np.stack([np.sin(angle), np.cos(angle)], 1)
    places = center + np.stack([along * (half + 0.9 * radii[0]), -along * (half + 0.9 * radii[1])])
    row, col = places[..., 0].astype(int), places[..., 1].astype(int)
    keep = int(0.6 * radii.max())
    inside = (row >= keep) & (row < draft.shape[0] - keep)
    inside &= (col >= keep) & (col < draft.shape[1] - keep)
    row, col = np.clip(row, 0, draft.shape[0] - 1), np.clip(col, 0, draft.shape[1] - 1)
    fits = (inside & (others[row, col] == 0)).all(0)
    if not fits.any():
        return False
    pick = int(np.flatnonzero(fits)[0])
    draft.clear(i)
    new = len(draft.centers)
    for k, label in enumerate((i, new)):
        at = (float(places[k, pick, 0]), float(places[k, pick, 1]))
        if k:
            draft.centers.append(at)
            draft.axes.append(0.0)
            draft.phases.append("")
            draft.spindles.append(np.zeros((2, 2)))
        draft.centers[label], draft.axes[label] = at, float(angle[pick])
        draft.phases[label] = "daughter"
        _daughter(rng, draft, label, radii[k], float(angle[pick]))
    middle = (float(center[0]), float(center[1]))
    bridge = Bridge((i, new), middle, float(angle[pick]), float(half))
    _join(draft, bridge)
    draft.bridges.append(bridge)
    return True


def _daughter(
    rng: np.random.Generator, draft: _Draft, label: int, radius: float, angle: float
) -> None:
    """Draw one small cell that begins to spread, with a small dense nucleus."""
    px, center = draft.px, draft.centers[label]
    body = replace(Outline.random(rng, radius, rng.uniform(1.0, 1.25), 0.06, 6), angle=angle)
    nucleus = replace(
        Outline.random(rng, rng.uniform(3.3, 4.3) * px, rng.uniform(1.1, 1.5), 0.04, 5),
        angle=angle + np.pi / 2,
    )
    window = offsets(center, body.reach(), draft.shape)
    if window is None:
        return
    mask = (draft.cells[window.where] == 0) & (body.relative_radius(window.y, window.x) < 1)
    draft.cells[window.where][mask] = label
    inside = mask & (nucleus.relative_radius(window.y, window.x) < 1)
    draft.nuclei[window.where][inside] = label
    for _ in range(int(rng.integers(1, 3))):
        y, x = rng.normal(0, 1.2 * px, 2)
        spot = Outline.random(rng, rng.uniform(0.6, 1.0) * px, 1.2, 0.1, 4)
        near = (1 - spot.relative_radius(window.y - y, window.x - x)) * spot.radius
        shade = soft_step(near, 0.3 * px) * inside
        part = draft.nucleoli[window.where]
        draft.nucleoli[window.where] = np.maximum(part, shade)


def _join(draft: _Draft, bridge: Bridge) -> None:
    """Give the tube between two daughters to them, half to each."""
    px = draft.px
    window = offsets(bridge.middle, int(bridge.half + 5 * px), draft.shape)
    if window is None:
        return
    along, across = bridge_frame(bridge, window.y, window.x)
    wide = max(0.75 * px, 1.2) * (1 + 0.8 * (along / bridge.half) ** 4)
    tube = (np.abs(across) < wide) & (np.abs(along) < bridge.half + 2.5 * px)
    tube &= draft.cells[window.where] == 0
    draft.cells[window.where][tube & (along >= 0)] = bridge.cells[0]
    draft.cells[window.where][tube & (along < 0)] = bridge.cells[1]


def bridge_frame(bridge: Bridge, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pixel offsets along and across a bridge for offsets from its middle."""
    c, s = np.cos(bridge.angle), np.sin(bridge.angle)
    return x * c + y * s, y * c - x * s
