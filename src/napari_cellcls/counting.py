"""Counts and fractions with honest 95 % intervals: per class, and parasitemia for blood smears.

Cells that touch the image edge are counted like all others: leaving them out would favor small
cells, and an infected cell is as likely to be cut as a healthy one. Reports say how many they are.

Sources
-------
Wilson 1927, J Am Stat Assoc 22:209-212 (interval of a fraction).
Rogan & Gladen 1978, Am J Epidemiol 107:71-76 (fraction corrected for an imperfect test).
Lang & Reiczigel 2014, Prev Vet Med 113:13-22 (interval of the corrected fraction).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.vocabulary import COLUMNS, CellClass, ClassScheme, Estimate

if TYPE_CHECKING:
    from napari_cellcls.models.manifest import Metrics
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.predict import Predictions

Z95 = 1.959963984540054
"""Two-sided 95 % point of the normal distribution."""

INFECTED_IDS = frozenset({"parasitized", "parasitised", "infected"})
"""Class ids that mean an infected red cell."""


@dataclass(frozen=True)
class ClassCount:
    """How many cells have a class, and their share of all cells with its interval."""

    cell_class: CellClass
    count: int
    fraction: Estimate


@dataclass(frozen=True)
class ClassCounts:
    """Counts of one image or of several together.

    Attributes
    ----------
    total : int
        All cells, with or without a class.
    classes : tuple of ClassCount
        In the order of the scheme. A cell with several classes counts once in each of them.
    unassigned : int
        Cells without any class above its threshold.
    """

    total: int
    classes: tuple[ClassCount, ...]
    unassigned: int


def undefined(why: str, n: int = 0) -> Estimate:
    """Return the estimate that says "not defined" (NaN) and why."""
    return Estimate(math.nan, math.nan, math.nan, f"not defined: {why}", n)


def is_defined(estimate: Estimate) -> bool:
    """Tell whether an estimate has a value."""
    return not math.isnan(estimate.value)


def wilson(k: int, n: int) -> Estimate:
    """Return the fraction ``k / n`` with its 95 % Wilson score interval.

    Parameters
    ----------
    k, n : int
        Hits and trials, ``0 <= k <= n``. With ``n == 0`` the result is "not defined".

    Raises
    ------
    ValueError
        When ``k`` is not within ``0..n``.
    """
    if not 0 <= k <= n:
        raise ValueError(f"A fraction needs 0 <= k <= n; received k={k}, n={n}")
    if n == 0:
        return undefined("no cells")
    p = k / n
    center, half = _wilson_center(p, n)
    # At the ends the bound is exact by algebra; rounding would leave 1e-17 instead of 0.
    low = 0.0 if k == 0 else min(max(center - half, 0.0), p)
    high = 1.0 if k == n else max(min(center + half, 1.0), p)
    return Estimate(p, low, high, "Wilson", n)


def rogan_gladen(k: int, n: int, sensitivity: Estimate, specificity: Estimate) -> Estimate:
    """Return the fraction ``k / n`` corrected for false positives and false negatives.

    The value is Rogan and Gladen's; the 95 % interval is Lang and Reiczigel's, which carries the
    uncertainty of the count and of both test characteristics. The sample sizes behind
    sensitivity and specificity are the effective ones that their intervals imply, so that
    intervals clustered by patient stay as wide as they were measured. Value and bounds are
    clipped to 0..1 (the method text says so when the value was); the bounds are widened, if
    needed, to hold the value.

    Parameters
    ----------
    k, n : int
        Cells called positive, and all cells.
    sensitivity, specificity : Estimate
        With their 95 % intervals. Values in 0..1.

    Returns
    -------
    Estimate
        "Not defined" without cells, or when sensitivity + specificity <= 1 (the test says
        nothing), or when either is NaN.
    """
    apparent = wilson(k, n)
    if n == 0:
        return apparent
    se, sp = sensitivity.value, specificity.value
    if math.isnan(se) or math.isnan(sp):
        return undefined("sensitivity or specificity of the model is not known", n)
    if se + sp <= 1:
        return undefined(
            f"the test is uninformative (sensitivity {se:.3g} + specificity {sp:.3g} <= 1)", n
        )
    raw = (apparent.value + sp - 1) / (se + sp - 1)
    value = min(max(raw, 0.0), 1.0)
    interval = _lang_reiczigel(apparent.value, n, sensitivity, specificity)
    if interval is None:
        return undefined("sensitivity and specificity rest on too few cells to correct with", n)
    method = "Rogan-Gladen, Lang-Reiczigel interval"
    if value != raw:
        method += f", clipped from {raw:.4g}"
    low, high = (min(max(bound, 0.0), 1.0) for bound in interval)
    return Estimate(value, min(low, value), max(high, value), method, n)


def class_counts(predictions: Predictions) -> ClassCounts:
    """Count the predicted classes of :class:`~napari_cellcls.predict.Predictions`."""
    return counts_of(np.asarray(predictions.assigned, bool), predictions.scheme)


def count_names(names: Sequence[str], scheme: ClassScheme) -> ClassCounts:
    """Count class names as they stand in the ``class`` column (several joined by ``|``).

    Names outside the scheme count as cells without a class.
    """
    index = {name: i for i, name in enumerate(scheme.names)}
    assigned = np.zeros((len(names), len(scheme)), bool)
    for row, text in enumerate(names):
        for name in str(text).split(COLUMNS.joiner):
            if name in index:
                assigned[row, index[name]] = True
    return counts_of(assigned, scheme)


def total_counts(parts: Sequence[ClassCounts]) -> ClassCounts:
    """Add the counts of several images of the same model."""
    if not parts:
        return ClassCounts(0, (), 0)
    total = sum(part.total for part in parts)
    classes = tuple(
        ClassCount(rows[0].cell_class, hits := sum(r.count for r in rows), wilson(hits, total))
        for rows in zip(*(part.classes for part in parts), strict=True)
    )
    return ClassCounts(total, classes, sum(part.unassigned for part in parts))


def infected_class(scheme: ClassScheme) -> int | None:
    """Return the index of the class that means "infected", None when the model has none."""
    hits = [i for i, class_id in enumerate(scheme.ids) if class_id in INFECTED_IDS]
    return hits[0] if len(hits) == 1 else None


def parasitaemia(predictions: Predictions, package: ModelPackage) -> dict[str, Estimate]:
    """Return the share of infected red cells, as counted and corrected for the model's errors.

    Parameters
    ----------
    predictions : Predictions
        Of red cells only (white cells and platelets are left out by the smear finder).
    package : ModelPackage
        Its ``manifest.metrics`` gives sensitivity and specificity per cell with intervals.

    Returns
    -------
    dict of str to Estimate
        ``apparent`` (Wilson) and ``corrected`` (Rogan-Gladen); empty for a model without a
        class that means infected.
    """
    return parasitaemia_of(class_counts(predictions), package.manifest.metrics)


def parasitaemia_of(counts: ClassCounts, metrics: Metrics) -> dict[str, Estimate]:
    """Return the same as :func:`parasitaemia` from counts (of one image, or of a whole slide)."""
    scheme = ClassScheme(tuple(row.cell_class for row in counts.classes))
    infected = infected_class(scheme)
    if infected is None:
        return {}
    k = counts.classes[infected].count
    unknown = undefined("not measured")
    sensitivity = metrics.estimate("sensitivity") or unknown
    specificity = metrics.estimate("specificity") or unknown
    return {
        "apparent": wilson(k, counts.total),
        "corrected": rogan_gladen(k, counts.total, sensitivity, specificity),
    }


def counts_of(assigned: np.ndarray, scheme: ClassScheme) -> ClassCounts:
    """Return the counts of cells that have the classes ``assigned``, bool ``(N, K)``."""
    total = len(assigned)
    hits = assigned.sum(axis=0) if total else np.zeros(len(scheme), int)
    rows = tuple(
        ClassCount(cell_class, int(k), wilson(int(k), total))
        for cell_class, k in zip(scheme.classes, hits, strict=True)
    )
    return ClassCounts(total, rows, int(total - assigned.any(axis=1).sum()))


def _wilson_center(p: float, n: float) -> tuple[float, float]:
    z2 = Z95 * Z95
    scale = 1 + z2 / n
    half = Z95 * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / scale
    return (p + z2 / (2 * n)) / scale, half


def _effective_n(estimate: Estimate) -> float:
    """Return the number of trials whose Wilson interval is as wide as the one given."""
    width = estimate.high - estimate.low
    if width <= 0:
        return math.inf
    few, many = 1e-6, 1e12
    for _ in range(200):
        middle = math.sqrt(few * many)
        if 2 * _wilson_center(estimate.value, middle)[1] > width:
            few = middle
        else:
            many = middle
    return many


def _lang_reiczigel(
    p: float, n: int, sensitivity: Estimate, specificity: Estimate
) -> tuple[float, float] | None:
    z2 = Z95 * Z95
    p_a, n_a = (n * p + z2 / 2) / (n + z2), n + z2
    se, var_se = _shrunk(sensitivity)
    sp, var_sp = _shrunk(specificity)
    power = se + sp - 1
    if power <= 0:
        return None
    prevalence = (p_a + sp - 1) / power
    shift = 2 * z2 * (prevalence * var_se - (1 - prevalence) * var_sp)
    spread = (
        math.sqrt(p_a * (1 - p_a) / n_a + prevalence**2 * var_se + (1 - prevalence) ** 2 * var_sp)
        / power
    )
    center = prevalence + shift
    return center - Z95 * spread, center + Z95 * spread


def _shrunk(estimate: Estimate) -> tuple[float, float]:
    """Return the plus-one-success-plus-one-failure estimate and its variance."""
    n = _effective_n(estimate)
    if math.isinf(n):
        return estimate.value, 0.0
    p = (n * estimate.value + 1) / (n + 2)
    return p, p * (1 - p) / (n + 2)
