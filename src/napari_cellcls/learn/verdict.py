"""The verdict on held-out answers: everything measured, as the content of ``metrics.json`` and as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_cellcls.learn import calibration, intervals, metrics
from napari_cellcls.learn.baselines import Baseline
from napari_cellcls.learn.heldout import (
    SHARED,
    UNKNOWN,
    Calibrated,
    HeldOut,
    ThresholdRow,
    calibrated,
    threshold_table,
)
from napari_cellcls.learn.metrics import Scored
from napari_cellcls.learn.wording import (
    in_words,
    interval_words,
    measured_as,
    number,
    rounded,
    statement,
    text_table,
    value_in_words,
)

_GROUP_CELLS, _WORST = 20, 8
Row = dict[str, Any]


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    Attributes
    ----------
    metrics : dict
        The content of ``metrics.json``: flat numbers first; null where not defined.
    rows : dict of str to dict
        Columns of the text tables: all images, mean over folds, confirmed labels, each fold.
    temperature : float
        Fitted on all held-out logits: for a model trained on all data.
    worst : tuple of (str, int, float)
        Groups with the lowest accuracy (several labels: sample F1): name, images, value (groups of
        20 images or more).
    logits : numpy.ndarray
        ``(N, K)`` held-out logits.
    held : HeldOut
        What was judged.
    answers : Calibrated
    baselines : dict of str to dict
        Trivial answers, as ``rows``.
    thresholds : tuple of ThresholdRow
    statement : str
        How the numbers came about, in sentences.
    """

    metrics: dict[str, Any]
    rows: dict[str, Row]
    temperature: float
    worst: tuple[tuple[str, int, float], ...]
    held: HeldOut = field(repr=False)
    answers: Calibrated = field(repr=False)
    baselines: dict[str, Row] = field(default_factory=dict)
    thresholds: tuple[ThresholdRow, ...] = ()
    statement: str = ""

    @property
    def logits(self) -> np.ndarray:
        """Return the held-out logits ``(N, K)``."""
        return self.held.logits

    @property
    def shown(self) -> tuple[str, ...]:
        """Return the numbers that tables show."""
        return metrics.SEVERAL if self.held.data.multi_label else metrics.BINARY

    def text(self) -> str:
        """Return the report as plain text for a terminal."""
        single = {title: row for title, row in self.rows.items() if title.startswith("fold ")}
        joined = {title: row for title, row in self.rows.items() if title not in single}
        lines = [f"Protocol: {self.metrics['protocol']}", self.statement, ""]
        lines += [text_table(joined, self.shown, turned=True), ""]
        if self.baselines:
            lines += ["Without looking at the cells:", text_table(self.baselines, self.shown, turned=True), ""]  # fmt: skip
        if single:
            lines += [text_table(single, self.shown), ""]
        if self.metrics["labels_per_image"] == "one" and len(self.metrics["classes"]) > 2:
            lines += [text_table(self.metrics["classes"], metrics.PER_CLASS), ""]
        lines += self._last_lines()
        return "\n".join(lines).rstrip()

    def _last_lines(self) -> list[str]:
        found = self.metrics
        lines = []
        if found["temperature"] is not None:
            before = f"calibration error {number(found['ece_before'])} before, {number(found['ece'])} after"
            lines.append(
                f"Temperature {found['temperature']:.3f} from {found['tuned_on']}: {before}"
            )
        for entry in self.held.published:
            theirs = f" ({entry['protocol']})" if entry["protocol"] else ""
            own = measured_as(str(entry["metric"]))
            here = f"; here {in_words(found, own)}" if own else ""
            lines.append(
                f"Published: {entry['metric']} {value_in_words(entry['value'])}{theirs}{here}"
            )
        if "specificity_at_93" in found:
            lines.append(f"Specificity at 93 % sensitivity {number(found['specificity_at_93'])}")
        if self.worst:
            worst = ", ".join(f"{name} {value:.3f} of {n}" for name, n, value in self.worst)
            what = "sample F1" if self.held.data.multi_label else "accuracy"
            lines.append(f"Lowest {what} by group: {worst}")
        return lines


