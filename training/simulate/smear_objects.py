"""Draw one object of a blood smear into planes of stain thickness.

Stains are kept apart until the end (see ``smear.STAINS``): each object adds optical density of
hemoglobin, azure (white-cell nuclei), chromatin, cytoplasm and pigment, so overlapping cells darken as they do
under a microscope. All lengths are in pixels; shapes are given relative to the cell radius.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage as ndi

from .noise import Outline, Window, offsets, smooth_noise, soft_step
from .smear_forms import FORMS, bend, pallor
from .smear_layout import Placed


@dataclass
class Slide:
    """Stain planes of one field, each ``(Y, X)`` float32, and the label image (int32)."""

    hemoglobin: np.ndarray
    azure: np.ndarray
    chromatin: np.ndarray
    cytoplasm: np.ndarray
    pigment: np.ndarray
    labels: np.ndarray
    texture: np.ndarray

    @classmethod
    def blank(cls, rng: np.random.Generator, shape: tuple[int, int]) -> Slide:
        """Return a clean slide with its own fine texture."""
        texture = 0.6 * smooth_noise(rng, shape, 2.2) + 0.6 * smooth_noise(rng, shape, 6.0)
        a, b, c, d, e = (np.zeros(shape, np.float32) for _ in range(5))
        return cls(a, b, c, d, e, np.zeros(shape, np.int32), texture)

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(Y, X)``."""
        return self.labels.shape[0], self.labels.shape[1]


def _blob(
    y: np.ndarray, x: np.ndarray, cy: float, cx: float, ry: float, rx: float, angle: float
) -> np.ndarray:
    """Return a soft ellipse, 1 inside, with an edge about one pixel wide."""
    c, s = np.cos(angle), np.sin(angle)
    u, v = (x - cx) * c + (y - cy) * s, (y - cy) * c - (x - cx) * s
    rho = np.sqrt((u / rx) ** 2 + (v / ry) ** 2)
    return soft_step((1 - rho) * min(rx, ry), 0.9)


def draw_red_cell(rng: np.random.Generator, slide: Slide, cell: Placed, label: int) -> None:
    """Draw one red cell (crescent-shaped when it holds a gametocyte) and its parasites."""
    crescent, form = cell.stage == "gametocyte", FORMS[cell.form]
    aspect = 1.0 + abs(rng.normal(0, 0.09)) + (rng.random() < 0.05) * rng.uniform(0.15, 0.6)
    rough = 0.016 + (rng.random() < 0.08) * 0.02
    outline = Outline.random(rng, cell.radius, 1.5 if crescent else aspect, rough)
    if form.aspect > 1:
        outline = replace(outline, aspect=form.aspect * rng.uniform(0.9, 1.15))
    window = offsets(
        cell.center, int(1.6 * outline.reach()) if form.edge else outline.reach(), slide.shape
    )
    if window is None:
        return
    rho = bend(rng, form, outline.relative_radius(window.y, window.x), window.y, window.x)
    edge = soft_step((1 - rho) * cell.radius, rng.uniform(1.2, 1.9))
    depth = np.float32(rng.normal(1.0, 0.1) * form.dense)
    # Biconcave: a pale center of its own width and offset, thickest a little inside the rim.
    pale = np.clip(rng.normal(0.5, 0.22), 0.0, 0.92) * (0.4 if cell.stage else 1.0)
    if cell.form != "normal":
        pale = min(0.92, form.pallor * rng.uniform(0.45, 0.65))
    width = rng.uniform(0.3, 0.5)
    shift = rng.normal(0, 0.06, 2) * cell.radius
    soft = rng.uniform(0.12, 0.22)
    y, x = (window.y - shift[0]) / cell.radius, (window.x - shift[1]) / cell.radius
    center = pallor(rng, form, y, x, width, soft)
    rim = 0.16 * np.exp(-(((rho - 0.88) / 0.09) ** 2))
    thickness = edge * (1 - pale * center + rim) * depth
    thickness *= 1 + 0.035 * slide.texture[window.where]
    # The bright line just outside the edge: light bent by the cell.
    thickness -= 0.10 * np.exp(-(((rho - 1.10) * cell.radius / 1.6) ** 2))
    slide.hemoglobin[window.where] += thickness
    slide.labels[window.where][rho < 1] = label
    if cell.stage:
        inside = soft_step((0.95 - rho) * cell.radius, 1.0)
        _PARASITES[cell.stage](rng, slide, window, outline, inside)


