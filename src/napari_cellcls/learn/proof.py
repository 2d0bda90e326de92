"""Is the new version better than the model in use? Both answer the same cells, which neither learned from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.learn import gate, metrics
from napari_cellcls.learn.fitted import Before, probabilities_of
from napari_cellcls.learn.gate import Verdict
from napari_cellcls.learn.head import Head
from napari_cellcls.learn.holdout import FEWEST
from napari_cellcls.learn.metrics import Scored
from napari_cellcls.learn.roster import Roster, matrix
from napari_cellcls.models.head import decide, probabilities

if TYPE_CHECKING:
    from napari_cellcls.models.package import ModelPackage


@dataclass(frozen=True, eq=False)
class Rival:
    """The model that a new version is compared with, and its numbers of the labeled cells.

    Attributes
    ----------
    package : ModelPackage
    known : mapping of int to int
        Its class -> column of the labels.
    values : numpy.ndarray
        ``(M, D)``, as its own network describes the cells.
    groups : frozenset of str
        Hashes of the groups it has learned from.
    """

    package: ModelPackage
    known: Mapping[int, int]
    values: np.ndarray
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class Judged:
    """The verdict, and the answers of the new version it rests on (None: no claim)."""

    verdict: Verdict
    after: Scored | None
    protocol: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Court:
    """Cells that judge.

    Attributes
    ----------
    truth : numpy.ndarray
        ``(J, K)`` 1/0/NaN.
    groups : numpy.ndarray
        ``(J,)`` str.
    logits : numpy.ndarray
        ``(J, K)`` of the new head; it did not see these cells.
    rows : numpy.ndarray
        ``(J,)`` places of these cells among all that were described.
    held_out : bool
        Whether they were held out; else they come from cross-validation.
    fit : numpy.ndarray
        ``(F,)`` groups of all cells that are fit to judge, also where no honest split was possible.
    beside : Court, optional
        Cells learned from, answered by heads that did not see their group; the model in use has not learned
        from that group either.
    """

    truth: np.ndarray
    groups: np.ndarray
    logits: np.ndarray
    rows: np.ndarray
    held_out: bool
    fit: np.ndarray
    beside: Court | None = None


def judge(
    court: Court,
    roster: Roster,
    head: Head,
    before: Before,
    rival: Rival | None,
    *,
    multi_label: bool,
    thresholds: np.ndarray | None,
    attempts: int,
    seed: int,
) -> Judged:
    """Judge a new head.

    Parameters
    ----------
    court : Court
    roster, head, before
        Of the new version.
    rival : Rival or None
        The model in use; None when there is none with classes.
    multi_label : bool
    thresholds : numpy.ndarray or None
        ``(K,)`` of the new version, with several labels per cell.
    attempts : int
        How often these cells have judged, this time included.
    seed : int
    """
    whole = np.isfinite(court.truth).all(axis=1)
    groups, cells = len(np.unique(court.groups[whole])), int(whole.sum())
    if groups < 2:
        why = _too_few(court, multi_label)
        return Judged(gate.no_claim(why, cells, groups), None, "")
    p = probabilities_of(court.logits[whole], head.temperature, multi_label)
    truth, names = court.truth[whole] > 0, court.groups[whole]
    after = metrics.scored(p, truth, names, thresholds=thresholds, multi_label=multi_label)
    protocol = (
        f"{cells:,} labeled cells of {groups} images or patients that were held out by a hash of their name"
        if court.held_out
        else f"cross-validated over {groups} images or patients: a weak estimate"
    )
    if rival is None:
        found = gate.judge_first(after, roster.names, attempts=attempts, seed=seed)
    else:
        old = answers_of(rival, roster, court.rows[whole], truth, names)
        beside = _beside(court.beside, roster, head, rival, multi_label)
        regression = _regression(before, head, rival, multi_label)
        found = gate.judge_change(
            old, after, roster.names, more=beside, regression=regression, attempts=attempts, seed=seed,
            known=[name for name, old_one in zip(roster.names, before.known) if old_one],
        )  # fmt: skip
    if not court.held_out:
        more = max(FEWEST - groups, 1)
        found = gate.weakened(
            found,
            f"Only {groups} images or patients have labels: that says little about new ones. "
            f"Label cells of {more} more.",
        )
    return Judged(found, after, protocol)


def answers_of(
    rival: Rival, roster: Roster, rows: np.ndarray, truth: np.ndarray, groups: np.ndarray
) -> Scored:
    """Return what a model says of some cells, in the classes of the new version.

    A class that it does not know has probability 0.
    """
    package = rival.package
    assert package.head is not None
    manifest, (kernel, bias) = package.manifest, package.head
    logits = rival.values[rows, : len(kernel)] @ kernel + bias
    p = probabilities(logits, manifest.temperature, manifest.multi_label)
    said, _ = decide(p, manifest.thresholds, manifest.multi_label)
    same = matrix(rival.known, roster, len(manifest.classes))
    mapped = np.minimum(p @ same, 1.0).astype(np.float64)
    return Scored(mapped, (said @ same) > 0, truth, groups, None, manifest.multi_label)


def _beside(
    court: Court | None, roster: Roster, head: Head, rival: Rival, multi_label: bool
) -> tuple[Scored, Scored] | None:
    """Return the answers of both to cells that were learned from; None where they do not count.

    With several labels per cell they do not: their thresholds were chosen on these very answers.
    """
    if court is None or multi_label:
        return None
    truth = court.truth > 0
    p = probabilities_of(court.logits, head.temperature, multi_label)
    old = answers_of(rival, roster, court.rows, truth, court.groups)
    return old, metrics.scored(p, truth, court.groups)


def _regression(
    before: Before, head: Head, rival: Rival, multi_label: bool
) -> tuple[Scored, Scored] | None:
    """Return the answers of the released head and of the new one on exemplars kept for that."""
    if before.said is None or not len(before.judges):
        return None
    known = before.known
    truth = before.truth[:, known] > 0
    if not multi_label and known.sum() < 2:
        return None
    groups = np.arange(len(truth)).astype(str)
    new = head.logits(before.judges)
    # Of the classes that were known: a new class cannot be forgotten.
    pair = [
        metrics.scored(
            probabilities_of(logits[:, known], temperature, multi_label), truth, groups,
            multi_label=multi_label,
        )
        for logits, temperature in ((before.said, 1.0), (new, head.temperature))
    ]  # fmt: skip
    return pair[0], pair[1]


def _too_few(court: Court, multi_label: bool) -> str:
    groups = len(np.unique(court.fit))
    if groups == 0:
        what = "judged of every class" if multi_label else "decided by looking at it"
        return f"No cell that was {what} is left to judge by: nothing can be said about accuracy."
    if groups == 1:
        return (
            "All cells that could judge are of one image or patient: nothing can be said about new "
            f"ones. Label cells of at least {FEWEST - 1} more."
        )
    return (
        "Some classes have labels in one image only, so none can be held out: nothing can be said about "
        "new images. Label some cells of every class in several images."
    )
