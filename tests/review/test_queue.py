"""The queue: nobody is asked twice, copies never both, the same input gives the same order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls.review import queue, space
from napari_cellcls.review.doubt import doubt_of, pairs_of
from napari_cellcls.review.queue import Options, Reason, next_cells, pool


def ids(count: int) -> list[str]:
    return [f"cell-{i}" for i in range(count)]


def blobs(sizes: list[int], seed: int = 0) -> np.ndarray:
    """Return tight groups of vectors, far from each other."""
    rng = np.random.default_rng(seed)
    middles = 10 * np.eye(len(sizes), 12)
    return np.concatenate([m + rng.normal(0, 0.5, (n, 12)) for m, n in zip(middles, sizes)])


@st.composite
def situations(draw):
    count = draw(st.integers(0, 40))
    classes = draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    embeddings = rng.normal(size=(count, 6))
    if count > 3 and draw(st.booleans()):
        embeddings[count // 2 :] = embeddings[: count - count // 2]  # each cell twice
    multi = draw(st.booleans())
    probabilities = rng.random((count, classes))
    if not multi:
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    cells = pool(
        ids(count),
        embeddings if draw(st.booleans()) else None,
        probabilities if draw(st.booleans()) else None,
        multi_label=multi,
    )
    judged = set(draw(st.lists(st.sampled_from(ids(count)), max_size=20))) if count else set()
    options = Options(
        seed=draw(st.integers(0, 3)),
        doubt=draw(st.sampled_from(["margin", "entropy"])),
        diversity=draw(st.sampled_from([0.0, 0.5, 1.0])),
        rare=draw(st.sampled_from([0.0, 0.3, 1.0])),
        start=draw(st.sampled_from([0, 10])),
        blind=draw(st.booleans()),
    )
    return cells, judged, draw(st.integers(0, 50)), options


@given(situation=situations())
def test_nobody_is_asked_twice_and_the_order_is_stable(situation):
    cells, judged, count, options = situation
    found = next_cells(cells, judged, count, options=options)
    asked = [item.cell_id for item in found]
    assert len(set(asked)) == len(asked) <= count
    assert not judged & set(asked)
    assert all(cells.cell_ids[item.row] == item.cell_id for item in found)
    assert all(item.blind == options.blind for item in found)
    assert [i.cell_id for i in next_cells(cells, sorted(judged), count, options=options)] == asked
    if cells.points is not None:
        rows = [cells.cell_ids.index(c) for c in judged] + [item.row for item in found]
        like = cells.points[rows] @ cells.points[rows].T
        for i in range(len(judged), len(rows)):
            assert like[i, :i].max(initial=-1) < options.copies + 1e-5
    elif count >= len(cells) - len(judged):
        assert len(asked) == len(cells) - len(judged)


@given(situation=situations(), size=st.integers(1, 7))
def test_batch_after_batch_reaches_every_cell_or_a_copy_of_it(situation, size):
    cells, judged, _, options = situation
    done = set(judged)
    for _ in range(60):
        batch = next_cells(cells, done, size, options=options)
        if not batch:
            break
        done |= {item.cell_id for item in batch}
    left = [i for i, c in enumerate(cells.cell_ids) if c not in done]
    if cells.points is None:
        assert left == []
    elif left:
        seen = [i for i, c in enumerate(cells.cell_ids) if c in done]
        assert (cells.points[left] @ cells.points[seen].T).max(
            axis=1
        ).min() >= options.copies - 1e-5


def test_without_predictions_every_group_is_seen_first_the_largest():
    embeddings = blobs([30, 5, 60, 12])
    found = next_cells(pool(ids(107), embeddings), [], 4)
    groups = np.digitize([item.row for item in found], [30, 35, 95])
    assert sorted(groups) == [0, 1, 2, 3]
    assert groups[0] == 2
    assert {item.reason for item in found} == {Reason.DIVERSE}
    assert np.isnan(found[0].doubt) and found[0].pair == (-1, -1)
    more = next_cells(pool(ids(107), embeddings), [item.cell_id for item in found[:3]], 1)
    assert np.digitize(more[0].row, [30, 35, 95]) == groups[3]


def test_doubt_is_the_gap_of_two_or_the_spread_of_all():
    values = np.array([[0.5, 0.5, 0.0], [0.8, 0.1, 0.1], [1 / 3, 1 / 3, 1 / 3]])
    assert doubt_of(values).tolist() == pytest.approx([1, 0.3, 1])
    assert doubt_of(values, kind="entropy").tolist() == pytest.approx(
        [np.log(2) / np.log(3), 0.58166, 1], rel=1e-4
    )
    several = np.array([[0.9, 0.5], [0.9, 0.8]])
    assert doubt_of(several, multi_label=True).tolist() == pytest.approx([1, 0.4])
    assert pairs_of(values).tolist() == [[0, 1], [0, 1], [0, 1]]
    assert pairs_of(several, multi_label=True).tolist() == [[0, 1], [0, 1]]


def test_doubtful_cells_come_by_confusion_pair():
    values = np.array(
        [[0.5, 0.5, 0], [0, 0.52, 0.48], [0.55, 0.45, 0], [0, 0.45, 0.55], [0.6, 0.4, 0], [1, 0, 0]]
    )
    found = next_cells(pool(ids(6), probabilities=values), [], 5, options=Options(rare=0))
    assert [item.pair for item in found] == [(0, 1), (0, 1), (0, 1), (1, 2), (1, 2)]
    assert [item.row for item in found] == [0, 2, 4, 1, 3]


def test_classes_with_few_labels_get_their_share():
    values = np.full((40, 3), [0.5, 0.5, 0.0])
    values[7] = [0.3, 0.2, 0.5]
    values[9] = [0.6, 0.1, 0.3]
    found = next_cells(
        pool(ids(40), probabilities=values),
        [],
        4,
        class_counts=[50, 50, 0],
        options=Options(rare=0.5),
    )
    rare = {item.row for item in found if item.reason is Reason.RARE}
    assert rare == {7, 9}


def test_until_enough_is_labeled_the_queue_goes_by_variety():
    values = np.full((107, 2), 0.5)
    cells = pool(ids(107), blobs([30, 5, 60, 12]), values)
    early = next_cells(cells, [], 4, class_counts=[1, 2], options=Options(start=10))
    assert {item.reason for item in early} == {Reason.DIVERSE}
    assert early[0].doubt == 1
    late = next_cells(cells, [], 4, class_counts=[5, 5], options=Options(start=10))
    assert Reason.DOUBTFUL in {item.reason for item in late}


def test_diversity_leaves_the_crowd():
    turn = np.linspace(-0.6, 0.6, 20)
    crowd = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    points = np.concatenate([crowd, [[-1, 0]]]).astype(np.float32)
    doubt = np.r_[np.full(20, 0.5), 0.6]
    cells = pool(ids(21), points=points, probabilities=np.stack([doubt, 1 - doubt], axis=1))
    plain = next_cells(cells, [], 3, options=Options(rare=0, diversity=0))
    mixed = next_cells(cells, [], 3, options=Options(rare=0, diversity=1))
    assert 20 not in {item.row for item in plain}
    assert 20 in {item.row for item in mixed}


def test_wrong_shapes_are_refused_with_the_numbers():
    with pytest.raises(ValueError, match=r"embeddings of shape \(2, 3\) for 3 cells"):
        pool(ids(3), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="1 cell ids come more than once"):
        pool(["a", "a"])
    cells = pool(ids(3), probabilities=np.full((3, 2), 0.5))
    with pytest.raises(ValueError, match="3 counts for 2 classes"):
        next_cells(cells, [], 1, class_counts=[1, 2, 3])


def test_principal_axes_are_those_of_a_full_decomposition():
    values = blobs([30, 5, 60, 12])
    found = space.principal(values, 3)
    centered = values - values.mean(axis=0)
    exact = np.linalg.svd(centered, full_matrices=False)
    assert np.abs(found.T @ found - np.diag(exact[1][:3] ** 2)).max() < 0.05
    assert space.principal(np.full((3, 4), np.nan), 2).tolist() == [[0, 0]] * 3
    assert queue.pool(["a"], np.ones((1, 4))).points.tolist() == [[0.0]]
