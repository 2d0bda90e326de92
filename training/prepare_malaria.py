r"""Turn the malaria set into one .npz that a bare training machine can read with NumPy alone.

    python training/prepare_malaria.py ../shared/data/malaria_nih_50px.parquet /tmp/malaria.npz \
        --healthy ../shared/data/bccd/images ../shared/data/chula_rbc12/images

``--healthy`` names folders of smear photographs without malaria. The red cells of every second one
(the development half of ``benchmarks/cells_found.py``) are found, cut by the rule of the model, and
added to the training side of every fold as uninfected; the other half stays unseen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from napari_cellcls.cells.crops import cut
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.images.collections import find_images, open_ref
from napari_cellcls.learn.datasets import open_dataset
from napari_cellcls.learn.splits import grouped_folds
from napari_cellcls.vocabulary import CropSpec, Normalization, finish

STYLES = 16
"""Cells per source whose stain the training cells may take on."""
NO_FOLD = -1
"""Fold number of rows that are always trained on."""


def healthy_cells(folder: Path) -> dict[str, np.ndarray]:
    """Return crops ``(N, 50, 50, 3)`` uint8 and their photographs, of every second photograph."""
    crops, names = [], []
    for ref in find_images([folder])[::2]:
        image = open_ref(ref)
        cells = finish(find_cells(image, "smear"))
        found = cut(image, cells, CropSpec(50, "box", mask=True), Normalization(), (0, 1, 2))
        crops.append(np.rint(found * 255).astype(np.uint8))
        names += [f"{folder.parent.name}:{ref.name}"] * len(found)
    return {"images": np.concatenate(crops), "patients": np.array(names)}


def stains(images: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return the mean optical density per plane ``(STYLES, 3)`` of some cells."""
    chosen = np.random.default_rng(seed).choice(len(images), STYLES, replace=False)
    cells = images[chosen].astype(np.float64) / 255
    inside = cells.max(axis=-1, keepdims=True) > 0
    density = -np.log(np.clip(cells, 1 / 255, 1)) * inside
    return np.round(density.sum(axis=(1, 2)) / inside.sum(axis=(1, 2)), 3)


def main() -> None:
    """Decode, number the folds, and write the arrays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="parquet file or folder with the class folders")
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--fraction", type=float, default=1.0, help="a part of the patients, for tests"
    )
    parser.add_argument(
        "--healthy", type=Path, nargs="*", default=[], help="smears without malaria"
    )
    options = parser.parse_args()
    data = finish(open_dataset(options.data, size=50))
    rows = np.arange(len(data.labels))
    if options.fraction < 1:
        patients = np.unique(data.groups)
        keep = np.random.default_rng(0).permutation(patients)[
            : max(10, int(len(patients) * options.fraction))
        ]
        rows = np.flatnonzero(np.isin(data.groups, keep))
    clean = np.ones(len(data.labels), bool)
    if "fuhad2020" in data.extra:
        clean = data.extra["fuhad2020"] == "confirmed"
    arrays = {
        "images": np.asarray(data.images[rows]),
        "labels": data.labels[rows],
        "names": data.names[rows],
        "patients": data.groups[rows],
        "clean": clean[rows],
        "fold": grouped_folds(data.groups[rows], data.labels[rows]),
    }
    styles = [stains(arrays["images"])]
    for folder in options.healthy:
        more = healthy_cells(folder)
        count = len(more["images"])
        styles.append(stains(more["images"]))
        added = {
            **more,
            "labels": np.full(count, data.classes.index("Uninfected")),
            "names": np.array([f"{p}#{k}" for k, p in enumerate(more["patients"])]),
            "clean": np.ones(count, bool),
            "fold": np.full(count, NO_FOLD),
        }
        arrays = {key: np.concatenate([arrays[key], added[key]]) for key in arrays}
        print(f"{count} cells of {len(set(more['patients']))} photographs of {folder}")
    np.savez_compressed(
        options.out, **arrays, classes=np.array(data.classes), styles=np.concatenate(styles)
    )
    print(f"{len(rows)} crops of {len(np.unique(data.groups[rows]))} patients -> {options.out}")


if __name__ == "__main__":
    main()