def _ring_at(
    rng: np.random.Generator, slide: Slide, w: Window, r: float, center: np.ndarray, size: float
) -> None:
    """Draw one ring: thin cytoplasm around a vacuole, a chromatin dot (or two) on it."""
    y, x = w.y - center[0], w.x - center[1]
    ring = Outline.random(rng, size, rng.uniform(1.05, 1.35), 0.06, 4)
    rho = ring.relative_radius(y, x)
    theta = np.arctan2(y, x)
    start = rng.uniform(0, 2 * np.pi)
    wide = rng.uniform(1.1, 1.7) * (1 + 0.45 * np.cos(theta - start - np.pi))
    band = np.exp(-(((rho - 1) * size / wide) ** 2))
    gap = 1 - 0.5 * rng.random() * np.exp(-(((np.cos(theta - start - 2.0) - 1) / 0.08) ** 2))
    slide.cytoplasm[w.where] += band * gap * rng.uniform(0.75, 1.1)
    hole = soft_step((0.8 - rho) * size, 1.0)
    slide.hemoglobin[w.where] -= 0.35 * hole * np.maximum(slide.hemoglobin[w.where], 0)
    for k in range(2 if rng.random() < 0.2 else 1):
        angle = start + k * rng.uniform(0.7, 2.5)
        dot = rng.uniform(0.075, 0.105) * r
        cy, cx = center[0] + size * np.sin(angle), center[1] + size * np.cos(angle)
        spot = _blob(w.y, w.x, cy, cx, dot, dot * rng.uniform(1.1, 1.9), angle + np.pi / 2)
        slide.chromatin[w.where] += spot * rng.uniform(1.2, 1.7)


def _rings(
    rng: np.random.Generator, slide: Slide, w: Window, cell: Outline, inside: np.ndarray
) -> None:
    r = cell.radius
    for _ in range(1 + (rng.random() < 0.3) + (rng.random() < 0.06)):
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.15, 0.66) * r
        center = far * np.array([np.sin(angle), np.cos(angle)])
        _ring_at(rng, slide, w, r, center, rng.uniform(0.17, 0.26) * r)


def _grains(
    rng: np.random.Generator, slide: Slide, w: Window, center: np.ndarray, spread: float, n: int
) -> None:
    """Scatter brown pigment grains."""
    for cy, cx in center + rng.normal(0, spread, (n, 2)):
        size = rng.uniform(0.8, 1.6)
        slide.pigment[w.where] += 0.6 * np.exp(-((w.y - cy) ** 2 + (w.x - cx) ** 2) / size**2)


def _trophozoite(
    rng: np.random.Generator, slide: Slide, w: Window, cell: Outline, inside: np.ndarray
) -> None:
    r = cell.radius
    center = rng.normal(0, 0.2, 2) * r
    body = Outline.random(rng, rng.uniform(0.36, 0.5) * r, rng.uniform(1.1, 1.7), 0.13, 6)
    rho = body.relative_radius(w.y - center[0], w.x - center[1])
    shape = soft_step((1 - rho) * body.radius, 1.6) * inside
    tone = 0.75 + 0.3 * np.clip(slide.texture[w.where], -1.5, 1.5)
    vy, vx = (float(v) for v in rng.normal(0, 0.1, 2) * r + center)
    hole = _blob(w.y, w.x, vy, vx, 0.14 * r, 0.18 * r, rng.uniform(0, np.pi))
    slide.cytoplasm[w.where] += shape * tone * (1 - 0.8 * hole)
    angle = rng.uniform(0, 2 * np.pi)
    cy, cx = center[0] + 0.3 * r * np.sin(angle), center[1] + 0.3 * r * np.cos(angle)
    spot = _blob(w.y, w.x, cy, cx, 0.12 * r, 0.19 * r, rng.uniform(0, np.pi))
    slide.chromatin[w.where] += 1.35 * spot * inside
    _grains(rng, slide, w, center - 0.1 * r, 0.09 * r, 6)


