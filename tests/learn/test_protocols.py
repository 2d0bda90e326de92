"""Splits by protocol: what is planted on both sides stops the run with its name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_cellcls.learn.datasets import CellSet
from napari_cellcls.learn.duplicates import Near
from napari_cellcls.learn.protocols import SplitPlan, make_split, refuse_leaks
from napari_cellcls.learn.splits import Split, random_folds
from napari_cellcls.vocabulary import DataError, finish
from tests.learn import sets


def _copied(data: CellSet, source: int, target: int, turned: bool = False) -> CellSet:
    images = data.images.copy()
    images[target] = np.rot90(images[source]) if turned else images[source]
    return replace(data, images=images)


def test_grouped_folds_share_nothing() -> None:
    data = sets.cell_set()
    split = finish(make_split(data, SplitPlan("grouped", folds=3, val=0.5), fold=1))
    sides = [set(data.groups[rows]) for rows in split.sides().values()]
    assert sum(map(len, sides)) == 6 and not (sides[0] & sides[1] | sides[1] & sides[2])


def test_the_published_shares() -> None:
    data = sets.cell_set(200, groups=10)
    seventy = finish(make_split(data, SplitPlan("random", test=0.15, val=0.15 / 0.85)))
    assert [len(r) for r in seventy.sides().values()] == [140, 30, 30]
    eighty = finish(make_split(data, SplitPlan("random", test=0.2)))
    assert [len(r) for r in eighty.sides().values()] == [160, 0, 40]
    assert (
        "100.0 % of the test images have their patient on the training side too" in eighty.notes[0]
    )


def test_a_random_split_that_shares_no_group_flatters_nobody() -> None:
    data = sets.cell_set(12)
    data = replace(data, groups=np.array([f"C{i}" for i in range(12)]))
    split = finish(make_split(data, SplitPlan("random", test=0.34)))
    assert split.notes[0] == "The split is random, but no patient is on two sides, as it happens."


def test_random_folds_spread_classes() -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 7])
    fold = random_folds(labels, folds=5)
    assert np.bincount(fold).tolist() == [18, 18, 17, 17, 17]
    assert {len(np.flatnonzero((fold == k) & (labels == 1))) for k in range(5)} == {6}
    matrix = np.eye(3, dtype=int)[labels]
    matrix[:, 0] = 1
    rare = random_folds(matrix, folds=7)
    assert [int(((rare == k) & (labels == 2)).sum()) for k in range(7)] == [1] * 7


def test_one_patient_planted_on_both_sides_is_named() -> None:
    data = sets.cell_set()
    split = Split(np.arange(12), np.array([], int), np.arange(12, 24))
    with pytest.raises(DataError, match=r"same group is on the test side .* C0, C1") as error:
        refuse_leaks(data, split, Near(np.zeros((0, 2), int), np.zeros(0)), SplitPlan("grouped"))
    assert error.value.code == "DATA-LEAK"


@pytest.mark.parametrize("kind", ["grouped", "stratified", "hashed", "random", "kfold"])
def test_one_duplicate_crop_is_named(kind: str) -> None:
    data = sets.cell_set(60, groups=12)
    plan = SplitPlan(kind, folds=2, test=0.5)  # type: ignore[arg-type]
    split = finish(make_split(data, plan))
    spoiled = _copied(data, split.train[0], split.test[0])
    with pytest.raises(DataError, match="same image is on") as error:
        finish(make_split(spoiled, plan))
    assert data.names[split.train[0]] in error.value.why
    assert data.names[split.test[0]] in error.value.why


def test_one_turned_crop_of_another_patient_is_named() -> None:
    data = sets.cell_set()
    for kind in ("grouped", "random"):
        plan = SplitPlan(kind, folds=2, test=0.5)  # type: ignore[arg-type]
        split = finish(make_split(data, plan))
        other = next(r for r in split.test if data.groups[r] != data.groups[split.train[0]])
        spoiled = _copied(data, split.train[0], other, turned=True)
        with pytest.raises(DataError, match=r"same image \(nearly\) is on") as error:
            finish(make_split(spoiled, plan))
        assert (
            data.names[split.train[0]] in error.value.why and data.names[other] in error.value.why
        )


def test_a_random_split_says_how_many_of_a_patient_are_nearly_the_same() -> None:
    data = sets.cell_set()
    plan = SplitPlan("random", test=0.5)
    split = finish(make_split(data, plan))
    pair = next((a, b) for a in split.train for b in split.test if data.groups[a] == data.groups[b])
    notes = finish(make_split(_copied(data, *pair, turned=True), plan)).notes
    assert "1 nearly identical pairs of one group lie on two sides." in notes


def test_duplicates_may_be_allowed_and_are_then_said() -> None:
    data = sets.cell_set()
    plan = SplitPlan("random", test=0.5, allow_duplicates=True)
    split = finish(make_split(data, plan))
    spoiled = _copied(data, split.train[0], split.test[0])
    notes = finish(make_split(spoiled, plan)).notes
    assert any(
        "1 nearly identical pairs lie on two sides, allowed by the recipe" in n for n in notes
    )


def test_a_class_too_small_for_the_sides_is_named() -> None:
    data = sets.cell_set(24, classes=2)
    labels = data.labels.copy()
    labels[:] = 0
    labels[3] = 1
    with pytest.raises(DataError, match="b: 1 in all, ") as error:
        finish(make_split(replace(data, labels=labels), SplitPlan("random", test=0.5)))
    assert error.value.code == "DATA-FEW"


def test_of_several_labels_rare_ones_are_noted_only() -> None:
    data = sets.cell_set(24)
    labels = np.zeros((24, 2), np.uint8)
    labels[:, 0] = 1
    labels[5, 1] = 1
    split = finish(make_split(replace(data, labels=labels), SplitPlan("grouped", folds=2)))
    assert any(n.startswith("No image of b is on the") for n in split.notes)


def test_another_column_may_group() -> None:
    data = sets.cell_set()
    days = np.array([f"day {i % 3}" for i in range(24)])
    data = replace(data, extra={"date": days})
    split = finish(make_split(data, SplitPlan("grouped", by="date", folds=3)))
    assert set(days[split.test]) & set(days[split.train]) == set()
    assert "only 3 groups" in split.notes[0]
    with pytest.raises(DataError, match=r"cannot be grouped by slide.*columns: patient, date"):
        finish(make_split(data, SplitPlan("grouped", by="slide")))


def test_an_earlier_split_is_kept_and_lists_are_followed() -> None:
    data = sets.cell_set(60, groups=12)
    with pytest.raises(DataError, match=r"there is no sides\.csv"):
        finish(make_split(data, SplitPlan("listed")))
    data = replace(data, sides={"C3": "test", "C4": "test", "C5": "validation"})
    split = finish(make_split(data, SplitPlan("stratified", test=0.25, val=0.25)))
    assert {"C3", "C4"} <= set(data.groups[split.test]) and "C5" in data.groups[split.val]
    listed = finish(make_split(data, SplitPlan("listed")))
    assert set(data.groups[listed.test]) == {"C3", "C4"} and len(listed.train) == 45
    lists = {"training": ("C0", "C1"), "test": ("C2",), "validation": ("C3",)}
    split = finish(make_split(data, SplitPlan("listed", lists=lists)))
    assert set(data.groups[split.test]) == {"C2"} and "C11" in data.groups[split.train]


def _with_training_only(data: CellSet, rows: list[int]) -> CellSet:
    marked = np.where(np.isin(np.arange(len(data)), rows), "yes", "")
    return replace(data, extra={**data.extra, "training_only": marked})


@pytest.mark.parametrize("kind", ["grouped", "random", "kfold", "stratified", "hashed"])
def test_cells_for_training_only_never_judge(kind: str) -> None:
    data = _with_training_only(sets.cell_set(40, groups=10), [3, 17, 25])
    split = finish(make_split(data, SplitPlan(kind, test=0.3, folds=3), fold=1))  # type: ignore[arg-type]
    assert not set(split.test) & {3, 17, 25} and not set(split.val) & {3, 17, 25}


def test_cells_for_training_only_do_not_move_the_folds() -> None:
    data = sets.cell_set(40, groups=10)
    plain = finish(make_split(data, SplitPlan("grouped", folds=5), fold=2))
    mark = [int(plain.test[0]), int(plain.train[0])]
    # One cell of a group held out, one of a group trained on; the rest of the groups is as before.
    more = replace(
        data.take(np.r_[np.arange(40), mark]),
        images=np.concatenate([data.images, 255 - data.images[mark]]),
        digests=None,
    )
    split = finish(
        make_split(_with_training_only(more, [40, 41]), SplitPlan("grouped", folds=5), fold=2)
    )
    assert split.test.tolist() == plain.test.tolist()
    assert set(split.train) == {*plain.train.tolist(), 41}
