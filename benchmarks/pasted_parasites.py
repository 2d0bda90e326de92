"""Whether a malaria model still sees parasites in cells of other laboratories, as far as pasting can tell.

Run ``python benchmarks/pasted_parasites.py --data ../shared/data``. Infected cells of BCCD and Chula RBC-12
do not exist, so parasites are taken from confirmed cells of NIH patients that a fold model never saw:
what is darker than its cell, in optical density, by more than 0.15 in green. They are added to healthy
cells of the photographs not trained on, and, as a control, to healthy NIH cells of the same patients.
The control says what pasting alone costs; the difference to it is what the other laboratory costs.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from napari_cellcls.cells.crops import cut
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.images.collections import find_images, open_ref
from napari_cellcls.learn.datasets import open_dataset
from napari_cellcls.models import onnx_writer
from napari_cellcls.models.engines.onnxruntime import quiet_library
from napari_cellcls.vocabulary import CropSpec, Normalization, finish

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from training.pasting import parasite, paste  # noqa: E402

FOLDS = ROOT / "training" / "folds" / "malaria_thin_smear"
SETS = {"bccd": "bccd/images", "chula_rbc12": "chula_rbc12/images"}
CELLS = 1000


class FoldModel:
    """One fold model and the patients it never saw."""

    def __init__(self, folder: Path, fold: int) -> None:
        from safetensors.numpy import load_file

        about = json.loads((folder / "folds.json").read_text())
        entry = about["folds"][fold]
        weights = load_file(folder / entry["file"])
        self._kernel, self._bias = weights.pop("head/kernel"), weights.pop("head/bias")
        job = about["job"]
        onnx = onnx_writer.to_onnx(job["architecture"], job["params"], weights)
        self._session = quiet_library().InferenceSession(onnx)
        self.patients, self.positive = entry["groups"], about["positive"]

    def share(self, crops: np.ndarray) -> float:
        """Return the share of crops ``(N, Y, X, 3)``, 0..1, called infected."""
        logits = np.concatenate(
            [
                self._session.run(["embeddings"], {"crops": crops[i : i + 64]})[0] @ self._kernel
                for i in range(0, len(crops), 64)
            ]
        )
        return float(((logits + self._bias).argmax(axis=1) == self.positive).mean())


def parasites(crops: np.ndarray) -> np.ndarray:
    """Return what parasites add to the density of their cells; crops without a clear one are left out."""
    found = [added for crop in crops if (added := parasite(crop)) is not None]
    return np.array(found, np.float32)


def pasted(cells: np.ndarray, added: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add parasites to cells drawn at random."""
    return paste(cells[rng.integers(len(cells), size=len(added))], added)


def healthy(folder: Path, every: int) -> np.ndarray:
    """Return crops of the red cells of photographs that were not trained on."""
    crops = []
    for ref in find_images([folder])[1 :: 2 * every]:
        image = open_ref(ref)
        cells = finish(find_cells(image, "smear"))
        crops.append(cut(image, cells, CropSpec(50, "box", mask=True), Normalization(), (0, 1, 2)))
    return np.concatenate(crops)


def main() -> None:
    """Measure and print one line per set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=Path, default=FOLDS)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--every", type=int, default=3, help="only every n-th photograph")
    options = parser.parse_args()
    model, rng = FoldModel(options.folds, options.fold), np.random.default_rng(0)
    nih = finish(open_dataset(options.data / "malaria_nih_50px.parquet", size=50))
    usable = np.isin(nih.groups, model.patients) & (nih.extra["fuhad2020"] == "confirmed")

    def some(infected: bool) -> np.ndarray:
        rows = np.flatnonzero(usable & ((nih.labels == model.positive) == infected))
        chosen = np.sort(rng.choice(rows, min(CELLS, len(rows)), replace=False))
        return np.asarray(nih.images[chosen], np.float32) / 255

    infected, sets = some(True), {"NIH, the control": some(False)}
    added = parasites(infected)
    print(f"infected NIH cells as they are: {model.share(infected):.1%} called infected")
    sets |= {name: healthy(options.data / path, options.every) for name, path in SETS.items()}
    for name, cells in sets.items():
        alone, with_parasite = model.share(cells), model.share(pasted(cells, added, rng))
        print(f"{name}: {alone:.1%} of healthy cells, {with_parasite:.1%} with a pasted parasite")


if __name__ == "__main__":
    main()
