"""Labels that may be wrong, cells for two people, and the map: values, and what is not judged stays out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from napari_cellcls.review import embedding_map, space
from napari_cellcls.review.events import Draft, Kind, Value
from napari_cellcls.review.fold import fold
from napari_cellcls.review.second import is_shared, shared, waiting_for
from napari_cellcls.review.suspects import find_suspects, find_suspects_multi, out_of_sample
from napari_cellcls.vocabulary import CellClsError, finish
from tests.review.make import Member


def test_confident_learning_by_hand():
    labels = np.array([0, 0, 0, 1, 1, -1])
    first = np.array([0.9, 0.8, 0.1, 0.2, 0.4, 0.99])
    found = find_suspects(labels, np.stack([first, 1 - first], axis=1))
    # Means of the own class: (0.9 + 0.8 + 0.1) / 3 = 0.6 and (0.8 + 0.6) / 2 = 0.7.
    assert found.thresholds.tolist() == pytest.approx([0.6, 0.7])
    # Cell 2 is labeled 0 and confidently 1; cell 4 passes no threshold and is left alone.
    assert [(s.row, s.given, s.likely) for s in found.found] == [(2, 0, 1)]
    assert found.found[0].gap == pytest.approx(0.8)
    # Row 0: two of three confident cells agree, scaled to 3 of 5 labels; row 1: one of one, 2 of 5.
    assert found.joint.tolist() == [pytest.approx([0.4, 0.2]), pytest.approx([0, 0.4])]
    assert found.share == pytest.approx(0.2)


def test_a_class_without_labels_is_never_likely():
    values = np.array([[0.1, 0.1, 0.8]] * 4)
    found = find_suspects(np.array([0, 0, 1, 1]), values)
    assert np.isnan(found.thresholds[2])
    assert {s.likely for s in found.found} <= {0, 1}
    nothing = find_suspects(np.full(4, -1), values)
    assert nothing.found == () and np.isnan(nothing.share)


def test_judgments_of_several_classes_are_looked_at_one_by_one():
    judged = np.array([[1, 0], [1, -1], [0, 1], [0, 0], [1, 1]])
    values = np.array([[0.9, 0.9], [0.8, 0.5], [0.1, 0.8], [0.2, 0.1], [0.05, 0.9]])
    found = find_suspects_multi(judged, values)
    assert [(s.row, s.class_index, s.given, s.likely) for s in found] == [
        (4, 0, 1, 0),
        (0, 1, 0, 1),
    ]


def test_planted_errors_are_found_by_a_head_that_did_not_see_them():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 300)
    points = 8 * np.eye(3, 8)[true] + rng.normal(size=(300, 8))
    labels, wrong = true.copy(), rng.permutation(300)[:15]
    labels[wrong] = (labels[wrong] + 1) % 3
    labels[280:] = -1
    images = [f"image {i % 7}" for i in range(300)]
    values = out_of_sample(points, labels, 3, images)
    assert np.isnan(values[280:]).all() and np.allclose(values[:280].sum(axis=1), 1, atol=1e-4)
    found = {s.row for s in find_suspects(labels, values).found}
    planted = {int(row) for row in wrong if row < 280}
    assert len(planted & found) >= 0.7 * len(planted)
    assert len(found - planted) <= 5
    assert np.array_equal(values, out_of_sample(points, labels, 3, images), equal_nan=True)
    assert np.isnan(out_of_sample(points, np.zeros(300, int), 3, images)).all()


def test_the_same_share_of_cells_is_for_two_everywhere():
    cells = [f"{i:032x}" for i in range(4000)]
    some = shared(cells, 0.1)
    assert 340 < len(some) < 460
    assert set(some) < set(shared(cells, 0.2))
    assert shared(cells, 0.1, seed=1) != some
    assert shared(cells, 0) == [] and shared(cells, 1) == cells
    assert all(is_shared(cell, 0.1) for cell in some)


def test_the_second_is_asked_what_the_first_judged():
    ana, ben = Member("ana"), Member("ben")
    for cell in "abcd":
        ana.write(Draft(Kind.LABEL, cell, class_id="rbc", value=Value.ONLY))
    ana.write(Draft(Kind.SKIP, "e"))
    ben.write(Draft(Kind.LABEL, "b", class_id="rbc", value=Value.ONLY), Draft(Kind.SKIP, "c"))
    state = fold([*ana.state.events, *ben.state.events])
    assert waiting_for(state, "ben", 1) == ["a", "d"]
    assert waiting_for(state, "ana", 1) == []
    assert waiting_for(state, "cy", 1) == ["a", "c", "d"]
    assert waiting_for(state, "ben", 0) == []


def test_the_map_and_its_lasso():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 0.1, (50, 9)), rng.normal(0, 0.1, (30, 9)) + 5])
    found = finish(embedding_map.embedding_map(values))
    assert found.shape == (80, 2) and found.dtype == np.float32
    assert (found[:50, 0].max() < found[50:, 0].min()) or (
        found[:50, 0].min() > found[50:, 0].max()
    )
    x, y = found[50:].mean(axis=0)
    around = np.array([[x - 3, y - 3], [x + 3, y - 3], [x + 3, y + 3], [x - 3, y + 3]])
    assert embedding_map.in_lasso(found, around).tolist() == list(range(50, 80))
    assert embedding_map.in_lasso(found, around[:2]).tolist() == []
    assert embedding_map.pca_map(np.ones((3, 1))).tolist() == [[0, 0]] * 3


def fake_umap(folder: Path, monkeypatch, line: str) -> None:
    """Let children find a package ``umap`` whose map is made by one line."""
    (folder / "umap").mkdir()
    (folder / "umap" / "__init__.py").write_text(
        "import sys, time\n"
        "class UMAP:\n"
        "    def __init__(self, **options): self.options = options\n"
        f"    def fit_transform(self, points): {line}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(embedding_map, "has_umap", lambda: True)


def test_umap_draws_in_a_process_without_tensorflow(monkeypatch, tmp_path):
    line = "assert sys.modules['tensorflow'] is None; return points[:, :2] * self.options['n_neighbors']"
    fake_umap(tmp_path, monkeypatch, line)
    points = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    found = finish(embedding_map.embedding_map(points, "umap"))
    np.testing.assert_allclose(found, 15 * space.principal(points, 64)[:, :2], rtol=1e-6)
    assert found.dtype == np.float32
    assert "umap" not in sys.modules
    few = finish(embedding_map.embedding_map(points[:15], "umap"))
    assert np.array_equal(few, embedding_map.pca_map(points[:15]))


def test_umap_that_fails_says_why_and_a_map_given_up_ends_its_process(monkeypatch, tmp_path):
    fake_umap(
        tmp_path,
        monkeypatch,
        "raise ValueError('no neighbors') if len(points) < 40 else time.sleep(600)",
    )
    points = np.random.default_rng(0).normal(size=(60, 4))
    with pytest.raises(CellClsError, match=r"MAP-FAILED") as caught:
        finish(embedding_map.embedding_map(points[:30], "umap"))
    assert "no neighbors" in str(caught.value)
    task = embedding_map.embedding_map(points, "umap")
    for _ in range(3):
        next(task)
    [child] = [
        p for p in psutil.Process().children() if "napari_cellcls.review.umap_child" in p.cmdline()
    ]
    task.close()
    assert not child.is_running()


@pytest.mark.skipif(not embedding_map.has_umap(), reason="umap-learn is not installed")
def test_real_umap_keeps_clouds_apart_and_is_the_same_again():
    points = np.random.default_rng(0).normal(size=(80, 16)).astype(np.float32)
    points[40:] += 8
    found, again = (finish(embedding_map.embedding_map(points, "umap")) for _ in range(2))
    assert found.shape == (80, 2) and np.isfinite(found).all() and np.array_equal(found, again)
    middles = [found[:40].mean(axis=0), found[40:].mean(axis=0)]
    near = [np.linalg.norm(found[k : k + 40] - m, axis=1).max() for k, m in zip((0, 40), middles)]
    assert np.linalg.norm(middles[0] - middles[1]) > max(near)


def test_umap_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(embedding_map, "has_umap", lambda: False)
    with pytest.raises(CellClsError, match=r"MAP-NOUMAP") as caught:
        embedding_map.embedding_map(np.zeros((30, 4)), "umap")
    assert 'pip install "napari-cellcls[umap]"' in str(caught.value)
