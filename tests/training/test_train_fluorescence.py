"""The starter's training: its recipe fits what the simulator draws, and it says so when it does not."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
from training.simulate import crops, fluorescence

from training import train_fluorescence


def options(recipe: Path, **changes: object) -> argparse.Namespace:
    return argparse.Namespace(recipe=recipe, cells=None, epochs=None, **changes)


def test_the_recipe_names_what_is_drawn() -> None:
    recipe = train_fluorescence._recipe(options(train_fluorescence.RECIPE))
    assert recipe.classes == fluorescence.PATTERNS
    assert recipe.input.size == crops.CROP.size
    firsts = sorted(recipe.simulation.first_seeds.values())
    assert firsts[0] + 2 * recipe.simulation.cells["train"] < firsts[1]


def test_a_recipe_with_other_classes_is_refused(tmp_path: Path) -> None:
    text = train_fluorescence.RECIPE.read_text().replace("  - Rods & rings\n", "")
    (tmp_path / "other.yaml").write_text(text)
    with pytest.raises(ValueError, match="names 27 classes and 96 pixels; the simulator draws 28"):
        train_fluorescence._recipe(options(tmp_path / "other.yaml"))


def test_sides_that_share_a_field_are_refused() -> None:
    part = crops.field_crops(12)
    with pytest.raises(ValueError, match=r"Fields \[12\] are on two sides"):
        train_fluorescence._check_disjoint({"train": part, "val": part})
