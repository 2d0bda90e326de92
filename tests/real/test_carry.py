"""Labels carried over a new segmentation of real smears: the survivors keep theirs, none goes astray."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from napari_cellcls.cells.carry import carry
from napari_cellcls.cells.identity import Anchor, anchors
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.images.read import open_image
from napari_cellcls.vocabulary import finish

pytestmark = pytest.mark.real


Box = tuple[int, int, int, int]


def drawn(path: Path) -> list[Box]:
    """Return the boxes ``y0, x0, y1, x1`` that people drew."""
    found = []
    for box in ET.parse(path).iter("bndbox"):
        at = {edge.tag: int(edge.text or 0) for edge in box}
        found.append((at["ymin"], at["xmin"], at["ymax"], at["xmax"]))
    return found


def agreement(a: Box, b: Box) -> float:
    """Return shared over united area of two boxes."""
    height = min(a[2], b[2]) - max(a[0], b[0])
    width = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(height, 0) * max(width, 0)
    areas = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b))
    return shared / (areas - shared)


def owners(cells: dict[int, Anchor], boxes: list[Box]) -> dict[int, int]:
    """Return drawn box -> label of the one cell that fills it."""
    found = {}
    for i, box in enumerate(boxes):
        fits = [label for label, a in cells.items() if agreement(a.bbox, box) >= 0.7]
        if len(fits) == 1:
            found[i] = fits[0]
    return found


def test_cells_of_a_smear_keep_their_labels(shared_data: Path):
    """Survivors are cells that fill the box a person drew in both segmentations."""
    survivors = right = wrong = listed = total = 0
    for path in sorted((shared_data / "bccd" / "images").glob("*.jpg"))[:12]:
        image = open_image(path)
        blurred = ndimage.gaussian_filter(np.asarray(image.data, np.float32), (0, 1.5, 1.5))
        other = replace(image, data=np.clip(0.9 * blurred + 8, 0, 255).astype(np.uint8))
        old, new = (finish(find_cells(one, "smear")) for one in (image, other))
        boxes = drawn(shared_data / "bccd" / "annotations" / f"{path.stem}.xml")
        known = {a.label: a for a in anchors(old, "image")}
        result = carry(list(known.values()), np.asarray(new.labels))
        total, listed = total + len(known), listed + len(result.review)
        before = owners(known, boxes)
        after = owners({a.label: a for a in anchors(new, "image")}, boxes)
        for box in before.keys() & after.keys():
            survivors += 1
            kept = result.kept.get(known[before[box]].cell_id)
            if kept is not None:
                right += kept.label == after[box]
                wrong += kept.label != after[box]
    assert survivors > 60
    assert wrong == 0
    assert right / survivors >= 0.99, f"{right} of {survivors}, {listed} of {total} listed"
