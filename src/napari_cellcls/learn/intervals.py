"""How far numbers might be off: bootstrap that draws whole groups, for one model or the difference of two.

Cells of a patient (images of an antibody) are alike, so drawing single images would promise too
much. Every number is a function of sums over groups, so all resamples are a few matrix products.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from napari_cellcls.learn import metrics
from napari_cellcls.learn.metrics import Scored

_FINE, _COARSE = 4096, 512
_CHUNK = 250
LEVEL = 0.95


@dataclass(frozen=True)
class Samples:
    """Numbers of every bootstrap sample.

    Attributes
    ----------
    values : dict of str to numpy.ndarray
        Number -> ``(R,)``.
    classes : dict of str to numpy.ndarray
        Number of each class -> ``(R, K)``.
    """

    values: dict[str, np.ndarray]
    classes: dict[str, np.ndarray]

    def limits(self) -> dict[str, tuple[float, float] | None]:
        """Return the percentile interval of each number, None where it is not defined."""
        return {name: limits(sample) for name, sample in self.values.items()}


def resampled(of: Scored, resamples: int = 2000, seed: int = 42) -> Samples:
    """Draw as many groups as there are, with replacement, and measure, many times.

    Parameters
    ----------
    of : Scored
    resamples : int
    seed : int
        Two models on the same rows get the same draws.

    Returns
    -------
    Samples
        The AUC and the average precision use up to 4,096 score bins of equal count (512 with more
        than two classes), moved by what binning changes in the number itself.
    """
    names, group = np.unique(of.groups, return_inverse=True)
    tables = _Tables(of, group, len(names))
    parts = [tables.measure(drawn) for drawn in draws(len(names), resamples, seed)]
    values = {name: np.concatenate([p[0][name] for p in parts]) for name in of.names}
    # Bins of score lose a little of a ranking, the same in every sample: put it back.
    exact, binned = metrics.measure(of), tables.measure(np.ones((1, len(names))))[0]
    for name in ("auc", "average_precision"):
        if not np.isnan(exact[name]):
            values[name] = values[name] + (exact[name] - binned[name])
    classes = {name: np.concatenate([p[1][name] for p in parts]) for name in metrics.PER_CLASS}
    return Samples(values, classes)


def limits(sample: np.ndarray, level: float = LEVEL) -> tuple[float, float] | None:
    """Return the percentile interval of samples ``(R,)``, None where most are not defined."""
    known = sample[~np.isnan(sample)]
    if len(known) * 2 < len(sample) or not len(known):
        return None
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(known, [tail, 100 - tail])
    return float(low), float(high)


def measured(
    of: Scored, *, resamples: int = 2000, seed: int = 42
) -> tuple[dict[str, float], dict[str, tuple[float, float] | None], Samples | None]:
    """Return the numbers, their intervals, and the samples these come from.

    With a single group there is nothing to draw from: then no interval is defined.
    """
    values = metrics.measure(of)
    if len(np.unique(of.groups)) < 2 or resamples < 2:
        return values, dict.fromkeys(of.names), None
    samples = resampled(of, resamples, seed)
    found = samples.limits()
    found["ece"] = _centered(samples.values["ece"], values["ece"])
    return values, found, samples


def _centered(sample: np.ndarray, value: float) -> tuple[float, float] | None:
    """Return the interval of an error that drawing alone makes larger, moved by that much.

    A mean of absolute gaps grows with noise, and every bootstrap sample has more of it than the
    data: without this the interval of a small calibration error would lie above it.
    """
    found = limits(sample)
    if found is None:
        return None
    excess = max(0.0, float(np.nanmedian(sample)) - value)
    return max(0.0, found[0] - excess), found[1] - excess


def fold_mean_intervals(
    of: Scored, fold: np.ndarray, *, resamples: int = 2000, seed: int = 42
) -> dict[str, tuple[float, float] | None]:
    """Return intervals of the mean over folds: groups are drawn within their fold.

    Parameters
    ----------
    of : Scored
    fold : numpy.ndarray
        ``(N,)``; groups must not cross folds.
    """
    found = [
        resampled(of.take(fold == f), resamples, seed + 1 + i).values
        for i, f in enumerate(np.unique(fold))
    ]
    means = {name: np.mean([s[name] for s in found], axis=0) for name in of.names}
    error = np.mean([metrics.measure(of.take(fold == f))["ece"] for f in np.unique(fold)])
    return {
        name: _centered(mean, float(error)) if name == "ece" else limits(mean)
        for name, mean in means.items()
    }


def paired_difference(
    first: Scored, second: Scored, *, resamples: int = 2000, seed: int = 42
) -> dict[str, tuple[float, tuple[float, float] | None]]:
    """Return ``first - second`` of each number with its interval, both judged on the same draws.

    Parameters
    ----------
    first, second : Scored
        Of the same images in the same order.
    """
    values = [metrics.measure(s) for s in (first, second)]
    names = [name for name in first.names if name in second.names]
    if len(np.unique(first.groups)) < 2:
        return {name: (values[0][name] - values[1][name], None) for name in names}
    samples = [resampled(s, resamples, seed).values for s in (first, second)]
    return {
        name: (values[0][name] - values[1][name], limits(samples[0][name] - samples[1][name]))
        for name in names
    }


def draws(groups: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each group is drawn, ``(chunk, G)`` float64; chunks keep the memory small."""
    rng = np.random.default_rng(seed)
    share = np.full(groups, 1 / groups)
    for start in range(0, resamples, _CHUNK):
        yield rng.multinomial(groups, share, min(_CHUNK, resamples - start)).astype(np.float64)


