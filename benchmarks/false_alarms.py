"""How many healthy red cells of slides never trained on a malaria model calls parasitized.

Run ``python benchmarks/false_alarms.py --data ../shared/data``. BCCD and Chula RBC-12 are stained thin
smears without malaria, from two other laboratories than the training cells. Only every second
photograph is used, the report half of ``benchmarks/cells_found.py``; healthy cells of the other half
may have been trained on. The interval is a bootstrap over photographs, whose cells are alike.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from napari_cellcls.cells.segment import find_cells
from napari_cellcls.counting import infected_class
from napari_cellcls.images.collections import find_images, open_ref
from napari_cellcls.models import registry, runtime
from napari_cellcls.predict import predict
from napari_cellcls.vocabulary import finish

SETS = {"bccd": "bccd/images", "chula_rbc12": "chula_rbc12/images"}
RESAMPLES = 2000


def alarms(folder: Path, model: str, every: int) -> np.ndarray:
    """Return ``(photographs, 2)``: cells, and cells called by the positive class."""
    package = registry.load(model)
    infected, rows = infected_class(package.manifest.scheme), []
    if infected is None:
        raise SystemExit(f"{model} has no class of infected cells")
    with runtime.open_engine(package) as engine:
        for ref in find_images([folder])[1 :: 2 * every]:
            image = open_ref(ref)
            cells = finish(find_cells(image, "smear"))
            found = finish(predict(image, cells, package, engine=engine)).assigned
            rows.append((len(found), found[:, infected].sum()))
    return np.array(rows, float)


def interval(rows: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the pooled share, photographs resampled."""
    rng = np.random.default_rng(seed)
    sums = rows[rng.integers(len(rows), size=(RESAMPLES, len(rows)))].sum(axis=1)
    low, high = np.percentile(sums[:, 1] / sums[:, 0], [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    """Measure and print one line per set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="malaria-thin-smear")
    parser.add_argument("--every", type=int, default=1, help="only every n-th photograph")
    options = parser.parse_args()
    for name, folder in SETS.items():
        rows = alarms(options.data / folder, options.model, options.every)
        cells, called = rows.sum(axis=0)
        low, high = interval(rows)
        print(
            f"{name}: {called:.0f} of {cells:.0f} cells of {len(rows)} photographs called positive, "
            f"{called / cells:.1%} ({low:.1%} to {high:.1%})"
        )


if __name__ == "__main__":
    main()
