"""Simulated HeLa images as network inputs, cut by the product's own rule, for training `hela-organelles`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_cellcls.cells.crops import cut
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.learn.metrics import Scored
from napari_cellcls.vocabulary import ChannelRole, CropSpec, Normalization, finish

from . import crops, hela
from .crops import CropSet

CLASSES = tuple(hela.STAINS)
ROLES = (ChannelRole.GRAY,)
# The set has one cell per image: what is not black is the frame. Where the photograph around the
# cell was kept, that is the whole image, and the cell is smaller in it.
CROP = CropSpec(size=112, frame="square", margin=0.05, mask=False, fill=0.0)
# The range of real files is 8 bits in some copies of the set and 16 in others.
NORMALIZATION = Normalization("percentile", 0.5, 99.8)
GOLGI = ("golgia", "golgpp")
_BITS = (8, 8, 12, 16)
_CUT_OUT = 0.6


def image_crop(seed: int) -> CropSet:
    """Simulate the image of one seed and cut it as the product cuts a whole image.

    The class is the seed modulo ten; in six of ten images everything but the cell is black, in the
    others the background of the photograph is there.
    """
    rng = np.random.default_rng((seed, 41))
    number = seed % len(CLASSES)
    picture = hela.simulate(
        seed, CLASSES[number], int(rng.choice(_BITS)), cut_out=bool(rng.random() < _CUT_OUT)
    )
    made = np.round(crop_of(picture) * 255).astype(np.uint8)
    return CropSet(made, np.array([number]), np.array([seed]), np.ones(1, bool))


def crop_of(picture: np.ndarray, size: int = CROP.size) -> np.ndarray:
    """Cut a gray picture ``(Y, X)`` of one cell; return ``(1, size, size, 1)`` float32 in 0..1."""
    image = Image(picture[None], (Channel("gray", ChannelRole.GRAY),), "simulated")
    cells = finish(find_cells(image, "whole"))
    return np.asarray(cut(image, cells, replace(CROP, size=size), NORMALIZATION, (0,)))


def collect(first_seed: int, cells: int, processes: int) -> CropSet:
    """Simulate the images of ``cells`` consecutive seeds, all classes in turn."""
    return crops.collect(first_seed, cells, processes, image_crop)


def second_look(of: Scored, test: CropSet) -> tuple[str, Scored]:
    """Return the same answers with the two Golgi proteins taken for one class.

    People cannot tell them apart either (Murphy, Velliste and Porreca 2003, J VLSI Signal Proc
    35:311): the drawings differ as little as the real images do.
    """
    one, other = (CLASSES.index(name) for name in GOLGI)

    def joined(values: np.ndarray) -> np.ndarray:
        rest = np.delete(values, other, axis=1)
        rest[:, one] = values[:, one] + values[:, other]
        return rest

    return "golgia and golgpp as one class", replace(
        of, probabilities=joined(of.probabilities), said=joined(of.said), truth=joined(of.truth)
    )
