"""What bundled models are put together from: fold models to check, and the package of the final model.

Takes what ``cellcls train`` (fold by fold and once without) wrote:
``fold0..4/weights.safetensors``, ``weights.safetensors`` and ``job.json``.
"""

from __future__ import annotations

import datetime
import json
import re
import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.files import sha256, write_bytes
from napari_cellcls.learn.classifier import build_classifier, logits_of
from napari_cellcls.learn.datasets import CellSet
from napari_cellcls.learn.evaluate import Report
from napari_cellcls.learn.job import Job, job_from, read_weights, split_head
from napari_cellcls.learn.packaging import plain_of
from napari_cellcls.learn.recipe import Recipe
from napari_cellcls.learn.splits import grouped_folds
from napari_cellcls.learn.wording import number
from napari_cellcls.vocabulary import RESEARCH_USE_ONLY, ClassScheme

HERE = Path(__file__).parent
BUNDLED = HERE.parent / "src" / "napari_cellcls" / "models" / "bundled"
SHOWN = ("accuracy", "balanced_accuracy", "auc", "sensitivity", "specificity", "macro_f1", "ece")
PER_CLASS = ("sensitivity", "specificity", "precision", "f1")
_EXEMPLARS = 250
_TEST_CROPS = 8


@dataclass(frozen=True)
class Bundle:
    """What a bundled model says of itself beyond its recipe.

    Attributes
    ----------
    name, version : str
        Of the package.
    group : str
        What the folds keep apart: patient, image.
    cells : str
        The finder that suits it.
    dataset : str
        What it was measured on, in words; ``data`` what it was trained on.
    sample_hint : str
        A sample image to try it with.
    chosen : str
        How its settings were chosen, and what that choice has seen.
    """

    name: str
    version: str
    group: str
    cells: str
    dataset: str
    data: str
    sample_hint: str = ""
    chosen: str = ""


def checked_job(run: Path, recipe: Recipe, path: Path) -> Job:
    """Return the job of a run after checking that the recipe asks for it."""
    job = job_from(json.loads((run / "job.json").read_text()))
    if job != recipe.job():
        raise SystemExit(f"The run was not made by {path}:\n{job}\n{recipe.job()}")
    return job


def write_folds(
    run: Path, target: Path, data: CellSet, recipe: Recipe, job: Job, bundle: Bundle
) -> None:
    """Copy the fold models and say which groups each of them never saw."""
    folds = recipe.protocol.folds
    fold = grouped_folds(data.groups, data.labels, folds=folds, seed=recipe.protocol.seed)
    target.mkdir(parents=True, exist_ok=True)
    entries = []
    for k in range(folds):
        name = f"fold{k}.safetensors"
        made = run / f"fold{k}" / "weights.safetensors"
        read_weights(made, job)
        shutil.copyfile(made, target / name)
        groups = sorted(set(data.groups[fold == k].tolist()), key=_by_number)
        entries.append({"fold": k, "file": name, "sha256": sha256(target / name), "groups": groups})
    about = {
        "recipe": recipe.name,
        "protocol": (
            f"{bundle.group}-disjoint {folds}-fold, {len(np.unique(data.groups))} {bundle.group}s, "
            "labels as published"
        ),
        "classes": list(recipe.classes),
        "positive": recipe.positive_index,
        "size": recipe.crop.size,
        "frame": recipe.crop.frame,
        "margin": recipe.crop.margin,
        "turns": recipe.turns,
        "job": asdict(job),
        "folds": entries,
    }
    write_bytes(target / "folds.json", (json.dumps(about, indent=1) + "\n").encode())


def _by_number(name: str) -> list[tuple[int, str]]:
    return [(int(part or 0) if part.isdigit() else 0, part) for part in re.split(r"(\d+)", name)]


def write_model(
    path: Path, run: Path, data: CellSet, recipe: Recipe, job: Job, report: Report, bundle: Bundle
) -> Any:
    """Write the package of the model trained on all groups, and its ONNX graph beside it."""
    import keras

    from napari_cellcls.models import onnx_writer, plan
    from napari_cellcls.models.manifest import validate
    from napari_cellcls.models.package import write_package

    body, head = split_head(read_weights(run / "weights.safetensors", job))
    backbone, _ = build_classifier(job)
    plan.assign(backbone, body)
    rows = _exemplars(data, job.classes, recipe.training.seed)
    embeddings = logits_of(backbone, data.images, rows, turns=recipe.turns)
    test = rows[np.linspace(0, len(rows) - 1, _TEST_CROPS).astype(int)]
    test_input = data.images[test].astype(np.float32) / np.float32(255)
    package = write_package(
        path,
        validate(_manifest(recipe, job, data, report, bundle, keras)),
        body,
        head=head,
        reference={
            "embeddings": embeddings,
            "labels": data.labels[rows],
            **plain_of(data, rows),
        },
        test_input=test_input,
        test_output=logits_of(backbone, test_input),
    )
    onnx = onnx_writer.to_onnx(job.architecture, job.params, package.weights)
    write_bytes(path.parent / "onnx" / f"{package.weights_sha256}.onnx", onnx)
    return package


