"""The bootstrap: it draws groups, repeats, agrees with drawing by hand, and pairs two models."""

from __future__ import annotations

import numpy as np
import pytest

from napari_cellcls.learn import intervals, metrics
from napari_cellcls.learn.metrics import Scored


def clustered(seed: int = 3, groups: int = 30, each: int = 40) -> Scored:
    rng = np.random.default_rng(seed)
    group = np.repeat([f"C{i}" for i in range(groups)], each)
    labels = rng.integers(0, 2, len(group))
    shift = np.repeat(rng.normal(0, 0.7, groups), each)
    score = np.round((1 - 2 * labels) * 1.2 + shift + rng.normal(0, 1, len(labels)), 1)
    p = metrics.softmax(np.stack([score, -score], 1))
    return metrics.scored(p, metrics.one_hot(labels, 2), group, positive=0)


def several(seed: int = 0, groups: int = 8, each: int = 5, classes: int = 4) -> Scored:
    rng = np.random.default_rng(seed)
    truth = rng.random((groups * each, classes)) < 0.3
    p = metrics.sigmoid(2.0 * truth - 1 + rng.normal(0, 1, truth.shape))
    return metrics.scored(p, truth, np.repeat(np.arange(groups), each), multi_label=True)


def drawn_by_hand(of: Scored, resamples: int, seed: int) -> list[dict[str, float]]:
    """Draw the same groups, but copy their rows and measure them as any other set."""
    names = np.unique(of.groups)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), resamples)
    rows = [np.flatnonzero(of.groups == name) for name in names]
    return [
        metrics.measure(of.take(np.concatenate([np.tile(r, t) for r, t in zip(rows, draw)])))
        for draw in times
    ]


@pytest.mark.parametrize("of", [clustered(groups=6, each=12), several()], ids=["two", "several"])
def test_every_sample_is_what_drawing_rows_gives(of: Scored) -> None:
    fast = intervals.resampled(of, 20, seed=7)
    for i, slow in enumerate(drawn_by_hand(of, 20, seed=7)):
        quick = {name: float(sample[i]) for name, sample in fast.values.items()}
        assert quick == pytest.approx({name: slow[name] for name in of.names}, nan_ok=True)


def test_chunks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    of = clustered(groups=6, each=12)
    whole = intervals.resampled(of, 40)
    monkeypatch.setattr(intervals, "_CHUNK", 7)
    parts = intervals.resampled(of, 40)
    for name in of.names:
        assert whole.values[name] == pytest.approx(parts.values[name], nan_ok=True)


def test_intervals_hold_the_value_and_grow_with_clustering() -> None:
    of = clustered()
    values, limits, samples = intervals.measured(of)
    alone = metrics.scored(of.probabilities, of.truth, positive=0)
    single = intervals.measured(alone, resamples=500)[1]
    for name in ("accuracy", "auc", "sensitivity", "specificity", "average_precision"):
        low, high = limits[name]
        assert low < values[name] < high
        assert high - low > single[name][1] - single[name][0]
    assert limits == intervals.measured(of)[1]
    assert samples is not None and samples.classes["precision"].shape == (2000, 2)


def test_one_group_gives_no_interval() -> None:
    of = clustered(groups=1)
    values, limits, samples = intervals.measured(of)
    assert samples is None and set(limits.values()) == {None} and 0 < values["accuracy"] < 1


def test_what_is_rarely_defined_has_no_interval() -> None:
    assert intervals.limits(np.array([0.5, np.nan, np.nan])) is None
    assert intervals.limits(np.array([np.nan, np.nan])) is None
    assert intervals.limits(np.array([0.0, 0.5, 1.0, np.nan]), 0.5) == (0.25, 0.75)


def test_mean_of_folds_draws_groups_within_folds() -> None:
    of = clustered(groups=10, each=20)
    fold = np.repeat([0, 1], 100)
    low, high = intervals.fold_mean_intervals(of, fold, resamples=300)["accuracy"]
    mean = np.mean([metrics.measure(of.take(fold == f))["accuracy"] for f in (0, 1)])
    assert low < mean < high


def test_difference_of_a_model_with_itself_is_nothing() -> None:
    of = clustered()
    found = intervals.paired_difference(of, of, resamples=50)
    assert set(found.values()) == {(0.0, (0.0, 0.0))}


def test_paired_difference_is_sharper_than_two_intervals() -> None:
    better = clustered()
    p = better.probabilities.copy()
    p[::25] = p[::25, ::-1]  # every 25th answer turned round
    worse = metrics.scored(p, better.truth, better.groups, positive=0)
    value, limits = intervals.paired_difference(better, worse)["accuracy"]
    own = intervals.measured(better)[1]["accuracy"]
    assert value == pytest.approx(
        metrics.measure(better)["accuracy"] - metrics.measure(worse)["accuracy"]
    )
    assert limits[0] < value < limits[1] and limits[0] > 0
    assert limits[1] - limits[0] < own[1] - own[0]


def test_coarse_bins_do_not_move_an_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    of = several(groups=40, each=5)
    fine = intervals.resampled(of, 200)
    monkeypatch.setattr(intervals, "_COARSE", 24)
    coarse = intervals.resampled(of, 200)
    for name in ("auc", "average_precision"):
        assert np.median(coarse.values[name]) == pytest.approx(
            np.median(fine.values[name]), abs=0.01
        )
