"""Assemble the bundled package ``hpa-localization`` from what ``training/train_fluorescence.py`` wrote.

    python training/make_hpa_starter.py OUT [--version 0.1.0]

Writes the package, the ONNX file beside it and the card ``training/cards/hpa_localization.md``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from training.simulate.crops import CROP, NORMALIZATION, ROLES  # noqa: E402
from training.simulate.fluorescence import CHANNELS  # noqa: E402

from napari_cellcls.files import write_bytes  # noqa: E402
from napari_cellcls.learn.classifier import build_classifier, logits_of, prepare_backend  # noqa: E402
from napari_cellcls.learn.job import Job, job_from, read_weights, split_head  # noqa: E402
from napari_cellcls.models import networks, onnx_writer, places, plan  # noqa: E402
from napari_cellcls.models.manifest import Manifest, validate  # noqa: E402
from napari_cellcls.models.package import ModelPackage, write_package  # noqa: E402
from napari_cellcls.vocabulary import RESEARCH_USE_ONLY, ClassScheme  # noqa: E402

NAME = "hpa-localization"
CARD = ROOT / "training/cards/hpa_localization.md"
TERMS = "Simulated images, CC0-1.0. Class names follow the Human Protein Atlas; none of its images was used."
NO_CLAIM = (
    "Trained on simulated images only: no accuracy is claimed on real images. "
    "Correct some cells of your own and fine-tune before you rely on it."
)


def main() -> None:
    """Write package, ONNX file and card."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder with weights.safetensors and result.json")
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--bundled", type=Path, default=places.BUNDLED)
    parser.add_argument("--card", type=Path, default=CARD)
    options = parser.parse_args()
    found = json.loads((options.run / "result.json").read_text())
    package = build(options.run, found, options.version, options.bundled)
    ref = package.manifest.architecture
    onnx = onnx_writer.to_onnx(ref.id, ref.params, package.weights)
    write_bytes(options.bundled / "onnx" / f"{package.weights_sha256}.onnx", onnx)
    write_bytes(options.card, card(package, found).encode())
    print(package.manifest.label, package.sha256)


def build(run: Path, found: dict[str, Any], version: str, folder: Path) -> ModelPackage:
    """Write ``hpa-localization.cellpkg`` into ``folder`` and return it as read back."""
    prepare_backend()
    job = job_from(found["job"])
    body, head = split_head(read_weights(run / "weights.safetensors", job))
    backbone, _ = build_classifier(job)
    plan.assign(backbone, body)
    with np.load(run / "examples.npz", allow_pickle=False) as archive:
        crops, labels = archive["crops"], archive["labels"]
    embeddings = logits_of(backbone, crops)
    rows = np.linspace(0, len(crops) - 1, 8).astype(int)
    test_input = crops[rows].astype(np.float32) / np.float32(255)
    return write_package(
        folder / f"{NAME}.cellpkg",
        manifest_of(found, job, version),
        body,
        head=head,
        reference={"embeddings": embeddings, "labels": labels},
        test_input=test_input,
        test_output=logits_of(backbone, test_input),
    )


def manifest_of(found: dict[str, Any], job: Job, version: str) -> Manifest:
    """Return the manifest; every number in it is from the run."""
    scheme = ClassScheme.from_names(found["classes"], multi_label=True)
    inputs = [
        {"role": role.value, "name": name, "optional": name in ("Microtubules", "ER")}
        for role, name in zip(ROLES, CHANNELS)
    ]
    return validate(
        {
            "name": NAME,
            "version": version,
            "title": "Protein localization (starter)",
            "description": f"Where in the cell a protein is, {len(scheme)} patterns, several per cell. {NO_CLAIM}",
            "package_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{NAME}@{version}")),
            "architecture": {"id": job.architecture, "params": job.params},
            "classes": [{"id": c.id, "name": c.name, "color": c.color} for c in scheme.classes],
            "multi_label": True,
            "inputs": inputs,
            "crop": CROP,
            "normalization": NORMALIZATION,
            "pixel_size_um": [0.06, 0.5],
            "cells": "fluorescence",
            "temperature": round(found["temperature"], 4),
            "thresholds": found["thresholds"],
            "metrics": _metrics(found["test"]),
            "level": "starter",
            "sample_hint": "rgby-field",
            "provenance": {
                "created": datetime.date.today().isoformat(),
                "recipe": "hpa_localization_starter",
                "data": "simulated by training/simulate; " + _counts(found),
                "n_labels": int(found["recipe"]["simulation"]["cells"]["train"]),
                "software": {"backend": found["backend"] or "keras default"},
            },
            "license": "CC0-1.0",
            "data_terms": TERMS,
            "intended_use": f"{NO_CLAIM} {RESEARCH_USE_ONLY}",
        }
    )


