"""Let the package ``blood-cells`` know how large and how dark the red cells were that it learned from.

    python training/teach_plain.py --data ../shared/data/bccd [--package PACKAGE]

Red cells found in every third photograph of BCCD that agree with their box, as the program measures them in use:
the middle cell of a smear is a red cell, so another magnification, stain or exposure shows in it. Weights,
head and exemplars stay as they are. Afterwards it counts on other photographs of BCCD how often the notice
comes: as they are (it should not), and made smaller, larger, darker and brighter (it should).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from skimage.transform import resize

from napari_cellcls.cells.segment import find_cells
from napari_cellcls.embed import Used, View, embed_cells
from napari_cellcls.images.image import Image
from napari_cellcls.images.read import open_image
from napari_cellcls.learn.datasets import BLOOD_CLASSES
from napari_cellcls.models import habits, places, runtime
from napari_cellcls.models.engines.base import Engine
from napari_cellcls.models.package import ModelPackage, read_package, write_package
from napari_cellcls.predict import predict
from napari_cellcls.vocabulary import finish

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from training.found_blood import annotated  # noqa: E402
from training.teach_general import EVERY, cells_of  # noqa: E402

RED, COUNT = BLOOD_CLASSES.index("RBC"), 250


def plain(package: ModelPackage, data: Path, engine: Engine) -> np.ndarray:
    """Return the plain numbers of red cells, ``(250, 1 + C)``."""
    found = []
    for image, cells, truth in cells_of(data):
        red = replace(cells, table=cells.table[truth == RED])
        if len(red):
            used = Used()
            used.means = []
            finish(embed_cells(View.of(image, package, None), red, engine, 256, used))
            found.append(habits.of_batches(used.means, red))
    every = np.concatenate(found)
    rows = np.random.default_rng(0).permutation(len(every))[:COUNT]
    return every[np.sort(rows)].astype(np.float32)


def changed(image: Image, scale: float, light: float) -> Image:
    """Return an image taken at another magnification and under another lamp."""
    data = np.asarray(image.data).astype(np.float32) * light
    shape = tuple(max(8, round(n * scale)) for n in image.shape)
    data = resize(data, (len(data), *shape), order=1, anti_aliasing=scale < 1)
    return replace(image, data=np.clip(data, 0, 255).astype(np.uint8))


def noticed(package: ModelPackage, images: list[Image], engine: Engine) -> tuple[int, int, int]:
    """Return in how many images size, and values, were told, and how many could be asked."""
    sizes = values = asked = 0
    for image in images:
        cells = finish(find_cells(image, "blood"))
        if len(cells) < 10:
            continue
        notes = " ".join(finish(predict(image, cells, package, engine=engine, cache=False)).notes)
        asked, sizes = asked + 1, sizes + ("magnification" in notes)
        values += "exposure" in notes
    return sizes, values, asked


def main() -> None:
    """Write the package anew, and say what it notices."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--package", type=Path, default=places.BUNDLED / "blood-cells.cellpkg")
    options = parser.parse_args()
    old = read_package(options.package)
    with runtime.open_engine(old) as engine:
        found = plain(old, options.data, engine)
        made = write_package(
            options.package, old.manifest, old.weights, test_input=old.test_input,
            test_output=old.test_output, head=old.head,
            reference={**(old.reference or {}), habits.PLAIN: found}, same_weights=True,
        )  # fmt: skip
        print(
            made.manifest.label,
            found.shape,
            np.quantile(found, [0.025, 0.5, 0.975], axis=0).round(3).tolist(),
        )
        _, files = annotated(options.data, list(BLOOD_CLASSES))
        others = [open_image(files[name]) for name in sorted(files)[1::EVERY]]
        print("as they are:", noticed(made, others, engine), "size, values, asked")
        for scale, light in ((0.5, 1), (0.7, 1), (1.5, 1), (2, 1), (1, 0.7), (1, 0.85)):
            images = [changed(one, scale, light) for one in others[::8]]
            print(f"scale {scale}, light {light}:", noticed(made, images, engine))


if __name__ == "__main__":
    main()
