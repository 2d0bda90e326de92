"""What a starter is put together from: package, ONNX graph and card of a model that saw simulated cells only.

Takes what training/train_fluorescence.py wrote: weights.safetensors, result.json and examples.npz.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from training.bundling import table  # noqa: E402

from napari_cellcls.files import write_bytes  # noqa: E402
from napari_cellcls.learn.classifier import build_classifier, logits_of, prepare_backend  # noqa: E402
from napari_cellcls.learn.job import Job, job_from, read_weights, split_head  # noqa: E402
from napari_cellcls.learn.wording import in_words  # noqa: E402
from napari_cellcls.models import networks, onnx_writer, places, plan  # noqa: E402
from napari_cellcls.models.describe import crop_in_words  # noqa: E402
from napari_cellcls.models.manifest import Manifest, validate  # noqa: E402
from napari_cellcls.models.package import ModelPackage, write_package  # noqa: E402
from napari_cellcls.vocabulary import RESEARCH_USE_ONLY, ClassScheme  # noqa: E402

NO_CLAIM = (
    "It has learned from simulated images only: no accuracy is claimed on real images. "
    "Correct some cells of your own and fine-tune before you rely on it."
)
METHOD = "bootstrap over simulated fields, 2,000 resamples"
PER_CLASS = ("f1", "precision", "sensitivity", "average_precision")
_TEST_CROPS = 8


@dataclass(frozen=True)
class Starter:
    """What a starter says of itself beyond its recipe.

    Attributes
    ----------
    name, version : str
        Of the package.
    inputs : list of dict
        Planes as the manifest names them.
    cells : str
        The finder that suits it.
    numbers : tuple of str
        What is said of it as a whole.
    optional : dict
        Further fields of the manifest.
    real : callable
        Is given the finished package and says in Markdown what it does on real images.
    """

    name: str
    version: str
    inputs: list[dict[str, Any]]
    cells: str
    numbers: tuple[str, ...]
    optional: dict[str, Any]
    real: Callable[[ModelPackage], str]


def options(doc: str | None, version: str, card: str) -> argparse.ArgumentParser:
    """Return the command line that both starters share."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path, help="folder with weights.safetensors and result.json")
    parser.add_argument("--version", default=version)
    parser.add_argument("--bundled", type=Path, default=places.BUNDLED)
    parser.add_argument("--card", type=Path, default=ROOT / "training/cards" / card)
    return parser


def assemble(given: argparse.Namespace, starter: Starter) -> ModelPackage:
    """Write package, ONNX graph and card; return the package as read back."""
    found = json.loads((given.run / "result.json").read_text())
    package = build(given.run, found, starter, given.bundled)
    ref = package.manifest.architecture
    onnx = onnx_writer.to_onnx(ref.id, ref.params, package.weights)
    write_bytes(given.bundled / "onnx" / f"{package.weights_sha256}.onnx", onnx)
    write_bytes(given.card, card(package, found, starter).encode())
    size = package.path.stat().st_size / 1e6 if package.path else 0.0
    print(
        f"{package.manifest.label} {package.sha256} {size:.2f} MB, graph {len(onnx) / 1e6:.2f} MB"
    )
    return package


def build(run: Path, found: dict[str, Any], starter: Starter, folder: Path) -> ModelPackage:
    """Write the package into ``folder`` and return it as read back."""
    prepare_backend()
    job = job_from(found["job"])
    body, head = split_head(read_weights(run / "weights.safetensors", job))
    backbone, _ = build_classifier(job)
    plan.assign(backbone, body)
    with np.load(run / "examples.npz", allow_pickle=False) as archive:
        crops, labels = archive["crops"], archive["labels"]
    rows = np.linspace(0, len(crops) - 1, _TEST_CROPS).astype(int)
    test_input = crops[rows].astype(np.float32) / np.float32(255)
    return write_package(
        folder / f"{starter.name}.cellpkg",
        manifest_of(found, job, starter),
        body,
        head=head,
        reference={"embeddings": logits_of(backbone, crops), "labels": labels},
        test_input=test_input,
        test_output=logits_of(backbone, test_input),
    )


