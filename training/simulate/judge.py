"""Judge simulated cells by measurement: does a plain classifier tell them apart, and what of real ones.

Frozen features of the bundled ``blank`` network of gray pictures, and a logistic regression trained
on simulated cells only. Run from the repository root:

    python -m training.simulate.judge [--fields 9] [--per-class 45] [--data ../shared/data] [--out judge.json]
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.crops import cut
from napari_cellcls.cells.fluorescence import find_fluorescent_cells
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.embed import embed_crops
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.models import registry, runtime
from napari_cellcls.vocabulary import finish

from . import fluorescence, hela
from .crops import CROP, NORMALIZATION, ROLES, cut_field
from .layouts import drawn

ROOT = Path(__file__).resolve().parents[2]
SIZE = 96
RULE = replace(CROP, size=SIZE)
BLOCK = 1000


@dataclass
class Judge:
    """A linear classifier over frozen features, and how it did on simulated cells it has not seen."""

    pipeline: Any
    names: list[str]
    f1: dict[str, float]
    confused: list[tuple[str, str, float]]
    cells: tuple[int, int]

    @property
    def macro_f1(self) -> float:
        """Return the unweighted mean over the classes."""
        return float(np.mean(list(self.f1.values())))


def embedded(crops: np.ndarray) -> np.ndarray:
    """Return features of crops ``(N, 96, 96, C)`` in 0..1: 1,280 per gray picture.

    Of four channels three pictures are made: the protein, the protein inside the nucleus, and the
    protein outside of it; the other channels on their own say nothing about the protein.
    """
    if crops.shape[3] == 4:
        green, nucleus = crops[..., 1], np.clip(3 * crops[..., 2], 0, 1)
        crops = np.stack([green, green * nucleus, green * (1 - nucleus)], 3)
    package = registry.load("blank")
    with runtime.open_engine(package, "onnxruntime", "cpu") as engine:
        parts = [embed_crops(crops[i : i + 64], package, engine) for i in range(0, len(crops), 64)]
    return np.concatenate(parts)


def pattern_cells(job: tuple[int, int]) -> tuple[np.ndarray, list[str], int]:
    """Return crops and names of the cells with one label, for ``(pattern, field)``."""
    pattern, number = job
    seed = 10_000_000 + BLOCK * pattern + number
    rng = np.random.default_rng((seed, 5))
    edge, size_um = 448, float(rng.uniform(0.2, 0.34))
    field = fluorescence.simulate(
        seed,
        (edge, edge),
        max(4, round((edge * size_um) ** 2 / 1100.0)),
        size_um,
        bits=8,
        labels=[(fluorescence.PATTERNS[pattern],)],
        one_protein=True,
        optics=fluorescence.Optics.random(rng),
        varied=True,
    )
    crops, names = cut_field(field, SIZE), field.table["class"].tolist()
    border = np.concatenate([field.cells[[0, -1]].ravel(), field.cells[:, [0, -1]].ravel()])
    whole = ~np.isin(field.table["label"], border)
    wanted = [
        k for k, name in enumerate(names) if name == fluorescence.PATTERNS[pattern] and whole[k]
    ]
    return crops[wanted], [names[k] for k in wanted], number


def patterns(fields: int, processes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return crops, names and held-out flags of all 28 patterns; every third field is held out."""
    jobs = [(p, k) for p in range(len(fluorescence.PATTERNS)) for k in range(fields)]
    parts = list(drawn(pattern_cells, jobs, processes))
    crops = np.concatenate([p[0] for p in parts])
    names = np.array([n for p in parts for n in p[1]])
    held = np.array([p[2] % 3 == 2 for p in parts for _ in p[1]])
    return crops, names, held


