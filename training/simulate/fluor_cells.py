"""Adherent cells for simulated fluorescence fields: where they lie and the shapes of cell and nucleus."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage as ndi

from .noise import Outline, offsets, smooth_noise, soft_step


@dataclass(frozen=True)
class Bridge:
    """A cytokinetic bridge: the two cells, its middle ``(y, x)``, direction, half length in pixels."""

    cells: tuple[int, int]
    middle: tuple[float, float]
    angle: float
    half: float


@dataclass(frozen=True)
class Monolayer:
    """The geometry of one field; lengths in pixels unless the name says otherwise.

    Attributes
    ----------
    cells, nuclei : numpy.ndarray
        ``(Y, X)`` int32 instance masks with equal ids 1..n.
    centers, poles : numpy.ndarray
        ``(n + 1, 2)`` centers of the nuclei and of the microtubule organizing centers, row 0 unused.
    axes : numpy.ndarray
        ``(n + 1,)`` direction of each cell's long axis in radians.
    edge : numpy.ndarray
        ``(Y, X)`` float32 distance to the border of the own cell.
    rim : numpy.ndarray
        ``(Y, X)`` float32 signed distance to the nuclear envelope, negative inside.
    inward : numpy.ndarray
        ``(2, Y, X)`` float32 unit vectors pointing away from the cell border.
    nucleoli : numpy.ndarray
        ``(Y, X)`` float32 in 0..1.
    px : float
        Pixels per micrometer.
    phases : tuple of str
        Phase of each cell, index 0 unused: ``""`` for interphase, ``metaphase``, ``anaphase``, or
        ``daughter`` for one of a pair that a bridge still joins. Empty: all are in interphase.
    spindles : numpy.ndarray
        ``(n + 1, 2, 2)`` the two spindle poles of dividing cells, ``y, x`` in pixels, else zero.
    bridges : tuple of Bridge
        Tubes between the daughters of a pair.
    extra : numpy.random.Generator or None
        Its own stream for variation beyond the plain cells; None draws plain cells.
    """

    cells: np.ndarray
    nuclei: np.ndarray
    centers: np.ndarray
    poles: np.ndarray
    axes: np.ndarray
    edge: np.ndarray
    rim: np.ndarray
    inward: np.ndarray
    nucleoli: np.ndarray
    px: float
    phases: tuple[str, ...] = ()
    spindles: np.ndarray = field(default_factory=lambda: np.zeros((0, 2, 2)))
    bridges: tuple[Bridge, ...] = ()
    extra: np.random.Generator | None = None

    @property
    def count(self) -> int:
        """Return the number of cells."""
        return len(self.centers) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(Y, X)``."""
        return self.cells.shape[0], self.cells.shape[1]

    @property
    def mitotic(self) -> np.ndarray:
        """Return ``(n + 1,)`` bool: cells whose nucleus is dissolved."""
        found = np.zeros(self.count + 1, bool)
        for i, phase in enumerate(self.phases):
            found[i] = phase in ("metaphase", "anaphase")
        return found

    def vary(self, plain: float, low: float, high: float) -> float:
        """Return ``plain`` for plain cells, else a number between ``low`` and ``high``."""
        return plain if self.extra is None else float(self.extra.uniform(low, high))


def _spread(
    rng: np.random.Generator, shape: tuple[int, int], n: int, apart: float, margin: float
) -> np.ndarray:
    """Choose centers: each the best of a few random candidates, so that cells neither pile up nor form a grid."""
    centers = np.empty((n, 2))
    for i in range(n):
        candidates = rng.uniform(
            (-margin, -margin), (shape[0] + margin, shape[1] + margin), (14, 2)
        )
        if i == 0:
            centers[0] = candidates[0]
            continue
        gap = np.linalg.norm(candidates[:, None] - centers[:i], axis=2).min(1)
        enough = np.flatnonzero(gap > apart)
        centers[i] = candidates[enough[0] if len(enough) else gap.argmax()]
    return centers


def _reach(rng: np.random.Generator, theta: np.ndarray, axis: float, radius: float) -> np.ndarray:
    """Return the distance of the cell's border in direction ``theta``: a body with pointed corners."""
    reach = np.full_like(theta, rng.uniform(0.68, 0.86))
    aspect = rng.uniform(1.0, 1.75)
    reach *= 1 / np.sqrt(
        (np.cos(theta - axis) / aspect) ** 2 + (np.sin(theta - axis) * aspect) ** 2
    )
    corners = int(rng.integers(2, 6))
    start = axis + rng.normal(0, 0.3)
    for k in range(corners):
        at = start + 2 * np.pi * k / corners + rng.normal(0, 0.35)
        sharp = rng.uniform(5, 22)
        reach += rng.uniform(0.1, 0.75) * np.exp(sharp * (np.cos(theta - at) - 1))
    return reach * radius


