"""A malaria model meets new patients, and people correct it: what it gains, and that it never loses.

    python benchmarks/new_patients.py --data ../shared/data/malaria_nih_50px.parquet

Each of the five fold models was trained without 40 patients. Simulated people label cells of half of these with the
published labels, drawn at random; the other half judges and is never labeled. A new head starts from the
model's own and is used only when a quarter of the labeled patients, held out, say that it is no worse
(``learn.gate``); else the model before stays. Crops bring no measured numbers, so that this
is the embedding alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.learn import fitted, gate, metrics
from napari_cellcls.learn.datasets import CellSet, open_dataset
from napari_cellcls.learn.evaluate import read_folds
from napari_cellcls.learn.head import Head
from napari_cellcls.learn.holdout import SHARE
from napari_cellcls.learn.job import job_from, read_weights, split_head
from napari_cellcls.learn.labels import shares
from napari_cellcls.learn.roster import Roster
from napari_cellcls.models import onnx_writer, registry
from napari_cellcls.models.engines.onnxruntime import quiet_library
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.models.turns import mean_of_turns
from napari_cellcls.vocabulary import finish

FOLDS = Path(__file__).resolve().parents[1] / "training" / "folds" / "malaria_thin_smear"
COUNTS = (10, 30, 100, 300, 1000)
DRAWS = 5
_EXEMPLARS = 500
_BATCH = 64


@dataclass(frozen=True)
class Site:
    """A model and the embeddings, labels and patients of the cells that it never saw."""

    package: ModelPackage
    values: np.ndarray
    labels: np.ndarray
    patients: np.ndarray


def sites(data: CellSet) -> Iterator[Site]:
    """Yield each fold model with its new patients; its exemplars come from its own training side."""
    about = read_folds(FOLDS)
    job, shipped = job_from(about["job"]), registry.load("malaria-thin-smear")
    for entry in about["folds"]:
        body, head = split_head(read_weights(FOLDS / entry["file"], job))
        content = onnx_writer.to_onnx(job.architecture, job.params, body)
        embed = partial(_embed, quiet_library().InferenceSession(content), about["turns"])
        new = np.isin(data.groups, entry["groups"])
        old = np.random.default_rng(0).permutation(np.flatnonzero(~new))[:_EXEMPLARS]
        reference = {"embeddings": embed(data.images[old]), "labels": data.labels[old]}
        rows = np.flatnonzero(new)
        package = replace(shipped, weights=body, head=head, reference=reference)
        yield Site(package, embed(data.images[rows]), data.labels[rows], data.groups[rows])


def _embed(session: Any, turns: int, crops: np.ndarray) -> np.ndarray:
    def look(part: np.ndarray) -> np.ndarray:
        found: np.ndarray = session.run(["embeddings"], {"crops": np.ascontiguousarray(part)})[0]
        return found

    parts = (crops[i : i + _BATCH].astype(np.float32) / 255 for i in range(0, len(crops), _BATCH))
    return np.concatenate([mean_of_turns(look, part, turns) for part in parts])


def learn(site: Site, rows: np.ndarray) -> tuple[Head, gate.Verdict]:
    """Fit a head on labeled cells less the patients held out, and ask those whether it may be used."""
    share = shares(np.unique(site.patients[rows]).tolist())
    held = np.array([share[p] < SHARE for p in site.patients[rows]])
    train, test = rows[~held], rows[held]
    targets = np.eye(2, dtype=np.float32)[site.labels[train]]
    values, blocks = site.values[train], (site.values.shape[1], 0)
    roster = Roster(site.package.manifest.scheme.classes, (0, 1), ())
    before = fitted.before_of(site.package, {0: 0, 1: 1}, roster, values, blocks, multi_label=False)
    head = fitted.fit(
        values, targets, np.ones(len(train)), site.patients[train], before, blocks,
        multi_label=False, seed=42,
    )  # fmt: skip
    assert before.kernel is not None and before.bias is not None
    truth, groups = np.eye(2)[site.labels[test]], site.patients[test]
    old, new = (
        metrics.scored(metrics.softmax(logits), truth, groups, positive=0)
        for logits in (site.values[test] @ before.kernel + before.bias,
                       head.logits(site.values[test]) / head.temperature)
    )  # fmt: skip
    return head, gate.judge_change(old, new, roster.names)


def rates(logits: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return sensitivity and specificity; class 0 is Parasitized."""
    said = logits.argmax(axis=1)
    return float((said[labels == 0] == 0).mean()), float((said[labels == 1] == 1).mean())


def run(site: Site, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield a number of corrections and ``(3, 2)`` rates of the model before, the new head, the one used."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(np.unique(site.patients))
    judges = np.isin(site.patients, names[: len(names) // 2])
    order = rng.permutation(np.flatnonzero(~judges))
    values, labels = site.values[judges], site.labels[judges]
    assert site.package.head is not None
    kernel, bias = site.package.head
    parent = rates(values @ kernel + bias, labels)
    for count in COUNTS:
        head, verdict = learn(site, order[:count])
        tuned = rates(head.logits(values), labels)
        yield count, np.array([parent, tuned, tuned if verdict.promote else parent])


def main() -> None:
    """Print the rates of the model before, of the new head, and of the one that would be in use."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    data = finish(open_dataset(parser.parse_args().data, size=50))
    found: dict[int, list[np.ndarray]] = {count: [] for count in COUNTS}
    for site in sites(data):
        for seed in range(DRAWS):
            for count, rows in run(site, seed):
                found[count].append(rows)
    print(
        "| corrections | model before: sens., spec. | new head | in use after the verdict | used in |"
    )
    print("|---|---|---|---|---|")
    for count, draws in found.items():
        every = np.stack(draws)
        change = every - every[:, :1]
        cells = [f"{every[:, 0, 0].mean():.4f}, {every[:, 0, 1].mean():.4f}"]
        for k in (1, 2):
            mean, low = change[:, k].mean(axis=0), change[:, k].min(axis=0)
            cells.append(
                f"{mean[0]:+.4f}, {mean[1]:+.4f}; both {mean.mean():+.4f} (worst {low[0]:+.4f}, {low[1]:+.4f})"
            )
        used = int((every[:, 2] != every[:, 0]).any(axis=1).sum())
        print(f"| {count} | {' | '.join(cells)} | {used} of {len(every)} |")


if __name__ == "__main__":
    main()
