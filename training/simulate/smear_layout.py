"""Where the cells of a simulated smear lie and what each of them is; no pixels here."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .smear_forms import FORMS, draw_forms

STAGES = ("ring", "trophozoite", "schizont", "gametocyte")
STAGE_WEIGHTS = (0.72, 0.2, 0.05, 0.03)
WHITE_CELLS = ("neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil")
WHITE_WEIGHTS = (0.52, 0.28, 0.1, 0.06, 0.04)


@dataclass(frozen=True)
class Placed:
    """One object of the smear: what it is, its center ``(y, x)`` and radius in pixels, a red cell's form."""

    kind: str
    center: tuple[float, float]
    radius: float
    stage: str = ""
    form: str = "normal"


class _Floor:
    """The free floor: circles already laid down, asked for collisions."""

    def __init__(self, capacity: int) -> None:
        self.centers = np.empty((capacity, 2))
        self.radii = np.empty(capacity)
        self.count = 0

    def gap(self, y: float, x: float, radius: float) -> float:
        """Return the smallest distance between this circle's edge and any other edge."""
        if self.count == 0:
            return np.inf
        delta = self.centers[: self.count] - (y, x)
        return float((np.hypot(*delta.T) - self.radii[: self.count]).min() - radius)

    def add(self, y: float, x: float, radius: float) -> None:
        """Lay a circle down."""
        self.centers[self.count], self.radii[self.count] = (y, x), radius
        self.count += 1


def _draw_place(
    rng: np.random.Generator, floor: _Floor, radius: float, shape: tuple[int, int], partner: bool
) -> tuple[float, float]:
    """Find a place; ``partner`` puts the cell against (or a little over) one already there."""
    best, best_gap = (0.0, 0.0), -np.inf
    for attempt in range(60):
        if partner and floor.count:
            other = rng.integers(floor.count)
            angle = rng.uniform(0, 2 * np.pi)
            reach = (floor.radii[other] + radius) * rng.uniform(0.72, 1.0)
            y = floor.centers[other, 0] + reach * np.sin(angle)
            x = floor.centers[other, 1] + reach * np.cos(angle)
            floor_gap = -0.3 * radius
        else:
            y, x = (
                rng.uniform(-0.4 * radius, shape[0] + 0.4 * radius),
                rng.uniform(-0.4 * radius, shape[1] + 0.4 * radius),
            )
            floor_gap = 2.0
        inside = -0.4 * radius < y < shape[0] + 0.4 * radius
        inside &= -0.4 * radius < x < shape[1] + 0.4 * radius
        gap = floor.gap(y, x, radius)
        if not inside:
            continue
        if gap >= floor_gap:
            return y, x
        # A crowded floor: keep the least bad place, overlapping as real smears do.
        if gap > best_gap or attempt == 0:
            best, best_gap = (y, x), gap
    return best


def stages_for(rng: np.random.Generator, infected: int) -> list[str]:
    """Return parasite stages: one of each kind first while there is room, then by frequency."""
    fixed = list(STAGES) if infected >= 6 else []
    rest = rng.choice(STAGES, size=max(0, infected - len(fixed)), p=STAGE_WEIGHTS)
    return fixed + [str(s) for s in rest][: max(0, infected - len(fixed))]


def _infect(
    rng: np.random.Generator, reds: list[Placed], shape: tuple[int, int], infected: int
) -> list[Placed]:
    """Give parasites to cells that lie wholly inside the image: a cut cell would hide them."""
    limits = np.array(shape)
    whole = [
        i
        for i, c in enumerate(reds)
        if (np.array(c.center) > 1.3 * c.radius).all()
        and (np.array(c.center) < limits - 1.3 * c.radius).all()
    ]
    chosen = rng.permutation(whole or np.arange(len(reds)))[:infected]
    for i, stage in zip(chosen, stages_for(rng, len(chosen))):
        reds[int(i)] = replace(reds[int(i)], stage=stage, form="normal")
    return reds


def lay_out(
    rng: np.random.Generator,
    shape: tuple[int, int],
    red_cells: int,
    infected_fraction: float,
    white_cells: int,
    platelets: int,
    pixel_size_um: float,
    crowd: float = 0.22,
    extra: np.random.Generator | None = None,
) -> list[Placed]:
    """Place white cells, red cells and platelets on one field.

    Parameters
    ----------
    rng : numpy.random.Generator
    shape : tuple of int
        ``(Y, X)`` in pixels.
    red_cells, white_cells, platelets : int
    infected_fraction : float
        Fraction of the red cells that carry parasites.
    pixel_size_um : float
        Micrometers per pixel; radii are drawn in micrometers.
    crowd : float
        Share of red cells that lie against or over another.
    extra : numpy.random.Generator, optional
        Draws forms of red cells, all kinds of white cells and clumps of platelets; without it red
        cells are round and white cells come in three kinds.

    Returns
    -------
    list of Placed
        White cells first, then red cells, then platelets.
    """
    floor = _Floor(white_cells + red_cells + platelets)
    placed: list[Placed] = []
    for i in range(white_cells):
        radius = rng.uniform(5.6, 7.4) / pixel_size_um
        margin = 1.1 * radius
        for _ in range(100):
            y, x = rng.uniform(margin, shape[0] - margin), rng.uniform(margin, shape[1] - margin)
            if floor.gap(y, x, radius) > 2.5 * radius:
                break
        floor.add(y, x, radius)
        stage = ("neutrophil", "lymphocyte", "eosinophil")[i % 3]
        if extra is not None:
            stage = str(extra.choice(WHITE_CELLS, p=WHITE_WEIGHTS))
        placed.append(Placed("white cell", (y, x), radius, stage))
    radii = np.clip(rng.normal(3.55, 0.27, red_cells), 2.7, 4.3) / pixel_size_um
    partner = rng.random(red_cells) < crowd
    forms = ["normal"] * red_cells if extra is None else draw_forms(extra, red_cells)
    reds: list[Placed] = []
    for i, (size, form) in enumerate(zip(radii, forms)):
        radius = size * FORMS[form].size
        y, x = _draw_place(rng, floor, radius, shape, bool(partner[i]))
        floor.add(y, x, radius)
        reds.append(Placed("red cell", (y, x), float(radius), form=form))
    placed += _infect(rng, reds, shape, round(red_cells * infected_fraction))
    for k in range(platelets):
        clump = extra is not None and k > 0 and extra.random() < 0.25
        radius = float(np.clip(rng.normal(1.1, 0.3), 0.6, 1.9)) / pixel_size_um
        y, x = _draw_place(rng, floor, radius, shape, False)
        if clump:
            angle, last = rng.uniform(0, 2 * np.pi), placed[-1]
            reach = 1.7 * max(radius, last.radius)
            y, x = last.center[0] + reach * np.sin(angle), last.center[1] + reach * np.cos(angle)
        floor.add(y, x, radius)
        placed.append(Placed("platelet", (y, x), radius))
    return placed
