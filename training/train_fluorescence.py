"""Simulate fluorescence cells and train a starter model: `hpa-localization` or `hela-organelles`.

Runs anywhere: minutes on a GPU, an hour on a laptop.

    python training/train_fluorescence.py --out OUT                                              # hpa-localization
    python training/train_fluorescence.py --out OUT --recipe training/recipes/hela_organelles_starter.yaml

writes the simulated sides, OUT/weights.safetensors, OUT/result.json and OUT/examples.npz, from which
``training/make_hpa_starter.py`` and ``training/make_hela_starter.py`` assemble the packages. A run
that was cut goes on where it was when it is given a --checkpoint.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from training.simulate.crops import CropSet  # noqa: E402

from napari_cellcls.files import atomic_path, write_bytes  # noqa: E402
from napari_cellcls.learn import calibration, intervals, metrics  # noqa: E402
from napari_cellcls.learn.classifier import load_classifier, logits_of, prepare_backend  # noqa: E402
from napari_cellcls.learn.datasets import CellSet  # noqa: E402
from napari_cellcls.learn.evaluate import Report, evaluate  # noqa: E402
from napari_cellcls.learn.heldout import APART, HeldOut  # noqa: E402
from napari_cellcls.learn.job import Fitted, Job, write_weights  # noqa: E402
from napari_cellcls.learn.recipe import Recipe, Simulation, read_recipe  # noqa: E402
from napari_cellcls.learn.trainer import fit  # noqa: E402
from napari_cellcls.vocabulary import Progress, finish  # noqa: E402

RECIPE = ROOT / "training/recipes/hpa_localization_starter.yaml"
PROTOCOL = "simulated fields never used for training, temperature or thresholds"
SIDES = ("train", "val", "test")
EXAMPLES = 24


def main() -> None:
    """Run the whole recipe."""
    options = _parse()
    recipe = _recipe(options)
    options.out.mkdir(parents=True, exist_ok=True)
    started = time.time()
    sides = {side: _side(recipe, side, options) for side in SIDES}
    _check_disjoint(sides)
    _say(started, f"simulated {sum(len(s.labels) for s in sides.values()):,} cells")
    prepare_backend()
    job = recipe.job()
    data, rows = _as_cells(recipe, sides)
    fitted = _train(job, data, rows, started, options)
    write_weights(options.out / "weights.safetensors", fitted)
    result = _judge(recipe, fitted, data, rows, sides["test"], options.out)
    result |= {
        "recipe": recipe.model_dump(mode="json"),
        "job": asdict(job),
        "history": fitted.history,
        "seconds": time.time() - started,
        "backend": os.environ.get("KERAS_BACKEND", ""),
    }
    write_bytes(options.out / "result.json", json.dumps(result, indent=1).encode())


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--cells", help="TRAIN,VAL,TEST instead of the recipe's numbers")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's number")
    parser.add_argument("--checkpoint", type=Path, help="folder to save to and continue from")
    return parser.parse_args()


def _recipe(options: argparse.Namespace) -> Recipe:
    """Read the recipe and check that the simulator draws what it names."""
    changes = []
    if options.cells:
        counts = options.cells.split(",")
        changes = [f"simulation.cells.{k}={n}" for k, n in zip(SIDES, counts)]
    if options.epochs:
        changes.append(f"phases.*.epochs={options.epochs}")
    recipe = read_recipe(options.recipe, changes)
    source = source_of(recipe)
    if recipe.classes != source.CLASSES or recipe.input.size != source.CROP.size:
        raise ValueError(
            f"{options.recipe} names {len(recipe.classes)} classes and {recipe.input.size} pixels; "
            f"the simulator draws {len(source.CLASSES)} on {source.CROP.size}"
        )
    if (recipe.crop, recipe.normalization) != (source.CROP, source.NORMALIZATION):
        raise ValueError(f"{options.recipe} has another crop rule than {source.__name__}")
    return recipe


def _drawn(recipe: Recipe) -> Simulation:
    if recipe.simulation is None:
        raise ValueError(f"{recipe.name} asks for data, not for simulated cells")
    return recipe.simulation


def source_of(recipe: Recipe) -> Any:
    """Return the module that draws a recipe's cells: CLASSES, ROLES, CROP, collect, second_look."""
    return importlib.import_module(f"training.simulate.{Path(_drawn(recipe).source).stem}")


def _side(recipe: Recipe, side: Any, options: argparse.Namespace) -> CropSet:
    """Return the cells of a side, from OUT when they were drawn there already."""
    drawn = _drawn(recipe)
    first, count = drawn.first_seeds[side], drawn.cells[side]
    path = options.out / f"{side}-{first}-{count}.npz"
    if not path.is_file():
        made = source_of(recipe).collect(first, count, options.processes)
        with atomic_path(path) as temporary:
            np.savez(temporary, **vars(made))
    with np.load(path, allow_pickle=False) as stored:
        return CropSet(**stored)


