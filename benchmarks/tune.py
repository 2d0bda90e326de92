"""How long a quick fine-tune takes beside scikit-learn: 500 corrections among 10,000 cells that are described already.

Run ``chrt -r 10 python benchmarks/tune.py --data ../shared/data``. Red cells of twelve shapes (Chula RBC-12), described
by the bundled ``blank`` network. Timed: choosing the penalty by cross-validation over photographs, the
fit, the temperature, and the answers for all cells; and one plain ``LogisticRegression`` of scikit-learn without any
choice, once with as many threads as it takes and once with one. The best of three rounds, in turn.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.learning import Table, described, shapes  # noqa: E402

from napari_cellcls.learn.head import fit_head  # noqa: E402

LABELS, ROUNDS = 500, 3


def ours(table: Table, rows: np.ndarray) -> np.ndarray:
    """Fit the quick head and answer for every cell."""
    targets = np.eye(table.labels.max() + 1)[table.labels[rows]]
    head = fit_head(
        table.values[rows], targets, groups=table.photographs[rows], blocks=table.blocks
    )
    return head.logits(table.values).argmax(axis=1)


def plain(table: Table, rows: np.ndarray) -> np.ndarray:
    """Fit one logistic regression with one penalty and answer for every cell."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.01, class_weight="balanced", max_iter=300)
    )
    return np.asarray(model.fit(table.values[rows], table.labels[rows]).predict(table.values))


def on_one_thread(table: Table, rows: np.ndarray) -> np.ndarray:
    """Do the same without threads that wait for each other."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return plain(table, rows)


def main() -> None:
    """Describe the cells, time all in turn, and print the best of each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    report(described(shapes(options.data / "chula_rbc12")))


def report(table: Table) -> None:
    """Print seconds and macro F1 on the cells that were not labeled."""
    from sklearn.metrics import f1_score

    rows = np.sort(np.random.default_rng(0).permutation(len(table.labels))[:LABELS])
    rest = np.setdiff1d(np.arange(len(table.labels)), rows)
    ways: dict[str, Callable[[Table, np.ndarray], np.ndarray]] = {
        "quick head (choice of the penalty, fit, answers)": ours,
        "LogisticRegression (one penalty, no choice)": plain,
        "LogisticRegression on one thread": on_one_thread,
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    said = {}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            begun = time.perf_counter()
            said[name] = way(table, rows)
            seconds[name].append(time.perf_counter() - begun)
    print(f"{LABELS} labels among {len(table.labels):,} cells of {table.values.shape[1]:,} numbers")
    for name, times in seconds.items():
        score = f1_score(table.labels[rest], said[name][rest], average="macro")
        print(
            f"  {min(times):6.2f} s (median {np.median(times):.2f})  macro F1 {score:.3f}  {name}"
        )


if __name__ == "__main__":
    main()
