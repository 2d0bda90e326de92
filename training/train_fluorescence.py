"""Simulate fluorescence cells and train the `hpa-localization` starter model.

Runs anywhere: minutes on a GPU, hours on a laptop. Needs NumPy, SciPy, scikit-image, pandas,
pydantic, PyYAML, safetensors and Keras 3 with any backend:

    PYTHONPATH=src:. KERAS_BACKEND=torch python training/train_fluorescence.py --out OUT

writes OUT/weights.safetensors, OUT/result.json and OUT/examples.npz, from which
``training/make_hpa_starter.py`` assembles the package.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "src")]

from training.multilabel import baselines, fit_temperature, fit_thresholds, report  # noqa: E402
from training.simulate import fluorescence  # noqa: E402
from training.simulate.crops import CROP, CropSet, collect  # noqa: E402

from napari_cellcls.learn.classifier import load_classifier, logits_of, prepare_backend  # noqa: E402
from napari_cellcls.learn.job import Fitted, Job, write_weights  # noqa: E402
from napari_cellcls.learn.recipe import Recipe, read_recipe  # noqa: E402
from napari_cellcls.learn.trainer import fit  # noqa: E402

RECIPE = ROOT / "training/recipes/hpa_localization_starter.yaml"


def main() -> None:
    """Run the whole recipe."""
    options = _parse()
    recipe = _recipe(options)
    options.out.mkdir(parents=True, exist_ok=True)
    started = time.time()
    drawn = recipe.simulation
    sides = {
        side: collect(drawn.first_seeds[side], count, options.processes)
        for side, count in drawn.cells.items()
    }
    _check_disjoint(sides)
    _say(started, f"simulated {sum(len(s.labels) for s in sides.values()):,} cells")
    prepare_backend()
    job = recipe.job()
    fitted = _train(job, sides, started, options)
    write_weights(options.out / "weights.safetensors", fitted)
    result = _judge(job, fitted, sides, options.out)
    result |= {
        "recipe": recipe.model_dump(mode="json"),
        "job": asdict(job),
        "history": fitted.history,
        "seconds": time.time() - started,
        "backend": os.environ.get("KERAS_BACKEND", ""),
    }
    (options.out / "result.json").write_text(json.dumps(result, indent=1))
    _say(started, f"macro F1 {result['test']['macro_f1']}")


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
    changes = []
    if options.cells:
        counts = options.cells.split(",")
        changes = [f"simulation.cells.{k}={n}" for k, n in zip(("train", "val", "test"), counts)]
    if options.epochs:
        changes.append(f"phases.*.epochs={options.epochs}")
    recipe = read_recipe(options.recipe, changes)
    if recipe.classes != fluorescence.PATTERNS or recipe.input.size != CROP.size:
        raise ValueError(
            f"{options.recipe} names {len(recipe.classes)} classes and {recipe.input.size} pixels; "
            f"the simulator draws {len(fluorescence.PATTERNS)} on {CROP.size}"
        )
    return recipe


def _check_disjoint(sides: dict[str, CropSet]) -> None:
    """Refuse to go on when a field is on two sides."""
    seen: set[int] = set()
    for side, data in sides.items():
        fields = set(data.fields.tolist())
        if seen & fields:
            raise ValueError(f"Fields {sorted(seen & fields)[:5]} are on two sides, one is {side}")
        seen |= fields


def _train(
    job: Job, sides: dict[str, CropSet], started: float, options: argparse.Namespace
) -> Fitted:
    images = np.concatenate([sides["train"].crops, sides["val"].crops])
    labels = np.concatenate([sides["train"].labels, sides["val"].labels])
    n = len(sides["train"].labels)
    train, val = np.arange(n), np.arange(n, len(labels))
    task = fit(
        images,
        labels,
        job,
        train=train,
        val=val,
        out=options.checkpoint,
        resume=options.checkpoint is not None,
        bank_folder=options.out / "bank",
    )
    while True:
        try:
            step = next(task)
        except StopIteration as end:
            fitted: Fitted = end.value
            return fitted
        if "val" in step.message:
            _say(started, step.message)


def _judge(job: Job, fitted: Fitted, sides: dict[str, CropSet], out: Path) -> dict[str, Any]:
    """Choose temperature and thresholds on the validation side, then look at the test side once."""
    model = load_classifier(job, fitted.tensors())
    val, test = sides["val"], sides["test"]
    val_logits, test_logits = (logits_of(model, s.crops) for s in (val, test))
    temperature = fit_temperature(val_logits, val.labels)
    thresholds = fit_thresholds(_sigmoid(val_logits / temperature), val.labels)
    scores = _sigmoid(test_logits / temperature)
    names = fluorescence.PATTERNS
    result = {
        "classes": list(names),
        "temperature": temperature,
        "thresholds": thresholds.tolist(),
        "test": report(scores, test.labels, thresholds, test.fields, names),
        "test_one_protein": report(
            scores[test.well], test.labels[test.well], thresholds, test.fields[test.well], names
        ),
        "baselines": baselines(sides["train"], val, test),
    }
    rows = _exemplars(test.labels, per_class=24)
    np.savez_compressed(
        out / "examples.npz",
        crops=test.crops[rows],
        labels=test.labels[rows],
        logits=test_logits[rows],
    )
    return result


def _exemplars(labels: np.ndarray, per_class: int) -> np.ndarray:
    """Return rows of the first cells of every class, in order, without repeats."""
    rows = [np.flatnonzero(labels[:, k])[:per_class] for k in range(labels.shape[1])]
    return np.unique(np.concatenate(rows))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))))


def _say(started: float, text: str) -> None:
    print(f"{time.time() - started:7.1f} s  {text}", flush=True)


if __name__ == "__main__":
    main()
