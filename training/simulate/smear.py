"""Simulate thin blood smears with known red cells, parasites, white cells and platelets.

The image is rendered in floating point: planes of stain thickness (``smear_objects``), then
Beer-Lambert absorption with stain vectors measured on real smears, then lens and camera.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image as PillowImage
from scipy import ndimage as ndi

from .noise import offsets, smooth_noise
from .smear_forms import Look
from .smear_layout import lay_out
from .smear_objects import Slide, draw_platelet, draw_red_cell, draw_white_cell

# Optical density (natural log) per unit of stain in red, green, blue. Hemoglobin: between the
# medians of BCCD fields (0.13, 0.28, 0.19) and of NIH cells (0.11, 0.45, 0.40). Chromatin and
# parasite cytoplasm: the darkest hundredth of NIH infected cells against the rest of the same
# cell. Azure: white-cell nuclei of BCCD. Pigment: hemozoin, brown.
STAINS = {
    "hemoglobin": (0.115, 0.345, 0.275),
    "azure": (0.62, 0.86, 0.02),
    "chromatin": (0.25, 1.02, 0.13),
    "cytoplasm": (0.25, 0.37, 0.05),
    "pigment": (0.45, 0.62, 0.85),
}
PIXEL_SIZE_UM = 0.12


@dataclass(frozen=True)
class SmearField:
    """One simulated field and its truth.

    Attributes
    ----------
    image : numpy.ndarray
        ``(Y, X, 3)`` uint8, red, green, blue.
    labels : numpy.ndarray
        ``(Y, X)`` int32 instance masks of the red cells, 0 elsewhere; where cells overlap the
        upper one owns the pixel.
    table : pandas.DataFrame
        One row per object: ``label`` (0 for white cells and platelets), ``y, x`` (pixels),
        ``class`` (Parasitized, Uninfected, or empty), ``stage``, ``kind``, ``form`` (of red cells).
    pixel_size_um : float
        Micrometers per pixel, both axes.
    """

    image: np.ndarray
    labels: np.ndarray
    table: pd.DataFrame
    pixel_size_um: float


def simulate(
    seed: int,
    shape: tuple[int, int] = (1024, 1024),
    red_cells: int = 175,
    infected_fraction: float = 0.055,
    white_cells: int = 2,
    platelets: int = 12,
    pixel_size_um: float = PIXEL_SIZE_UM,
    varied: bool = False,
    look: Look | None = None,
) -> SmearField:
    """Simulate one thin smear field.

    Parameters
    ----------
    seed : int
        The same seed and arguments give the same arrays.
    shape : tuple of int
        ``(Y, X)`` in pixels.
    red_cells, white_cells, platelets : int
    infected_fraction : float
        Fraction of red cells that carry parasites, 0..1.
    pixel_size_um : float
        Micrometers per pixel.
    varied : bool
        Whether red cells come in all forms, white cells in five kinds, platelets in clumps, and
        the slide in a look of its own; off, everything is as in the sample image.
    look : Look, optional
        Stain, lamp and camera instead of a drawn or the plain look.

    Returns
    -------
    SmearField

    Raises
    ------
    ValueError
        When a count is negative or the fraction is outside 0..1.
    """
    if min(red_cells, white_cells, platelets) < 0 or not 0 <= infected_fraction <= 1:
        raise ValueError(
            "Counts must not be negative and infected_fraction lies in 0..1; received "
            f"{red_cells=}, {white_cells=}, {platelets=}, {infected_fraction=}"
        )
    rng = np.random.default_rng(seed)
    # A stream of its own: what it draws leaves the plain smear of a seed as it is.
    (extra,) = rng.spawn(1)
    look = look or (Look.random(extra, tuple(STAINS)) if varied else Look())
    slide = Slide.blank(rng, shape)
    counts = (red_cells, infected_fraction, white_cells, platelets)
    placed = lay_out(rng, shape, *counts, pixel_size_um, look.crowd, extra if varied else None)
    label = 0
    rows = []
    for cell in sorted(placed, key=lambda c: ("red cell", "white cell", "platelet").index(c.kind)):
        if cell.kind == "red cell":
            label += 1
            draw_red_cell(rng, slide, cell, label)
        elif cell.kind == "white cell":
            draw_white_cell(rng, slide, cell)
        else:
            draw_platelet(rng, slide, cell)
        infected = "Parasitized" if cell.stage else "Uninfected"
        red = cell.kind == "red cell"
        rows.append(
            (
                label if red else 0,
                *cell.center,
                infected if red else "",
                cell.stage,
                cell.kind,
                cell.form if red else "",
            )
        )
    table = pd.DataFrame(rows, columns=["label", "y", "x", "class", "stage", "kind", "form"])
    table = table.astype({"label": int, "y": float, "x": float})
    image = _photograph(rng, slide, look)
    return _tidy(image, slide.labels, table, pixel_size_um)


def _tidy(
    image: np.ndarray, labels: np.ndarray, table: pd.DataFrame, pixel_size_um: float
) -> SmearField:
    """Drop red cells that left less than a sliver in the image; number the rest 1..n."""
    area = np.bincount(labels.ravel(), minlength=int(table["label"].max() if len(table) else 0) + 1)
    keep = (table["label"] == 0) | (area[table["label"]] >= 60)
    alive = table.loc[keep & (table["label"] > 0), "label"].to_numpy()
    lookup = np.zeros(len(area), np.int32)
    lookup[alive] = np.arange(1, len(alive) + 1)
    labels = lookup[labels]
    table = table[keep].reset_index(drop=True)
    table["label"] = lookup[table["label"]]
    if len(alive):
        ids = np.arange(1, len(alive) + 1)
        table.loc[table["label"] > 0, ["y", "x"]] = ndi.center_of_mass(labels > 0, labels, ids)
    table[["y", "x"]] = table[["y", "x"]].round(2)
    return SmearField(image, labels, table, pixel_size_um)


def _debris(rng: np.random.Generator, slide: Slide) -> None:
    """Add stain grains, out-of-focus specks and a few wisps of precipitated stain."""
    height, width = slide.shape
    grains = max(1, height * width // 26000)
    for _ in range(grains):
        y, x, size = rng.uniform(3, height - 3), rng.uniform(3, width - 3), rng.uniform(0.8, 2.0)
        window = offsets((y, x), 9, slide.shape)
        if window is None:
            continue
        where, distance = window.where, np.hypot(window.y, window.x)
        if rng.random() < 0.5:
            slide.azure[where] += rng.uniform(0.08, 0.3) * np.exp(-((distance / size) ** 2))
        else:
            spot = np.exp(-((distance / 1.4) ** 2)) - 0.6 * np.exp(-(((distance - 3.2) / 1.1) ** 2))
            slide.pigment[where] += rng.uniform(0.03, 0.12) * spot


def _photograph(rng: np.random.Generator, slide: Slide, look: Look) -> np.ndarray:
    """Turn stain into light: absorption, lamp, lens, camera, compression."""
    shape = slide.shape
    _debris(rng, slide)
    film = 0.05 + 0.012 * smooth_noise(rng, shape, 60.0)
    planes = {
        "hemoglobin": slide.hemoglobin + film,
        "azure": slide.azure,
        "chromatin": slide.chromatin,
        "cytoplasm": slide.cytoplasm,
        "pigment": slide.pigment,
    }
    yy, xx = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j].astype(np.float32)
    cy, cx = rng.normal(0, 0.2, 2)
    lamp = 1.025 - look.vignette * ((yy - cy) ** 2 + (xx - cx) ** 2) + 0.02 * rng.normal() * xx
    light = np.empty((*shape, 3), np.float32)
    focus = rng.uniform(0.75, 0.95)
    focus = focus if look.focus is None else look.focus
    for k, blur in enumerate((1.1, 1.0, 1.15)):
        density = sum(
            np.float32(STAINS[name][k] * look.strength.get(name, 1.0)) * plane
            for name, plane in planes.items()
        )
        plane = look.background[k] * lamp * np.exp(-np.float32(look.tint[k]) * density)
        plane = ndi.gaussian_filter(plane, focus * blur)
        # Lateral color: red and blue images differ in size by half a pixel.
        move = rng.normal(0, 0.25, 2) + ((-0.3, 0.3), (0, 0), (0.35, -0.3))[k]
        light[..., k] = ndi.shift(plane, move, order=1, mode="nearest") if k != 1 else plane
    light += rng.standard_normal(light.shape, dtype=np.float32) * (
        look.noise * (0.6 + 0.012 * light)
    )
    light += 0.7 * smooth_noise(rng, shape, 0.9)[..., None]
    return _compress(np.clip(light, 0, 255).round().astype(np.uint8), look.quality)


def _compress(image: np.ndarray, quality: int) -> np.ndarray:
    """Leave the faint blocks a camera's JPEG leaves."""
    memory = io.BytesIO()
    PillowImage.fromarray(image).save(memory, "JPEG", quality=quality, subsampling=2)
    return np.asarray(PillowImage.open(memory).convert("RGB"))


def fields(n: int = 8, cells_per_field: int = 625, seed: int = 0) -> Iterator[SmearField]:
    """Yield fields for speed measurements, each with its own seed.

    Parameters
    ----------
    n : int
        Number of fields.
    cells_per_field : int
        Red cells in each; the field grows with it (about 6,700 square pixels per cell).
    seed : int
        First seed.

    Yields
    ------
    SmearField
    """
    edge = int(np.ceil(np.sqrt(cells_per_field * 6700) / 16)) * 16
    for i in range(n):
        yield simulate(seed + i, (edge, edge), cells_per_field, 0.05, 3, cells_per_field // 20)