def _counts(found: dict[str, Any]) -> str:
    cells = found["recipe"]["simulation"]["cells"]
    return ", ".join(f"{n:,} cells for {side}" for side, n in cells.items())


def _metrics(test: dict[str, Any]) -> dict[str, Any]:
    method = "bootstrap over simulated fields"
    values = {
        name: {**test[name], "method": method, "n": test["cells"]} for name in ("macro_f1", "exact")
    }
    return {
        "protocol": "simulated fields never used for training or thresholds",
        "dataset": "simulated fields of training/simulate",
        "n": test["cells"],
        "groups": test["fields"],
        "independent": False,
        "values": values | {"ece": {"value": test["calibration_error"]}},
        "notes": NO_CLAIM,
    }


def card(package: ModelPackage, found: dict[str, Any]) -> str:
    """Return the model card in Markdown."""
    manifest, test, well = package.manifest, found["test"], found["test_one_protein"]
    ref = manifest.architecture
    total, _ = networks.parameter_count(ref.id, ref.params, len(manifest.classes))
    operations = networks.operations(ref.id, ref.params) / 1e6
    rows = "\n".join(
        f"| {name} | {row['f1']:.3f} | {row['average_precision']:.3f} | {row['cells']:,} |"
        for name, row in test["per_class"].items()
    )
    base = "\n".join(f"| {name} | {value:.3f} |" for name, value in found["baselines"].items())
    return f"""# {manifest.title} ({manifest.label})

**{NO_CLAIM}** {RESEARCH_USE_ONLY}

{len(manifest.classes)} patterns named as in the Human Protein Atlas, one or several per cell, from four planes: microtubules, protein,
nucleus, endoplasmic reticulum. Microtubules and ER may be missing (planes were left out at random in training).

| | |
|---|---|
| network | {ref.id}, {total:,} parameters, crops of {manifest.crop.size} x {manifest.crop.size}, 4 planes |
| work per cell | {operations:.1f} million multiply-adds |
| crop rule | square around the cell, margin {manifest.crop.margin}, black outside the cell; each plane scaled by the 0.5 and 99.8 percentiles of its field |
| data | {_counts(found)}; no field on two sides |
| temperature | {manifest.temperature}, chosen on the validation side |
| license | weights {manifest.license}; {TERMS} |

## On simulated cells

These numbers say how well the network learned the simulation, nothing more. Intervals: 95 %, by resampling fields.

| classifier | macro F1 |
|---|---|
| this model | {_with_interval(test["macro_f1"])} |
| this model, fields with one protein | {_with_interval(well["macro_f1"])} |
{base}

All labels of a cell right: {_with_interval(test["exact"])}. Calibration error: {test["calibration_error"]:.4f}. {test["cells"]:,} cells of {test["fields"]:,} fields.

| pattern | F1 | average precision | cells |
|---|---|---|---|
{rows}

## Make it again

    PYTHONPATH=src:. python training/train_fluorescence.py --out OUT
    python training/make_hpa_starter.py OUT
"""


def _with_interval(number: dict[str, float]) -> str:
    return f"{number['value']:.3f} ({number['low']:.3f} to {number['high']:.3f})"


if __name__ == "__main__":
    main()
