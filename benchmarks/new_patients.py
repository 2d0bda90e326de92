"""A malaria model meets new patients, and people correct it: what it gains, and what the gate makes of it.

    python benchmarks/new_patients.py --data ../shared/data/malaria_nih_50px.parquet

Each of the five fold models was trained without 40 patients. Simulated people label cells of half of these with the
published labels, drawn at random; the other half judges and is never labeled. A new head starts from the
model's own and is used only when those of the labeled patients that are held out (``learn.holdout``) say that it is no
worse (``learn.gate``); else the model before stays. Crops bring no measured numbers, so that this
is the embedding alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.promotion import labels_of  # noqa: E402

from napari_cellcls.learn import difference, fitted, gate, metrics  # noqa: E402
from napari_cellcls.learn.datasets import CellSet, open_dataset  # noqa: E402
from napari_cellcls.learn.evaluate import read_folds  # noqa: E402
from napari_cellcls.learn.head import Head  # noqa: E402
from napari_cellcls.learn.holdout import held_out  # noqa: E402
from napari_cellcls.learn.job import job_from, read_weights, split_head  # noqa: E402
from napari_cellcls.learn.roster import Roster  # noqa: E402
from napari_cellcls.models import onnx_writer, registry  # noqa: E402
from napari_cellcls.models.engines.onnxruntime import quiet_library  # noqa: E402
from napari_cellcls.models.package import ModelPackage  # noqa: E402
from napari_cellcls.models.turns import mean_of_turns  # noqa: E402
from napari_cellcls.vocabulary import finish  # noqa: E402

FOLDS = ROOT / "training" / "folds" / "malaria_thin_smear"
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
    roster = Roster(site.package.manifest.scheme.classes, (0, 1), ())
    labels = labels_of(rows, site.labels[rows], site.patients[rows], roster.names)
    held = held_out(labels, np.arange(len(rows)))
    train, test = rows[~held], rows[held]
    targets = np.eye(2, dtype=np.float32)[site.labels[train]]
    values, blocks = site.values[train], (site.values.shape[1], 0)
    before = fitted.before_of(site.package, {0: 0, 1: 1}, roster, values, blocks, multi_label=False)
    head = fitted.fit(
        values, targets, np.ones(len(train)), site.patients[train], before, blocks,
        multi_label=False, seed=42,
    )  # fmt: skip
    assert before.kernel is not None and before.bias is not None
    if not held.any():
        return head, gate.no_claim("All labels are of too few patients.", 0, 0)
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


@dataclass(frozen=True)
class Trial:
    """Sensitivity and specificity ``(3, 2)`` of the model before, the new head and the one used; what is true of the new head.

    ``gain`` is that in macro F1 on the patients that are never labeled.
    """

    rates: np.ndarray
    gain: float
    promoted: bool


def run(site: Site, seed: int) -> Iterator[tuple[int, Trial]]:
    """Yield a number of corrections and what became of them."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(np.unique(site.patients))
    judges = np.isin(site.patients, names[: len(names) // 2])
    order = rng.permutation(np.flatnonzero(~judges))
    values, labels = site.values[judges], site.labels[judges]
    assert site.package.head is not None
    kernel, bias = site.package.head
    old = values @ kernel + bias
    for count in COUNTS:
        head, verdict = learn(site, order[:count])
        new = head.logits(values)
        one, two = (metrics.scored(logits, metrics.one_hot(labels, 2)) for logits in (old, new))
        each = [rates(old, labels), rates(new, labels)]
        used = np.array([*each, each[verdict.promote]])
        yield (
            count,
            Trial(used, difference.macro_f1(two) - difference.macro_f1(one), verdict.promote),
        )


def main() -> None:
    """Print the rates of the model before, of the new head, and of the one that would be in use."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    data = finish(open_dataset(parser.parse_args().data, size=50))
    found: dict[int, list[Trial]] = {count: [] for count in COUNTS}
    for site in sites(data):
        for seed in range(DRAWS):
            for count, trial in run(site, seed):
                found[count].append(trial)
    print(
        "| corrections | model before: sens., spec. | new head | in use after the verdict | used in | of these worse |"
    )
    print("|---|---|---|---|---|---|")
    for count, trials in found.items():
        every = np.stack([one.rates for one in trials])
        change = every - every[:, :1]
        cells = [f"{every[:, 0, 0].mean():.4f}, {every[:, 0, 1].mean():.4f}"]
        for k in (1, 2):
            mean, low = change[:, k].mean(axis=0), change[:, k].min(axis=0)
            cells.append(
                f"{mean[0]:+.4f}, {mean[1]:+.4f}; both {mean.mean():+.4f} (worst {low[0]:+.4f}, {low[1]:+.4f})"
            )
        used = [one.gain for one in trials if one.promoted]
        beyond = sum(gain < -gate.TOLERATED for gain in used)
        cells += [
            f"{len(used)} of {len(trials)}",
            f"{sum(gain < 0 for gain in used)}, by half a point or more {beyond}",
        ]
        print(f"| {count} | {' | '.join(cells)} |")
    truly = [one.gain < -gate.TOLERATED for trials in found.values() for one in trials]
    print(f"New heads that truly lose half a point or more: {sum(truly)} of {len(truly)}")


if __name__ == "__main__":
    main()
