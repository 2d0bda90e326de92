"""Count how many labelled red cells ``find_cells(image, "smear")`` finds at default settings.

Run ``python benchmarks/cells_found.py --data ../shared/data``. Fields are split by image into
a development half (the constants were chosen on it) and a report half (not used for it, except
that ten of its fields were seen; docs/cells-found.md says when). A labelled cell is *found one to
one* when its point (the center of its box) lies in an object that is matched to this label only;
``alone`` also demands that no other label lies in that object.

Platelets that lie in a red cell's object are told apart: *free* when the object is of a platelet's
size and mostly inside the platelet's box (the object is the platelet, called a red cell), else *on
a red cell* (a cell is there and is rightly counted).
"""

from __future__ import annotations

import argparse
import json
import time
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_cellcls.cells.segment import find_cells
from napari_cellcls.images.read import open_image
from napari_cellcls.vocabulary import finish

DEGENERATE = 5
PLATELET_AREA = 0.5
PLATELET_INSIDE = 0.6

Strangers = list[tuple[str, np.ndarray]]
"""Name and box (x0, y0, x1, y1) of what is labelled and no red cell."""


@dataclass
class Tally:
    """Sums over fields."""

    fields: int = 0
    labels: int = 0
    matched: int = 0
    alone: int = 0
    objects: int = 0
    seconds: float = 0.0
    rejected: Counter = field(default_factory=Counter)
    strangers: Counter = field(default_factory=Counter)
    strangers_as_cells: Counter = field(default_factory=Counter)
    free_as_cells: Counter = field(default_factory=Counter)

    def row(self) -> dict[str, object]:
        """Return the figures to print."""
        labels = max(self.labels, 1)
        return {
            "fields": self.fields,
            "labelled red cells": self.labels,
            "found one to one": round(self.matched / labels, 4),
            "alone in their object": round(self.alone / labels, 4),
            "objects per label": round(self.objects / labels, 3),
            "rejected": dict(sorted(self.rejected.items())),
            "counted as red cells": {
                k: f"{self.strangers_as_cells[k]} of {n} (free: {self.free_as_cells[k]})"
                for k, n in sorted(self.strangers.items())
            },
            "seconds per field": round(self.seconds / max(self.fields, 1), 3),
        }


def bccd_labels(annotation: Path) -> tuple[np.ndarray, Strangers]:
    """Return centers ``(n, 2)`` (x, y) of red cells, and name and box of everything else."""
    red: list[tuple[float, float]] = []
    other: Strangers = []
    for item in ET.parse(annotation).getroot().iter("object"):
        box = item.find("bndbox")
        if box is None:
            continue
        corners = ("xmin", "ymin", "xmax", "ymax")
        x0, y0, x1, y1 = (float(box.findtext(k) or 0) for k in corners)
        if min(x1 - x0, y1 - y0) < DEGENERATE:
            continue
        name = item.findtext("name") or ""
        if name == "RBC":
            red.append(((x0 + x1) / 2, (y0 + y1) / 2))
        else:
            other.append((name, np.array([x0, y0, x1, y1])))
    return np.array(red).reshape(-1, 2), other


def label_at(labels: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the label under each point, points on the rim moved inside."""
    height, width = labels.shape
    return labels[np.clip(y.astype(int), 0, height - 1), np.clip(x.astype(int), 0, width - 1)]


def add(tally: Tally, path: Path, points: np.ndarray, other: Strangers) -> None:
    """Find the cells of one field and compare them with its labels."""
    image = open_image(path)
    image = type(image)(np.asarray(image.data), image.channels, image.name, image.is_rgb)
    begin = time.perf_counter()
    cells = finish(find_cells(image, "smear"))
    tally.seconds += time.perf_counter() - begin
    labels = np.asarray(cells.labels)
    under = label_at(labels, points[:, 0], points[:, 1])
    _, counts = np.unique(under[under > 0], return_counts=True)
    tally.fields += 1
    tally.labels += len(points)
    tally.matched += len(counts)
    tally.alone += int((counts == 1).sum())
    tally.objects += len(cells)
    if cells.rejected is not None:
        tally.rejected.update(cells.rejected.counts())
    typical = float(np.median(cells.table["area_px"])) if len(cells) else 1.0
    for name, box in other:
        tally.strangers[name] += 1
        x0, y0, x1, y1 = box
        found = label_at(labels, np.array([(x0 + x1) / 2]), np.array([(y0 + y1) / 2]))[0]
        if not found:
            continue
        tally.strangers_as_cells[name] += 1
        area = int((labels == found).sum())
        within = int((labels[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1] == found).sum())
        if area < PLATELET_AREA * typical and within > PLATELET_INSIDE * area:
            tally.free_as_cells[name] += 1


def labels_of(folder: Path, name: str) -> tuple[np.ndarray, Strangers]:
    """Return the labels of one field of one set."""
    if folder.name == "bccd":
        return bccd_labels(folder / f"annotations/{name}.xml")
    text = (folder / f"labels/{name}.txt").read_text()
    return np.array(text.split(), float).reshape(-1, 3)[:, :2], []


def order(path: Path) -> tuple[int, str]:
    """Sort numbered fields by number, named ones by name."""
    return (int(path.stem) if path.stem.isdigit() else 0, path.stem)


def score(folder: Path, every: int, halves: list[str]) -> dict[str, dict[str, object]]:
    """Return the figures of each half of one set, and of all of it."""
    tallies = {half: Tally() for half in halves}
    for k, path in enumerate(sorted((folder / "images").glob("*.jpg"), key=order)):
        half = "report" if k % 2 else "development"
        if half in tallies and (k // 2) % every == 0:
            add(tallies[half], path, *labels_of(folder, path.stem))
    whole = Tally()
    for part in tallies.values():
        for key in ("fields", "labels", "matched", "alone", "objects", "seconds"):
            setattr(whole, key, getattr(whole, key) + getattr(part, key))
        for key in ("rejected", "strangers", "strangers_as_cells", "free_as_cells"):
            getattr(whole, key).update(getattr(part, key))
    return {half: tally.row() for half, tally in {**tallies, "all": whole}.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--every", type=int, default=1, help="take every n-th field only")
    parser.add_argument("--half", choices=["development", "report"], help="only this half")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    halves = [options.half] if options.half else ["development", "report"]
    report = {}
    for name in ("bccd", "chula_rbc12"):
        report[name] = score(options.data / name, options.every, halves)
        for half, row in report[name].items():
            print(f"{name}, {half}: " + ", ".join(f"{k} {v}" for k, v in row.items()), flush=True)
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
