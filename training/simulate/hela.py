"""Simulate single cells in the manner of the 2D HeLa set: one stained structure, gray, one cell per image.

The drawings are those of the fluorescence fields. ``golgia`` (giantin) and ``golgpp`` (GPP130) are two
proteins of one organelle: their drawings differ as little as the real images do, on purpose.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage as ndi

from . import fluor_organelles as organelles
from .fluor_camera import Optics, record
from .fluor_cells import Monolayer, grow
from .fluor_draw import Plane, blur, height
from .fluor_nucleus import chromatin
from .fluor_structures import STRUCTURES, Structure

STAINS: dict[str, Structure] = {
    "actin": STRUCTURES["Actin filaments"],
    "dna": chromatin,
    "endosome": STRUCTURES["Endosomes"],
    "er": STRUCTURES["Endoplasmic reticulum"],
    "golgia": organelles.golgi,
    "golgpp": organelles.golgi_gpp130,
    "lysosome": STRUCTURES["Lysosomes"],
    "microtubules": STRUCTURES["Microtubules"],
    "mitochondria": STRUCTURES["Mitochondria"],
    "nucleolus": STRUCTURES["Nucleoli"],
}
"""The ten classes in their published order, and what draws them."""

EDGE = 382
PIXEL_SIZE_UM = 0.18
"""Scale of the drawing: cells fill as much of the image as in the real set (there 0.23 um, larger cells)."""

DRAWN = 340


def simulate(seed: int, name: str, bits: int = 16, cut_out: bool = True) -> np.ndarray:
    """Simulate one image of one cell.

    Parameters
    ----------
    seed : int
        The same seed and class give the same bytes.
    name : str
        One of :data:`STAINS`.
    bits : {8, 12, 16}
    cut_out : bool
        Whether everything but the cell is black; else a rectangle of the photograph stays around it.

    Returns
    -------
    numpy.ndarray
        ``(382, 382)`` uint8 for 8 bit, else uint16; black around the piece that holds the cell, as
        in the original set, where one cell was cut out of each photograph.

    Raises
    ------
    ValueError
        For another class name or bit depth.
    """
    if name not in STAINS:
        raise ValueError(f"Unknown class {name!r}; known: {', '.join(STAINS)}")
    if bits not in (8, 12, 16):
        raise ValueError(f"bits must be 8, 12 or 16; received {bits}")
    rng = np.random.default_rng((seed, list(STAINS).index(name)))
    layer = _one_cell(rng)
    plane = _photographed(rng, layer, STAINS[name](rng, layer))
    optics = Optics(quality=float(10 ** rng.uniform(-0.7, 0.2)))
    counts = record(rng, [plane], bits, optics, guard=0.5)[0]
    image = np.zeros((EDGE, EDGE), counts.dtype)
    y, x = rng.integers(0, EDGE - DRAWN + 1, 2)
    image[y : y + DRAWN, x : x + DRAWN] = counts * _cut_out(rng, layer) if cut_out else counts
    return image


def _one_cell(rng: np.random.Generator) -> Monolayer:
    """Grow cells until one lies whole in the piece that is drawn."""
    middle = np.array([[DRAWN / 2, DRAWN / 2]])
    while True:
        (extra,) = rng.spawn(1)
        layer = grow(rng, (DRAWN, DRAWN), 1, PIXEL_SIZE_UM, extra, middle)
        border = (layer.cells[[0, -1]] > 0).sum() + (layer.cells[:, [0, -1]] > 0).sum()
        if layer.count and border < 12:
            return layer


def _photographed(rng: np.random.Generator, layer: Monolayer, plane: Plane) -> Plane:
    """Add the diffuse dye, the light from above and below the plane of focus, and the lens."""
    plane = plane + rng.uniform(0.01, 0.08) * height(layer)
    plane = plane + rng.uniform(0.05, 0.3) * blur(plane, layer, 1.4)
    softness = rng.uniform(1.0, 2.2) * 0.13 * layer.px
    return np.asarray(ndi.gaussian_filter(plane, softness, truncate=3.0))


def _cut_out(rng: np.random.Generator, layer: Monolayer) -> np.ndarray:
    """Return the piece of the photograph around the cell, drawn by hand a little outside its border."""
    reach = int(rng.uniform(1.0, 4.0) * layer.px)
    return ndi.distance_transform_edt(layer.cells == 0) <= reach
