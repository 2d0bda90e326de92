"""Simulate red-green-blue-yellow fluorescence fields in the manner of the Human Protein Atlas.

Red: microtubules. Green: the protein whose location is the class. Blue: nucleus. Yellow:
endoplasmic reticulum. Planes are drawn in floating point, then blurred, mixed by bleed-through,
and recorded with shot noise, read noise and an offset at 8, 12 or 16 bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage as ndi

from .fluor_camera import Optics, expose, record
from .fluor_cells import Monolayer, grow
from .fluor_cytoskeleton import tubules
from .fluor_division import divide
from .fluor_draw import Plane, height
from .fluor_labels import (
    PATTERNS,
    Labels,
    check,
    draw_labels,
    phases_for,
    visible,
    well_labels,
)
from .fluor_nucleus import chromatin
from .fluor_organelles import reticulum
from .fluor_structures import STRUCTURES

__all__ = [
    "CHANNELS",
    "CHANNEL_COLORS",
    "PATTERNS",
    "PIXEL_SIZE_UM",
    "FluorescenceField",
    "Optics",
    "simulate",
]

CHANNELS = ("Microtubules", "Protein", "Nucleus", "ER")
CHANNEL_COLORS = ("#ff0000", "#00ff00", "#0000ff", "#ffff00")
PIXEL_SIZE_UM = 0.16
CLEAN = Optics()


@dataclass(frozen=True)
class FluorescenceField:
    """One simulated field and its truth.

    Attributes
    ----------
    image : numpy.ndarray
        ``(4, Y, X)``, channels as in :data:`CHANNELS`; uint8 for 8 bit, else uint16.
    cells, nuclei : numpy.ndarray
        ``(Y, X)`` int32 instance masks with equal ids. The nucleus of a dividing cell is its
        condensed chromatin, in one or two parts.
    table : pandas.DataFrame
        One row per cell: ``label, y, x`` (centroid, pixels), ``class`` (labels joined by ``|``)
        and ``phase`` (empty, ``metaphase``, ``anaphase`` or ``daughter``).
    pixel_size_um : float
    bits : int
        8, 12 or 16.
    """

    image: np.ndarray
    cells: np.ndarray
    nuclei: np.ndarray
    table: pd.DataFrame
    pixel_size_um: float
    bits: int


def simulate(
    seed: int,
    shape: tuple[int, int] = (1024, 1024),
    cells: int = 25,
    pixel_size_um: float = PIXEL_SIZE_UM,
    bits: int = 16,
    labels: Sequence[Sequence[str]] | None = None,
    one_protein: bool = False,
    optics: Optics = CLEAN,
    varied: bool = False,
    mitosis: float = 0.0,
    centers: np.ndarray | None = None,
) -> FluorescenceField:
    """Simulate one field.

    Parameters
    ----------
    seed : int
        The same seed and arguments give the same arrays.
    shape : tuple of int
        ``(Y, X)`` in pixels.
    cells : int
        Number of cells to seed; a few may fall outside, and daughters come on top.
    pixel_size_um : float
    bits : {8, 12, 16}
    labels : sequence of sequences of str, optional
        Labels of the cells in turn (repeated as needed); drawn at random when absent.
    one_protein : bool
        Whether all cells share the labels of the first, as in one stained well.
    optics : Optics
        Noise, blur, uneven light, bleed-through, compression.
    varied : bool
        Whether size and shape of cells and nuclei, expression, and the look of membrane, actin and
        microtubules vary from field to field; off, all fields are of one plain kind. Labels whose
        structure lies outside of the image are then left out, and a cell may have none.
    mitosis : float
        Share of cells that divide beyond those whose labels ask for it, 0..1.
    centers : numpy.ndarray, optional
        ``(cells, 2)`` centers of the nuclei in pixels instead of random ones.

    Returns
    -------
    FluorescenceField

    Raises
    ------
    ValueError
        For a bit depth other than 8, 12, 16, a label that is not in :data:`PATTERNS`, or a share
        outside 0..1.
    """
    if bits not in (8, 12, 16):
        raise ValueError(f"bits must be 8, 12 or 16; received {bits}")
    if not 0 <= mitosis <= 1:
        raise ValueError(f"mitosis is a share from 0 to 1; received {mitosis}")
    rng = np.random.default_rng(seed)
    # Streams of their own: what they draw leaves the plain cells of a seed as they are.
    extra, division = rng.spawn(2)
    layer = grow(rng, shape, cells, pixel_size_um, extra if varied else None, centers)
    wanted = [draw_labels(rng) for _ in range(layer.count)]
    if labels is not None:
        wanted = [tuple(labels[i % len(labels)]) for i in range(layer.count)]
    check(wanted)
    if one_protein and wanted:
        wanted = well_labels(division, wanted[0], layer.count)
    layer, wanted = _divided(division, layer, wanted, mitosis)
    planes, wanted = _paint(rng, layer, wanted)
    light = expose(rng, layer, planes, optics)
    image = record(rng, light, bits, optics, guard=layer.vary(0, 0.2, 0.6))
    return FluorescenceField(
        image, layer.cells, layer.nuclei, _truth(layer, wanted), pixel_size_um, bits
    )


def _divided(
    rng: np.random.Generator, layer: Monolayer, wanted: list[Labels], mitosis: float
) -> tuple[Monolayer, list[Labels]]:
    """Let cells divide as their labels ask and by chance; return what every cell then shows."""
    phases = phases_for(rng, wanted)
    for i in np.flatnonzero(rng.random(layer.count) < mitosis) + 1:
        kinds = ("metaphase", "anaphase", "daughter")
        phases.setdefault(int(i), str(rng.choice(kinds, p=(0.5, 0.2, 0.3))))
    if phases:
        layer, mothers = divide(rng, layer, phases)
        wanted = wanted + [wanted[m - 1] for m in mothers]
    return layer, visible(layer, wanted)


def _truth(layer: Monolayer, wanted: Sequence[Labels]) -> pd.DataFrame:
    ids = np.arange(1, layer.count + 1)
    centers = np.array(ndi.center_of_mass(layer.cells > 0, layer.cells, ids)).reshape(-1, 2)
    return pd.DataFrame(
        {
            "label": ids,
            "y": centers[:, 0].round(2),
            "x": centers[:, 1].round(2),
            "class": ["|".join(names) for names in wanted],
            "phase": list(layer.phases[1:]) or [""] * layer.count,
        }
    )


def _paint(
    rng: np.random.Generator, layer: Monolayer, wanted: Sequence[Labels]
) -> tuple[list[Plane], list[Labels]]:
    """Return the four clean planes, structures near 1, and the labels that can be seen in them."""
    hidden: set[tuple[int, str]] = set()
    (red, comets), net = tubules(rng, layer), reticulum(rng, layer)
    shared = {"Microtubules": red, "Endoplasmic reticulum": net, "Microtubule ends": comets}
    body = height(layer)
    diffuse = rng.uniform(0.02, 0.09, layer.count + 1).astype(np.float32)
    green = body * diffuse[layer.cells] * layer.vary(1.0, 0.3, 1.5)
    uneven = layer.vary(0.18, 0.1, 0.5)
    for name in dict.fromkeys(n for names in wanted for n in names):
        weight = np.zeros(layer.count + 1, np.float32)
        for i, names in enumerate(wanted, start=1):
            if name in names:
                alone = len(names) == 1
                weight[i] = rng.lognormal(0, uneven) * (1 if alone else rng.uniform(0.55, 1.0))
        plane = shared.get(name)
        plane = STRUCTURES[name](rng, layer) if plane is None else plane
        green += weight[layer.cells] * plane
        if layer.extra is not None:
            # A cell that the border of the image cuts may have its Golgi on the other side.
            seen = np.bincount(layer.cells[plane > 0.3], minlength=layer.count + 1) >= 3
            hidden |= {(i, name) for i in np.flatnonzero(~seen).tolist()}
    shown = [tuple(n for n in t if (i, n) not in hidden) for i, t in enumerate(wanted, start=1)]
    return [red + 0.05 * body, green, chromatin(rng, layer), net + 0.05 * body], shown
