"""Doubts in words: said when there is reason, the heaviest first, and through a whole prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.models import habits
from napari_cellcls.models.habits import Shift
from napari_cellcls.predict import predict
from napari_cellcls.trust import doubts
from napari_cellcls.vocabulary import finish
from tests.models import make
from tests.test_predict import rgb_image, square_cells

RGB = ("red", "green", "blue")
NONE = np.zeros(20, bool)


def test_nothing_is_said_without_a_reason() -> None:
    assert doubts(NONE, None, RGB) == ()
    assert doubts(np.arange(20) < 3, None, RGB) == ()
    assert doubts(np.ones(4, bool), None, RGB) == ()  # too few cells to speak of an image


def test_many_unfamiliar_cells_come_first() -> None:
    said = doubts(np.arange(20) < 10, Shift(2.0, (0, 0, 0)), RGB)
    assert said[0].startswith("50% of the cells are unlike all that the model learned from")
    assert said[1].startswith("The cells are about 2 times larger than those")
    assert doubts(NONE, Shift(0.4, (0, 0, 0)), RGB)[0].startswith("The cells are about 2.5 times s")


@pytest.mark.parametrize(("as_density", "words"), [(False, "brighter"), (True, "darker")])
def test_more_density_is_darker(as_density: bool, words: str) -> None:
    (said,) = doubts(NONE, Shift(None, (1, 0, 1)), RGB, as_density=as_density)
    assert said.startswith(f"The cells are {words} in red, blue than those the model learned from")


def test_a_prediction_tells_of_another_exposure_and_scale(tmp_path: Path) -> None:
    image, cells = rgb_image(), square_cells()
    rng = np.random.default_rng(0)
    like = np.column_stack([np.log(14) + rng.normal(0, 0.1, 60), rng.normal(0.5, 0.03, (60, 3))])
    package = make.package(tmp_path / "m.cellpkg", reference={"plain": like.astype(np.float32)})
    assert finish(predict(image, cells, package)).notes == ()
    dark = replace(image, data=(image.data // 4).astype(np.uint8))
    (said,) = finish(predict(dark, cells, package)).notes
    assert said.startswith("The cells are darker in red, green, blue than those")
    large = make.package(
        tmp_path / "n.cellpkg", reference={"plain": (like - [1, 0, 0, 0]).astype(np.float32)}
    )
    assert "2.7 times larger" in finish(predict(image, cells, large)).notes[0]


def test_a_tuned_model_compares_what_it_measured(tmp_path: Path) -> None:
    from napari_cellcls.embed import describe_cells

    image, cells = rgb_image(), square_cells()
    plain = make.package(tmp_path / "plain.cellpkg")
    described = finish(describe_cells(image, cells, plain, cache=False))
    tuned = {"descriptor": "embedding+cell/1", "level": "tuned"}
    reference = {"embeddings": described.values, "labels": np.zeros(len(cells), int)}
    same = make.package(tmp_path / "same.cellpkg", reference=reference, **tuned)
    assert habits.of_package(same) is not None
    assert finish(predict(image, cells, same)).notes == ()
    moved = described.values.copy()
    moved[:, 16:] += np.random.default_rng(0).normal(1, 0.01, moved[:, 16:].shape)
    other = make.package(
        tmp_path / "other.cellpkg", reference=reference | {"embeddings": moved}, **tuned
    )
    said = finish(predict(image, cells, other)).notes
    assert said[0].startswith("100% of the cells are unlike all that the model learned from")
    assert said[1].startswith("The cells are about 2.7 times smaller")
    assert said[2].startswith("The cells are brighter in red, green, blue")  # less density
