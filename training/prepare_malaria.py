"""Turn the malaria set into one .npz that a bare training machine can read with NumPy alone.

python training/prepare_malaria.py ../shared/data/malaria_nih_50px.parquet /tmp/malaria.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from napari_cellcls.learn.datasets import open_dataset
from napari_cellcls.learn.splits import grouped_folds
from napari_cellcls.vocabulary import finish


def main() -> None:
    """Decode, number the folds, and write the arrays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="parquet file or folder with the class folders")
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--fraction", type=float, default=1.0, help="a part of the patients, for tests"
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
    np.savez_compressed(
        options.out,
        images=data.images[rows],
        labels=data.labels[rows],
        names=data.names[rows],
        patients=data.groups[rows],
        clean=clean[rows],
        fold=grouped_folds(data.groups[rows], data.labels[rows]),
        classes=np.array(data.classes),
    )
    print(f"{len(rows)} crops of {len(np.unique(data.groups[rows]))} patients -> {options.out}")


if __name__ == "__main__":
    main()