def _check_disjoint(sides: dict[str, CropSet]) -> None:
    """Refuse to go on when a field is on two sides."""
    seen: set[int] = set()
    for side, data in sides.items():
        fields = set(data.fields.tolist())
        if seen & fields:
            raise ValueError(f"Fields {sorted(seen & fields)[:5]} are on two sides, one is {side}")
        seen |= fields


def _as_cells(recipe: Recipe, sides: dict[str, CropSet]) -> tuple[CellSet, dict[str, np.ndarray]]:
    """Return all sides as one set, grouped by field, and the rows of each."""
    ends = np.cumsum([0, *(len(s.labels) for s in sides.values())])
    rows = {side: np.arange(a, b) for side, a, b in zip(sides, ends, ends[1:])}
    fields = np.concatenate([s.fields for s in sides.values()]).astype(str)
    data = CellSet(
        images=np.concatenate([s.crops for s in sides.values()]),
        labels=np.concatenate([s.labels for s in sides.values()]),
        classes=recipe.classes,
        groups=fields,
        names=np.arange(len(fields)).astype(str),
        group_kind="field",
        layout="simulated",
    )
    return data, rows


def _train(
    job: Job,
    data: CellSet,
    rows: dict[str, np.ndarray],
    started: float,
    options: argparse.Namespace,
) -> Fitted:
    known = len(rows["train"]) + len(rows["val"])
    task = fit(
        data.images[:known],
        data.labels[:known],
        job,
        train=rows["train"],
        val=rows["val"],
        out=options.checkpoint,
        resume=options.checkpoint is not None,
        bank_folder=options.out / "bank",
    )

    def tell(step: Progress) -> None:
        if "val" in step.message:
            _say(started, step.message)

    return finish(task, tell)


def _judge(
    recipe: Recipe,
    fitted: Fitted,
    data: CellSet,
    rows: dict[str, np.ndarray],
    test: CropSet,
    out: Path,
) -> dict[str, Any]:
    """Choose temperature and thresholds on the validation side, then look at the test side once."""
    model = load_classifier(recipe.job(), fitted.tensors())
    logits = {side: logits_of(model, data.images, rows[side]) for side in ("val", "test")}
    truth, multi = data.matrix[rows["val"]], data.multi_label
    temperature = calibration.fit_temperature(logits["val"], truth if multi else truth.argmax(1))
    thresholds = None
    if multi:
        shown = metrics.sigmoid(logits["val"], temperature)
        thresholds = calibration.choose_thresholds(recipe.threshold, shown, truth).round(3)
    held = HeldOut(
        data=data,
        rows=rows["test"],
        logits=logits["test"],
        fold=np.zeros(len(rows["test"]), int),
        protocol=PROTOCOL,
        groups=APART,
        model=recipe.name,
        train={0: rows["train"]},
        val={0: (rows["val"], logits["val"])},
        temperature=temperature,
        thresholds=thresholds,
        rule=recipe.threshold,
    )
    report = finish(evaluate(held))
    print(report.text(), flush=True)
    chosen = _examples(data.matrix[rows["test"]])
    np.savez_compressed(
        out / "examples.npz",
        crops=test.crops[chosen],
        labels=test.labels[chosen],
        logits=logits["test"][chosen],
    )
    return {
        "temperature": temperature,
        "thresholds": None if thresholds is None else thresholds.tolist(),
        "metrics": report.metrics,
        "second_look": _second_look(recipe, report, test),
    }


def _second_look(recipe: Recipe, report: Report, test: CropSet) -> dict[str, Any]:
    title, of = source_of(recipe).second_look(report.answers.scored, test)
    values, limits, _ = intervals.measured(replace(of, positive=None))
    low, high = limits["macro_f1"] or (None, None)
    found = {"title": title, "n": len(of), "macro_f1": values["macro_f1"]}
    found |= {"macro_f1_low": low, "macro_f1_high": high}
    print(f"{title}: macro F1 {values['macro_f1']:.4f} ({low} to {high})", flush=True)
    return found


def _examples(truth: np.ndarray) -> np.ndarray:
    """Return rows of the first cells of every class, in order, without repeats."""
    rows = [np.flatnonzero(truth[:, k])[:EXAMPLES] for k in range(truth.shape[1])]
    return np.unique(np.concatenate(rows))


def _say(started: float, text: str) -> None:
    print(f"{time.time() - started:7.1f} s  {text}", flush=True)


if __name__ == "__main__":
    main()
