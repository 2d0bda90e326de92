"""From corrections to a model that is proven: what a project's labels make of a released model.

The network stays, or is a general one where a class is new (:mod:`napari_cellcls.learn.network`); a new head is
fitted on all labels of the project, from the released model and never from the last fine-tune. Whole groups
(patients, images) are held out by a hash of their name and never learned from. The model in use changes only
when they say that the new one is not worse.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellcls import files
from napari_cellcls.learn import forgetting, kept, quick
from napari_cellcls.learn.described import Described, describe_labels
from napari_cellcls.learn.gate import Fall, Verdict
from napari_cellcls.learn.holdout import past_sides, traces
from napari_cellcls.learn.labels import Labels, labeled_cells
from napari_cellcls.learn.network import network_for
from napari_cellcls.learn.proof import Judged, Rival, judge
from napari_cellcls.learn.quick import Plan
from napari_cellcls.learn.rivals import rival_of
from napari_cellcls.learn.roster import same_classes
from napari_cellcls.models import registry
from napari_cellcls.models.general import general_of
from napari_cellcls.project import errors, versions
from napari_cellcls.project.versions import Attempt
from napari_cellcls.review.events import now
from napari_cellcls.vocabulary import DataError, Progress, Task

if TYPE_CHECKING:
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.project.project import Project
    from napari_cellcls.review.state import CellState

DEFAULT = "blank"


@dataclass(frozen=True)
class Tuned:
    """A new version and what can be said of it.

    Attributes
    ----------
    package_path : Path
        In the models folder of the project.
    label : str
        ``name@version``.
    verdict : Verdict
        ``verdict.text()`` is for people.
    promoted : bool
        Whether it is in use now.
    before, after : float or None
        Macro F1 on the same cells of the model in use and of the new one; None without a claim.
    labels_used : int
        Cells learned from.
    held_out : int
        Cells that judged, and were not learned from (0: cross-validated, or no claim).
    left_out : mapping of str to int
        Why -> how many decided cells were not used.
    seconds : float
    notes : tuple of str
        What a person should know, in sentences: images not found, classes without labels ...
    """

    package_path: Path
    label: str
    verdict: Verdict
    promoted: bool
    before: float | None
    after: float | None
    labels_used: int
    held_out: int
    left_out: Mapping[str, int]
    seconds: float
    notes: tuple[str, ...]


def default_base(project: Project) -> str:
    """Return the name of the released model that a project works with.

    The one shown most in its journal, or that a shown version of the project comes from; else ``blank``.
    """
    parents = {
        one.sha256: one.manifest.provenance.parent
        for one in versions.history(project).versions
        if one.manifest is not None
    }
    shown = Counter(
        parents.get(event.shown_sha or "", event.shown_model)
        for event in tuple(project.journal.state.events)
        if event.shown_model
    )
    known = {entry.label: entry for entry in registry.entries() if entry.error is None}
    names = {entry.name for entry in known.values()}
    for label, _ in shown.most_common():
        if label in known:
            return label
        if label is not None and label.partition("@")[0] in names:
            return label.partition("@")[0]  # another release of it is installed now
    return DEFAULT


def finetune(
    project: Project, base: ModelPackage | str | None = None, *, seed: int = 42
) -> Task[Tuned]:
    """Fit, judge and keep a new version; use it when it may be used.

    Parameters
    ----------
    project : Project
        Its journal is read once, at the call. Images that cannot be found are named in the notes.
    base : ModelPackage or str, optional
        Released model to start from, or its name or path; by default :func:`default_base`.
    seed : int

    Returns
    -------
    Task of Tuned
        Closing it between two steps leaves everything as it was.

    Raises
    ------
    DataError
        ``LEARN-FEW`` when there is nothing to tell apart yet.
    ProjectError
        ``PROJECT-WRITE`` when the new version cannot be written; the model in use stays.
    """
    return _finetune(project, base, tuple(project.journal.state.cells.values()), seed)


def _finetune(
    project: Project, base: ModelPackage | str | None, cells: tuple[CellState, ...], seed: int
) -> Task[Tuned]:
    started = time.perf_counter()
    yield Progress(0, 0, "Collecting the labels")
    state, several = project.journal.state, project.description.multi_label
    labels = labeled_cells(state, multi_label=several, cells=cells)
    _enough(labels, {}, ())
    if base is None or isinstance(base, str):
        base = registry.load(base or default_base(project))
    network, chosen = network_for(base, labels, same_classes(base, labels, state))
    found = yield from describe_labels(project, labels, network, inputs=base.manifest.planes)
    _enough(labels, found.left_out, found.notes, found.rows)
    past = past_sides(versions.history(project).versions)
    plan = quick.plan(labels, found, base, state, multi_label=several, past=past)
    rival, notes = yield from rival_of(project, labels, state, base, network, found, plan.held)
    yield Progress(0, 0, "Fitting")
    general = None if network is base else general_of(base)
    fit = quick.fit(plan, labels, found, base, multi_label=several, seed=seed, general=general)
    yield Progress(0, 0, "Judging")
    made = prove(
        project, labels, base, network, found, plan, fit, rival,
        recipe=kept.RECIPE, trial=f"{labels.sha256}|{base.sha256}|{kept.RECIPE}|{seed}", seed=seed,
    )  # fmt: skip
    return replace(
        made,
        left_out=dict(Counter(labels.left_out) + Counter(found.left_out)),
        seconds=time.perf_counter() - started,
        notes=(*found.notes, *chosen, *plan.notes, *notes),
    )


def prove(
    project: Project,
    labels: Labels,
    base: ModelPackage,
    network: ModelPackage,
    found: Described,
    plan: Plan,
    fit: quick.Fitted,
    rival: Rival | None,
    *,
    recipe: str,
    trial: str,
    seed: int,
    forgotten: tuple[Fall, ...] = (),
) -> Tuned:
    """Judge what was learned, keep it as a new version, and use it when it may be used.

    Parameters
    ----------
    project, labels : Project, Labels
    base : ModelPackage
        Released model that the learning started from.
    network : ModelPackage
        Whose network described the cells: the base's own, a general one, or one that was trained on.
    found, plan, fit
        The cells, what each is for, and the head.
    rival : Rival or None
        The model in use.
    recipe : str
        How it was learned.
    trial : str
        What was tried: the same text is no further attempt.
    seed : int
    forgotten : tuple of Fall
        Classes that the network forgets, for one that was trained on.

    Raises
    ------
    ProjectError
        ``PROJECT-WRITE``.
    """
    started = time.perf_counter()
    trial = hashlib.sha256(trial.encode()).hexdigest()
    held = traces(labels, found.rows[plan.held]) if plan.held.any() else ()
    asked = versions.asked(versions.history(project).attempts, trial, held) if held else 1
    judged = judge(
        quick.court(plan, fit, labels, found, rival, base), plan.roster, fit.head, fit.before, rival,
        multi_label=project.description.multi_label, thresholds=fit.thresholds, attempts=asked,
        seed=seed,
    )  # fmt: skip
    judged = replace(judged, verdict=forgetting.named(judged.verdict, forgotten))
    learned = found.values[plan.learned]
    about = {"recipe": recipe, "parent": base.manifest.label}
    made = kept.Made(
        plan.roster, fit.head, fit.before, found.inputs, learned, fit.targets, judged, fit.sets,
        fit.thresholds, about | _provenance(labels, found, plan, base, judged, asked),
    )  # fmt: skip
    path, label = _keep(project, network, made, judged, trial, held)
    claims, verdict = judged.after is not None, judged.verdict
    return Tuned(
        path, label, verdict, verdict.promote, verdict.before if claims else None,
        verdict.after if claims else None, len(learned), int(plan.held.sum()), {},
        time.perf_counter() - started, (),
    )  # fmt: skip


def _enough(
    labels: Labels,
    left_out: Mapping[str, int],
    notes: tuple[str, ...],
    rows: np.ndarray | None = None,
) -> None:
    """Refuse to learn from nothing, and say where it went."""
    count = len(labels) if rows is None else len(rows)
    if count:
        return
    lost = [f"{n:,} left out: {why}" for why, n in {**labels.left_out, **left_out}.items()]
    raise DataError(
        "There are no labeled cells to learn from.",
        code="LEARN-FEW",
        why="; ".join([*lost, *notes]) or "nobody has given a cell a class yet.",
        remedy="Label some cells of every class, a few in each of several images, and try again.",
    )


def _provenance(
    labels: Labels, found: Described, plan: Plan, base: ModelPackage, judged: Judged, asked: int
) -> dict[str, Any]:
    rows = found.rows[plan.learned]
    verdict = judged.verdict
    return {
        "n_labels": len(rows),
        "annotators": len(labels.annotators),
        "extra": {
            "parent_sha256": base.sha256,
            "labels_sha256": labels.sha256,
            "annotators": list(labels.annotators),
            "groups": list(traces(labels, rows)),
            "held_out": list(traces(labels, found.rows[plan.held])),
            "attempts": asked,
            "verdict": verdict.word,
            "promoted": verdict.promote,
        },
    }


def _keep(
    project: Project,
    base: ModelPackage,
    made: kept.Made,
    judged: Judged,
    trial: str,
    held: tuple[str, ...],
) -> tuple[Path, str]:
    """Write the new version, then write down that it was judged; without the second it is gone again."""
    verdict = judged.verdict
    try:
        project.models_folder.mkdir(parents=True, exist_ok=True)
        files.sweep(project.models_folder)
        name, version, path = versions.new_place(project)
        try:
            package = kept.keep(project, base, made, name, version, path)
            label = package.manifest.label
            attempt = Attempt(now(), label, trial, held, verdict.word, verdict.promote)
            versions.record(project, attempt, path, why=verdict.word)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise errors.unwritable(project.models_folder, error) from error
    return path, label
