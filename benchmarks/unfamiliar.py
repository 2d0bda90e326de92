"""Are cells of a class that a model never saw called unfamiliar? On the real sets at hand.

    python benchmarks/unfamiliar.py --data DATA

``DATA`` holds ``bccd`` and ``chula_rbc12``. One class after the other is left out: 500 exemplars of the others,
as a fine-tuned model keeps them (features of ``blank`` and measured numbers), come from two thirds of the
photographs; cells of the last third are judged. And the bundled malaria model meets the white cells and
platelets of BCCD. Means of five draws with their standard deviation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_cellcls.cells.segment import find_cells
from napari_cellcls.images.read import open_image
from napari_cellcls.learn.datasets import BLOOD_CLASSES
from napari_cellcls.learn.metrics import auc
from napari_cellcls.models import registry, runtime
from napari_cellcls.models.domain import FAR, Domain, domain_from, domain_of
from napari_cellcls.predict import predict_embeddings
from napari_cellcls.vocabulary import finish

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.learning import SHAPES, Table, blood, described, shapes  # noqa: E402
from training.found_blood import WELL_CUT, annotated, matched  # noqa: E402

DRAWS = 5
EXEMPLARS = 500
JUDGED = 1000
FEW = 5
NAMES = (
    "normal", "macrocyte", "microcyte", "spherocyte", "target", "stomatocyte", "ovalocyte",
    "teardrop", "burr", "schistocyte", "uncategorised", "hypochromia", "elliptocyte",
)  # fmt: skip


def judge(domain: Domain, cells: np.ndarray, new: np.ndarray) -> tuple[float, float, float]:
    """Return AUROC of the strangeness, and which share of new and of known cells is flagged."""
    found = domain.strangeness(cells)
    return auc(found, new), float((found[new] > FAR).mean()), float((found[~new] > FAR).mean())


def left_out(table: Table, out: int) -> Iterator[tuple[float, float, float]]:
    """Yield what is found with one class left out, per draw."""
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        names = rng.permutation(np.unique(table.photographs))
        test = np.isin(table.photographs, names[: len(names) // 3])
        known = rng.permutation(np.flatnonzero(~test & (table.labels != out)))
        kinds = np.unique(table.labels[known])
        each = EXEMPLARS // len(kinds)
        rows = np.concatenate([known[table.labels[known] == k][:each] for k in kinds])
        domain = domain_from(table.values[rows], table.blocks)
        judged = rng.permutation(np.flatnonzero(test))
        of_class = table.labels[judged] == out
        some = np.concatenate([judged[of_class], judged[~of_class][:JUDGED]])
        if domain is not None and of_class.sum() >= FEW:
            yield judge(domain, table.values[some], table.labels[some] == out)


def one_by_one(title: str, table: Table, names: list[str]) -> None:
    """Print a line per class that is left out."""
    print(f"{title}: {len(table.labels):,} cells")
    for out, name in enumerate(names):
        draws = np.array(list(left_out(table, out)))
        if len(draws):
            _line(f"{name} ({int((table.labels == out).sum()):,})", draws)


def foreign_to_malaria(data: Path) -> None:
    """Print how the bundled malaria model meets white cells and platelets; every fourth photograph."""
    package = registry.load("malaria-thin-smear")
    domain = domain_of(package)
    assert domain is not None
    boxes, files = annotated(data, list(BLOOD_CLASSES))
    values, labels = [], []
    with runtime.open_engine(package) as engine:
        for name, path in list(files.items())[::4]:
            image = open_image(path)
            cells = finish(find_cells(image, "blood"))
            if len(cells):
                truth, overlap = matched(cells.table, boxes[name])
                values.append(finish(predict_embeddings(image, cells, package, engine=engine)))
                labels.append(np.where(overlap > WELL_CUT, truth, -1))
    seen, kinds = np.concatenate(values), np.concatenate(labels)
    print(f"{package.manifest.label} on BCCD: {int((kinds == 0).sum()):,} red cells")
    for out, name in enumerate(BLOOD_CLASSES[1:], start=1):
        rows = np.isin(kinds, (0, out))
        found = judge(domain, seen[rows], kinds[rows] == out)
        _line(f"{name} ({int((kinds == out).sum()):,})", np.array([found]))


def _line(name: str, draws: np.ndarray) -> None:
    mean, spread = draws.mean(axis=0), draws.std(axis=0, ddof=1) if len(draws) > 1 else np.zeros(3)
    print(
        f"  {name}: AUROC {mean[0]:.3f} ± {spread[0]:.3f}; flagged {mean[1]:.1%} of them, "
        f"{mean[2]:.1%} of the known"
    )


def main() -> None:
    """Print all three parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    bccd = described(blood(options.data / "bccd"))
    one_by_one("Blood cells (BCCD), one class left out", bccd, list(BLOOD_CLASSES))
    foreign_to_malaria(options.data / "bccd")
    chula = described(shapes(options.data / "chula_rbc12"))
    names = [NAMES[k] for k in SHAPES]
    one_by_one("Shapes of red cells (Chula RBC-12), one left out", chula, names)


if __name__ == "__main__":
    main()
