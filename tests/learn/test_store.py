"""The cache of decoded crops: made once, renewed when files change, bounded, never half."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.learn.datasets import InputSpec, list_dataset, open_dataset, store
from napari_cellcls.vocabulary import DataError, finish
from tests.learn import sets


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return sets.write_boxes(tmp_path / "boxes", fields=30)


def test_the_crops_lie_in_the_users_folder(root: Path, own_home: Path) -> None:
    data = finish(open_dataset(root, size=8))
    assert isinstance(data.images, np.memmap) and not data.images.flags.writeable
    assert data.store is not None and data.store.parent == own_home / "cache" / "crops"


def test_nothing_is_decoded_twice(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = finish(open_dataset(root, size=8))
    monkeypatch.setattr(store.decode, "crop", None)
    again = finish(open_dataset(root, size=8))
    assert np.array_equal(first.images, again.images)
    assert again.hashes().tolist() == first.hashes().tolist()


def test_every_input_rule_has_a_file_of_its_own(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for rule in ({}, {"channels": "gray"}, {"margin": 0.1}, {"frame": "square"}):
        finish(open_dataset(root, size=8, cache=cache, **rule))  # type: ignore[arg-type]
    assert len(list(cache.glob("crops-*.npy"))) == 4


def test_a_changed_file_is_decoded_again(root: Path) -> None:
    before = finish(open_dataset(root, size=8)).images.copy()
    target = root / "images" / "field0.png"
    shutil.copyfile(root / "images" / "field1.png", target)
    os.utime(target, ns=(1, 1))
    after = finish(open_dataset(root, size=8)).images
    assert np.array_equal(after[:3], before[3:6]) and np.array_equal(after[3:], before[3:])


def test_the_sets_used_longest_ago_make_room(root: Path, tmp_path: Path) -> None:
    cache, listing = tmp_path / "cache", list_dataset(root)
    one = 90 * 8 * 8 * 3
    paths = []
    for age, margin in ((300, 0.0), (200, 0.1), (100, 0.2)):
        made = finish(store.decoded(listing, InputSpec(8, margin=margin), cache))
        used = made.path.with_suffix(".npz")
        os.utime(used, (used.stat().st_mtime - age,) * 2)
        paths.append(made.path)
    finish(store.decoded(listing, InputSpec(8), cache))  # now used again
    finish(store.decoded(listing, InputSpec(8, margin=0.3), cache, limit=int(3.5 * one)))
    assert [p.is_file() for p in paths] == [True, False, True]
    assert [p.with_suffix(".npz").is_file() for p in paths] == [True, False, True]


def test_a_full_disk_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: usage(10, 10, 1000))
    with pytest.raises(DataError, match=r"0\.0 GB are free") as error:
        finish(open_dataset(root, size=8))
    assert error.value.code == "DATA-SPACE"


def test_stopping_in_between_leaves_nothing(root: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    task = open_dataset(root, size=8, cache=cache)
    assert next(task).total == 90
    task.close()
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_damaged_cache_is_made_again(root: Path, suffix: str) -> None:
    data = finish(open_dataset(root, size=8))
    before = data.images.copy()
    damaged = data.store.with_suffix(suffix)  # type: ignore[union-attr]
    del data
    damaged.write_bytes(damaged.read_bytes()[:50])
    assert np.array_equal(finish(open_dataset(root, size=8)).images, before)


def test_unreadable_images_stay_named_from_the_cache(tmp_path: Path) -> None:
    root = sets.write_hela(tmp_path / "hela")
    torn = root / "dna" / "r06aug97.p1.00--1---2.tif"
    torn.write_bytes(torn.read_bytes()[:300])
    for _ in range(2):
        with pytest.raises(DataError, match=r"1 of 20: r06aug97\.p1\.00--1---2\.tif") as error:
            finish(open_dataset(root, size=8, channels="gray"))
        assert error.value.code == "DATA-UNREADABLE"
    data = finish(open_dataset(root, size=8, channels="gray", faults="list"))
    assert len(data) == 19 and data.counts["dna"] == 1
    assert isinstance(data.images, np.memmap) and data.hashes().shape == (19,)
    torn.unlink()
    whole = finish(open_dataset(root, size=8, channels="gray"))
    assert (
        np.array_equal(whole.images, data.images)
        and whole.hashes().tolist() == data.hashes().tolist()
    )


def test_a_table_is_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    import pandas as pd
    from PIL import Image

    from napari_cellcls.learn.datasets import tables

    rows = []
    for i in range(10):
        stream = io.BytesIO()
        Image.fromarray(sets.texture(i, 8)).save(stream, "PNG")
        rows.append({"name": f"{i}", "label": "ab"[i % 2], "antibody": f"{i % 3}", "image": stream.getvalue()})  # fmt: skip
    pd.DataFrame(rows).to_parquet(tmp_path / "cells.parquet")
    monkeypatch.setattr(tables, "_BATCH", 3)
    data = finish(open_dataset(tmp_path / "cells.parquet", size=8))
    assert data.group_kind == "antibody"
    assert all(np.array_equal(data.images[i], sets.texture(i, 8)) for i in range(10))
