"""The audit finds what was planted, and its page needs nothing from outside."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_cellcls import cli
from napari_cellcls.learn import page
from napari_cellcls.learn.audit import Audit, audit, samples
from napari_cellcls.learn.audit_page import html
from napari_cellcls.vocabulary import DataError, finish
from tests.learn import sets


def write_cells(root: Path, patients: int = 6, cells: int = 8) -> Path:
    """Write malaria folders of distinct cells."""
    for k, label in enumerate(("Parasitized", "Uninfected")):
        (root / label).mkdir(parents=True)
        for i in range(patients * cells):
            image = Image.fromarray(sets.texture(500 * k + i, 24 + i % 5))
            image.save(root / label / f"C{i % patients}P1thinF_IMG_20150619_11475{k}a_cell_{i}.png")
    return root


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return write_cells(tmp_path / "cell_images")


@pytest.fixture
def spoiled(clean: Path) -> Path:
    good = sorted((clean / "Parasitized").iterdir())
    other = sorted((clean / "Uninfected").glob("C5*"))[0]
    turned = Image.open(good[0]).transpose(Image.Transpose.ROTATE_90)
    turned.save(other)
    good[3].write_bytes(good[3].read_bytes()[:60])
    return clean


def _look(path: Path) -> Audit:
    return finish(audit(path, size=24))


def test_a_clean_set_is_called_clean(clean: Path) -> None:
    found = _look(clean)
    assert not found.stops and {f.level for f in found.findings} == {"good"}
    assert found.summary()["classes"] == {"Parasitized": 48, "Uninfected": 48}
    assert found.summary()["group_kind"] == "patient"


def test_what_was_planted_is_named(spoiled: Path) -> None:
    found = _look(spoiled)
    by_code = {(f.code, f.level): f for f in found.findings if f.level != "good"}
    unreadable = by_code["DATA-UNREADABLE", "stop"]
    assert len(unreadable.names) == 1 and unreadable.names[0].startswith("C0P1thinF_")
    leak = by_code["DATA-LEAK", "stop"]
    assert leak.what == "Copies in two groups (patient): 1 pair; training would stop."
    assert "C0P1" in leak.names[0] and "C5P1" in leak.names[0]
    doubts = [f.what for f in found.findings if f.code == "DATA-DUPLICATE"]
    assert any("different labels: 1 pair" in what for what in doubts)
    assert found.stops and len(found.data) == 95


def test_groups_and_small_classes_are_judged(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for label, images in (("a", 30), ("b", 5)):
        (root / label).mkdir(parents=True)
        for i in range(images):
            image = Image.fromarray(sets.texture(i + 900 * (label == "b"), 24))
            image.save(root / label / f"{label}{i}.png")
    whats = " ".join(f.what for f in _look(root).findings)
    assert (
        "Fewer than 20 images: 1 class;" in whats
        and "results may flatter" in whats
        and _look(root).notes == ()
    )
    lines = [f"a{i}.png,dish {i % 2}" for i in range(30)] + [f"b{i}.png,dish 0" for i in range(5)]
    (root / "groups.csv").write_text("\n".join(lines))
    whats = " ".join(f.what for f in _look(root).findings)
    assert "Only 2 groups" in whats and "From a single group: 1 class;" in whats
    assert "holds 57 % of the images: dish 0" in whats


def test_missing_channels_are_listed_not_fatal(tmp_path: Path) -> None:
    targets = {f"{i}_1_A{i}_1": f"{i % 3}" for i in range(1, 7)}
    root = sets.write_hpa(tmp_path, targets)
    (root / "train" / "3_1_A3_1_yellow.png").unlink()
    found = _look(root)
    assert found.data.images.shape[1:] == (24, 24, 4) and len(found.data) == 5
    channel = next(f for f in found.findings if f.code == "DATA-CHANNEL")
    assert channel.names == ("3_1_A3_1: 3_1_A3_1_yellow is not there",)
    text = html(found)
    assert "labels per image" in text and "Nucleoplasm" in text


def test_samples_come_from_many_groups(clean: Path) -> None:
    data = _look(clean).data
    rows = samples(data, 1, 6)
    assert len(set(data.groups[rows])) == 6 and (data.labels[rows] == 1).all()
    assert np.array_equal(rows, samples(data, 1, 6))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [v or "" for k, v in attrs if k in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ("rect", "line", "polyline")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_from_outside(spoiled: Path) -> None:
    text = html(_look(spoiled))
    tags = _Tags()
    tags.feed(text)
    assert tags.open == [] and len(tags.sources) >= 3
    assert all(source.startswith("data:image/jpeg;base64,") for source in tags.sources)
    assert "http" not in re.sub(r"base64,[^\"]+", "", text)
    for words in ("Findings", "Classes", "Sizes", "Brightness", "Copies and near-copies", "Groups"):
        assert f"<h2>{words}</h2>" in text
    assert "Research use only" in text


def test_columns_with_few_values_are_counted(tmp_path: Path) -> None:
    found = finish(audit(sets.write_boxes(tmp_path), size=16))
    text = html(found)
    assert "<h2>Other columns</h2>" in text and ">border</th>" in text
    assert re.search(r"<td>yes</td>.*?<td class=n>3</td><td class=n>3</td><td class=n>0</td>", text)


def test_names_cannot_write_into_the_page() -> None:
    evil = '<script>alert("x")</script>'
    for made in (
        page.finding("look", evil, "X", [evil]),
        page.table([evil], [[evil]]),
        page.figure(evil, evil, ""),
        page.page(evil, evil, [(evil, evil)], [page.Section(evil, "", evil)], evil),
    ):
        assert "<script" not in made


def test_four_planes_are_shown_merged() -> None:
    crops = np.zeros((1, 2, 2, 4), np.uint8)
    crops[..., 0], crops[..., 3] = 200, 100
    assert page.visible(crops)[0, 0, 0].tolist() == [250, 50, 0]
    assert page.visible(crops[..., :1]).shape == (1, 2, 2, 3)


def test_the_command_writes_page_and_numbers(
    spoiled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["audit", str(spoiled), "--out", str(tmp_path / "out"), "--size", "24"]) == 3
    out = capsys.readouterr().out
    assert "95 images of 2 classes, 6 groups (patient); malaria class folders" in out
    assert "Cannot be read: 1 image; training would stop." in out
    numbers = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert numbers["images"] == 95 and numbers["near_duplicates"] == 1
    assert (tmp_path / "out" / "audit.html").stat().st_size > 10_000


def test_the_command_refuses_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert "DATA-MISSING" in capsys.readouterr().err


def test_nothing_usable_is_an_error(tmp_path: Path) -> None:
    root = write_cells(tmp_path / "cells", patients=1, cells=1)
    for path in root.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(DataError, match="2 of 2: ") as error:
        _look(root)
    assert error.value.code == "DATA-UNREADABLE"
