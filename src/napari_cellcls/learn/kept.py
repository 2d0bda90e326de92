"""A fitted head as a model package of the project: the network of the released model, with facts and exemplars."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellcls import __version__
from napari_cellcls.learn import intervals
from napari_cellcls.learn.conformal import SetRule
from napari_cellcls.learn.fitted import Before
from napari_cellcls.learn.head import Head
from napari_cellcls.learn.metrics import Scored, class_rates, outcomes
from napari_cellcls.learn.proof import Judged
from napari_cellcls.learn.roster import Roster
from napari_cellcls.models.manifest import Manifest, validate
from napari_cellcls.models.package import ModelPackage, write_package
from napari_cellcls.review.events import now
from napari_cellcls.vocabulary import RESEARCH_USE_ONLY, InputPlane

if TYPE_CHECKING:
    from napari_cellcls.project.project import Project

RECIPE = "quick/1"
_PER_CLASS, _MOST = 100, 1000
_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True, eq=False)
class Made:
    """All that a new version is made of.

    Attributes
    ----------
    roster, head, before : Roster, Head, Before
    inputs : tuple of InputPlane
    values, targets : numpy.ndarray
        ``(N, D)`` and ``(N, K)`` of the cells learned from.
    judged : Judged
    sets : SetRule or None
    thresholds : numpy.ndarray or None
    provenance : mapping
        ``n_labels``, ``annotators`` and ``extra`` of the manifest.
    """

    roster: Roster
    head: Head
    before: Before
    inputs: tuple[InputPlane, ...]
    values: np.ndarray
    targets: np.ndarray
    judged: Judged
    sets: SetRule | None
    thresholds: np.ndarray | None
    provenance: Mapping[str, Any]


def keep(
    project: Project, base: ModelPackage, made: Made, name: str, version: str, path: Path
) -> ModelPackage:
    """Write a new version and return it as read back (``OSError`` when it cannot be written)."""
    facts = _facts(project, base, made, name, version)
    return write_package(
        path, validate(facts), base.weights, test_input=base.test_input,
        test_output=base.test_output, head=(made.head.kernel, made.head.bias),
        reference=_reference(made, multi_label=bool(facts["multi_label"])),
    )  # fmt: skip


def _facts(
    project: Project, base: ModelPackage, made: Made, name: str, version: str
) -> dict[str, Any]:
    about, old = project.description, base.manifest
    several, count = about.multi_label, int(made.provenance["n_labels"])
    changes = {
        "name": name,
        "version": version,
        "title": f"{about.name[:150]} {version}",
        "description": f"{old.title}, fine-tuned on {count:,} labels of the project {about.name}.",
        "package_id": str(uuid.uuid4()),
        "classes": [
            {"id": one.id, "name": one.name, "color": one.color} for one in made.roster.classes
        ],
        "multi_label": several,
        "inputs": [
            {"role": one.role.value, "name": one.name, "optional": one.optional}
            for one in made.inputs
        ],
        "descriptor": "embedding+cell/1",
        "cells": _cells(base, made.inputs),
        "temperature": round(float(made.head.temperature), 4),
        "thresholds": None
        if made.thresholds is None
        else [round(float(t), 5) for t in made.thresholds],
        "sets": None if made.sets is None else made.sets.entry.model_dump(),
        "metrics": _metrics(project, made),
        "level": "tuned",
        "provenance": {
            "created": now(),
            "parent": old.label,
            "recipe": RECIPE,
            "data": f"project {about.name}"[:2000],
            "software": {"napari-cellcls": __version__, "numpy": np.__version__},
            **made.provenance,
        },
        "intended_use": RESEARCH_USE_ONLY,
        "files": {},
    }
    return old.model_dump(mode="json", by_alias=True) | changes


def _cells(base: ModelPackage, inputs: tuple[InputPlane, ...]) -> str:
    if base.manifest.classes or base.manifest.cells != Manifest.model_fields["cells"].default:
        return base.manifest.cells
    return "smear" if any(one.role.value.startswith("rgb_") for one in inputs) else "fluorescence"


def _reference(made: Made, *, multi_label: bool) -> dict[str, np.ndarray] | None:
    """Return exemplars of every class: labeled cells first, then those of the released model."""
    before = made.before
    x = np.concatenate([made.values, before.exemplars, before.judges])
    y = np.concatenate([made.targets, before.targets, before.truth])
    whole = np.isfinite(y).all(axis=1)
    each = max(1, min(_PER_CLASS, _MOST // y.shape[1]))
    chosen: set[int] = set()
    for k in range(y.shape[1]):
        of_class = np.flatnonzero(whole & (y[:, k] == 1))
        chosen.update(of_class[np.linspace(0, len(of_class) - 1, min(each, len(of_class))).astype(int)].tolist())  # fmt: skip
    rows = np.array(sorted(chosen), int)
    if not len(rows):
        return None
    labels = y[rows].astype(np.uint8) if multi_label else y[rows].argmax(axis=1)
    embeddings = np.clip(x[rows], -_LARGEST, _LARGEST).astype(np.float16)
    return {"embeddings": embeddings, "labels": labels}


def _metrics(project: Project, made: Made) -> dict[str, Any]:
    verdict, after = made.judged.verdict, made.judged.after
    if after is None:
        return {"notes": verdict.text()[:20_000], "independent": False}
    values, limits, _ = intervals.measured(after)
    named = {}
    for name, value in values.items():
        if name != "n" and np.isfinite(value):
            low, high = limits.get(name) or (None, None)
            named[name] = {
                "value": float(value), "low": low, "high": high, "n": len(after),
                "method": "" if low is None else "bootstrap over images or patients",
            }  # fmt: skip
    return {
        "protocol": made.judged.protocol,
        "dataset": f"project {project.description.name}"[:500],
        "n": len(after),
        "groups": len(np.unique(after.groups)),
        "independent": made.judged.protocol.startswith(f"{len(after):,} labeled"),
        "values": named,
        "per_class": _per_class(after, made.roster),
        "notes": verdict.text()[:20_000],
    }


def _per_class(after: Scored, roster: Roster) -> dict[str, dict[str, dict[str, Any]]]:
    rates = class_rates(outcomes(after).sum(axis=0)[None])
    cells = after.truth.sum(axis=0)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for k, one in enumerate(roster.classes):
        numbers = {name: float(rate[0, k]) for name, rate in rates.items()}
        found[one.id] = {
            name: {"value": value, "n": int(cells[k])}
            for name, value in numbers.items()
            if np.isfinite(value)
        }
    return found
