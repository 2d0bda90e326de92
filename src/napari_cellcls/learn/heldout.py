"""Answers on images that were held out, with everything that says how they came about.

Whoever judges gets one :class:`HeldOut`, whether the answers come from fold models, a run of
``cellcls train`` or a package: logits, which model gave them, what it trained and chose on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_cellcls.learn import calibration, metrics
from napari_cellcls.learn.calibration import Rule
from napari_cellcls.learn.datasets import CellSet
from napari_cellcls.learn.metrics import Scored

UNKNOWN, APART, SHARED = "unknown", "apart", "shared"


@dataclass(frozen=True)
class HeldOut:
    """Logits of held-out images and where they come from.

    Attributes
    ----------
    data : CellSet
        The whole set.
    rows : numpy.ndarray
        ``(n,)`` rows of ``data`` that were judged.
    logits : numpy.ndarray
        ``(n, K)``.
    fold : numpy.ndarray
        ``(n,)``: which of several models answered.
    protocol : str
        In words.
    groups : {"apart", "shared", "unknown"}
        Whether groups were kept apart, shared by training and test, or nothing is known.
    model : str
        Name of the model or run.
    sha256 : str
        Of its package, or of the weights of a run; "" when there are several.
    positive : int
        Index of the class that sensitivity is about, for two classes.
    train : mapping of int to numpy.ndarray
        Training rows of each fold, where known.
    val : mapping of int to (numpy.ndarray, numpy.ndarray)
        Validation rows and their logits of each fold, where there were any.
    temperature : float, optional
        As shipped with the model.
    thresholds : numpy.ndarray, optional
        ``(K,)`` as shipped with the model.
    rule : float or str
        How thresholds are chosen for the headline numbers, for several labels per image.
    history : mapping of int to list of dict
        Epochs of each fold.
    published : tuple of dict
        What others reported: ``metric, value, protocol, source``.
    notes : tuple of str
    clean : numpy.ndarray, optional
        ``(n,)`` bool: labels confirmed by a second reading.
    """

    data: CellSet
    rows: np.ndarray
    logits: np.ndarray
    fold: np.ndarray
    protocol: str
    groups: str = UNKNOWN
    model: str = ""
    sha256: str = ""
    positive: int = 0
    train: Mapping[int, np.ndarray] = field(default_factory=dict)
    val: Mapping[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    temperature: float | None = None
    thresholds: np.ndarray | None = None
    rule: Rule = 0.5
    history: Mapping[int, list[dict[str, Any]]] = field(default_factory=dict)
    published: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    clean: np.ndarray | None = None

    @property
    def truth(self) -> np.ndarray:
        """Return the labels of the judged images, ``(n, K)`` bool."""
        return np.asarray(self.data.matrix[self.rows])

    @property
    def names(self) -> np.ndarray:
        """Return the names of the judged images."""
        return np.asarray(self.data.names[self.rows])

    @property
    def group_names(self) -> np.ndarray:
        """Return the group of each judged image."""
        return np.asarray(self.data.groups[self.rows], dtype=str)

    @property
    def group_words(self) -> str:
        """Return what a group is, for a sentence; "" when every image is its own."""
        kind = self.data.group_kind
        if len(np.unique(self.data.groups)) == len(self.data):
            return ""
        return kind or "group"

    @property
    def folds(self) -> list[int]:
        """Return the numbers of the models that answered."""
        return [int(f) for f in np.unique(self.fold)]

    def tuning(self, fold: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Return logits and truth on which a model's temperature and thresholds may be chosen.

        Its validation side; else what the models of the other folds said of theirs.
        """
        if fold in self.val and len(self.val[fold][0]):
            rows, logits = self.val[fold]
            return logits, self.data.matrix[rows]
        other = self.fold != fold
        return (self.logits[other], self.truth[other]) if other.any() else None

    @property
    def tuned_on(self) -> str:
        """Return in words where temperature and thresholds come from."""
        if all(f in self.val and len(self.val[f][0]) for f in self.folds):
            return "the validation side"
        if len(self.folds) > 1:
            return "the held-out images of the other folds"
        return "the model as shipped" if self.temperature is not None else ""