class _Tables:
    """Sums over groups that every number follows from."""

    def __init__(self, of: Scored, group: np.ndarray, n_groups: int) -> None:
        self.of, self.group, self.n_groups = of, group, n_groups
        self.outcomes = self._sums(metrics.outcomes(of).reshape(len(of), -1))
        which, gap = metrics.calibration_gaps(of)
        self.gaps = self._binned(which, gap, metrics.BINS)
        self.decisions = self._sums(np.full((len(of), 1), which.shape[1]))
        f1 = metrics.image_f1(of)
        self.f1 = self._sums(np.stack([np.nan_to_num(f1), ~np.isnan(f1)], 1))
        same = (of.said == of.truth).all(1)
        self.exact = self._sums(np.stack([same, np.ones(len(of))], 1))
        self.ranks = [self._rank_tables(k) for k in of.ranked]

    def measure(self, drawn: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Return the numbers of each draw ``(R, G)``, and those of each class."""
        of = self.of
        counts = (drawn @ self.outcomes).reshape(len(drawn), 4, -1)
        found = metrics.count_rates(counts, of.positive, of.multi_label)
        ranked = [(hits @ drawn.T, misses @ drawn.T) for hits, misses in self.ranks]
        found["auc"] = metrics.mean_defined(np.stack([metrics.auc_of(*r) for r in ranked], -1))
        found["average_precision"] = metrics.mean_defined(
            np.stack([metrics.precision_of(*r) for r in ranked], -1)
        )
        found["sample_f1"] = metrics.divided(*(drawn @ self.f1).T)
        found["exact_match"] = metrics.divided(*(drawn @ self.exact).T)
        gaps = np.abs(drawn @ self.gaps).sum(1)
        found["ece"] = metrics.divided(gaps, (drawn @ self.decisions)[:, 0])
        return {name: found[name] for name in of.names}, metrics.class_rates(counts)

    def _sums(self, columns: np.ndarray) -> np.ndarray:
        """Return columns ``(N, M)`` summed over the rows of each group, ``(G, M)``."""
        total = [np.bincount(self.group, weights=c, minlength=self.n_groups) for c in columns.T]
        return np.stack(total, 1)

    def _binned(self, which: np.ndarray, weight: np.ndarray, bins: int) -> np.ndarray:
        place = (self.group[:, None] * bins + which).ravel()
        flat = np.bincount(place, weights=weight.ravel(), minlength=self.n_groups * bins)
        return flat.reshape(self.n_groups, bins)

    def _rank_tables(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return positives and negatives by score bin and group, sparse ``(bins, G)``."""
        from scipy.sparse import coo_array

        _, rank = np.unique(self.of.probabilities[:, k], return_inverse=True)
        most = _FINE if len(self.of.ranked) <= 2 else _COARSE
        ranks = int(rank.max()) + 1
        bins = (rank * most // ranks if ranks > most else rank).astype(int)
        shape = (int(bins.max()) + 1, self.n_groups)

        def table(rows: np.ndarray) -> np.ndarray:
            ones = np.ones(int(rows.sum()))
            made: np.ndarray = coo_array((ones, (bins[rows], self.group[rows])), shape).tocsr()
            return made

        true = self.of.truth[:, k]
        return table(true), table(~true)
