"""Count how many labelled red cells ``find_cells(image, "smear")`` finds at default settings.

Run ``python benchmarks/cells_found.py --data ../shared/data``. Fields are split by image into
a development half (the constants were chosen on it) and a report half (never looked at while
choosing). A labelled cell is *found one to one* when its point (the center of its box) lies in
an object that is matched to this label only; ``alone`` also demands that no other label lies
in that object.
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
                k: f"{self.strangers_as_cells[k]} of {n}" for k, n in sorted(self.strangers.items())
            },
            "seconds per field": round(self.seconds / max(self.fields, 1), 3),
        }


def bccd_labels(annotation: Path) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """Return centers ``(n, 2)`` (x, y) of red cells, and name and center of everything else."""
    red, other = [], []
    for item in ET.parse(annotation).getroot().iter("object"):
        box = item.find("bndbox")
        x0, y0, x1, y1 = (float(box.findtext(k)) for k in ("xmin", "ymin", "xmax", "ymax"))
        if min(x1 - x0, y1 - y0) < DEGENERATE:
            continue
        center = ((x0 + x1) / 2, (y0 + y1) / 2)
        if item.findtext("name") == "RBC":
            red.append(center)
        else:
            other.append((item.findtext("name"), *center))
    return np.array(red).reshape(-1, 2), other


def label_at(labels: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the label under each point, points on the rim moved inside."""
    height, width = labels.shape
    return labels[np.clip(y.astype(int), 0, height - 1), np.clip(x.astype(int), 0, width - 1)]


def add(tally: Tally, path: Path, points: np.ndarray, other: list) -> None:
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
    for name, x, y in other:
        tally.strangers[name] += 1
        if label_at(labels, np.array([x]), np.array([y]))[0]:
            tally.strangers_as_cells[name] += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    sets = {
        "bccd": sorted((options.data / "bccd/images").glob("*.jpg")),
        "chula_rbc12": sorted(
            (options.data / "chula_rbc12/images").glob("*.jpg"), key=lambda p: int(p.stem)
        ),
    }
    report: dict[str, dict[str, object]] = {}
    for name, paths in sets.items():
        tallies = {half: Tally() for half in ("development", "report", "all")}
        for k, path in enumerate(paths):
            if name == "bccd":
                points, other = bccd_labels(options.data / f"bccd/annotations/{path.stem}.xml")
            else:
                text = (options.data / f"chula_rbc12/labels/{path.stem}.txt").read_text()
                points, other = np.array(text.split(), float).reshape(-1, 3)[:, :2], []
            add(tallies["report" if k % 2 else "development"], path, points, other)
        for half in ("development", "report"):
            whole, part = tallies["all"], tallies[half]
            for key in ("fields", "labels", "matched", "alone", "objects", "seconds"):
                setattr(whole, key, getattr(whole, key) + getattr(part, key))
            for key in ("rejected", "strangers", "strangers_as_cells"):
                getattr(whole, key).update(getattr(part, key))
        report[name] = {half: tally.row() for half, tally in tallies.items()}
        for half, row in report[name].items():
            print(f"{name}, {half}: " + ", ".join(f"{k} {v}" for k, v in row.items()), flush=True)
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
