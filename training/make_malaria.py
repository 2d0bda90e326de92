"""Put trained malaria folds together: fold models to check, the package, its metrics and its card.

    python training/make_malaria.py OUT/resnet --data ../shared/data/malaria_nih_50px.parquet

Takes what train_folds.py (or ``cellcls train``, fold by fold and once without) wrote:
``fold0..4/weights.safetensors``, ``weights.safetensors`` and ``job.json``. Every number on the card comes from running the fold
models again here, on the patients they never saw.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.files import sha256, write_bytes
from napari_cellcls.learn.classifier import build_classifier, logits_of, prepare_backend
from napari_cellcls.learn.datasets import CellSet, open_dataset
from napari_cellcls.learn.evaluate import Report, evaluate_folds
from napari_cellcls.learn.job import Job, job_from, read_weights, split_head
from napari_cellcls.learn.recipe import Recipe, read_recipe
from napari_cellcls.learn.splits import grouped_folds
from napari_cellcls.vocabulary import RESEARCH_USE_ONLY, ClassScheme, finish

HERE = Path(__file__).parent
ROOT = HERE.parent
NAME = "malaria-thin-smear"
FOLDS = HERE / "folds" / "malaria_thin_smear"
PACKAGE = ROOT / "src" / "napari_cellcls" / "models" / "bundled" / f"{NAME}.cellpkg"
CARD = HERE / "cards" / "malaria_thin_smear.md"
EXEMPLARS = 250
TEST_CROPS = 8
SHOWN = ("accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity", "macro_f1", "ece")


def main() -> None:
    """Assemble folds, package and card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of the runs")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", type=Path, default=HERE / "recipes" / "malaria_thin_smear.yaml")
    parser.add_argument("--version", default="1.0.0")
    parser.add_argument(
        "--random-gap", type=Path, help="metrics.json of the same job on the random split"
    )
    parser.add_argument("--folds", type=Path, default=FOLDS)
    parser.add_argument("--package", type=Path, default=PACKAGE)
    parser.add_argument("--card", type=Path, default=CARD)
    options = parser.parse_args()
    recipe = read_recipe(options.recipe)
    job = job_from(json.loads((options.run / "job.json").read_text()))
    if job != recipe.job():
        raise SystemExit(f"The run was not made by {options.recipe}:\n{job}\n{recipe.job()}")
    data = finish(open_dataset(options.data, size=recipe.crop.size, classes=recipe.classes))
    write_folds(options.run, options.folds, data, recipe, job)
    report = finish(evaluate_folds(data, options.folds))
    text = report.text()
    write_bytes(
        options.folds / "metrics.json", (json.dumps(report.metrics, indent=1) + "\n").encode()
    )
    prepare_backend()
    package = write_model(options, data, recipe, job, report)
    gap = json.loads(options.random_gap.read_text()) if options.random_gap else None
    write_bytes(options.card, card(package, job, data, report, gap).encode())
    print(text)
    print(f"{options.package}: {options.package.stat().st_size / 1e6:.2f} MB")


def write_folds(run: Path, target: Path, data: CellSet, recipe: Recipe, job: Job) -> None:
    """Copy the fold models and say which patients each of them never saw."""
    fold = grouped_folds(
        data.groups, data.labels, folds=recipe.protocol.folds, seed=recipe.protocol.seed
    )
    target.mkdir(parents=True, exist_ok=True)
    entries = []
    for k in range(recipe.protocol.folds):
        name = f"fold{k}.safetensors"
        made = run / f"fold{k}" / "weights.safetensors"
        read_weights(made, job)
        shutil.copyfile(made, target / name)
        groups = sorted(set(data.groups[fold == k].tolist()), key=lambda g: int(g[1:]))
        entries.append({"fold": k, "file": name, "sha256": sha256(target / name), "groups": groups})
    about = {
        "recipe": recipe.name,
        "protocol": (
            f"patient-disjoint {recipe.protocol.folds}-fold, {len(np.unique(data.groups))} patients, "
            "labels as published"
        ),
        "classes": list(recipe.classes),
        "positive": recipe.positive_index,
        "size": recipe.crop.size,
        "job": asdict(job),
        "folds": entries,
    }
    write_bytes(target / "folds.json", (json.dumps(about, indent=1) + "\n").encode())


def write_model(
    options: argparse.Namespace, data: CellSet, recipe: Recipe, job: Job, report: Report
) -> Any:
    """Write the package of the model trained on all patients."""
    import keras

    from napari_cellcls.models import onnx_writer, plan
    from napari_cellcls.models.manifest import validate
    from napari_cellcls.models.package import write_package

    body, head = split_head(read_weights(options.run / "weights.safetensors", job))
    backbone, _ = build_classifier(job)
    plan.assign(backbone, body)
    rng = np.random.default_rng(recipe.training.seed)
    n = min(EXEMPLARS, min(data.counts.values()))
    rows = np.concatenate(
        [
            np.sort(rng.choice(np.flatnonzero(data.labels == k), n, replace=False))
            for k in range(job.classes)
        ]
    )
    embeddings = logits_of(backbone, data.images, rows)
    test = rows[np.linspace(0, len(rows) - 1, TEST_CROPS).astype(int)]
    test_input = data.images[test].astype(np.float32) / np.float32(255)
    scheme = ClassScheme.from_names(list(recipe.classes))
    manifest = validate(
        {
            "name": NAME,
            "version": options.version,
            "title": recipe.title,
            "description": recipe.description,
            "package_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{NAME}@{options.version}")),
            "architecture": {"id": job.architecture, "params": job.params},
            "classes": [{"id": c.id, "name": c.name, "color": c.color} for c in scheme.classes],
            "inputs": [
                {"role": r.value, "name": r.value.removeprefix("rgb_")} for r in recipe.inputs
            ],
            "crop": recipe.crop,
            "normalization": recipe.normalization,
            "cells": "smear",
            "temperature": round(report.temperature, 4),
            "metrics": _metrics(report, data),
            "level": "released",
            "sample_hint": "thin-smear",
            "provenance": {
                "created": datetime.date.today().isoformat(),
                "recipe": recipe.name,
                "data": "NIH/NLM malaria thin-smear crops, all patients",
                "n_labels": len(data.labels),
                "software": {"keras": keras.__version__},
            },
            "license": recipe.license,
            "data_terms": recipe.data_terms,
            "intended_use": RESEARCH_USE_ONLY,
            "test": {"made_with": {"keras": keras.__version__, "backend": keras.backend.backend()}},
        }
    )
    package = write_package(
        options.package,
        manifest,
        body,
        head=head,
        reference={"embeddings": embeddings, "labels": data.labels[rows]},
        test_input=test_input,
        test_output=logits_of(backbone, test_input),
    )
    onnx = onnx_writer.to_onnx(job.architecture, job.params, package.weights)
    write_bytes(options.package.parent / "onnx" / f"{package.weights_sha256}.onnx", onnx)
    return package