def _schizont(
    rng: np.random.Generator, slide: Slide, w: Window, cell: Outline, inside: np.ndarray
) -> None:
    r = cell.radius
    center = rng.normal(0, 0.05, 2) * r
    body = Outline.random(rng, rng.uniform(0.66, 0.8) * r, 1.08, 0.04, 6)
    rho = body.relative_radius(w.y - center[0], w.x - center[1])
    slide.cytoplasm[w.where] += 0.55 * soft_step((1 - rho) * body.radius, 2.0) * inside
    n = int(rng.integers(9, 15))
    for k in range(n):
        far = body.radius * (0.68 if k < 0.68 * n else 0.34) * rng.uniform(0.72, 1.2)
        angle = 2 * np.pi * k / (0.68 * n) + rng.normal(0, 0.26)
        cy, cx = center + far * np.array([np.sin(angle), np.cos(angle)])
        dot = 0.085 * r * rng.uniform(0.75, 1.25)
        spot = _blob(w.y, w.x, cy, cx, dot, dot * rng.uniform(1.1, 1.8), rng.uniform(0, 3.1))
        slide.chromatin[w.where] += rng.uniform(0.7, 1.1) * spot
    _grains(rng, slide, w, center, 0.07 * r, 9)


def _gametocyte(
    rng: np.random.Generator, slide: Slide, w: Window, cell: Outline, inside: np.ndarray
) -> None:
    r, angle = cell.radius, cell.angle
    c, s = np.cos(angle), np.sin(angle)
    u, v = w.x * c + w.y * s, w.y * c - w.x * s
    half = 1.06 * r
    along = np.clip(u / half, -1.2, 1.2)
    middle = 0.3 * r * (along**2 - 0.45)
    wide = 0.27 * r * np.sqrt(np.clip(1 - along**2, 0, 1))
    body = soft_step(wide - np.abs(v - middle), 1.3) * (np.abs(u) < half)
    body *= inside
    slide.cytoplasm[w.where] += body * (0.95 + 0.15 * slide.texture[w.where])
    slide.chromatin[w.where] += 0.6 * _blob(w.y, w.x, 0, 0, 0.14 * r, 0.26 * r, angle) * body
    _grains(rng, slide, w, np.array([-0.1 * r, 0.0]), 0.13 * r, 12)


_PARASITES = {
    "ring": _rings,
    "trophozoite": _trophozoite,
    "schizont": _schizont,
    "gametocyte": _gametocyte,
}


def _nucleus(
    rng: np.random.Generator, kind: str, y: np.ndarray, x: np.ndarray, r: float
) -> np.ndarray:
    """Return the soft nucleus of a white cell: lobes joined by bridges, or one round mass."""
    if kind == "lymphocyte":
        body = Outline.random(rng, 0.8 * r, 1.08, 0.03, 5)
        return soft_step((1 - body.relative_radius(y - 0.05 * r, x + 0.06 * r)) * body.radius, 1.8)
    if kind == "monocyte":
        # A kidney: a round mass with a bay.
        body = Outline.random(rng, 0.72 * r, 1.25, 0.07, 5)
        rho = np.maximum(body.relative_radius(y, x), 1.6 - np.hypot(y, x - 0.75 * r) / (0.42 * r))
        return soft_step((1 - rho) * body.radius, 2.2)
    lobes = 2 if kind in ("eosinophil", "basophil") else int(rng.integers(3, 5))
    start, span = rng.uniform(0, 2 * np.pi), (2.4 if lobes == 2 else rng.uniform(3.2, 4.4))
    angles = start + np.linspace(0, span, lobes)
    points = 0.42 * r * np.stack([np.sin(angles), np.cos(angles)], 1)
    points += rng.normal(0, 0.04 * r, points.shape)
    mass = np.zeros_like(y)
    for k, (cy, cx) in enumerate(points):
        lobe = Outline.random(rng, rng.uniform(0.27, 0.34) * r * (1.15 if lobes == 2 else 1), 1.3)
        rho = lobe.relative_radius(y - cy, x - cx)
        mass = np.maximum(mass, soft_step((1 - rho) * lobe.radius, 1.8))
        if k:
            t = np.linspace(0, 1, 12)[:, None]
            for by, bx in points[k - 1] * (1 - t) + points[k] * t:
                bridge = (y - by) ** 2 + (x - bx) ** 2 < (0.11 * r) ** 2
                mass = np.maximum(mass, 0.9 * bridge)
    return np.asarray(ndi.gaussian_filter(mass, 1.2))


