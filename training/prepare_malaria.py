r"""Join the malaria set with cells of other laboratories into one parquet file for ``cellcls train``.

    python training/prepare_malaria.py ../shared/data/malaria_nih_50px.parquet malaria.parquet \
        --healthy ../shared/data/bccd/images ../shared/data/chula_rbc12/images

``--healthy`` names folders of smear photographs without malaria. The red cells of every second one
(the development half of ``benchmarks/cells_found.py``) are found and cut by the rule of the model; the other half stays
unseen. Half of them get a parasite of an NIH cell pasted in (``training/pasting.py``), so that the look of a laboratory
does not mean healthy. They carry ``training_only``: nothing is judged by them, and a pasted cell belongs to
the patient of its parasite, so that it is left out where this patient is held out.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from napari_cellcls.cells.crops import cut
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.files import atomic_path
from napari_cellcls.images.collections import find_images, open_ref
from napari_cellcls.learn.datasets import CellSet, open_dataset
from napari_cellcls.vocabulary import CropSpec, Normalization, finish

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from training.pasting import control, density, excess, fitted, parasite, paste  # noqa: E402

CELLS = 2800
"""Cells taken of each folder, half of them to be infected."""
CONTROLS = 400
"""Healthy cells per folder that undergo the pasting without a parasite."""
STYLES = 16
"""Cells per folder whose stain the training cells may take on."""
SIZE = 50
Row = dict[str, Any]


def healthy_cells(folder: Path) -> tuple[np.ndarray, list[str]]:
    """Return crops ``(N, 50, 50, 3)``, 0..1, and their photographs, of every second photograph."""
    crops, names = [], []
    for ref in find_images([folder])[::2]:
        image = open_ref(ref)
        cells = finish(find_cells(image, "smear"))
        found = cut(image, cells, CropSpec(SIZE, "box", mask=True), Normalization(), (0, 1, 2))
        crops.append(found)
        names += [f"{folder.parent.name}:{ref.name}"] * len(found)
    return np.concatenate(crops), names


def stains(crops: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the mean optical density per plane ``(STYLES, 3)`` of some cells, 0..1."""
    cells = crops[rng.choice(len(crops), STYLES, replace=False)]
    inside = cells.max(axis=-1, keepdims=True) > 0
    dark = density(cells) * inside
    return np.round(dark.sum(axis=(1, 2)) / inside.sum(axis=(1, 2)), 3)


class Donors:
    """NIH cells with confirmed labels, patient by patient: one patient as often as another."""

    def __init__(self, data: CellSet, label: str, rng: np.random.Generator) -> None:
        usable = data.labels == data.classes.index(label)
        if "fuhad2020" in data.extra:
            usable &= data.extra["fuhad2020"] == "confirmed"
        self._rows = {
            p: np.flatnonzero(usable & (data.groups == p)) for p in np.unique(data.groups[usable])
        }
        self._images, self._rng, self._patients = data.images, rng, list(self._rows)

    @property
    def patients(self) -> list[str]:
        """Return those who have such cells."""
        return list(self._patients)

    def draw(self, patient: str | None = None) -> tuple[str, int, np.ndarray]:
        """Return a patient (or the one asked for), a row, and the crop ``(50, 50, 3)``, 0..1."""
        if patient is None:
            patient = self._patients[self._rng.integers(len(self._patients))]
        row = int(self._rng.choice(self._rows[patient]))
        return patient, row, np.asarray(self._images[row], np.float32) / 255


def infect(
    cell: np.ndarray, infected: Donors, rng: np.random.Generator
) -> tuple[str, int, np.ndarray]:
    """Return the donor's patient and row, and a healthy cell with its parasite."""
    while True:
        patient, row, crop = infected.draw()
        added = parasite(crop)
        placed = None if added is None else fitted(cell, added, rng)
        if placed is not None:
            return patient, row, paste(cell[None], placed[None])[0]


def neutral(cell: np.ndarray, infected: Donors, healthy: Donors) -> tuple[str, int, np.ndarray]:
    """Return the donor's patient and row, and a healthy cell with texture of another healthy one.

    The outline of the place comes from an infected cell of the same patient: nothing of a patient may
    reach a fold that is judged on him.
    """
    while True:
        patient, _, crop = infected.draw()
        _, spot = excess(crop)
        if spot.any() and patient in healthy.patients:
            _, row, crop = healthy.draw(patient)
            return patient, row, paste(cell[None], control(crop, spot)[None])[0]


def foreign_rows(
    crops: np.ndarray, photographs: list[str], data: CellSet, rng: np.random.Generator
) -> list[Row]:
    """Return the rows of one laboratory: healthy, healthy after a neutral pasting, infected."""
    infected, healthy = Donors(data, "Parasitized", rng), Donors(data, "Uninfected", rng)
    chosen = rng.permutation(len(crops))[:CELLS]
    half = len(chosen) // 2
    rows = []
    for k, at in enumerate(chosen):
        group, name, crop = photographs[at], f"{photographs[at]}#{at}", crops[at]
        if k < half:
            group, donor, crop = infect(crop, infected, rng)
            name += f"+{data.names[donor]}"
        elif k < half + CONTROLS:
            group, donor, crop = neutral(crop, infected, healthy)
            name += f"~{data.names[donor]}"
        label = "Parasitized" if k < half else "Uninfected"
        rows.append({"name": name, "label": label, "patient": group, "image": _png(crop)})
    return rows


def _png(crop: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Picture.fromarray(np.rint(crop * 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def write(path: Path, data: CellSet, foreign: list[Row]) -> None:
    """Write judged and training-only rows in one table."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    kept = sorted(data.extra)
    rows = [
        {"name": data.names[i], "label": data.classes[data.labels[i]], "patient": data.groups[i],
         "training_only": "", **{k: data.extra[k][i] for k in kept},
         "image": _png(np.asarray(data.images[i]) / 255)}
        for i in range(len(data))
    ]  # fmt: skip
    rows += [{**dict.fromkeys(kept, ""), **row, "training_only": "yes"} for row in foreign]
    with atomic_path(path) as temporary:
        parquet.write_table(pa.Table.from_pylist(rows), temporary)


def main() -> None:
    """Find, paste, join, and print the stains for the recipe."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, help="parquet file or folder with the class folders")
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--healthy", type=Path, nargs="+", required=True, help="smears without malaria"
    )
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    data = finish(open_dataset(options.data, size=SIZE))
    styles, foreign = [], []
    for folder in options.healthy:
        crops, photographs = healthy_cells(folder)
        styles.append(stains(crops, rng))
        foreign += foreign_rows(crops, photographs, data, rng)
        print(f"{len(crops)} cells of {len(set(photographs))} photographs of {folder}")
    write(options.out, data, foreign)
    print(f"{len(data)} cells and {len(foreign)} for training only -> {options.out}")
    print("styles:", np.concatenate(styles).tolist())


if __name__ == "__main__":
    main()
