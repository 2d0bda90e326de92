"""Recipes: the shipped ones are valid, mistakes are explained."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from napari_cellcls.learn.augment import PRESETS
from napari_cellcls.learn.recipe import parse_recipe, read_recipe
from napari_cellcls.vocabulary import DataError

RECIPES = Path(__file__).parents[2] / "training" / "recipes"


@pytest.mark.parametrize("name", ["malaria_thin_smear", "malaria_cnn"])
def test_shipped_recipes_are_valid(name: str) -> None:
    recipe = read_recipe(RECIPES / f"{name}.yaml")
    assert recipe.name == name and recipe.classes == ("Parasitized", "Uninfected")
    assert recipe.crop.frame == "box" and recipe.crop.mask and recipe.crop.size == 50
    assert recipe.job().params["size"] == 50 and recipe.positive_index == 0


def test_preset_by_name() -> None:
    assert read_recipe(RECIPES / "malaria_thin_smear.yaml").augmentation == PRESETS["strong"]


def _with(**changes: object) -> dict:
    return {**yaml.safe_load((RECIPES / "malaria_cnn.yaml").read_text()), **changes}


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"tittle": "x"}, "RECIPE-KEY", "Did you mean 'title'"),
        ({"training": {"epoch": 5}}, "RECIPE-KEY", "training.epoch.*Did you mean 'epochs'"),
        ({"augmentation": "heavy"}, "RECIPE-VALUE", "there are none, mild, strong"),
        ({"classes": ["one"]}, "RECIPE-VALUE", "classes"),
        ({"positive": "Infected"}, "RECIPE-VALUE", "classes: Parasitized, Uninfected"),
        ({"protocol": {"folds": 1}}, "RECIPE-VALUE", "received 1"),
    ],
)
def test_mistakes_are_explained(changes: dict, code: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        parse_recipe(_with(**changes))
    assert error.value.code == code


@pytest.mark.parametrize("text", ["name: [", "- a", "!!python/object/apply:os.system ['true']"])
def test_what_is_not_a_recipe(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_recipe(path)
    assert error.value.code == "RECIPE-SYNTAX"


def test_a_missing_recipe_lists_its_neighbors() -> None:
    with pytest.raises(DataError, match="malaria_cnn, malaria_thin_smear"):
        read_recipe(RECIPES / "malaria.yaml")
