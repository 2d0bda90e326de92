"""The starters' training: its recipes fit what the simulator draws, and it says so when they do not."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
from training.simulate import crops, fluorescence, hela_crops

from training import train_fluorescence

HELA = train_fluorescence.RECIPE.with_name("hela_organelles_starter.yaml")


def options(recipe: Path, **changes: object) -> argparse.Namespace:
    given = {"recipe": recipe, "cells": None, "epochs": None, "processes": 1}
    return argparse.Namespace(**{**given, **changes})


@pytest.mark.parametrize("path", [train_fluorescence.RECIPE, HELA], ids=["hpa", "hela"])
def test_the_recipe_names_what_is_drawn(path: Path) -> None:
    recipe = train_fluorescence._recipe(options(path))
    source = train_fluorescence.source_of(recipe)
    assert source is (hela_crops if path == HELA else crops)
    assert recipe.classes == source.CLASSES
    assert (recipe.crop, recipe.normalization) == (source.CROP, source.NORMALIZATION)
    assert recipe.inputs == source.ROLES
    assert recipe.several_labels is (path != HELA)
    firsts = sorted(recipe.simulation.first_seeds.values())
    assert firsts[0] + 2 * recipe.simulation.cells["train"] < firsts[1]


def test_a_recipe_with_other_classes_is_refused(tmp_path: Path) -> None:
    text = train_fluorescence.RECIPE.read_text().replace("  - Rods & rings\n", "")
    (tmp_path / "other.yaml").write_text(text)
    with pytest.raises(ValueError, match="names 27 classes and 96 pixels; the simulator draws 28"):
        train_fluorescence._recipe(options(tmp_path / "other.yaml"))


def test_a_recipe_that_cuts_otherwise_is_refused(tmp_path: Path) -> None:
    text = HELA.read_text().replace("margin: 0.05", "margin: 0.5")
    (tmp_path / "other.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"another crop rule than training\.simulate\.hela_crops"):
        train_fluorescence._recipe(options(tmp_path / "other.yaml"))


def test_sides_that_share_a_field_are_refused() -> None:
    part = crops.field_crops(12)
    with pytest.raises(ValueError, match=r"Fields \[12\] are on two sides"):
        train_fluorescence._check_disjoint({"train": part, "val": part})


def test_a_side_that_was_drawn_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options(HELA, cells="3,2,2", out=tmp_path)
    recipe = train_fluorescence._recipe(given)
    drawn = train_fluorescence._side(recipe, "train", given)
    monkeypatch.setattr(hela_crops, "collect", None)
    again = train_fluorescence._side(recipe, "train", given)
    for name, values in vars(drawn).items():
        assert np.array_equal(values, getattr(again, name)), name


def test_all_sides_are_one_set_grouped_by_field() -> None:
    def side(seed: int, n: int) -> crops.CropSet:
        planes = np.zeros((n, 8, 8, 4), np.uint8)
        labels = np.zeros((n, 28), np.uint8)
        return crops.CropSet(planes, labels, np.full(n, seed), np.ones(n, bool))

    recipe = train_fluorescence._recipe(options(train_fluorescence.RECIPE))
    sides = {"train": side(1, 3), "val": side(2, 1), "test": side(9, 2)}
    data, rows = train_fluorescence._as_cells(recipe, sides)
    assert {name: r.tolist() for name, r in rows.items()} == {
        "train": [0, 1, 2], "val": [3], "test": [4, 5],
    }  # fmt: skip
    assert data.groups.tolist() == ["1", "1", "1", "2", "9", "9"]
    assert data.classes == fluorescence.PATTERNS and data.multi_label
