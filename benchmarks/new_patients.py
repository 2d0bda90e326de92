"""A malaria model meets new patients, and people correct it: what it gains, and what the gate makes of it.

    python benchmarks/new_patients.py --data ../shared/data/malaria_nih_50px.parquet --rivals --deep 100:1

Each of the five fold models was trained without 40 patients. Simulated people label cells of half of these with the
published labels, drawn at random; the other half judges and is never labeled. A new head starts from the
model's own and is used only when those of the labeled patients that are held out (``learn.holdout``) say that it is no
worse (``learn.gate``); else the model before stays. Crops bring no measured numbers, so that this
is the embedding alone. ``--rivals`` lets others learn from the same corrections, ``--deep 100:1`` also the whole network, in one
draw at 100 of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from benchmarks.described_cells import Table, region_numbers_of_crops  # noqa: E402
from benchmarks.learners import LEARNERS  # noqa: E402
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
from napari_cellcls.models.package import ModelPackage, write_package  # noqa: E402
from napari_cellcls.models.turns import mean_of_turns  # noqa: E402
from napari_cellcls.vocabulary import finish  # noqa: E402

FOLDS = ROOT / "training" / "folds" / "malaria_thin_smear"
COUNTS = (10, 30, 100, 300, 1000)
DRAWS = 5
RIVALS = "forest, regionprops", "Keras head"
_EXEMPLARS = 500
_BATCH = 64


@dataclass(frozen=True)
class Site:
    """A model and the embeddings, labels and patients of the cells that it never saw."""

    package: ModelPackage
    values: np.ndarray
    labels: np.ndarray
    patients: np.ndarray
    crops: np.ndarray


def sites(data: CellSet) -> Iterator[Site]:
    """Yield each fold model with its new patients; its exemplars come from its own training side."""
    about = read_folds(FOLDS)
    job, shipped = job_from(about["job"]), registry.load("malaria-thin-smear")
    for entry in about["folds"]:
        body, head = split_head(read_weights(FOLDS / entry["file"], job))
        content = onnx_writer.to_onnx(job.architecture, job.params, body)
        session = quiet_library().InferenceSession(content)
        embed = partial(_embed, session, about["turns"])
        new = np.isin(data.groups, entry["groups"])
        old = np.random.default_rng(0).permutation(np.flatnonzero(~new))[:_EXEMPLARS]
        reference = {"embeddings": embed(data.images[old]), "labels": data.labels[old]}
        rows = np.flatnonzero(new)
        probe = shipped.test_input
        package = replace(
            shipped,
            weights=body,
            head=head,
            reference=reference,
            test_output=_embed(session, 1, probe * 255),
        )
        crops = data.images[rows]
        yield Site(package, embed(crops), data.labels[rows], data.groups[rows], crops)


def _embed(session: Any, turns: int, crops: np.ndarray) -> np.ndarray:
    """Return embeddings ``(N, E)`` of crops ``(N, Y, X, 3)``, 0..255."""

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
    more = None
    if (
        head.grouped and head.folds
    ):  # as in a project: cells learned from, each by a head that had not seen its patient
        truth, groups = np.eye(2)[site.labels[train]], site.patients[train]
        known = site.values[train] @ before.kernel + before.bias
        more = tuple(
            metrics.scored(metrics.softmax(logits), truth, groups, positive=0)
            for logits in (known, head.held_out / head.temperature)
        )
    return head, gate.judge_change(old, new, roster.names, more=more)


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


def drawn(site: Site, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells that people may label, in their order, and those of the patients that judge."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(np.unique(site.patients))
    judges = np.isin(site.patients, names[: len(names) // 2])
    return rng.permutation(np.flatnonzero(~judges)), np.flatnonzero(judges)


def run(site: Site, seed: int) -> Iterator[tuple[int, Trial]]:
    """Yield a number of corrections and what became of them."""
    order, judges = drawn(site, seed)
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


def compare(site: Site, deep: dict[int, int]) -> Iterator[tuple[str, int, float]]:
    """Yield what learned, from how many corrections, and its macro F1 on the patients that judge, draw by draw."""
    from sklearn.metrics import f1_score

    table = Table(
        site.values, (site.values.shape[1], 0), site.labels, site.patients, region_numbers_of_crops(site.crops), site.crops
    )  # fmt: skip
    for seed in range(DRAWS):
        order, judges = drawn(site, seed)

        def score(said: np.ndarray, judges: np.ndarray = judges) -> float:
            return float(f1_score(site.labels[judges], said, average="macro"))

        assert site.package.head is not None
        kernel, bias = site.package.head
        yield "model before", 0, score((site.values[judges] @ kernel + bias).argmax(axis=1))
        for count in COUNTS:
            rows = order[:count]
            said = learn(site, rows)[0].logits(site.values[judges]).argmax(axis=1)
            yield "quick", count, score(said)
            for way in RIVALS if len(np.unique(site.labels[rows])) == 2 else ():
                yield way, count, score(LEARNERS[way](table, rows, judges, seed))
            if seed < deep.get(count, 0):
                yield "deep", count, score(_deep(site, table, rows, judges, seed))


def _deep(site: Site, table: Table, rows: np.ndarray, judges: np.ndarray, seed: int) -> np.ndarray:
    from benchmarks.learning_deep import trained

    names = [one.name for one in site.package.manifest.classes]
    with tempfile.TemporaryDirectory() as folder:
        manifest = site.package.manifest.model_copy(update={"files": {}})
        base = write_package(
            Path(folder, "fold.cellpkg"), manifest, site.package.weights, head=site.package.head,
            test_input=site.package.test_input, test_output=site.package.test_output,
        )  # fmt: skip
        answer = trained(table, rows, names, base, seed, Path(folder, "deep"))
        return answer(judges).argmax(axis=1)


def main() -> None:
    """Print the rates of the model before, of the new head, and of the one that would be in use."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rivals", action="store_true", help="let others learn too")
    parser.add_argument(
        "--deep", nargs="*", default=[], metavar="LABELS:DRAWS", help="where deep runs, how often"
    )
    options = parser.parse_args()
    deep = {int(n): int(times) for n, _, times in (one.partition(":") for one in options.deep)}
    data = finish(open_dataset(options.data, size=50))
    found: dict[int, list[Trial]] = {count: [] for count in COUNTS}
    others: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for site in sites(data):
        for seed in range(DRAWS):
            for count, trial in run(site, seed):
                found[count].append(trial)
        for way, count, score in compare(site, deep) if options.rivals else ():
            others[way][count].append(score)
            print(f"{way} {count}: {score:.4f}", file=sys.stderr, flush=True)
    _report(found)
    _compared(others)


def _compared(found: dict[str, dict[int, list[float]]]) -> None:
    if not found:
        return
    print(f"\n| macro F1 | {' | '.join(f'{count:,} corrections' for count in COUNTS)} |")
    print(f"|---{'|---' * len(COUNTS)}|")
    for way, scores in found.items():
        each = [scores.get(count, scores.get(0, [])) for count in COUNTS]
        cells = [
            f"{np.mean(one):.4f} ± {np.std(one):.4f} ({len(one)})" if one else "" for one in each
        ]
        print(f"| {way} | {' | '.join(cells)} |")


def _report(found: dict[int, list[Trial]]) -> None:
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
