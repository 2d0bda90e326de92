"""Choices made for the user, each with a reason or a coded refusal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.commands.options import Options, choose_model, labels_for, plane_of_labels
from napari_cellcls.images.read import image_from_array
from napari_cellcls.vocabulary import CellsError
from tests.export import fakes


def test_a_photograph_gets_the_smear_model() -> None:
    assert choose_model(fakes.rgb_image(), None) == (
        "malaria-thin-smear", "model malaria-thin-smear: the image is a color photograph",
    )  # fmt: skip


def test_a_wish_needs_no_reason() -> None:
    assert choose_model(fakes.rgb_image(), "mine") == ("mine", "")


@pytest.mark.parametrize("name", ["a.labels.tif", "a_labels.tif", "a.tif", "a.png"])
def test_labels_of_the_same_stem(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    (tmp_path / "b.tif").touch()
    assert labels_for(tmp_path, "a") == tmp_path / name


def test_labels_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(CellsError, match=r"no label image for 'a'.*a followed by .*CELLS-NOLABELS"):
        labels_for(tmp_path, "a")
    with pytest.raises(CellsError, match="CELLS-NOLABELFILE"):
        labels_for(tmp_path / "gone.tif", "a")


def test_labels_of_several_planes_are_refused() -> None:
    image = image_from_array(np.eye(8, dtype=np.uint8)[None].repeat(2, 0), name="l")
    with pytest.raises(CellsError, match=r"2 planes.*single-channel TIFF.*CELLS-PLANES"):
        plane_of_labels(image)


def test_choices_as_json(tmp_path: Path) -> None:
    got = Options(tmp_path, channels={"nucleus": "DAPI"}).to_json()
    assert (got["out"], got["channels"], got["labels"]) == (
        str(tmp_path),
        {"nucleus": "DAPI"},
        None,
    )