def _metrics(report: Report, data: CellSet) -> dict[str, Any]:
    found = report.metrics
    method = "out of fold; bootstrap over patients, 2,000 resamples"
    return {
        "protocol": found["protocol"],
        "dataset": "NIH/NLM malaria thin-smear crops (Rajaraman et al. 2018)",
        "n": found["n"],
        "groups": len(np.unique(data.groups)),
        "independent": True,
        "values": {
            name: {
                "value": found[name], "low": found[f"{name}_low"], "high": found[f"{name}_high"],
                "method": method, "n": found["n"],
            }
            for name in SHOWN
        },
        "notes": "Measured with five models that each never saw the patients they were judged on; the shipped model is trained on all patients.",
    }  # fmt: skip


def card(package: Any, job: Job, data: CellSet, report: Report, gap: dict[str, Any] | None) -> str:
    """Return the model card in Markdown; every number is taken from the report."""
    from napari_cellcls.models import networks

    manifest, found = package.manifest, report.metrics
    total, _ = networks.parameter_count(job.architecture, job.params, job.classes)
    head = "| | " + " | ".join(name.replace("_", " ") for name in SHOWN) + " | cells |\n"
    lines = [head + "|---" * (len(SHOWN) + 2) + "|"]
    for title, row in report.rows.items():
        cells = []
        for name in SHOWN:
            text = f"{row[name]:.4f}"
            if f"{name}_low" in row:
                text += f" ({row[f'{name}_low']:.4f} to {row[f'{name}_high']:.4f})"
            if f"{name}_sd" in row:
                text += f" ± {row[f'{name}_sd']:.4f}"
            cells.append(text)
        lines.append(f"| {title} | " + " | ".join(cells) + f" | {int(row['n']):,} |")
    worst = ", ".join(f"{g} ({value:.1%} of {n} cells)" for g, n, value in report.worst)
    random = (
        f"\nThe same training judged on a random split, with cells of one patient on both sides, gives "
        f"accuracy {gap['metrics']['accuracy']:.4f}: {gap['metrics']['accuracy'] - found['accuracy']:+.4f}.\n"
        if gap
        else ""
    )
    false_fraction = 1 - found["specificity"]
    return f"""# {manifest.title} ({manifest.label})

{RESEARCH_USE_ONLY} Parasitized or uninfected, for single red cells in Giemsa-stained thin smears.

| | |
|---|---|
| network | {job.architecture}, {total:,} parameters, crops of {manifest.crop.size} x {manifest.crop.size} RGB |
| work per cell | {networks.operations(job.architecture, job.params) / 1e6:.1f} million multiply-adds |
| file | {package.path.stat().st_size / 1e6:.2f} MB |
| crop rule | tight bounding box stretched to the square, black outside the cell, values / 255 |
| training data | {len(data.labels):,} crops of {len(np.unique(data.groups))} patients; {manifest.data_terms} |
| license of the weights | {manifest.license} |
| temperature | {manifest.temperature} |

## How good it is

Protocol: {found["protocol"]}. Five models were trained, each without a fifth of the patients, and each cell was judged by
the model that never saw its patient. Intervals: 95 %, bootstrap over patients. Sensitivity is for Parasitized.

{chr(10).join(lines)}

Specificity at 93 % sensitivity: {found["specificity_at_93"]:.4f}.
{random}
The network and the strength of the augmentation were chosen among four settings on validation patients from the training
side of fold 0. These patients are held out in other folds, so the choice, though not the training, has seen them; the
chosen setting was not the best of the four there.

About 5 % of the published labels are doubtful (Fuhad et al. 2020, Diagnostics 10:329); "confirmed labels only" leaves
those cells out. Whole patients fail together. Lowest accuracy: {worst}.

## What this means in use

A specificity of {found["specificity"]:.4f} calls {false_fraction:.1%} of healthy cells parasitized: in a healthy patient that
looks like a parasitaemia of {false_fraction:.1%}. Single-cell results are no statement about a patient. Stains, cameras and
cell finding of another laboratory lower the accuracy; correct some cells of your own slides and look at the numbers again.

## Check it

    cellcls evaluate {manifest.name} --data DATA --protocol patient-5fold

runs the five fold models again; no training is needed. How they were trained: `training/README.md`,
`training/recipes/{manifest.provenance.recipe}.yaml`, seed {job.training.seed}, {manifest.provenance.created}.
"""


if __name__ == "__main__":
    main()
