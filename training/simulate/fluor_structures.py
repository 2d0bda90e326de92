"""The table of all structures: class name of the Human Protein Atlas -> drawing.

A structure is a function ``(rng, layer) -> (Y, X) float32`` whose bright parts are near 1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import fluor_cytoskeleton as cytoskeleton
from . import fluor_nucleus as nucleus
from . import fluor_organelles as organelles
from . import fluor_surface as surface
from .fluor_cells import Monolayer
from .fluor_draw import Plane

Structure = Callable[[np.random.Generator, Monolayer], Plane]

STRUCTURES: dict[str, Structure] = {
    "Nucleoplasm": nucleus.nucleoplasm,
    "Nuclear membrane": nucleus.nuclear_membrane,
    "Nucleoli": nucleus.nucleoli,
    "Nucleoli fibrillar center": nucleus.fibrillar_centers,
    "Nuclear speckles": nucleus.nuclear_speckles,
    "Nuclear bodies": nucleus.nuclear_bodies,
    "Endoplasmic reticulum": organelles.reticulum,
    "Golgi apparatus": organelles.golgi,
    "Peroxisomes": organelles.peroxisomes,
    "Endosomes": organelles.endosomes,
    "Lysosomes": organelles.lysosomes,
    "Intermediate filaments": cytoskeleton.intermediate_filaments,
    "Actin filaments": cytoskeleton.actin,
    "Focal adhesion sites": cytoskeleton.focal_adhesions,
    "Microtubules": cytoskeleton.microtubules,
    "Microtubule ends": cytoskeleton.microtubule_ends,
    "Cytokinetic bridge": cytoskeleton.cytokinetic_bridge,
    "Mitotic spindle": cytoskeleton.mitotic_spindle,
    "Microtubule organizing center": cytoskeleton.organizing_center,
    "Centrosome": cytoskeleton.centrosome,
    "Lipid droplets": organelles.lipid_droplets,
    "Plasma membrane": surface.plasma_membrane,
    "Cell junctions": surface.cell_junctions,
    "Mitochondria": organelles.mitochondria,
    "Aggresome": organelles.aggresome,
    "Cytosol": organelles.cytosol,
    "Cytoplasmic bodies": organelles.cytoplasmic_bodies,
    "Rods & rings": organelles.rods_and_rings,
}
"""All 28 patterns, in the order of the class numbers of the 2018 challenge."""
