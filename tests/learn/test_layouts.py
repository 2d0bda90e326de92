"""Layouts of labeled sets: detected by themselves, the same names and groups as their authors meant."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cellcls.learn.datasets import (
    BLOOD_CLASSES,
    HELA_CLASSES,
    HPA_CLASSES,
    CellSet,
    list_dataset,
    open_dataset,
)
from napari_cellcls.learn.datasets.known import antibody_of, hela_class
from napari_cellcls.vocabulary import DataError, Normalization, finish
from tests.learn import sets

TARGETS = {"10580_1610_C1_1": "13 25 0", "10580_1610_C1_2": "13", "7_1610_C2_1": "0 27"}


def _open(path: Path, **options: object) -> CellSet:
    return finish(open_dataset(path, size=16, **options))  # type: ignore[arg-type]


def test_hela_as_its_authors_named_it(tmp_path: Path) -> None:
    data = _open(sets.write_hela(tmp_path), channels="gray")
    assert data.classes == HELA_CLASSES and data.layout == "HeLa class folders"
    assert data.images.shape == (20, 16, 16, 1) and set(data.sizes.ravel()) == {382}
    assert data.group_kind == "field" and data.groups[0] == "r06aug97.p0.00"
    assert set(data.extra["date"]) == {"r06aug97", "r07aug97"}
    assert data.notes == ()


def test_hela_folders_in_capitals_and_plain_file_names(tmp_path: Path) -> None:
    data = _open(sets.write_hela(tmp_path, original=False), channels="gray", classes=HELA_CLASSES)
    assert data.classes == HELA_CLASSES and data.counts["er"] == 2
    assert data.group_kind == "" and "Groups are unknown" in data.notes[0]


@pytest.mark.parametrize(
    ("folder", "name"),
    [("ActinFilaments", "actin"), ("Golgi_gpp", "golgpp"), ("ER", "er"), ("Nucleus", "dna"), ("Nuclei x", None)],
)  # fmt: skip
def test_spellings_of_hela(folder: str, name: str | None) -> None:
    assert hela_class(folder) == name


def test_twelve_bits_in_sixteen_become_the_same_crops(tmp_path: Path) -> None:
    eight = _open(sets.write_hela(tmp_path / "8"), channels="gray")
    twelve = _open(sets.write_hela(tmp_path / "12", dtype=np.uint16), channels="gray")
    difference = np.abs(eight.images.astype(int) - twelve.images)
    assert difference.max() <= 2  # 255 * 16 is 4080 of 4095
    stretched = _open(
        tmp_path / "12", channels="gray", normalization=Normalization("percentile", 0, 100)
    )
    assert (stretched.images.max((1, 2, 3)) > 240).all()


def test_equal_names_in_two_folders_are_told_apart_and_simulated_sets_are_told(
    tmp_path: Path,
) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        Image.fromarray(sets.texture(ord(label))).save(tmp_path / label / "0.png")
    Image.fromarray(sets.texture(3)).save(tmp_path / "b" / "1.png")
    (tmp_path / "SIMULATED.md").write_text("drawn")
    data = _open(tmp_path)
    assert data.names.tolist() == ["a/0.png", "b/0.png", "1.png"]
    assert data.notes[-1].startswith("The images are simulated")
    assert data.layout == "class folders"


def test_groups_may_be_given(tmp_path: Path) -> None:
    root = sets.write_hela(tmp_path, original=False)
    lines = [f"{c}_{i}.tif,dish {i}" for c in HELA_CLASSES for i in range(2)]
    (root / "groups.csv").write_text("\n".join(["name,group", *lines[:-1]]))
    with pytest.raises(
        DataError, match=r"1 images are not listed there: Nucleolus/nucleolus_1"
    ) as e:
        _open(root)
    assert e.value.code == "DATA-GROUPS"
    (root / "groups.csv").write_text("\n".join(lines))
    data = _open(root)
    assert set(data.groups) == {"dish 0", "dish 1"} and data.group_kind == "group"


@pytest.mark.parametrize(
    ("image_id", "antibody"),
    [("10580_1610_C1_1", "10580"), ("11651_1732_F3_13_cr580610dc203b9", "11651"), ("00070df0-bbc3", "")],
)  # fmt: skip
def test_antibodies_in_ids(image_id: str, antibody: str) -> None:
    assert antibody_of(image_id) == antibody


def test_sides_may_be_given(tmp_path: Path) -> None:
    root = sets.write_hpa(tmp_path, TARGETS)
    (root / "sides.csv").write_text("group,side\nHPA010580,train\n7,Valid\n")
    assert _open(root).sides == {"HPA010580": "training", "7": "validation"}
    (root / "sides.csv").write_text("7,left\n")
    with pytest.raises(DataError, match="group 7: 'left'"):
        _open(root)
    (root / "sides.csv").write_text("7,train\n7,test\n")
    with pytest.raises(DataError, match="7 is on the training side and on the test side") as error:
        _open(root)
    assert error.value.code == "DATA-LEAK"


def test_hpa_table_with_four_files_per_image(tmp_path: Path) -> None:
    data = _open(sets.write_hpa(tmp_path, TARGETS), channels="rgby")
    assert data.classes == HPA_CLASSES and data.multi_label
    assert data.labels.shape == (3, 28) and np.flatnonzero(data.labels[0]).tolist() == [0, 13, 25]
    assert data.groups.tolist() == ["10580", "10580", "7"] and data.group_kind == "antibody"
    assert data.images.shape == (3, 16, 16, 4)
    assert data.counts["Rods & rings"] == 1
    again = list_dataset(tmp_path / "train.csv")
    assert [e.name for e in again.entries] == list(TARGETS)


def test_planes_of_hpa(tmp_path: Path) -> None:
    root = sets.write_hpa(tmp_path, TARGETS, edge=16)
    four = _open(root, channels="rgby").images.astype(int)
    assert np.array_equal(_open(root, channels="rgb").images, four[..., :3])
    assert np.array_equal(_open(root, channels="gray").images, four[..., 1:2])
    merged = _open(root, channels="rgb_merge").images
    red, green, blue, yellow = np.moveaxis(four, -1, 0)
    expected = np.stack([red + yellow, green + yellow, blue], -1)
    assert np.array_equal(merged, (expected + 1) // 2)


def test_antibodies_of_the_challenge_are_unknown_unless_given(tmp_path: Path) -> None:
    ids = {"00070df0-bbc3-11e8-b2bc-ac1f6b6435d0": "16 0", "000a6c98-bb9b": "7"}
    root = sets.write_hpa(tmp_path, ids)
    data = _open(root)
    assert data.group_kind == "" and data.notes[0].startswith("The antibody is unknown.")
    (root / "groups.csv").write_text("\n".join(f"{name},HPA1" for name in ids))
    assert _open(root).groups.tolist() == ["HPA1", "HPA1"]


def test_a_missing_channel_is_named_when_it_is_needed(tmp_path: Path) -> None:
    root = sets.write_hpa(tmp_path, TARGETS)
    (root / "train" / "7_1610_C2_1_yellow.png").unlink()
    with pytest.raises(
        DataError, match=r"1 of 3: 7_1610_C2_1 .*7_1610_C2_1_yellow is not there"
    ) as e:
        _open(root, channels="rgb_merge")
    assert e.value.code == "DATA-CHANNEL"
    assert len(_open(root, channels="rgb")) == 3
    listed = _open(root, channels="rgby", faults="list")
    assert len(listed) == 2 and [f.name for f in listed.faults] == ["7_1610_C2_1"]
    assert listed.images.shape[0] == len(listed.names) == len(listed.digests) == 2


def test_channels_of_different_size_are_named(tmp_path: Path) -> None:
    root = sets.write_hpa(tmp_path, TARGETS)
    path = root / "train" / "7_1610_C2_1_blue.png"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    with pytest.raises(DataError, match=r"differ in size: .*blue \(8, 8\)"):
        _open(root)


def test_a_label_that_is_no_class_is_named(tmp_path: Path) -> None:
    root = sets.write_hpa(tmp_path, {**TARGETS, "8_1_A1_1": "28"})
    with pytest.raises(DataError, match=r"8_1_A1_1 .label '28'; known: 0 to 27") as error:
        _open(root)
    assert error.value.code == "DATA-LABEL"


def test_rows_without_an_image_are_told(tmp_path: Path) -> None:
    root = sets.write_hpa(tmp_path, TARGETS)
    with (root / "train.csv").open("a") as stream:
        stream.write("9_1_A1_1,0\n")
    assert _open(root).notes == ("1 of 4 rows of the table have no image; they were left out.",)
    for path in (root / "train").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="4 of 4 rows of the table have no image") as error:
        _open(root)
    assert error.value.code == "DATA-EMPTY"


def test_another_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("file,class\na.png,1\n")
    with pytest.raises(DataError, match="first line is file,class, expected Id,Target"):
        _open(tmp_path)


def test_photographs_with_boxes(tmp_path: Path) -> None:
    data = _open(sets.write_boxes(tmp_path))
    assert data.classes == BLOOD_CLASSES and data.counts == dict.fromkeys(BLOOD_CLASSES, 3)
    assert data.groups.tolist()[:4] == ["field0"] * 3 + ["field1"] and data.group_kind == "image"
    assert data.names[1] == "field0#1" and data.sizes[1].tolist() == [20, 20]
    assert data.extra["border"].tolist()[:3] == ["yes", "no", "no"]
    field = np.array(Image.open(tmp_path / "images" / "field0.png"))
    cut = finish(open_dataset(tmp_path, size=20)).images[1]
    assert np.array_equal(cut, field[10:30, 20:40])


def test_a_square_with_margin_is_black_outside_the_photograph(tmp_path: Path) -> None:
    data = finish(open_dataset(sets.write_boxes(tmp_path), size=20, frame="square", margin=0.5))
    corner = data.images[0]  # a box of 10 x 10 in the upper left corner, 5 pixels around it
    field = np.array(Image.open(tmp_path / "images" / "field0.png"))
    assert corner[:5].max() == 0 and corner[:, :5].max() == 0
    assert np.array_equal(corner[5:, 5:], field[:15, :15])


def test_damaged_annotations_are_named(tmp_path: Path) -> None:
    root = sets.write_boxes(tmp_path)
    (root / "annotations" / "field1.xml").write_text("<annotation>")
    (root / "images" / "field2.png").unlink()
    with pytest.raises(DataError, match=r"2 of 3: field1\.xml, field2\.xml"):
        _open(root)
    bomb = '<!DOCTYPE a [<!ENTITY b "c">]><annotation/>'
    (root / "annotations" / "field1.xml").write_text(bomb)
    with pytest.raises(DataError, match="the file declares entities"):
        _open(root)


def test_a_stack_of_four_planes_is_rgby(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / label).mkdir()
        for i in range(2):
            planes = np.moveaxis(sets.texture(i, 16, 4), -1, 0)
            tifffile.imwrite(
                tmp_path / label / f"{i}.tif",
                planes,
                photometric="minisblack",
                planarconfig="separate",
            )
    assert np.array_equal(_open(tmp_path, channels="rgby").images[1], sets.texture(1, 16, 4))
    Image.fromarray(sets.texture(5, 16)).save(tmp_path / "a" / "flat.png")
    with pytest.raises(DataError, match=r"flat\.png .rgby needs 4 planes, it has 3"):
        _open(tmp_path, channels="rgby")
