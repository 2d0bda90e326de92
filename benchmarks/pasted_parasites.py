"""Whether a malaria model still sees parasites in cells of other laboratories, as far as pasting can tell.

Run ``python benchmarks/pasted_parasites.py --data ../shared/data``. Infected cells of BCCD and Chula RBC-12
do not exist, so parasites are taken from confirmed cells of NIH patients that a fold model never saw:
what is darker than its cell, in optical density, by more than 0.15 in green. They are added to healthy
cells of the photographs not trained on, and, as a control, to healthy NIH cells of the same patients.
The control says what pasting alone costs; the difference to it is what the other laboratory costs.
The bundled model was trained on cells made in the same way (other patients, other photographs,
parasites turned and varied), so that this cannot say how it does on truly infected cells there.
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
from napari_cellcls.learn.datasets import CellSet, open_dataset
from napari_cellcls.models import onnx_writer
from napari_cellcls.models.engines.onnxruntime import quiet_library
from napari_cellcls.models.turns import mean_of_turns
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
        self._turns = about.get("turns", 1)

    def share(self, crops: np.ndarray) -> float:
        """Return the share of crops ``(N, Y, X, 3)``, 0..1, called infected."""
        logits = np.concatenate(
            [
                mean_of_turns(self._embed, crops[i : i + 64], self._turns) @ self._kernel
                for i in range(0, len(crops), 64)
            ]
        )
        return float(((logits + self._bias).argmax(axis=1) == self.positive).mean())

    def _embed(self, crops: np.ndarray) -> np.ndarray:
        return np.asarray(self._session.run(["embeddings"], {"crops": crops})[0])


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


def measure(data: Path, folds: Path = FOLDS, every: int = 3) -> dict[str, tuple[float, float]]:
    """Return, of each set, the share called infected of healthy cells, alone and with a parasite pasted in.

    Means over the fold models; the first entry is that of infected cells as they are, twice.

    Parameters
    ----------
    data : Path
        Folder with the malaria table, BCCD and Chula RBC-12.
    folds : Path
        With ``folds.json``.
    every : int
        Only every n-th photograph.
    """
    rng = np.random.default_rng(0)
    nih = finish(open_dataset(data / "malaria_nih_50px.parquet", size=50))
    confirmed = nih.extra["fuhad2020"] == "confirmed"
    sets = {name: healthy(data / path, every) for name, path in SETS.items()}
    shares = []
    for fold in range(len(json.loads((folds / "folds.json").read_text())["folds"])):
        model = FoldModel(folds, fold)
        usable = confirmed & np.isin(nih.groups, model.patients)
        infected, own = (
            _some(nih, usable & ((nih.labels == model.positive) == wanted), rng)
            for wanted in (True, False)
        )
        added, plain = parasites(infected), model.share(infected)
        row = {"infected NIH cells as they are": (plain, plain)}
        for name, cells in {"NIH, the control": own, **sets}.items():
            row[name] = (model.share(cells), model.share(pasted(cells, added, rng)))
        shares.append(row)
    return {
        name: (
            float(np.mean([row[name][0] for row in shares])),
            float(np.mean([row[name][1] for row in shares])),
        )
        for name in shares[0]
    }


def _some(data: CellSet, usable: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows = np.flatnonzero(usable)
    chosen = np.sort(rng.choice(rows, min(CELLS, len(rows)), replace=False))
    return np.asarray(data.images[chosen], np.float32) / 255


def main() -> None:
    """Measure and print one line per set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=Path, default=FOLDS)
    parser.add_argument("--every", type=int, default=3, help="only every n-th photograph")
    options = parser.parse_args()
    for name, (alone, infected) in measure(options.data, options.folds, options.every).items():
        print(f"{name}: {alone:.1%} of healthy cells, {infected:.1%} with a pasted parasite")


if __name__ == "__main__":
    main()