WHITE = {
    "neutrophil": (0.48, 0.22, 0.3, 0.35),
    "lymphocyte": (0.0, 0.75, 0.12, 0.35),
    "monocyte": (0.12, 0.5, 0.22, 0.35),
    "eosinophil": (1.0, 0.12, 0.3, 0.6),
    "basophil": (0.25, 0.35, 0.3, 0.35),
}
"""Cytoplasm of each white cell: red and blue stain, roughness of the blue, of the red."""


def draw_white_cell(rng: np.random.Generator, slide: Slide, cell: Placed) -> None:
    """Draw a white cell: granular cytoplasm and a lobed or round purple nucleus."""
    radius = cell.radius * (0.78 if cell.stage == "lymphocyte" else 1.0)
    outline = Outline.random(rng, radius, rng.uniform(1.02, 1.14), 0.025)
    window = offsets(cell.center, outline.reach(), slide.shape)
    if window is None:
        return
    rho = outline.relative_radius(window.y, window.x)
    body = soft_step((1 - rho) * radius, 1.8)
    nucleus = _nucleus(rng, cell.stage, window.y, window.x, radius) * body
    grain = smooth_noise(rng, nucleus.shape, 1.5)
    coarse = smooth_noise(rng, nucleus.shape, 5.0)
    rest = body * (1 - nucleus)
    # Red cells never lie under a white cell in the plane of focus: it pushes them aside.
    slide.hemoglobin[window.where] *= 1 - 0.9 * body
    red, blue, rough, speck = WHITE[cell.stage]
    speckle = np.clip(1 + speck * grain, 0.2, 3)
    slide.hemoglobin[window.where] += red * rest * speckle
    slide.cytoplasm[window.where] += blue * rest * np.clip(1 + rough * grain + 0.15 * coarse, 0, 3)
    chromatin = np.clip(1 + 0.13 * grain + 0.16 * coarse, 0.3, 2)
    slide.azure[window.where] += 0.72 * nucleus * chromatin
    if cell.stage == "basophil":
        # Dark granules over nucleus and cytoplasm alike.
        slide.azure[window.where] += 0.7 * body * soft_step(grain - 0.55, 0.3)
    slide.cytoplasm[window.where] += 0.6 * nucleus
    slide.chromatin[window.where] += 0.22 * nucleus * chromatin


def draw_platelet(rng: np.random.Generator, slide: Slide, cell: Placed) -> None:
    """Draw a platelet: a small irregular purple body with granules and a pale rim."""
    outline = Outline.random(rng, cell.radius, rng.uniform(1.05, 1.4), 0.06, 6)
    window = offsets(cell.center, outline.reach(), slide.shape)
    if window is None:
        return
    rho = outline.relative_radius(window.y, window.x)
    body = soft_step((1 - rho) * cell.radius, 1.8)
    core = np.exp(-((rho / 0.6) ** 2))
    grain = np.clip(1 + 0.28 * smooth_noise(rng, rho.shape, 1.8), 0.2, 2.0)
    slide.cytoplasm[window.where] += 0.5 * body * grain
    slide.chromatin[window.where] += 0.16 * body * grain
    slide.azure[window.where] += rng.uniform(0.15, 0.4) * core * grain