def _claim_territory(
    rng: np.random.Generator,
    core: np.ndarray,
    centers: np.ndarray,
    axes: np.ndarray,
    px: float,
    scale: float,
    extra: np.random.Generator | None,
) -> np.ndarray:
    """Return cell masks: every pixel goes to the cell whose border lies relatively farthest out."""
    cells, shape = core.copy(), (core.shape[0], core.shape[1])
    best = np.where(core > 0, np.float32(0), np.float32(np.inf))
    warp = [
        (1.0 * smooth_noise(rng, shape, 3.0 * px) + 0.28 * smooth_noise(rng, shape, 0.6 * px)) * px
        for _ in range(2)
    ]
    for i, center in enumerate(centers, start=1):
        radius = np.clip(rng.normal(16.0, 2.0), 12, 21) * px * scale
        window = offsets(tuple(center), int(2.1 * radius), shape)
        if window is None:
            continue
        y, x = window.y + warp[0][window.where], window.x + warp[1][window.where]
        if extra is not None and extra.random() < 0.4:
            # Spindle-shaped: what lies along the axis is drawn nearer, what lies beside it farther.
            y, x = _stretched(y, x, axes[i], extra.uniform(1.1, 1.5))
        relative = np.hypot(y, x) / _reach(rng, np.arctan2(y, x), axes[i], radius)
        mine = (relative < 1) & (relative < best[window.where])
        best[window.where][mine] = relative[mine]
        cells[window.where][mine] = i
    return largest_parts(cells, len(centers))


