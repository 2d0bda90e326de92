"""A trained run as a model package, which any computer with this program can use."""

from __future__ import annotations

import datetime
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.learn.calibration import choose_thresholds, fit_temperature
from napari_cellcls.learn.classifier import build_classifier, logits_of
from napari_cellcls.learn.datasets import CellSet
from napari_cellcls.learn.job import Job, read_weights, split_head
from napari_cellcls.learn.recipe import Recipe
from napari_cellcls.learn.splits import Split
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.vocabulary import RESEARCH_USE_ONLY, ClassScheme

_EXEMPLARS = 50
_MAX_EXEMPLARS = 500
_TEST_CROPS = 8


def write_model(
    path: Path,
    recipe: Recipe,
    job: Job,
    data: CellSet,
    split: Split,
    about: dict[str, Any],
    val_logits: np.ndarray,
) -> ModelPackage:
    """Write the package of a finished run and return it as read back.

    Parameters
    ----------
    path : Path
        Target, beside ``weights.safetensors``.
    recipe, job, data, split
        Of the run. Exemplars are crops of the training side.
    about : dict
        Content of ``run.json``; its test numbers go into the package with their protocol.
    val_logits : numpy.ndarray
        ``(N, K)`` of the validation side, from which temperature and thresholds are chosen.
    """
    from napari_cellcls.models import plan
    from napari_cellcls.models.manifest import validate
    from napari_cellcls.models.package import write_package

    body, head = split_head(read_weights(path.with_name("weights.safetensors"), job))
    backbone, _ = build_classifier(job)
    plan.assign(backbone, body)
    # Where something else than the label is learned, a cell for training only has no label of its own.
    own = split.train if data.soft is None else split.train[~data.training_only[split.train]]
    rows = _exemplars(data, own, recipe.seed)
    test = rows[np.linspace(0, len(rows) - 1, min(_TEST_CROPS, len(rows))).astype(int)]
    test_input = np.asarray(data.images[test], np.float32) / np.float32(255)
    network = backbone
    if job.each:
        network = backbone.get_layer(job.architecture)
        gray = test_input.transpose(0, 3, 1, 2)[..., None]
        test_input = np.repeat(gray.reshape(-1, *gray.shape[2:]), 3, axis=3)[:_TEST_CROPS]
    return write_package(
        path,
        validate(
            _facts(recipe, job, data, split, about)
            | calibrated(recipe, job, val_logits, data.matrix[split.val])
        ),
        body,
        head=head,
        reference={
            "embeddings": logits_of(backbone, data.images, rows, turns=recipe.turns),
            "labels": np.asarray(data.labels)[rows],
            **plain_of(data, rows),
        },
        test_input=test_input,
        test_output=logits_of(network, test_input),
    )


def plain_of(data: CellSet, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Return what exemplars are like in plain numbers, for the reference of a package."""
    from napari_cellcls.models import habits

    if data.sizes is None:
        return {}
    crops = np.asarray(data.images[rows], np.float32) / np.float32(255)
    return {habits.PLAIN: habits.of_crops(crops, data.sizes[rows])}


def _exemplars(data: CellSet, rows: np.ndarray, seed: int) -> np.ndarray:
    """Return rows of some images of every class, no more than a small file holds."""
    rng = np.random.default_rng(seed)
    matrix = data.matrix[rows]
    each = max(1, min(_EXEMPLARS, _MAX_EXEMPLARS // matrix.shape[1]))
    chosen = [rng.permutation(rows[matrix[:, k]])[:each] for k in range(matrix.shape[1])]
    return np.unique(np.concatenate(chosen))


def _facts(
    recipe: Recipe, job: Job, data: CellSet, split: Split, about: dict[str, Any]
) -> dict[str, Any]:
    scheme = ClassScheme.from_names(list(recipe.classes), multi_label=job.multi_label)
    name = recipe.name.replace("_", "-")
    return {
        "name": name,
        "version": "0.1.0",
        "title": recipe.title,
        "description": recipe.description,
        "package_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}@{about['weights_sha256']}")),
        "architecture": {"id": job.architecture, "params": job.params},
        "classes": [{"id": c.id, "name": c.name, "color": c.color} for c in scheme.classes],
        "multi_label": job.multi_label,
        "inputs": _inputs(recipe),
        "channel_policy": "each" if job.each else "joint",
        "crop": recipe.crop,
        "normalization": recipe.normalization,
        "turns": recipe.turns,
        "cells": _cells(recipe),
        "metrics": _metrics(recipe, data, about),
        "provenance": {
            "created": datetime.date.today().isoformat(),
            "recipe": recipe.name,
            "data": data.layout or recipe.data,
            "n_labels": len(split.train),
            "software": about["software"],
        },
        "license": recipe.license or "not stated",
        "data_terms": recipe.data_terms,
        "intended_use": RESEARCH_USE_ONLY,
        "test": {"made_with": about["software"]},
    }


def calibrated(recipe: Recipe, job: Job, logits: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Return temperature and thresholds of a package, chosen on the validation side.

    Parameters
    ----------
    recipe, job
    logits : numpy.ndarray
        ``(N, K)``; without rows the temperature is 1 and thresholds that need them are 0.5.
    truth : numpy.ndarray
        ``(N, K)`` bool.
    """
    temperature = 1.0
    if len(logits):
        labels = truth if job.multi_label else truth.argmax(1)
        temperature = round(fit_temperature(logits, labels), 4)
    if not job.multi_label:
        return {"temperature": temperature}
    rule = recipe.threshold
    if isinstance(rule, float):
        # The published threshold is one of the raw answer; the package has calibrated ones.
        raw = np.log(rule / (1 - rule)) / temperature
        thresholds = np.full(job.classes, 1 / (1 + np.exp(-raw)))
    elif len(logits):
        answers = 1 / (1 + np.exp(-np.clip(logits / temperature, -60, 60)))
        thresholds = choose_thresholds(rule, answers, truth)
    else:
        thresholds = np.full(job.classes, 0.5)
    return {"temperature": temperature, "thresholds": [round(float(t), 5) for t in thresholds]}


def _inputs(recipe: Recipe) -> list[dict[str, Any]]:
    if recipe.input.planes:
        return [plane.model_dump(mode="json") for plane in recipe.input.planes]
    return [{"role": r.value, "name": _word(r.value)} for r in recipe.inputs]


def _word(role: str) -> str:
    return role.removeprefix("rgb_").replace("_", " ")


def _cells(recipe: Recipe) -> str:
    """Return how the cells of an image are found when the model is used."""
    if recipe.data == "malaria":
        return "smear"
    return "fluorescence" if recipe.crop.mask else "whole"


def _metrics(recipe: Recipe, data: CellSet, about: dict[str, Any]) -> dict[str, Any]:
    if not about["metrics"]:
        return {"notes": "Trained on all data: nothing was held out to judge it."}
    grouped = recipe.protocol.kind == "grouped"
    n = int(about["metrics"]["n"])
    return {
        "protocol": f"fold {about['fold']} of {recipe.protocol.folds}, groups on one side only"
        if grouped
        else "random split: images of one group may be on both sides, so this flatters the model",
        "dataset": data.layout or recipe.data,
        "n": n,
        "groups": about["groups"],
        "independent": grouped,
        "values": {
            name: {"value": float(value), "n": n}
            for name, value in about["metrics"].items()
            if name != "n" and np.isfinite(value)
        },
    }