def manifest_of(found: dict[str, Any], job: Job, starter: Starter) -> Manifest:
    """Return the manifest; every number in it is from the run."""
    recipe = found["recipe"]
    scheme = ClassScheme.from_names(recipe["classes"], multi_label=job.multi_label)
    label = f"{starter.name}@{starter.version}"
    return validate(
        {
            "name": starter.name,
            "version": starter.version,
            "title": recipe["title"],
            "description": f"{recipe['description']} {NO_CLAIM}",
            "package_id": str(uuid.uuid5(uuid.NAMESPACE_URL, label)),
            "architecture": {"id": job.architecture, "params": job.params},
            "classes": [{"id": c.id, "name": c.name, "color": c.color} for c in scheme.classes],
            "multi_label": job.multi_label,
            "inputs": starter.inputs,
            "crop": recipe["crop"],
            "normalization": recipe["normalization"],
            "cells": starter.cells,
            "temperature": round(found["temperature"], 4),
            "thresholds": found["thresholds"],
            "metrics": _metrics(found, [c.id for c in scheme.classes], starter),
            "level": "starter",
            "provenance": {
                "created": datetime.date.today().isoformat(),
                "recipe": recipe["name"],
                "data": f"simulated by {recipe['simulation']['source']}; {_counts(found)}",
                "n_labels": int(recipe["simulation"]["cells"]["train"]),
                "software": {"backend": found["backend"] or "keras default"},
            },
            "license": recipe["license"],
            "data_terms": recipe["data_terms"].strip(),
            "intended_use": f"{NO_CLAIM} {RESEARCH_USE_ONLY}",
            **starter.optional,
        }
    )


def _counts(found: dict[str, Any]) -> str:
    cells = found["recipe"]["simulation"]["cells"]
    return ", ".join(f"{cells[side]:,} cells for {side}" for side in ("train", "val", "test"))


def _metrics(found: dict[str, Any], ids: list[str], starter: Starter) -> dict[str, Any]:
    measured, second = found["metrics"], found["second_look"]

    def value(row: dict[str, Any], name: str) -> dict[str, Any]:
        return {
            "value": row[name], "low": row.get(f"{name}_low"), "high": row.get(f"{name}_high"),
            "method": METHOD, "n": row["n"],
        }  # fmt: skip

    return {
        "protocol": measured["protocol"],
        "dataset": "simulated by training/simulate",
        "n": measured["n"],
        "groups": measured["groups"],
        "independent": False,
        "values": {name: value(measured, name) for name in starter.numbers},
        "per_class": {
            key: {name: value(row, name) for name in PER_CLASS if row[name] is not None}
            for key, row in zip(ids, measured["classes"].values())
        },
        "notes": f"{NO_CLAIM} Macro F1, {second['title']}: {in_words(second, 'macro_f1')}.",
    }


def card(package: ModelPackage, found: dict[str, Any], starter: Starter) -> str:
    """Return the model card in Markdown; every number is from the run."""
    manifest, measured, second = package.manifest, found["metrics"], found["second_look"]
    ref, job = manifest.architecture, job_from(found["job"])
    total, _ = networks.parameter_count(ref.id, ref.params, len(manifest.classes))
    operations = networks.operations(ref.id, ref.params) / 1e6
    chosen = "temperature and thresholds" if manifest.multi_label else "temperature"
    rows = {"this model": measured, **measured["baselines"]}
    base = {title: {"n": measured["n"], **row} for title, row in rows.items()}
    confusion = "" if manifest.multi_label else f"\n{_mistaken(measured)}\n"
    script = f"make_{'hpa' if manifest.multi_label else 'hela'}_starter.py"
    option = (
        ""
        if manifest.multi_label
        else f" --recipe training/recipes/{manifest.provenance.recipe}.yaml"
    )
    return f"""# {manifest.title} ({manifest.label})

**{NO_CLAIM}** {RESEARCH_USE_ONLY}

{found["recipe"]["description"].strip()}

| | |
|---|---|
| network | {ref.id}, {total:,} parameters, crops of {manifest.crop.size} x {manifest.crop.size}, {len(manifest.inputs)} plane{"s" * (len(manifest.inputs) > 1)} |
| work per cell | {operations:.1f} million multiply-adds |
| crop rule | {crop_in_words(manifest.crop, manifest.normalization)} |
| cells | found with `--find {manifest.cells}` |
| data | simulated by `{found["recipe"]["simulation"]["source"]}`: {_counts(found)}; nothing simulated is on two sides |
| temperature | {manifest.temperature}; {chosen} chosen on the validation side |
| license | weights {manifest.license}; {manifest.data_terms} |

## On real images

{starter.real(package)}

## On simulated images

These numbers say how well the network learned the drawing, nothing more. Intervals: 95 %, {METHOD}.

{table(base, starter.numbers)}

{table({second["title"]: second}, ("macro_f1",))}

{table(measured["classes"], PER_CLASS)}
{confusion}
## Make it again

    python training/train_fluorescence.py --out OUT{option}
    python training/{script} OUT

Seed {job.training.seed}, {manifest.provenance.created}.
"""


def _mistaken(measured: dict[str, Any], most: int = 6) -> str:
    """Return the most frequent mistakes in words."""
    names, table_ = list(measured["classes"]), np.array(measured["confusion"])
    shares = table_ / np.maximum(table_.sum(1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    order = np.argsort(-shares, axis=None)[:most]
    pairs = [(names[k // len(names)], names[k % len(names)], shares.flat[k]) for k in order]
    said = "; ".join(f"{a} for {b} ({share:.0%})" for a, b, share in pairs if share > 0)
    return f"Taken for another most often: {said or 'nothing'}."
