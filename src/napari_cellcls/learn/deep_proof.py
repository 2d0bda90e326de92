"""The proof of a deep fine-tune: its network judged, kept and used by the same rules as a quick one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellcls.learn import finetune, quick
from napari_cellcls.learn.deep_recipe import START
from napari_cellcls.learn.described import Described, describe_labels
from napari_cellcls.learn.fitted import Before
from napari_cellcls.learn.forgetting import look_back
from napari_cellcls.learn.head import Head
from napari_cellcls.learn.labels import Labels, labeled_cells
from napari_cellcls.learn.quick import Fitted, Plan
from napari_cellcls.learn.rivals import rival_of
from napari_cellcls.learn.roster import Roster, same_classes
from napari_cellcls.learn.runs import PACKAGE
from napari_cellcls.models.manifest import ClassEntry, Manifest
from napari_cellcls.models.package import ModelPackage, read_package
from napari_cellcls.vocabulary import RGB_ROLES, CellClass, DataError, Progress, Task

if TYPE_CHECKING:
    from napari_cellcls.learn.finetune import Tuned
    from napari_cellcls.project.project import Project
    from napari_cellcls.review.fold import State
    from napari_cellcls.review.state import CellState

RECIPE = "deep/1"


def prove(
    project: Project,
    folder: Path,
    about: dict[str, Any],
    cells: Sequence[CellState],
    seconds: float,
) -> Task[Tuned]:
    """Judge the network of a finished training, keep it as a version, and use it when it may be used.

    Only cells count that were labeled when the training began; what people say of them now is what counts.

    Parameters
    ----------
    project : Project
    folder : Path
        Of the training.
    about : dict
        Content of its ``tune.json``.
    cells : sequence of CellState
        What is decided, taken in the thread that decides.
    seconds : float
        That the training took.

    Raises
    ------
    DataError
        ``DEEP-CLASSES`` when classes were merged since.
    CellClsError
        As :func:`napari_cellcls.learn.finetune.finetune`.
    """
    yield Progress(0, 0, "Judging")
    state, several = project.journal.state, project.description.multi_label
    wanted = set(about["cells"])
    labels = labeled_cells(
        state, multi_label=several, cells=[one for one in cells if one.cell_id in wanted]
    )
    base = read_package(folder / START)
    who = _roster(about, labels, state)
    network = _network(read_package(folder / "run" / PACKAGE), base, who)
    forgotten, watched = yield from look_back(folder, network)
    found = yield from describe_labels(project, labels, network)
    plan = _plan(labels, found, who, network, state, about, multi_label=several)
    if base.head is None:
        fitted = _anew(plan, labels, found, base, multi_label=several, seed=int(about["seed"]))
    else:
        fitted = _fitted(network, plan, found, multi_label=several)
    rival, notes = yield from rival_of(project, labels, state, base, network, found, plan.held)
    made = finetune.prove(
        project, labels, base, network, found, plan, fitted, rival,
        recipe=RECIPE, seed=int(about["seed"]), forgotten=forgotten,
        trial=f"{about['labels']}|{base.sha256}|{RECIPE}|{about['seed']}{about.get('changes', '')}",
    )  # fmt: skip
    left = dict(Counter(labels.left_out) + Counter(found.left_out))
    if not watched and base.head is not None:
        notes = [*notes, "No unlabeled cells of images held out could show what is forgotten."]
    notes = [*about["notes"], *found.notes, *notes]
    return replace(made, seconds=seconds, left_out=left, notes=tuple(dict.fromkeys(notes)))


def _roster(about: dict[str, Any], labels: Labels, state: State) -> Roster:
    """Return the classes the network learned, found again among those of the project."""
    place = {one.id: k for k, one in enumerate(labels.classes)}
    classes = tuple(CellClass(**one) for one in about["classes"])
    columns = [place.get(state.class_of(one)) for one in about["columns"]]
    if None in columns or len(set(columns)) < len(columns):
        raise DataError(
            "The classes of the project are others than when the training began.",
            code="DEEP-CLASSES",
            why=f"it learned {', '.join(one.name for one in classes)}",
            remedy="Start the deep fine-tune anew.",
        )
    return Roster(classes, tuple(k for k in columns if k is not None), ())


def _network(trained: ModelPackage, base: ModelPackage, who: Roster) -> ModelPackage:
    """Return the trained network with the facts of its base: the same view, the classes of the project."""
    manifest, made = base.manifest, trained.manifest
    changes = {
        "classes": tuple(ClassEntry(id=c.id, name=c.name, color=c.color) for c in who.classes),
        "multi_label": made.multi_label, "inputs": manifest.inputs or made.inputs, "temperature": made.temperature,
        "thresholds": made.thresholds, "sets": None, "descriptor": "embedding", "files": made.files,
        "cells": manifest.cells if manifest.classes else _cells(made),
        "architecture": made.architecture,
    }  # fmt: skip
    return replace(trained, manifest=manifest.model_copy(update=changes))


def _cells(manifest: Manifest) -> str:
    photograph = tuple(one.role for one in manifest.inputs) == RGB_ROLES
    return "smear" if photograph else "fluorescence"


def _plan(
    labels: Labels,
    found: Described,
    who: Roster,
    network: ModelPackage,
    state: State,
    about: dict[str, Any],
    *,
    multi_label: bool,
) -> Plan:
    ids, groups = np.array(labels.ids)[found.rows], labels.groups[found.rows]
    held = np.isin(ids, about["held"])
    # An image may have been put under another patient since: who is known now must not judge.
    held &= ~np.isin(groups, np.unique(groups[~held]))
    targets = labels.targets[found.rows][:, list(who.columns)]
    usable = np.isfinite(targets).any(axis=1) if multi_label else (targets == 1).any(axis=1)
    judging = labels.testable[found.rows] & usable
    known = same_classes(network, labels, state)
    return Plan(who, known, targets, ~held & usable, held, judging, ())


def _anew(
    plan: Plan,
    labels: Labels,
    found: Described,
    base: ModelPackage,
    *,
    multi_label: bool,
    seed: int,
) -> Fitted:
    """Return a head on all labeled cells as the trained network describes them, and on their measured numbers.

    The network saw crops of one size: how large a cell is, is new to it, and so are the cells that validated. On twelve shapes
    of red cells that is worth more than the training itself (docs/results.md). The network has learned most cells of every fold,
    so that folds prove nothing and promise no sets; temperature and thresholds come from them all the same, and the cells held out
    say whether the confidence is honest.
    """
    made = quick.fit(
        replace(plan, known={}), labels, found, base, multi_label=multi_label, seed=seed
    )
    unseen = np.full_like(made.head.held_out, np.nan)
    return replace(made, head=replace(made.head, held_out=unseen, folds=0), sets=None)


def _fitted(network: ModelPackage, plan: Plan, found: Described, *, multi_label: bool) -> Fitted:
    """Return the head of the network as one that could also take measured numbers, and takes none."""
    assert network.head is not None
    kernel, bias = network.head
    wide = np.zeros((sum(found.blocks), len(bias)), np.float32)
    wide[: len(kernel)] = kernel
    count = int(plan.learned.sum())
    head = Head(
        wide, np.asarray(bias, np.float32), network.manifest.temperature, 0.0, 0, False,
        np.full((count, len(bias)), np.nan, np.float32),
    )  # fmt: skip
    none, no_class = np.zeros((0, len(wide)), np.float32), np.zeros((0, len(bias)), np.float32)
    # Exemplars of the base are numbers of its own network: they mean nothing to this one.
    before = Before(None, None, none, no_class, none, no_class, np.ones(len(bias), bool))
    given = network.manifest.thresholds
    thresholds = np.asarray(given) if multi_label and given is not None else None
    return Fitted(head, before, plan.targets[plan.learned], None, thresholds)
