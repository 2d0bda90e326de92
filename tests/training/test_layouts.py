"""Simulated sets on disk: the loaders of the real sets read them, and a note says what they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image
from training.simulate import __main__ as command
from training.simulate import layouts

from napari_cellcls.learn.datasets.listing import list_dataset


def folder_bytes(root: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()
    }


def test_fields_are_read_as_the_atlas(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    command.main(["hpa", str(tmp_path / "a"), "--fields", "4", "--seed", "6", "--edge", "160"])
    assert "4 simulated images" in capsys.readouterr().out
    found = list_dataset(tmp_path / "a")
    assert len(found.entries) == 4
    assert found.group_kind == "antibody"
    assert len({e.group for e in found.entries}) == 2  # two fields of each antibody
    table = pd.read_csv(tmp_path / "a/train.csv")
    assert list(table.columns) == ["Id", "Target"]
    cells = pd.read_csv(tmp_path / "a/cells.csv", keep_default_na=False)
    for name, target in zip(table["Id"], table["Target"]):
        planes = [np.asarray(Image.open(tmp_path / f"a/{name}_{c}.png")) for c in layouts.COLORS]
        assert {(p.shape, p.dtype.name) for p in planes} == {((160, 160), "uint8")}
        mine = cells[cells["Id"] == name]
        mask = tifffile.imread(tmp_path / f"a/masks/{name}_cells.tif")
        assert sorted(set(np.unique(mask)) - {0}) == mine["label"].tolist()
        names = {n for text in mine["class"] for n in text.split("|")}
        assert target == layouts._target(names)
    note = (tmp_path / "a" / layouts.NOTE).read_text()
    assert note.startswith("# Simulated images")
    assert "python -m training.simulate hpa --fields 4 --seed 6 --edge 160 --bits 8" in note


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        layouts.write_hpa(tmp_path / name, 1, 3, 128)
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "b")
    layouts.write_hpa(tmp_path / "c", 1, 4, 128)
    assert folder_bytes(tmp_path / "a") != folder_bytes(tmp_path / "c")


def test_fields_of_twelve_bits(tmp_path: Path) -> None:
    layouts.write_hpa(tmp_path / "a", 1, 3, 128, bits=12)
    (red,) = (tmp_path / "a").glob("*_red.png")
    values = np.asarray(Image.open(red))
    assert 255 < values.max() <= 4095


def test_single_cells_are_read_as_the_atlas(tmp_path: Path) -> None:
    command.main(["hpa", str(tmp_path / "a"), "--cells", "9", "--edge", "64"])
    found = list_dataset(tmp_path / "a")
    assert len(found.entries) == 9
    assert all(e.labels for e in found.entries)
    assert 1 <= len({e.group for e in found.entries}) < 9
    image = Image.open(next((tmp_path / "a").glob("*_green.png")))
    assert image.size == (64, 64)


def test_class_folders_are_read_as_hela(tmp_path: Path) -> None:
    command.main(["hela", str(tmp_path / "a"), "--per-class", "1", "--seed", "2"])
    found = list_dataset(tmp_path / "a")
    assert found.layout == "HeLa class folders"
    assert sorted(e.labels[0] for e in found.entries) == sorted(layouts.hela.STAINS)
    image = tifffile.imread(tmp_path / "a/er/sim000002.tif")
    assert image.shape == (382, 382)
    assert image.dtype == np.uint16


def test_smears_have_masks_and_objects(tmp_path: Path) -> None:
    command.main(["smear", str(tmp_path / "a"), "--fields", "2", "--edge", "224"])
    objects = pd.read_csv(tmp_path / "a/objects.csv", keep_default_na=False)
    for k in range(2):
        image = np.asarray(Image.open(tmp_path / f"a/smear{k:06d}.png"))
        mask = tifffile.imread(tmp_path / f"a/masks/smear{k:06d}_cells.tif")
        assert image.shape == (224, 224, 3)
        mine = objects[objects["image"] == f"smear{k:06d}.png"]
        assert mask.max() == (mine["kind"] == "red cell").sum()
    assert objects["form"].nunique() > 2
    assert (tmp_path / "a" / layouts.NOTE).exists()


def test_a_folder_with_something_in_it_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "mine.png").write_bytes(b"")
    with pytest.raises(SystemExit) as stop:
        command.main(["hela", str(tmp_path)])
    assert stop.value.code == 2
    assert "is not empty: simulated images are never mixed with others" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["hpa", "x", "--fields", "0"], "must be at least 1; received 0"),
        (["hela", "x", "--seed", "-1"], "--seed must not be negative; received -1"),
        (["hela", "x", "--bits", "10"], "invalid choice: 10"),
        (["malaria", "x"], "invalid choice: 'malaria'"),
    ],
)
def test_impossible_orders_are_refused(
    words: list[str], said: str, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        command.main(words)
    assert said in capsys.readouterr().err