def judge(held: HeldOut, baselines: Sequence[Baseline] = (), *, resamples: int = 2000) -> Report:
    """Measure held-out answers, with intervals by group.

    Parameters
    ----------
    held : HeldOut
    baselines : sequence of Baseline
        As from :func:`napari_cellcls.learn.baselines.trivial`.
    resamples : int
        Of the bootstrap.
    """
    answers = calibrated(held)
    of = answers.scored
    thresholds = threshold_table(held)
    pooled, samples = _row(of, resamples)
    pooled = {"protocol": held.protocol, **pooled}
    rows: dict[str, Row] = {"all cells" if not of.multi_label else "all images": pooled}
    if of.positive is not None:
        pooled["specificity_at_93"] = rounded(
            metrics.specificity_at(of.probabilities[:, of.positive], of.truth[:, of.positive])
        )
    folds = {f: metrics.measure(of.take(held.fold == f)) for f in held.folds}
    if len(folds) > 1:
        limits = intervals.fold_mean_intervals(of, held.fold, resamples=resamples)
        rows["mean ± SD of folds"] = _mean_of_folds(folds.values(), limits, of)
        pooled |= _fold_keys(rows["mean ± SD of folds"], of.names)
    if held.clean is not None and not held.clean.all() and held.clean.any():
        title = "confirmed labels only"
        rows[title] = {"protocol": f"{held.protocol}; {title}", **_row(of.take(held.clean), resamples)[0]}  # fmt: skip
        pooled["accuracy_clean"], pooled["auc_clean"] = rows[title]["accuracy"], rows[title]["auc"]
    if len(folds) > 1:
        # Not rounded: a table rounds once, to the digits it shows.
        rows |= {f"fold {f}": _defined(found) for f, found in folds.items()}
        pooled["folds"] = {str(f): {**_rounded(found), "n": int(found["n"])} for f, found in folds.items()}  # fmt: skip
    beside = {b.name: {**_row(b.scored, resamples)[0], "words": b.words} for b in baselines}
    pooled |= _further(held, answers, samples, thresholds, beside)
    worst = worst_groups(of)
    pooled["worst_groups"] = [
        {"group": g, "n": n, ("sample_f1" if of.multi_label else "accuracy"): rounded(v)}
        for g, n, v in worst
    ]
    labels = held.truth if of.multi_label else held.truth.argmax(1)
    temperature = calibration.fit_temperature(held.logits, labels)
    return Report(pooled, rows, temperature, worst, held, answers, beside, thresholds, statement(held))  # fmt: skip


def _row(of: Scored, resamples: int) -> tuple[Row, intervals.Samples | None]:
    values, limits, samples = intervals.measured(of, resamples=resamples)
    row: Row = {"n": int(values["n"])}
    for name in of.names:
        low, high = limits[name] or (None, None)
        row |= {name: rounded(values[name]), f"{name}_low": rounded(low), f"{name}_high": rounded(high)}  # fmt: skip
    return row, samples


def _further(
    held: HeldOut,
    answers: Calibrated,
    samples: intervals.Samples | None,
    thresholds: Sequence[ThresholdRow],
    baselines: Mapping[str, Row],
) -> Row:
    """Return the entries of ``metrics.json`` behind the headline numbers."""
    of, classes = answers.scored, held.data.classes
    found: Row = {
        "model": held.model,
        "model_sha256": held.sha256 or None,
        "labels_per_image": "several" if of.multi_label else "one",
        "groups": len(np.unique(of.groups)),
        "group_kind": held.group_words or None,
        "groups_apart": None if held.groups == UNKNOWN else held.groups != SHARED,
        "intervals": interval_words(held),
        "temperature": rounded(float(np.mean(list(answers.temperatures.values())))) if answers.temperatures else None,
        "tuned_on": held.tuned_on or None,
        "ece_before": rounded(metrics.measure(answers.before)["ece"]),
        "classes": dict(zip(classes, class_rows(of, samples))),
        "thresholds": [
            {
                "rule": row.words,
                "thresholds": [rounded(t) for t in row.thresholds] or None,
                **({} if row.numbers is None else _rounded(row.numbers)),
            }
            for row in thresholds
        ],
        "baselines": dict(baselines),
    }  # fmt: skip
    if of.multi_label:
        found["accuracy_all_zeros"] = rounded(float((~of.truth).mean()))
        found["classes_never_there"] = [
            c for k, c in enumerate(classes) if not of.truth[:, k].any()
        ]
    else:
        found["confusion"] = confusion(of).tolist()
    if held.published:
        found["published"] = [dict(entry) for entry in held.published]
    return found


