"""Let the package ``blood-cells`` bring cells that a general network can learn its classes by.

    python training/teach_general.py --data ../shared/data/bccd [--package PACKAGE --version 1.1.0]

Cells found in every third photograph of BCCD, 60 of each class that agree with their box, as ``blank`` and the
measured numbers describe them, with the answer of the model itself. Weights, head and exemplars stay as they are.
Run it again when ``blank`` or the measured numbers change.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.embed import describe_cells
from napari_cellcls.images.image import Image
from napari_cellcls.images.read import open_image
from napari_cellcls.learn.datasets import BLOOD_CLASSES
from napari_cellcls.models import places, registry, runtime
from napari_cellcls.models.general import General
from napari_cellcls.models.package import ModelPackage, read_package, write_package
from napari_cellcls.vocabulary import finish

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from training.found_blood import WELL_CUT, annotated, matched  # noqa: E402

EVERY, PER_CLASS = 3, 60


def cells_of(data: Path) -> Iterator[tuple[Image, Cells, np.ndarray]]:
    """Yield photographs with their cells that agree with a box, and the class of each."""
    boxes, files = annotated(data, list(BLOOD_CLASSES))
    for name in sorted(files)[::EVERY]:
        image = open_image(files[name])
        cells = finish(find_cells(image, "blood"))
        if len(cells):
            truth, overlap = matched(cells.table, boxes[name])
            known = (overlap > WELL_CUT) & (truth >= 0)
            yield image, replace(cells, table=cells.table[known]), truth[known]


def taught(package: ModelPackage, data: Path) -> General:
    """Describe the cells by ``blank`` and by the package's own network."""
    blank = registry.load("blank")
    assert package.head is not None
    kernel, bias = package.head
    values, logits, labels = [], [], []
    with runtime.open_engine(blank) as seen, runtime.open_engine(package) as own:
        for image, cells, truth in cells_of(data):
            if len(cells):
                values.append(finish(describe_cells(image, cells, blank, engine=seen)).values)
                said = finish(describe_cells(image, cells, package, engine=own)).embeddings
                logits.append(said @ kernel + bias)
                labels.append(truth)
    found = np.concatenate(labels)
    order = np.random.default_rng(0).permutation(len(found))
    chosen = [order[found[order] == k][:PER_CLASS] for k in range(len(BLOOD_CLASSES))]
    rows = np.sort(np.concatenate(chosen))
    return General(
        np.concatenate(values)[rows], found[rows], np.concatenate(logits)[rows], blank.weights_sha256
    )  # fmt: skip


def main() -> None:
    """Write the package anew."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--package", type=Path, default=places.BUNDLED / "blood-cells.cellpkg")
    parser.add_argument("--version", default="1.1.0")
    options = parser.parse_args()
    old = read_package(options.package)
    cells = taught(old, options.data)
    made = write_package(
        options.package, old.manifest.model_copy(update={"version": options.version}), old.weights,
        test_input=old.test_input, test_output=old.test_output, head=old.head,
        reference={**(old.reference or {}), **cells.arrays()}, same_weights=True,
    )  # fmt: skip
    counts = np.bincount(cells.labels).tolist()
    print(made.manifest.label, made.weights_sha256 == old.weights_sha256, counts, made.path)


if __name__ == "__main__":
    main()