def hela_cells(per_class: int, processes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return crops, names and held-out flags of the ten classes; every third image is held out."""
    seeds = range(10_000_000, 10_000_000 + per_class)
    crops, names = [], []
    for name in hela.STAINS:
        for image in drawn(partial(hela.simulate, name=name, bits=8), seeds, processes):
            crops.append(_whole(image[None]))
            names.append(name)
    held = np.tile(np.arange(per_class) % 3 == 2, len(hela.STAINS))
    return np.concatenate(crops), np.array(names), held


def judge(features: np.ndarray, names: np.ndarray, held: np.ndarray) -> Judge:
    """Train on the cells that are not held out and test on those that are."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import confusion_matrix, f1_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known = list(dict.fromkeys(names.tolist()))
    parts = min(200, int((~held).sum()) - 1, features.shape[1])
    model = make_pipeline(
        StandardScaler(),
        PCA(parts, random_state=0, svd_solver="randomized"),
        StandardScaler(),
        LogisticRegression(C=0.02, max_iter=500),
    )
    model.fit(features[~held], names[~held])
    said = model.predict(features[held])
    scores = f1_score(names[held], said, labels=known, average=None, zero_division=0)
    matrix = confusion_matrix(names[held], said, labels=known, normalize="true")
    np.fill_diagonal(matrix, 0)
    rows, columns = np.unravel_index(np.argsort(-matrix, axis=None)[:12], matrix.shape)
    confused = [
        (known[r], known[c], float(matrix[r, c])) for r, c in zip(rows, columns) if matrix[r, c] > 0
    ]
    counts = int((~held).sum()), int(held.sum())
    f1 = {n: float(s) for n, s in zip(known, scores)}
    return Judge(model, known, f1, confused, counts)


def real_cells(data: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and crop ``(1, 96, 96, 4)`` of the real single cells."""
    for path in sorted(
        (data / "hpa/cells").glob("*.npy"), key=lambda p: int(p.stem.split("_")[-1])
    ):
        yield path.stem, _whole(np.moveaxis(np.load(path, allow_pickle=False), 2, 0))


def real_field(data: Path, name: str = "57_F11_1") -> np.ndarray:
    """Return crops of the cells that our finder finds on the real field.

    The yellow file of this field shows another place (see the data's description): it is left dark.
    """
    from PIL import Image as PillowImage

    planes = [
        np.asarray(PillowImage.open(data / f"hpa/field/{name}_{c}.png").convert("L"))
        for c in ("red", "green", "blue")
    ]
    image = _image(np.stack([*planes, np.zeros_like(planes[0])]))
    cells = finish(find_fluorescent_cells(image, 2, 0, None))
    return _cut(image, cells)


def real_label(data: Path, field: str) -> list[str]:
    """Return the published labels of a field of the atlas, by plate, well and position."""
    with gzip.open(data / "hpa/hpav18.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            if row["Id"].split("_", 1)[1] == field:
                return [fluorescence.PATTERNS[int(k)] for k in row["Target"].split()]
    return []


def _whole(planes: np.ndarray) -> np.ndarray:
    """Cut a picture ``(C, Y, X)`` of one cell on black to its frame."""
    labels = (planes.max(0) > 0).astype(np.int32)
    image = _image(planes) if len(planes) == 4 else Image(planes, (Channel("gray"),), "simulated")
    return np.asarray(
        cut(image, cells_from_labels(labels), RULE, NORMALIZATION, tuple(range(len(planes))))
    )


def _image(planes: np.ndarray) -> Image:
    channels = tuple(Channel(n, r) for n, r in zip(fluorescence.CHANNELS, ROLES))
    return Image(planes, channels, "judged", value_range=(0.0, 255.0))


def _cut(image: Image, cells: Cells) -> np.ndarray:
    return np.asarray(cut(image, cells, RULE, NORMALIZATION, (0, 1, 2, 3)))


def opinions(found: Judge, features: np.ndarray, truth: list[str]) -> dict[str, Any]:
    """Return what the judge says of real cells: first answers, and the place of the true label."""
    shares = found.pipeline.predict_proba(features)
    classes = list(found.pipeline.classes_)
    order = np.argsort(-shares, axis=1)
    first = Counter(classes[k] for k in order[:, 0])
    rank = [
        min((order[i].tolist().index(classes.index(t)) + 1 for t in truth), default=0)
        for i in range(len(order))
    ]
    return {
        "cells": len(order),
        "truth": truth,
        "first": dict(first.most_common()),
        "rank of truth": rank,
        "top 1": float(np.mean([r == 1 for r in rank])),
        "top 3": float(np.mean([r <= 3 for r in rank])),
        "mean share of truth": float(
            np.mean(shares[:, [classes.index(t) for t in truth]].sum(1)) if truth else 0.0
        ),
    }


def _told(title: str, found: Judge) -> dict[str, Any]:
    print(
        f"\n{title}: macro F1 {found.macro_f1:.3f}; {found.cells[0]} cells to learn, {found.cells[1]} held out\n"
    )
    print("| class | F1 |\n|---|---|")
    for name, value in sorted(found.f1.items(), key=lambda item: item[1]):
        print(f"| {name} | {value:.2f} |")
    print("\n| true | taken for | share |\n|---|---|---|")
    for truth, said, share in found.confused:
        print(f"| {truth} | {said} | {share:.0%} |")
    return {
        "macro_f1": found.macro_f1,
        "f1": found.f1,
        "confused": found.confused,
        "cells": found.cells,
    }


def main(arguments: list[str] | None = None) -> None:
    """Judge both kinds and, where the real images are at hand, ask about them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--fields", type=int, default=9, help="fields per pattern, a third held out"
    )
    parser.add_argument("--per-class", type=int, default=45, help="HeLa images per class")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--out", type=Path, help="also write the numbers as JSON")
    options = parser.parse_args(arguments)
    crops, names, held = patterns(options.fields, options.processes)
    found = judge(embedded(crops), names, held)
    result: dict[str, Any] = {"hpa": _told("28 patterns, 4 channels", found)}
    if (options.data / "hpa/cells").is_dir():
        cells = np.concatenate([crop for _, crop in real_cells(options.data)])
        sets = {"56_F11_1": cells, "57_F11_1": real_field(options.data)}
        for field, real in sets.items():
            said = opinions(found, embedded(real), real_label(options.data, field))
            result[field] = said
            print(f"\nreal cells of {field}: {json.dumps(said)}")
    crops, names, held = hela_cells(options.per_class, options.processes)
    result["hela"] = _told("10 HeLa classes, gray", judge(embedded(crops), names, held))
    if options.out:
        options.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
