"""Are probabilities and sets of classes as right as they say, on patients never seen? NIH malaria cells.

    python benchmarks/trust.py --data malaria_nih_50px.parquet

Each cell is judged by the fold model that never saw its patient. Temperature and the limits of the sets are
chosen on the patients of four folds and judged on those of the fifth, in turn. Sets always hold
the most probable class: below the accuracy of the model they hold the right one more often than promised.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.learn.calibration import fit_temperature
from napari_cellcls.learn.conformal import fit_sets
from napari_cellcls.learn.evaluate import open_judged, read_folds
from napari_cellcls.learn.job import job_from, read_weights, split_head
from napari_cellcls.learn.metrics import ece_of, one_hot, reliability, scored, softmax
from napari_cellcls.models import onnx_writer
from napari_cellcls.models.engines.onnxruntime import quiet_library
from napari_cellcls.models.turns import mean_of_turns
from napari_cellcls.vocabulary import finish

FOLDS = Path(__file__).resolve().parents[1] / "training" / "folds" / "malaria_thin_smear"
PROMISES = (0.9, 0.95, 0.97, 0.98, 0.99)
_BATCH = 256


def judged(data: Path, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return logits ``(N, 2)`` by the model that never saw the patient, labels, patients and folds."""
    onnxruntime = quiet_library()
    about = read_folds(folder)
    job, cells = job_from(about["job"]), finish(open_judged(about, data))
    of = {group: entry["fold"] for entry in about["folds"] for group in entry["groups"]}
    fold = np.array([of[group] for group in cells.groups])
    logits = np.zeros((len(cells), len(about["classes"])), np.float32)
    for entry in about["folds"]:
        body, (kernel, bias) = split_head(read_weights(folder / entry["file"], job))
        graph = onnx_writer.to_onnx(job.architecture, job.params, body)
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])

        def look(crops: np.ndarray, run: Any = session) -> np.ndarray:
            return np.asarray(run.run(None, {"crops": crops})[0])

        rows = np.flatnonzero(fold == entry["fold"])
        for start in range(0, len(rows), _BATCH):
            part = rows[start : start + _BATCH]
            crops = np.asarray(cells.images[part], np.float32) / np.float32(255)
            logits[part] = mean_of_turns(look, crops, about.get("turns", 1)) @ kernel + bias
    return logits, np.asarray(cells.labels), cells.groups, fold


def calibration(logits: np.ndarray, labels: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Print the calibration error before and after; return the calibrated probabilities."""
    p = np.zeros(logits.shape)
    for k in np.unique(fold):
        others, own = fold != k, fold == k
        temperature = fit_temperature(logits[others], labels[others])
        p[own] = softmax(logits[own], temperature)
        print(f"  fold {k}: temperature {temperature:.3f}, error {_error(p[own], labels[own]):.4f}")
    raw = _error(softmax(logits), labels)
    print(f"  all: {raw:.4f} before, {_error(p, labels):.4f} after")
    return p


def coverage(p: np.ndarray, labels: np.ndarray, patients: np.ndarray, fold: np.ndarray) -> None:
    """Print how often the sets hold the right class, and how large they are."""
    accuracy = (p.argmax(1) == labels).mean()
    print(f"  the most probable class alone is right for {accuracy:.2%} of the cells")
    _, index, counts = np.unique(patients, return_inverse=True, return_counts=True)
    for promise in PROMISES:
        sets = np.zeros(p.shape, bool)
        for k in np.unique(fold):
            others, own = fold != k, fold == k
            sets[own] = fit_sets(p[others], labels[others], patients[others], promise).sets(p[own])
        right = sets[np.arange(len(p)), labels]
        by_patient = np.bincount(index, right) / counts
        by_class = ", ".join(f"{right[labels == c].mean():.2%}" for c in np.unique(labels))
        print(
            f"  promised {promise:.0%}: cells {right.mean():.2%}, patients' mean "
            f"{by_patient.mean():.2%}, by class {by_class}; {sets.sum(1).mean():.3f} classes a set"
        )


def _error(p: np.ndarray, labels: np.ndarray) -> float:
    return ece_of(reliability(scored(p, one_hot(labels, p.shape[1]))))


def main() -> None:
    """Score every cell once, then print both parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=Path, default=FOLDS)
    options = parser.parse_args()
    logits, labels, patients, fold = judged(options.data, options.folds)
    print(f"{len(labels):,} cells of {len(np.unique(patients))} patients")
    print("Calibration error (15 bins):")
    p = calibration(logits, labels, fold)
    print("Sets of classes:")
    coverage(p, labels, patients, fold)


if __name__ == "__main__":
    main()
