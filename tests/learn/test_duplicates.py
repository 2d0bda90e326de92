"""Nearly identical images: copies found whatever was done to them, others left alone."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cellcls.learn import duplicates
from napari_cellcls.learn.duplicates import clusters, near_duplicates, near_pairs, thumbnails
from napari_cellcls.vocabulary import finish
from tests.learn import sets


def _jpeg(image: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=60)
    return np.array(Image.open(stream))


CHANGES = {
    "same": lambda x: x,
    "jpeg": _jpeg,
    "darker": lambda x: (x * 0.9).astype(np.uint8),
    "mirrored": lambda x: x[:, ::-1],
    "turned": lambda x: np.rot90(x),
    "mirrored and turned": lambda x: np.rot90(x[:, ::-1], 3),
    "noisy": lambda x: (x // 2 + 60 + np.random.default_rng(0).integers(0, 4, x.shape)).astype("u1"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_found(change: str) -> None:
    images = np.stack([sets.texture(i, 96) for i in range(40)])
    images[31] = CHANGES[change](images[7])
    found = finish(near_pairs(images))
    assert found.pairs.tolist() == [[7, 31]]
    assert found.distance[0] <= duplicates.NEAR


@pytest.mark.parametrize("few", [0, 1000])
def test_no_close_pair_is_missed_by_the_projection(few: int, monkeypatch) -> None:
    """Against the plain comparison of all thumbnails in all orientations."""
    monkeypatch.setattr(duplicates, "_FEW", few)
    rng = np.random.default_rng(3)
    images = np.stack([sets.texture(i) for i in range(60)])
    for i in range(0, 60, 3):
        mixed = images[i] + rng.normal(0, 12, images[i].shape)
        images[i + 1] = np.rot90(np.clip(mixed, 0, 255).astype(np.uint8), int(rng.integers(4)))
    found = finish(near_pairs(images, 0.2))
    thumbs = thumbnails(images)
    expected = set()
    for flip in (False, True):
        for quarter in range(4):
            turned = np.rot90(thumbs[:, :, ::-1] if flip else thumbs, quarter, (1, 2))
            distance = np.linalg.norm((thumbs[:, None] - turned[None]).reshape(60, 60, -1), axis=2)
            expected |= {tuple(sorted(p)) for p in np.argwhere(distance <= 0.2) if p[0] != p[1]}
    assert {tuple(p) for p in found.pairs.tolist()} == expected
    assert len(expected) >= 10


def test_images_without_structure_are_in_no_pair() -> None:
    images = np.full((5, 16, 16, 1), 7, np.uint8)
    assert len(finish(near_pairs(images))) == 0


def test_few_and_tiny_images() -> None:
    assert len(finish(near_pairs(np.zeros((1, 8, 8, 3), np.uint8)))) == 0
    tiny = np.stack([sets.texture(1, 8), sets.texture(1, 8)])
    assert finish(near_pairs(tiny)).pairs.tolist() == [[0, 1]]


def test_clusters_join_chains() -> None:
    assert clusters(6, np.array([[0, 3], [3, 5], [1, 2]])).tolist() == [0, 1, 1, 0, 4, 0]


def test_what_was_found_is_kept_beside_the_crops(tmp_path: Path, monkeypatch) -> None:
    data = replace(sets.cell_set(12), store=tmp_path / "crops-1.npy")
    data.images[5] = data.images[2]
    assert finish(near_duplicates(data)).pairs.tolist() == [[2, 5]]
    monkeypatch.setattr(duplicates, "near_pairs", None)
    assert finish(near_duplicates(data)).pairs.tolist() == [[2, 5]]