def _stretched(
    y: np.ndarray, x: np.ndarray, axis: float, factor: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets in a frame that is shorter along ``axis`` and wider across it."""
    c, s = np.cos(axis), np.sin(axis)
    along, across = (x * c + y * s) / factor, (y * c - x * s) * factor
    return along * s + across * c, along * c - across * s


def largest_parts(cells: np.ndarray, n: int) -> np.ndarray:
    """Keep the largest connected part of every cell."""
    out = np.zeros_like(cells)
    for i, where in enumerate(ndi.find_objects(cells, n), start=1):
        if where is None:
            continue
        parts, count = ndi.label(cells[where] == i)
        if count:
            out[where][parts == np.bincount(parts.ravel())[1:].argmax() + 1] = i
    return out


def _draw_nuclei(
    rng: np.random.Generator,
    shape: tuple[int, int],
    centers: np.ndarray,
    axes: np.ndarray,
    px: float,
    extra: np.random.Generator | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the nuclei, the least territory of each cell around them, and the nucleoli (0..1)."""
    nuclei, core = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    nucleoli = np.zeros(shape, np.float32)
    for i, center in enumerate(centers, start=1):
        radius = np.clip(rng.normal(6.6, 0.8), 4.8, 8.6) * px
        drawn = Outline.random(rng, radius, rng.uniform(1.08, 1.6), rng.uniform(0.015, 0.07), 4)
        outline = replace(drawn, angle=axes[i] + rng.normal(0, 0.35))
        if extra is not None and extra.random() < 0.5:
            # Cancer cells: nuclei with dents and lobes.
            lobed = extra.uniform(1.5, 4.0)
            outline = replace(outline, cosines=outline.cosines * lobed, sines=outline.sines * lobed)
        window = offsets(tuple(center), outline.reach(), shape)
        if window is None:
            continue
        relative = outline.relative_radius(window.y, window.x)
        free = (core[window.where] == 0) & (relative < 1 + 1.3 * px / radius)
        core[window.where][free] = i
        inside = free & (relative < 1)
        nuclei[window.where][inside] = i
        for _ in range(int(rng.integers(1, 5))):
            far, angle = radius * rng.uniform(0, 0.6), rng.uniform(0, 2 * np.pi)
            spot = Outline.random(rng, rng.uniform(0.8, 1.7) * px, rng.uniform(1, 1.6), 0.12, 5)
            y, x = window.y - far * np.sin(angle), window.x - far * np.cos(angle)
            shade = soft_step((1 - spot.relative_radius(y, x)) * spot.radius, 0.3 * px) * inside
            nucleoli[window.where] = np.maximum(nucleoli[window.where], shade)
    return nuclei, core, nucleoli


def distances(
    cells: np.ndarray, nuclei: np.ndarray, px: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return distance to the own border, signed distance to the nuclear envelope, and the way inward.

    Parameters
    ----------
    cells, nuclei : numpy.ndarray
        ``(Y, X)`` int32 instance masks.
    px : float
        Pixels per micrometer.

    Returns
    -------
    tuple of numpy.ndarray
        ``edge``, ``rim`` and ``inward`` of :class:`Monolayer`.
    """
    own = cells > 0
    for axis in (0, 1):
        step = np.diff(cells, axis=axis) != 0
        head = (slice(None, -1), slice(None))[:: 1 if axis == 0 else -1]
        tail = (slice(1, None), slice(None))[:: 1 if axis == 0 else -1]
        own[head] &= ~step
        own[tail] &= ~step
    edge = ndi.distance_transform_edt(own).astype(np.float32)
    inside = nuclei > 0
    outer = ndi.distance_transform_edt(~inside)
    inner = ndi.distance_transform_edt(inside)
    slope = np.stack(np.gradient(ndi.gaussian_filter(edge, 0.5 * px)))
    inward = (slope / (np.hypot(*slope) + 1e-3)).astype(np.float32)
    return edge, (outer - inner).astype(np.float32), inward


def organizing_centers(
    rng: np.random.Generator, centers: np.ndarray, edge: np.ndarray, rim: np.ndarray, px: float
) -> np.ndarray:
    """Put each cell's pole beside its nucleus, on a side with room: the best of five places."""
    side = rng.uniform(0, 2 * np.pi, (len(centers), 5))
    away = rng.uniform(5.0, 9.5, side.shape) * px
    places = centers[:, None] + away[..., None] * np.stack([np.sin(side), np.cos(side)], 2)
    row = np.clip(places[..., 0].astype(int), 0, edge.shape[0] - 1)
    col = np.clip(places[..., 1].astype(int), 0, edge.shape[1] - 1)
    room = np.minimum(edge[row, col], 4 * px) - 1.5 * np.abs(rim[row, col] - 2.0 * px)
    return np.asarray(places[np.arange(len(centers)), room.argmax(1)])


def grow(
    rng: np.random.Generator,
    shape: tuple[int, int],
    n: int,
    pixel_size_um: float,
    extra: np.random.Generator | None = None,
    centers: np.ndarray | None = None,
) -> Monolayer:
    """Grow ``n`` cells on a field (some reach over its edge, some may fall outside).

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        ``(Y, X)`` in pixels.
    n : int
        Number of cells to seed.
    pixel_size_um : float
        Micrometers per pixel.
    extra : numpy.random.Generator, optional
        Stream for variation of size and shape beyond the plain cells.
    centers : numpy.ndarray, optional
        ``(n, 2)`` centers of the nuclei in pixels instead of random ones.

    Returns
    -------
    Monolayer
        Cells without a visible nucleus have been taken out; ids are 1..count.
    """
    px = 1.0 / pixel_size_um
    scale = 1.0 if extra is None else float(extra.uniform(0.7, 1.25))
    if centers is None:
        centers = _spread(rng, shape, n, 21 * px * scale, 3 * px)
    flow = rng.uniform(0, np.pi)
    axes = np.concatenate([[0.0], flow + rng.normal(0, 0.8, n)])
    nuclei, core, nucleoli = _draw_nuclei(rng, shape, centers, axes, px, extra)
    cells = _claim_territory(rng, core, centers, axes, px, scale, extra)
    area = np.bincount(nuclei.ravel(), minlength=n + 1)
    alive = np.flatnonzero(area > 15 * px * px)
    alive = alive[alive > 0]
    lookup = np.zeros(n + 1, np.int32)
    lookup[alive] = np.arange(1, len(alive) + 1)
    cells, nuclei = lookup[cells], lookup[nuclei]
    edge, rim, inward = distances(cells, nuclei, px)
    kept = np.concatenate([[[0.0, 0.0]], centers[alive - 1]])
    poles = organizing_centers(rng, kept, edge, rim, px)
    axes = np.concatenate([[0.0], axes[alive]])
    return Monolayer(cells, nuclei, kept, poles, axes, edge, rim, inward, nucleoli, px, extra=extra)
