"""Measure what the queue of doubtful cells saves: macro F1 over the number of labels, against random order.

Run ``python benchmarks/review_queue.py SHARED_DATA [--out FOLDER]``. Cells are described by the model ``blank`` once and
kept in FOLDER; a logistic head is fitted on what was labeled so far and judged on photographs that no label comes from.
"""

from __future__ import annotations

import argparse
import json
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from napari_cellcls.embed import embed_crops
from napari_cellcls.models import registry
from napari_cellcls.models.runtime import open_engine
from napari_cellcls.review import queue, space

CHULA = (
    "normal", "macrocyte", "microcyte", "spherocyte", "target", "stomatocyte", "ovalocyte", "teardrop", "burr",
    "schistocyte", "uncategorised", "hypochromia", "elliptocyte",
)  # fmt: skip
CHULA_PX, MARGIN = 80, 0.1
BATCH, AXES, PER_CLASS = 20, 128, 6
BUDGETS = {"bccd": (20, 40, 60, 100, 140, 200, 300), "chula": (40, 60, 80, 120, 160, 200, 240, 300)}


def chula(root: Path) -> Iterator[tuple[Path, list[tuple[str, tuple[float, ...]]]]]:
    for path in sorted((root / "chula_rbc12" / "labels").glob("*.txt")):
        rows = [[int(n) for n in line.split()] for line in path.read_text().splitlines() if line]
        half = CHULA_PX / 2
        boxes = [(CHULA[k], (x - half, y - half, x + half, y + half)) for x, y, k in rows]
        yield root / "chula_rbc12" / "images" / f"{path.stem}.jpg", boxes


def bccd(root: Path) -> Iterator[tuple[Path, list[tuple[str, tuple[float, ...]]]]]:
    for path in sorted((root / "bccd" / "annotations").glob("*.xml")):
        boxes = []
        for item in ElementTree.parse(path).iter("object"):
            corners = [
                float(item.findtext(f"bndbox/{k}")) for k in ("xmin", "ymin", "xmax", "ymax")
            ]
            if min(corners[2] - corners[0], corners[3] - corners[1]) > 3:
                boxes.append((item.findtext("name"), tuple(corners)))
        yield root / "bccd" / "images" / f"{path.stem}.jpg", boxes


def crops_of(path: Path, boxes: list[tuple[str, tuple[float, ...]]], size: int) -> np.ndarray:
    """Return crops ``(N, size, size, 3)`` in 0..1, stretched as ``blank`` asks, mirrored at the edge."""
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(np.float32)
    low, high = np.percentile(pixels, (0.5, 99.8), axis=(0, 1))
    pixels = np.clip((pixels - low) / np.maximum(high - low, 1), 0, 1).astype(np.float32)
    pad = 200
    pixels = cv2.copyMakeBorder(pixels, pad, pad, pad, pad, cv2.BORDER_REFLECT)
    found = []
    for _, (x0, y0, x1, y1) in boxes:
        half = (
            max(x1 - x0, y1 - y0) * (1 + 2 * MARGIN) / 2 if "bccd" in str(path) else (x1 - x0) / 2
        )
        x, y, half = int((x0 + x1) / 2) + pad, int((y0 + y1) / 2) + pad, int(min(half, pad))
        found.append(cv2.resize(pixels[y - half : y + half, x - half : x + half], (size, size)))
    return np.stack(found)