def _exemplars(data: CellSet, classes: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n = min(_EXEMPLARS, min(data.counts.values()))
    return np.concatenate(
        [
            np.sort(rng.choice(np.flatnonzero(data.labels == k), n, replace=False))
            for k in range(classes)
        ]
    )


def _manifest(
    recipe: Recipe, job: Job, data: CellSet, report: Report, bundle: Bundle, keras: Any
) -> dict[str, Any]:
    scheme = ClassScheme.from_names(list(recipe.classes))
    label = f"{bundle.name}@{bundle.version}"
    return {
        "name": bundle.name,
        "version": bundle.version,
        "title": recipe.title,
        "description": recipe.description,
        "package_id": str(uuid.uuid5(uuid.NAMESPACE_URL, label)),
        "architecture": {"id": job.architecture, "params": job.params},
        "classes": [{"id": c.id, "name": c.name, "color": c.color} for c in scheme.classes],
        "inputs": [{"role": r.value, "name": r.value.removeprefix("rgb_")} for r in recipe.inputs],
        "crop": recipe.crop,
        "normalization": recipe.normalization,
        "turns": recipe.turns,
        "cells": bundle.cells,
        "temperature": round(report.temperature, 4),
        "metrics": _metrics(report, data, [c.id for c in scheme.classes], bundle),
        "level": "released",
        "sample_hint": bundle.sample_hint,
        "provenance": {
            "created": datetime.date.today().isoformat(),
            "recipe": recipe.name,
            "data": bundle.data,
            "n_labels": len(data.labels),
            "software": {"keras": keras.__version__},
        },
        "license": recipe.license,
        "data_terms": recipe.data_terms,
        "intended_use": RESEARCH_USE_ONLY,
        "test": {"made_with": {"keras": keras.__version__, "backend": keras.backend.backend()}},
    }


def _metrics(report: Report, data: CellSet, ids: list[str], bundle: Bundle) -> dict[str, Any]:
    found = report.metrics
    method = f"out of fold; bootstrap over {bundle.group}s, 2,000 resamples"

    def value(row: dict[str, Any], name: str) -> dict[str, Any]:
        return {
            "value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"],
            "method": method, "n": row["n"],
        }  # fmt: skip

    # With two classes the numbers of one say those of the other.
    classes = dict(zip(ids, found["classes"].values())) if len(ids) > 2 else {}
    return {
        "protocol": found["protocol"],
        "dataset": bundle.dataset,
        "n": found["n"],
        "groups": len(np.unique(data.groups)),
        "independent": True,
        "values": {name: value(found, name) for name in SHOWN},
        "per_class": {
            key: {name: value(row, name) for name in PER_CLASS if row[name] is not None}
            for key, row in classes.items()
        },
        "notes": f"Measured with {len(report.held.folds)} models that each never saw the {bundle.group}s they were "
        f"judged on; the shipped model is trained on all {bundle.group}s. {bundle.chosen}".rstrip(),
    }  # fmt: skip


def table(rows: dict[str, dict[str, Any]], names: tuple[str, ...]) -> str:
    """Return numbers with their intervals and spreads as a Markdown table."""
    lines = ["| | " + " | ".join(name.replace("_", " ") for name in names) + " | cells |"]
    lines.append("|---" * (len(names) + 2) + "|")
    for title, row in rows.items():
        cells = []
        for name in names:
            text = number(row[name])
            if row.get(f"{name}_low") is not None:
                text += f" ({row[f'{name}_low']:.4f} to {row[f'{name}_high']:.4f})"
            if f"{name}_sd" in row:
                text += f" ± {row[f'{name}_sd']:.4f}"
            cells.append(text)
        lines.append(f"| {title} | " + " | ".join(cells) + f" | {int(row['n']):,} |")
    return "\n".join(lines)
