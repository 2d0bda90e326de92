"""Folders, class folders, quartets: which files are one image, and in which order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls.images.collections import find_images, natural_key, open_ref, scan
from napari_cellcls.vocabulary import ImageError
from tests.images import bad_files as bad

COLORS = ("red", "green", "blue", "yellow")


def quartet(
    folder: Path, name: str = "57_F11_1", colors: tuple[str, ...] = COLORS, edge: int = 16
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for color in colors:
        value = COLORS.index(color) + 1
        bad.picture(
            folder / f"{name}_{color}.png",
            np.full((edge, edge), value, np.uint8) + np.eye(edge, dtype=np.uint8),
        )
    return folder


def test_quartet_folder_and_single_file(tmp_path: Path) -> None:
    quartet(tmp_path)
    for paths in (tmp_path, tmp_path / "57_F11_1_green.png", [tmp_path / "57_F11_1_blue.png"]):
        refs = find_images(paths)
        assert [r.name for r in refs] == ["57_F11_1"]
        assert refs[0].kind == "quartet"
        assert [p.stem.split("_")[-1] for p in refs[0].paths] == list(COLORS)
    image = open_ref(refs[0])
    assert image.data[:, 0, 1].tolist() == [1, 2, 3, 4]
    assert [c.name for c in image.channels] == ["microtubules", "protein", "nucleus", "er"]
    assert [c.color for c in image.channels] == ["#ff0000", "#00ff00", "#0000ff", "#ffff00"]
    assert not image.is_rgb


def test_incomplete_quartet_says_what_is_missing(tmp_path: Path) -> None:
    quartet(tmp_path, colors=("green", "blue"))
    image = open_ref(find_images(tmp_path)[0])
    assert [c.name for c in image.channels] == ["protein", "nucleus"]
    assert "Files of this quartet are missing: red, yellow." in image.notes


def test_one_color_alone_is_a_plain_image(tmp_path: Path) -> None:
    quartet(tmp_path, name="cell", colors=("red",))
    refs = find_images(tmp_path)
    assert refs[0].kind == "file"
    assert refs[0].name == "cell_red"


def test_quartet_of_different_sizes(tmp_path: Path) -> None:
    quartet(tmp_path, colors=("red", "green"))
    quartet(tmp_path, colors=("blue",), edge=20)
    with pytest.raises(ImageError) as caught:
        open_ref(find_images(tmp_path)[0])
    assert caught.value.code == "IMG-QUARTET"
    assert "blue 20 x 20" in caught.value.why


def test_color_pictures_in_a_quartet(tmp_path: Path) -> None:
    for i, color in enumerate(("red", "green", "blue")):
        pixels = np.zeros((16, 16, 3), np.uint8)
        pixels[..., i] = np.arange(16)
        bad.picture(tmp_path / f"a_{color}.png", pixels)
    image = open_ref(find_images(tmp_path)[0])
    assert image.data.shape == (3, 16, 16)
    assert image.data[:, 0, 9].tolist() == [9, 9, 9]
    assert any("brightest plane" in n for n in image.notes)


def test_class_folders(tmp_path: Path) -> None:
    for name in ("Parasitized", "Uninfected"):
        (tmp_path / name).mkdir()
        for i in (1, 2, 10):
            bad.picture(tmp_path / name / f"cell_{i}.png", np.zeros((8, 8), np.uint8))
    (tmp_path / "Parasitized" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "Parasitized" / ".hidden.png").write_bytes(b"x")
    (tmp_path / "Parasitized" / "deeper").mkdir()
    found = scan(tmp_path)
    assert [(r.class_name, r.name) for r in found.refs] == [
        (c, f"cell_{i}") for c in ("Parasitized", "Uninfected") for i in (1, 2, 10)
    ]
    assert found.summary() == "6 images found; skipped 1 hidden, 1 not images, 1 deeper folders."


def test_several_paths_zarr_and_missing_files(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    bad.picture(folder / "b.png", np.zeros((8, 8), np.uint8))
    store = bad.ome_zarr(folder / "a.zarr")
    missing = tmp_path / "missing.tif"
    refs = find_images([missing, folder, folder / "b.png"])
    assert [r.paths[0] for r in refs] == [missing, store, folder / "b.png"]
    assert open_ref(refs[1]).data.shape == (2, 48, 56)
    with pytest.raises(ImageError) as caught:
        open_ref(refs[0])
    assert caught.value.code == "IMG-MISSING"
    assert [r.paths[0] for r in find_images(store)] == [store]


def test_nothing_found_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ImageError) as caught:
        find_images(tmp_path)
    assert caught.value.code == "IMG-NOIMAGES"
    assert "skipped 1 not images" in caught.value.why


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=20, unique=True))
def test_natural_order_follows_numbers(numbers: list[int]) -> None:
    names = [f"cell_{n}.png" for n in numbers]
    assert sorted(names, key=natural_key) == [f"cell_{n}.png" for n in sorted(numbers)]


@given(st.lists(st.text(min_size=1, max_size=8), max_size=8))
def test_natural_key_never_fails(names: list[str]) -> None:
    ordered = sorted(names, key=natural_key)
    assert sorted(ordered) == sorted(names)
