"""Quarter turns: the mean of several looks; of four, the same however the cell lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.models import runtime
from napari_cellcls.models.describe import facts
from napari_cellcls.models.manifest import Manifest
from napari_cellcls.models.registry import load
from napari_cellcls.models.turns import mean_of_turns
from napari_cellcls.predict import predict_crops
from tests.models import make


def corner(crops: np.ndarray) -> np.ndarray:
    """Return what lies in the upper left corner."""
    return crops[:, 0, 0]


def test_the_mean_of_four_corners() -> None:
    crops = np.arange(2 * 3 * 3 * 1, dtype=np.float32).reshape(2, 3, 3, 1)
    assert mean_of_turns(corner, crops, 1)[:, 0].tolist() == [0, 9]
    assert mean_of_turns(corner, crops, 2)[:, 0].tolist() == [1, 10]
    assert mean_of_turns(corner, crops, 4)[:, 0].tolist() == [4, 13]


def test_one_look_is_passed_on_as_it_is() -> None:
    answer = np.zeros((1, 2), np.float32)
    assert mean_of_turns(lambda _: answer, np.zeros((1, 4, 4, 3)), 1) is answer


@pytest.mark.parametrize("turns", [1, 2, 4])
def test_a_model_answers_turned_cells_alike(tmp_path: Path, turns: int) -> None:
    package = make.package(tmp_path / "small.cellpkg", turns=turns)
    assert package.manifest.turns == turns
    shape = (12, *package.test_input.shape[1:])
    crops = np.random.default_rng(0).random(shape, dtype=np.float32)
    with runtime.open_engine(package) as engine:
        one, two = (
            predict_crops(np.rot90(crops, k, axes=(1, 2)), package, engine).logits for k in (0, 1)
        )
    apart = float(np.abs(one - two).max())
    assert (apart < 1e-4) is (turns == 4)


def test_the_card_says_how_often_a_cell_is_looked_at() -> None:
    manifest: Manifest = load("blood-cells").manifest
    once = dict(facts(manifest))
    four = dict(facts(manifest.model_copy(update={"turns": 4})))
    assert "Looks" not in once and four["Looks"] == "4 quarter turns of each cell, averaged"

    def operations(card: dict[str, str]) -> float:
        return float(card["Operations"].split()[0].replace(",", ""))

    assert operations(four) == pytest.approx(4 * operations(once), rel=0.02)
