"""The quick head: what it learns, what it refuses, and that replay keeps the old classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from napari_cellcls.learn import head, prior
from napari_cellcls.learn.head import fit_head
from napari_cellcls.vocabulary import DataError

D = 60
CENTERS = np.random.default_rng(7).normal(0, 0.35, (5, D))


def cells(per_class: int, classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return descriptors of cells around the center of their class, and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), per_class)
    return (CENTERS[labels] + rng.normal(size=(len(labels), D))).astype(np.float32), labels


def accuracy(found: head.Head, classes: int = 3) -> float:
    """Return the share of right answers on cells of another draw."""
    x, labels = cells(400, classes, seed=99)
    return float((found.logits(x).argmax(1) == labels).mean())


def test_it_learns_and_says_how_sure_it_may_be() -> None:
    x, labels = cells(60)
    found = fit_head(x, np.eye(3)[labels])
    assert accuracy(found) > 0.8
    held = found.held_out.argmax(1) == labels
    assert held.mean() == pytest.approx(accuracy(found), abs=0.1)
    assert found.folds == 4 and not found.grouped and 0.3 < found.temperature < 2


def test_it_is_the_ridge_logistic_regression_of_scikit_learn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(head, "_ROUNDS", 2000)
    x, labels = cells(20)
    scale = np.sqrt((x.std(0) ** 2).mean() * D)
    z = (x - x.mean(0)) / scale
    monkeypatch.setattr(prior, "STRENGTHS", (0.01 * len(x),) * 4)
    found = fit_head(x, np.eye(3)[labels])
    other = LogisticRegression(
        C=1 / (0.01 * len(x)), class_weight="balanced", max_iter=5000, tol=1e-8
    ).fit(z, labels)
    probe, _ = cells(30, seed=5)
    expected = other.decision_function((probe - x.mean(0)) / scale)
    got = found.logits(probe)
    assert got - got.mean(1, keepdims=True) == pytest.approx(
        expected - expected.mean(1, keepdims=True), abs=0.02
    )


def test_the_usual_penalty_stays_unless_cells_say_otherwise() -> None:
    x, labels = cells(12)
    # Cells that all look alike: every penalty is as good as any other.
    alike = np.ones_like(x)
    assert fit_head(alike, np.eye(3)[labels]).strength == pytest.approx(0.05 / 36)
    # Labels that say nothing: a head that hardly moves is right more often than one that believes them.
    noise = np.random.default_rng(3).permutation(np.repeat([0, 1, 2], 100))
    assert fit_head(cells(100)[0], np.eye(3)[noise]).strength > 0.05 / 300


def test_rare_classes_count_as_much() -> None:
    x, labels = cells(100)
    keep = np.r_[:15, 100:300]
    found = fit_head(x[keep], np.eye(3)[labels[keep]])
    probe, truth = cells(300, seed=3)
    assert (found.logits(probe).argmax(1) == truth)[truth == 0].mean() > 0.45


def test_groups_stay_together_in_the_folds() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 60)
    groups = np.repeat([f"image{k}" for k in range(12)], 10)
    # All that tells the classes apart is the look of the image: a held-out image is a coin toss.
    look = np.array([rng.normal(size=(2, D)) for _ in range(12)])
    x = look[np.repeat(np.arange(12), 10), labels] * 3 + rng.normal(size=(120, D)) * 0.1
    apart = fit_head(x, np.eye(2)[labels], groups=groups)
    mixed = fit_head(x, np.eye(2)[labels])
    assert apart.grouped and not mixed.grouped
    assert (mixed.held_out.argmax(1) == labels).mean() > 0.95
    assert (apart.held_out.argmax(1) == labels).mean() < 0.75


def test_replay_keeps_a_class_that_nobody_labeled_now() -> None:
    old, was = cells(80)
    new, now = cells(40, seed=1)
    only = now != 2
    replay = (old, np.eye(3)[was])
    forgotten = fit_head(new[only], np.eye(3)[now[only]])
    kept = fit_head(new[only], np.eye(3)[now[only]], replay=replay)
    probe, truth = cells(300, seed=4)
    assert (forgotten.logits(probe).argmax(1) == truth)[truth == 2].mean() < 0.1
    assert (kept.logits(probe).argmax(1) == truth)[truth == 2].mean() > 0.75


def test_several_labels_with_some_not_judged() -> None:
    x, labels = cells(80)
    targets = np.stack([labels == 0, labels != 2], 1).astype(float)
    targets[::3, 0] = np.nan
    found = fit_head(x, targets)
    probe, truth = cells(300, seed=6)
    said = found.logits(probe) > 0
    assert (said[:, 0] == (truth == 0)).mean() > 0.85 and (said[:, 1] == (truth != 2)).mean() > 0.85


def test_what_is_not_judged_changes_nothing() -> None:
    x, labels = cells(40)
    targets = np.stack([labels == 0, labels == 1], 1).astype(float)
    targets[:10, 1] = np.nan
    again = targets.copy()
    again[:, 1] = np.where(np.isnan(targets[:, 1]), np.nan, targets[:, 1])
    assert np.array_equal(fit_head(x, targets).kernel, fit_head(x, again).kernel)


def test_weights_silence_wrong_labels() -> None:
    x, labels = cells(60)
    wrong = labels.copy()
    wrong[::3] = (labels[::3] + 1) % 3
    weights = np.where(wrong == labels, 1.0, 0.0)
    assert accuracy(fit_head(x, np.eye(3)[wrong], weights=weights)) > accuracy(
        fit_head(x, np.eye(3)[wrong])
    )


def test_the_same_cells_give_the_same_head() -> None:
    x, labels = cells(30)
    one, two = (fit_head(x, np.eye(3)[labels]) for _ in range(2))
    assert np.array_equal(one.kernel, two.kernel) and np.array_equal(one.held_out, two.held_out)


@pytest.mark.parametrize(("rows", "said"), [([0, 1], "2, 0, 0"), ([], "0, 0, 0")])
def test_one_class_is_refused(rows: list[int], said: str) -> None:
    x, labels = cells(3)
    with pytest.raises(DataError, match=f"nothing to tell apart.*{said}") as error:
        fit_head(x[rows], np.eye(3)[labels[rows]])
    assert error.value.code == "LEARN-FEW"


def test_broken_descriptors_are_refused() -> None:
    x, labels = cells(3)
    x[4, 2] = np.nan
    with pytest.raises(DataError, match="1 of 9 hold numbers that are not finite"):
        fit_head(x, np.eye(3)[labels])
    with pytest.raises(DataError, match="do not belong together"):
        fit_head(x[:4], np.eye(3)[labels])


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(0, 1000))
def test_one_cell_per_class_is_enough_to_begin(per_class: int, seed: int) -> None:
    x, labels = cells(per_class, seed=seed)
    found = fit_head(x, np.eye(3)[labels])
    assert np.isfinite(found.kernel).all() and (found.logits(x).argmax(1) == labels).mean() > 0.9
    assert found.folds == (0 if per_class < 2 else min(4, per_class))


def test_a_few_measured_numbers_are_heard_beside_a_long_embedding() -> None:
    rng = np.random.default_rng(3)
    labels = np.repeat([0, 1], 30)
    embedding = rng.normal(size=(60, 400)).astype(np.float32)
    measured = (labels[:, None] * 2 + rng.normal(size=(60, 2))).astype(np.float32)
    x = np.hstack([embedding, measured])
    alike, apart = (fit_head(x, np.eye(2)[labels], blocks=blocks) for blocks in (None, (400, 2)))
    shares = [(found.held_out.argmax(1) == labels).mean() for found in (alike, apart)]
    assert shares[1] > 0.85 > shares[0]


def test_blocks_that_do_not_add_up_are_refused() -> None:
    x, labels = cells(5)
    with pytest.raises(DataError, match=r"blocks of 50 columns, descriptors have 60"):
        fit_head(x, np.eye(3)[labels], blocks=(20, 30))


def test_without_evidence_the_head_before_stays() -> None:
    x, labels = cells(200)
    before = fit_head(x, np.eye(3)[labels])
    few, theirs = cells(5, seed=8)
    prior = (before.kernel, before.bias)
    after = fit_head(few, np.eye(3)[theirs], prior=prior)
    alone = fit_head(few, np.eye(3)[theirs])
    assert accuracy(after) > accuracy(before) - 0.01 > accuracy(alone)
    one, theirs = cells(1, seed=8)
    assert accuracy(fit_head(one, np.eye(3)[theirs], prior=prior)) > accuracy(before) - 0.03


def test_a_class_that_the_head_before_did_not_know_is_learned() -> None:
    x, labels = cells(200)
    before = fit_head(x, np.eye(3)[labels])
    kernel, bias = np.pad(before.kernel, ((0, 0), (0, 1))), np.append(before.bias, 0.0)
    few, theirs = cells(15, classes=4, seed=8)
    after = fit_head(few, np.eye(4)[theirs], prior=(kernel, bias))
    alone = fit_head(few, np.eye(4)[theirs])
    assert accuracy(after, 4) > max(accuracy(alone, 4), 0.75)
    new, _ = cells(400, 4, seed=99)
    assert (after.logits(new[1200:]).argmax(1) == 3).mean() > 0.6


def test_a_head_before_of_another_size_is_refused() -> None:
    x, labels = cells(5)
    with pytest.raises(DataError, match="does not fit"):
        fit_head(x, np.eye(3)[labels], prior=(np.zeros((D + 1, 3)), np.zeros(3)))


def test_labels_of_single_classes_get_a_temperature() -> None:
    x, labels = cells(60, 2)
    targets = np.eye(2)[labels]
    targets[::3, 0] = np.nan
    assert 0.3 < fit_head(x, targets).temperature < 2


@pytest.mark.parametrize("cells", [3, 8, 15, 40, 400])
def test_penalties_are_tried_from_the_strongest_on(cells: int) -> None:
    x = np.random.default_rng(0).normal(size=(cells, 5)).astype(np.float32)
    known, unknown = np.ones((5, 2), np.float32), np.zeros((5, 2), np.float32)
    for before, usual in (
        (None, 0.05 / cells),
        ((known, np.zeros(2)), 3.0),
        ((unknown, np.zeros(2)), 0.05 / cells),
    ):
        start = prior.Start.of(x, 2, before)
        assert all(one > two for one, two in zip(start.strengths, start.strengths[1:]))
        assert start.strengths[start.usual] == pytest.approx(usual)


def test_few_labels_overrule_a_head_that_is_wrong() -> None:
    # Of eight cells a penalty on their mean is weaker than the strongest on their sum: both lists are one order.
    rng = np.random.default_rng(3)
    truth = np.arange(8) % 2
    x = np.column_stack([4.0 * truth - 2, rng.normal(size=8)]).astype(np.float32)
    wrong = np.array([[3.0, -3.0], [0.0, 0.0]], np.float32)
    head = fit_head(x, np.eye(2)[truth], prior=(wrong, np.zeros(2)))
    assert (head.logits(x).argmax(axis=1) == truth).all()
