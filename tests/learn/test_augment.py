"""Random changes: black stays black, the same seed gives the same batch."""

from __future__ import annotations

import os

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from napari_cellcls.learn.augment import PRESETS, Augmentation, augment

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def disks() -> np.ndarray:
    y, x = np.mgrid[-1:1:50j, -1:1:50j]
    inside = (y**2 + x**2 < 0.6).astype(np.float32)[None, ..., None]
    rng = np.random.default_rng(0)
    return (inside * rng.uniform(0.4, 0.9, (16, 1, 1, 3))).astype(np.float32)


def _run(images: np.ndarray, spec: Augmentation, seed: int = 1) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(augment(images, spec, seed)))


@pytest.mark.parametrize("name", list(PRESETS))
def test_range_shape_and_determinism(disks: np.ndarray, name: str) -> None:
    first = _run(disks, PRESETS[name])
    assert first.shape == disks.shape and first.dtype == np.float32
    assert first.min() >= 0 and first.max() <= 1
    assert np.array_equal(first, _run(disks, PRESETS[name]))
    if name == "none":
        assert np.array_equal(first, disks)
    else:
        assert not np.array_equal(first, _run(disks, PRESETS[name], seed=2))


def test_color_changes_leave_the_outside_black(disks: np.ndarray) -> None:
    spec = Augmentation(
        density=0.3, hue=0.3, saturation=0.3, brightness=0.3, contrast=0.3, gamma=0.3,
        balance=0.2, noise=0.05, blocks=0.05, probability=1.0,
    )  # fmt: skip
    changed = _run(disks, spec)
    outside = disks.max(-1) == 0
    assert np.all(changed[outside] == 0)
    assert np.abs(changed - disks)[~outside].mean() > 0.02


def test_the_frame_beyond_the_cell_stays_black_under_everything(disks: np.ndarray) -> None:
    changed = _run(disks, PRESETS["strong"])
    assert np.all(changed[:, :2, :2] == 0)
    assert np.all(changed[:, 20:30, 20:30].max(-1) > 0)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_flips_only_rearrange_pixels(channels: int) -> None:
    images = np.random.default_rng(0).uniform(0, 1, (64, 9, 9, channels)).astype(np.float32)
    changed = _run(images, Augmentation(flips=True))
    seen = set()
    for before, after in zip(images, changed):
        views = [np.rot90(v, k) for v in (before, before[:, ::-1]) for k in range(4)]
        seen |= {i for i, view in enumerate(views) if np.array_equal(view, after)}
    assert seen == set(range(8))
    assert all(np.array_equal(np.sort(a, None), np.sort(b, None)) for a, b in zip(images, changed))


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", ["brightness", "contrast", "gamma", "balance"])
def test_tones_change_any_number_of_planes(channels: int, name: str) -> None:
    images = np.random.default_rng(0).uniform(0.2, 0.6, (16, 9, 9, channels)).astype(np.float32)
    images[:, :3] = 0
    changed = _run(images, Augmentation(**{name: 0.3}, probability=1.0))
    assert np.all(changed[:, :3] == 0)
    assert 0.01 < np.abs(changed - images)[:, 3:].mean() < 0.3
    color = _run(images, Augmentation(density=0.3, hue=0.3, saturation=0.3, probability=1.0))
    np.testing.assert_allclose(color, images, atol=1e-6)


def test_the_outline_moves_both_ways(disks: np.ndarray) -> None:
    area = (_run(disks, Augmentation(edge_px=2)).max(-1) > 0).sum((1, 2))
    before = (disks[0].max(-1) > 0).sum()
    assert area.min() < before < area.max()


def test_styles_move_the_stain_towards_another_slide_and_keep_parasites_dark(
    disks: np.ndarray,
) -> None:
    cells = np.where(disks > 0, np.clip(disks, 0.5, 0.9), 0).astype(np.float32)
    cells[:, 22:28, 22:28] *= 0.6
    goal = (0.05, 0.9, 0.4)
    changed = _run(cells, Augmentation(styles=(goal,), probability=1.0))
    assert (changed[cells.max(-1) == 0] == 0).all()
    inside = cells[0].max(-1) > 0

    def density(images: np.ndarray) -> np.ndarray:
        return -np.log(images[:, inside]).mean(axis=1)

    before, after = density(cells), density(changed)
    low, high = np.minimum(before, goal), np.maximum(before, goal)
    assert (after >= low - 0.01).all() and (after <= high + 0.01).all()
    assert np.abs(after - before).max() > 0.05
    spot, around = changed[:, 24, 24], changed[:, 24, 12]
    assert (spot < around).all()