def class_rows(of: Scored, samples: intervals.Samples | None) -> list[Row]:
    """Return the numbers of each class: how many, rates with intervals, AUC and average precision."""
    counts = metrics.outcomes(of).sum(0)
    rates, ranks = metrics.class_rates(counts), metrics.rank_numbers(of)
    rows = []
    for k in range(of.truth.shape[1]):
        row: Row = {"n": int(of.truth[:, k].sum()), "said": int(of.said[:, k].sum())}
        for name in metrics.PER_CLASS:
            interval = None if samples is None else intervals.limits(samples.classes[name][:, k])
            # A rate that no draw changes (no hit at all) has no interval that says anything.
            low, high = interval if interval and interval[0] < interval[1] else (None, None)
            row |= {name: rounded(float(rates[name][k])), f"{name}_low": rounded(low), f"{name}_high": rounded(high)}  # fmt: skip
        rows.append(row | {name: rounded(float(values[k])) for name, values in ranks.items()})
    return rows


def confusion(of: Scored) -> np.ndarray:
    """Return how often each true class (row) was said to be each class (column), ``(K, K)``."""
    k = of.truth.shape[1]
    pairs = of.truth.argmax(1) * k + of.said.argmax(1)
    return np.bincount(pairs, minlength=k * k).reshape(k, k)


def worst_groups(of: Scored) -> tuple[tuple[str, int, float], ...]:
    """Return groups with the lowest accuracy (several labels: sample F1): name, images, value."""
    names, n, value = group_values(of)
    order = [g for g in np.argsort(value, kind="stable") if n[g] >= _GROUP_CELLS][:_WORST]
    return tuple(
        (str(names[g]), int(n[g]), float(value[g])) for g in order if not np.isnan(value[g])
    )


def group_values(of: Scored) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return name, images, and accuracy (several labels: sample F1) of every group."""
    each = metrics.image_f1(of) if of.multi_label else (of.said & of.truth).any(1).astype(float)
    known = ~np.isnan(each)
    names, group, n = np.unique(of.groups, return_inverse=True, return_counts=True)
    total = np.bincount(group, weights=np.where(known, each, 0.0))
    return names, n, metrics.divided(total, np.bincount(group, weights=known))


def _mean_of_folds(
    folds: Iterable[Mapping[str, float]],
    limits: Mapping[str, tuple[float, float] | None],
    of: Scored,
) -> Row:
    folds = list(folds)
    entry: Row = {"n": len(of)}
    for name in of.names:
        values = [f[name] for f in folds]
        low, high = limits[name] or (None, None)
        entry |= {name: rounded(float(np.mean(values))), f"{name}_low": rounded(low), f"{name}_high": rounded(high)}  # fmt: skip
        entry[f"{name}_sd"] = rounded(float(np.std(values, ddof=1)))
    return entry


def _fold_keys(mean: Row, names: Iterable[str]) -> Row:
    found: Row = {}
    for name in names:
        found |= {f"{name}_fold_mean{end}": mean[f"{name}{end}"] for end in ("", "_low", "_high")}
        found[f"{name}_fold_sd"] = mean[f"{name}_sd"]
    return found


def _defined(values: Mapping[str, float]) -> Row:
    return {name: value if np.isfinite(value) else None for name, value in values.items()}


def _rounded(values: Mapping[str, float]) -> Row:
    return {name: rounded(value) for name, value in values.items() if name != "n"}