def described(root: Path, name: str, out: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return embeddings, class names and photographs of all cells, computed once."""
    path = out / f"{name}.npz"
    if not path.exists():
        package = registry.load("blank")
        vectors, labels, groups = [], [], []
        with open_engine(package) as engine:
            for photograph, boxes in {"chula": chula, "bccd": bccd}[name](root):
                if not boxes:
                    continue
                crops = crops_of(photograph, boxes, package.manifest.crop.size)
                vectors.append(embed_crops(crops, package, engine))
                labels += [label for label, _ in boxes]
                groups += [photograph.stem] * len(boxes)
        np.savez(path, vectors=np.concatenate(vectors), labels=labels, groups=groups)
    with np.load(path) as kept:
        return kept["vectors"], kept["labels"], kept["groups"]


class Simulation:
    """A person who labels cells of some photographs, one batch after the other, and a head fitted on the labels."""

    def __init__(self, vectors: np.ndarray, labels: np.ndarray, groups: np.ndarray, seed: int):
        self.names, self.y = np.unique(labels, return_inverse=True)
        photographs = np.random.default_rng(seed).permutation(np.unique(groups))
        here = np.isin(groups, photographs[: len(photographs) * 6 // 10])
        self.rows, self.test = np.flatnonzero(here), np.flatnonzero(~here)
        self.points = space.principal(vectors, AXES)
        self.points /= self.points.std()
        self.ids = [str(row) for row in self.rows]
        self.base = queue.pool(self.ids, vectors[self.rows])
        self.seed = seed

    def head(self, labeled: list[int]) -> LogisticRegression:
        """Fit the head on what was labeled."""
        rows = self.rows[labeled]
        return LogisticRegression(C=0.3, max_iter=200).fit(self.points[rows], self.y[rows])

    def ask(self, labeled: list[int], count: int) -> list[int]:
        """Let the queue choose the next cells."""
        have = np.bincount(self.y[self.rows[labeled]], minlength=len(self.names))
        values = None
        if len(labeled) >= PER_CLASS * len(self.names) and (have > 0).sum() > 1:
            head = self.head(labeled)
            values = np.zeros((len(self.rows), len(self.names)), np.float32)
            values[:, head.classes_] = head.predict_proba(self.points[self.rows])
        cells = queue.pool(self.ids, points=self.base.points, probabilities=values)
        judged = {self.ids[k] for k in labeled}
        options = queue.Options(seed=self.seed)
        counts = None if values is None else have
        return [
            i.row
            for i in queue.next_cells(cells, judged, count, class_counts=counts, options=options)
        ]

    def run(self, by_queue: bool, budgets: tuple[int, ...]) -> tuple[list[float], int]:
        """Return macro F1 at each budget, and the labels until every class was seen three times."""
        order = np.random.default_rng(self.seed).permutation(len(self.rows)).tolist()
        labeled: list[int] = []
        scores, found = [], 0
        for budget in budgets:
            while len(labeled) < budget:
                count = min(BATCH, budget - len(labeled))
                labeled += self.ask(labeled, count) if by_queue else order[len(labeled) :][:count]
            guess = self.head(labeled).predict(self.points[self.test])
            scores.append(float(f1_score(self.y[self.test], guess, average="macro")))
        seen = np.zeros(len(self.names), int)
        for found, row in enumerate(labeled if by_queue else order, 1):
            seen[self.y[self.rows[row]]] += 1
            if seen.min() >= 3:
                return scores, found
        return scores, -1


def reached(budgets: tuple[int, ...], scores: np.ndarray, level: float) -> float:
    """Return at how many labels a curve first reaches a level, between budgets by a straight line."""
    at = int(np.argmax(scores >= level))
    if scores[at] < level:
        return float("nan")
    if at == 0:
        return float(budgets[0])
    share = (level - scores[at - 1]) / (scores[at] - scores[at - 1])
    return budgets[at - 1] + share * (budgets[at] - budgets[at - 1])


def draw(path: Path, title: str, budgets: tuple[int, ...], curves: dict[str, np.ndarray]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4), dpi=120)
    for (name, scores), color, mark in zip(curves.items(), ("#0072b2", "#d55e00"), "os"):
        middle, spread = scores.mean(axis=0), scores.std(axis=0, ddof=1)
        axes.plot(budgets, middle, mark + "-", color=color, label=name)
        axes.fill_between(budgets, middle - spread, middle + spread, color=color, alpha=0.15, lw=0)
    axes.set(xlabel="labels", ylabel="macro F1 on other photographs", title=title)
    axes.legend(frameon=False, loc="lower right")
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=Path("queue-benchmark"))
    parser.add_argument("--sets", nargs="+", default=["bccd", "chula"])
    parser.add_argument("--seeds", type=int, default=5)
    chosen = parser.parse_args()
    warnings.filterwarnings("ignore", module="sklearn")
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name in chosen.sets:
        vectors, labels, groups = described(chosen.data, name, chosen.out)
        kept = labels != "uncategorised"
        runs = [
            Simulation(vectors[kept], labels[kept], groups[kept], s) for s in range(chosen.seeds)
        ]
        curves, found = {}, {}
        for word, by_queue in (("random order", False), ("queue", True)):
            done = [one.run(by_queue, BUDGETS[name]) for one in runs]
            curves[word] = np.array([scores for scores, _ in done])
            found[word] = [labels for _, labels in done]
        report(name, chosen.out, curves, found)


def report(
    name: str, out: Path, curves: dict[str, np.ndarray], found: dict[str, list[int]]
) -> None:
    budgets = BUDGETS[name]
    gain = curves["queue"] - curves["random order"]
    # Seeds are paired: both orders see the same photographs. Student's t, 95 %.
    half = stats.t.ppf(0.975, len(gain) - 1) * gain.std(axis=0, ddof=1) / np.sqrt(len(gain))
    print(f"{name}: {gain.shape[0]} seeds, macro F1")
    for k, budget in enumerate(budgets):
        random_, ours = (curves[word][:, k].mean() for word in ("random order", "queue"))
        print(
            f"  {budget:>4} labels  random {random_:.3f}  queue {ours:.3f}  "
            f"difference {gain[:, k].mean():+.3f} +- {half[k]:.3f}"
        )
    level = curves["random order"][:, -1].mean()
    needed = reached(budgets, curves["queue"].mean(axis=0), level)
    print(f"  random reaches {level:.3f} at {budgets[-1]}, the queue at {needed:.0f}")
    for word, many in found.items():
        print(
            f"  every class seen three times after (median) {np.median(many):.0f} labels: {word} {many}"
        )
    draw(out / f"queue-{name}.png", f"{name}: the queue and random order", budgets, curves)
    content = {
        "budgets": budgets,
        "curves": {word: scores.tolist() for word, scores in curves.items()},
        "every_class_three_times": found,
    }
    (out / f"queue-{name}.json").write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    main()