@dataclass(frozen=True)
class Calibrated:
    """Held-out answers as probabilities.

    Attributes
    ----------
    scored : Scored
        Calibrated, with the classes said by the headline rule.
    before : Scored
        The same with the probabilities as the network gives them.
    temperatures : dict of int to float
        Of each fold; empty where none could be fitted.
    """

    scored: Scored
    before: Scored
    temperatures: dict[int, float]


def calibrated(held: HeldOut) -> Calibrated:
    """Fit each model's temperature on its validation side and decide the classes.

    Without a validation side the rows held out by the other folds serve; with a single model and
    no validation side, the temperature shipped with it; never the rows that are judged.
    """
    multi = held.data.multi_label
    squash = metrics.sigmoid if multi else metrics.softmax
    after, raw = np.empty(held.logits.shape), squash(held.logits)
    temperatures: dict[int, float] = {}
    for f in held.folds:
        own, tuning = held.fold == f, held.tuning(f)
        if tuning is not None:
            truth = tuning[1] if multi else tuning[1].argmax(1)
            temperatures[f] = calibration.fit_temperature(tuning[0], truth)
        elif held.temperature is not None:
            temperatures[f] = held.temperature
        after[own] = squash(held.logits[own], temperatures.get(f, 1.0))
    limits = thresholds_of(held, held.rule) if multi else None

    def scored(p: np.ndarray, shown: np.ndarray | None) -> Scored:
        return metrics.scored(
            p, held.truth, held.group_names, thresholds=shown, positive=held.positive, multi_label=multi
        )  # fmt: skip

    # Thresholds are chosen for the probabilities that the model shows when it is used.
    used = scored(shown_probabilities(held), limits)
    made = scored(after, None)
    return Calibrated(
        scored=replace(made, said=used.said),
        before=replace(scored(raw, None), said=used.said),
        temperatures=temperatures,
    )


def shown_probabilities(held: HeldOut) -> np.ndarray:
    """Return the probabilities the model shows when it is used: with its shipped temperature, if any."""
    squash = metrics.sigmoid if held.data.multi_label else metrics.softmax
    return squash(held.logits, held.temperature or 1.0)


def thresholds_of(held: HeldOut, rule: Rule) -> np.ndarray | None:
    """Return the thresholds of each judged row ``(n, K)``, chosen without it; None where that cannot be.

    Thresholds shipped with the model are used for the rule it is used with.
    """
    classes = held.logits.shape[1]
    if held.thresholds is not None and rule == held.rule:
        return np.broadcast_to(held.thresholds, held.logits.shape)
    if not isinstance(rule, str):
        return np.full(held.logits.shape, float(rule))
    squash = metrics.sigmoid if held.data.multi_label else metrics.softmax
    found = np.empty(held.logits.shape)
    for f in held.folds:
        tuning = held.tuning(f)
        if tuning is None:
            return None
        p = squash(tuning[0], held.temperature or 1.0)
        found[held.fold == f] = calibration.choose_thresholds(rule, p, tuning[1])
    return found.reshape(-1, classes)


@dataclass(frozen=True)
class ThresholdRow:
    """What one rule for thresholds gives on the judged images."""

    rule: Rule
    words: str
    thresholds: tuple[float, ...]
    numbers: dict[str, float] | None


def threshold_table(held: HeldOut) -> tuple[ThresholdRow, ...]:
    """Return each rule with its median thresholds and numbers; empty where a threshold does not apply.

    With one label per image thresholds apply to two classes: to the positive one. A rule that needs
    a validation side has no numbers without one.
    """
    multi, two = held.data.multi_label, held.logits.shape[1] == 2
    if not (multi or two):
        return ()
    p, truth = shown_probabilities(held), held.truth
    rows = []
    for rule in calibration.RULES:
        limits = thresholds_of(held, rule)
        if limits is None:
            rows.append(ThresholdRow(rule, calibration.rule_in_words(rule), (), None))
            continue
        said = p >= limits
        if not multi:
            yes = said[:, held.positive]
            said = np.where(np.arange(2) == held.positive, yes[:, None], ~yes[:, None])
            limits = limits[:, [held.positive]]
        of = Scored(p, said, truth, held.group_names, None if multi else held.positive, multi)
        middle = tuple(float(v) for v in np.median(limits, axis=0))
        rows.append(
            ThresholdRow(rule, calibration.rule_in_words(rule), middle, metrics.measure(of))
        )
    return tuple(rows)
