"""Which patterns the cells of a field show, and what a label turns into where it cannot be seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .fluor_cells import Monolayer
from .fluor_structures import STRUCTURES

PATTERNS = tuple(STRUCTURES)
"""The 28 class names of the Human Protein Atlas challenge of 2018, in its order."""

SPINDLE, BRIDGE = "Mitotic spindle", "Cytokinetic bridge"
COMPANIONS = ("Nucleoplasm", "Cytosol", "Microtubules")
"""Where proteins of the spindle and of the bridge are in the other cells of a field."""

KEPT_IN_MITOSIS = frozenset(
    {
        SPINDLE,
        "Cytosol",
        "Plasma membrane",
        "Centrosome",
        "Microtubule organizing center",
        "Mitochondria",
        "Peroxisomes",
        "Endosomes",
        "Lysosomes",
        "Lipid droplets",
        "Cytoplasmic bodies",
        "Rods & rings",
    }
)
"""What is still to be seen when the nucleus is dissolved; everything else is spread in the cytosol."""

Labels = tuple[str, ...]


def draw_labels(rng: np.random.Generator) -> Labels:
    """Draw one cell's labels: one pattern, or a pair four times in ten."""
    n = 2 if rng.random() < 0.4 else 1
    chosen = sorted(rng.choice(len(PATTERNS), n, replace=False))
    return tuple(PATTERNS[i] for i in chosen)


def check(labels: Sequence[Sequence[str]]) -> None:
    """Raise ``ValueError`` for a name that is not in :data:`PATTERNS`."""
    unknown = {name for names in labels for name in names} - set(PATTERNS)
    if unknown:
        raise ValueError(f"Unknown patterns {sorted(unknown)}; known: {', '.join(PATTERNS)}")


def well_labels(rng: np.random.Generator, names: Labels, cells: int) -> list[Labels]:
    """Return labels for all cells of one stained well.

    A protein of spindle or bridge shows there only in the few cells that divide; the others show
    where it is otherwise.
    """
    if not {SPINDLE, BRIDGE} & set(names):
        return [names] * cells
    rest = tuple(n for n in names if n not in (SPINDLE, BRIDGE))
    rest = rest or (COMPANIONS[int(rng.integers(len(COMPANIONS)))],)
    dividing = rng.random(cells) < 0.45
    dividing[: min(cells, 2)] = True
    return [names if d else rest for d in dividing]


def phases_for(rng: np.random.Generator, wanted: Sequence[Labels]) -> dict[int, str]:
    """Return the phases of division that the labels ask for, by cell id."""
    found = {}
    for i, names in enumerate(wanted, start=1):
        if SPINDLE in names:
            found[i] = "metaphase" if rng.random() < 0.6 else "anaphase"
        elif BRIDGE in names:
            found[i] = "daughter"
    return found


def visible(layer: Monolayer, wanted: Sequence[Labels]) -> list[Labels]:
    """Replace what a cell cannot show.

    Junctions of a cell that touches no other become plasma membrane; a bridge of a cell that has none
    becomes microtubules; in a dividing cell what lost its place becomes cytosol.
    """
    contact = _contacts(layer)
    mitotic, bridged = layer.mitotic, {i for b in layer.bridges for i in b.cells}
    out = []
    for i, names in enumerate(wanted, start=1):
        alone = contact[i] < 4 * layer.px
        swapped = ["Plasma membrane" if n == "Cell junctions" and alone else n for n in names]
        swapped = ["Microtubules" if n == BRIDGE and i not in bridged else n for n in swapped]
        swapped = ["Cytosol" if n == SPINDLE and not mitotic[i] else n for n in swapped]
        if mitotic[i]:
            swapped = [n if n in KEPT_IN_MITOSIS else "Cytosol" for n in swapped]
        out.append(tuple(dict.fromkeys(swapped)))
    return out


def _contacts(layer: Monolayer) -> np.ndarray:
    """Return how many pixel sides each cell shares with other cells."""
    a, b = layer.cells[:, 1:], layer.cells[:, :-1]
    c, d = layer.cells[1:], layer.cells[:-1]
    left, right = (a != b) & (a > 0) & (b > 0), (c != d) & (c > 0) & (d > 0)
    touching = np.concatenate([a[left], b[left], c[right], d[right]])
    return np.bincount(touching, minlength=layer.count + 1)
