"""Recipes: the shipped ones are valid, mistakes are explained, values can be changed from outside."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from napari_cellcls.learn.augment import PRESETS
from napari_cellcls.learn.job import BestWeights, Oversample, Phase, job_from
from napari_cellcls.learn.recipe import parse_recipe, read_recipe
from napari_cellcls.learn.recipe_files import find_recipe, read_content, shipped_recipes
from napari_cellcls.vocabulary import ChannelRole, DataError

RECIPES = Path(__file__).parents[2] / "training" / "recipes"


@pytest.mark.parametrize("name", sorted(p.stem for p in RECIPES.glob("*.yaml")))
def test_shipped_recipes_are_valid(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.name == name
    job = recipe.job()
    assert job.params["size"] == recipe.input.size == recipe.crop.size
    assert job.params["channels"] == len(recipe.inputs)
    assert job.multi_label is (job.training.loss == "binary_crossentropy")


@pytest.mark.parametrize("name", ["malaria_thin_smear", "malaria_cnn"])
def test_malaria_recipes_cut_cells_as_the_published_set_does(name: str) -> None:
    recipe = read_recipe(RECIPES / f"{name}.yaml")
    assert recipe.classes == ("Parasitized", "Uninfected") and recipe.positive_index == 0
    assert recipe.crop.frame == "box" and recipe.crop.mask and recipe.crop.size == 50


def test_preset_by_name() -> None:
    assert parse_recipe(_with(augmentation="strong")).augmentation == PRESETS["strong"]


def _with(**changes: object) -> dict:
    return {**yaml.safe_load((RECIPES / "malaria_cnn.yaml").read_text()), **changes}


def test_every_key_reaches_the_trainer() -> None:
    recipe = parse_recipe(
        _with(
            phases=[
                {"epochs": 2, "learning_rate": 0.01, "frozen": True, "steps_per_epoch": 3},
                {"epochs": 4, "learning_rate": 0.001, "schedule": "decay"},
            ],
            loss="focal",
            label_smoothing=0.1,
            class_weights="balanced",
            oversample={"classes": ["Uninfected"], "factor": 4},
            early_stopping={"monitor": "val_macro_f1", "patience": 2},
            checkpoint={"monitor": "val_sample_f1"},
            threshold="per_class",
            published={"metric": "F1", "value": 0.6, "source": "someone"},
        )
    )
    training = recipe.job().training
    assert training.phases[0] == Phase(2, 0.01, frozen=True, steps_per_epoch=3)
    assert training.phases[1].schedule == "decay" and training.epochs == 6
    assert training.oversample == Oversample((1,), 4)
    assert training.monitors == ("val_macro_f1", "val_sample_f1")
    assert training.checkpoint == BestWeights("val_sample_f1")
    assert recipe.threshold == "per_class" and recipe.published[0].value == 0.6
    assert recipe.several_labels is False


def test_a_job_survives_json() -> None:
    import json
    from dataclasses import asdict

    job = parse_recipe(_with(oversample={"classes": ["Uninfected"], "factor": 4})).job()
    assert job_from(json.loads(json.dumps(asdict(job)))) == job


def test_planes_of_the_input() -> None:
    roles = parse_recipe(_with(input={"size": 50, "channels": "rgby"})).inputs
    assert roles[1] is ChannelRole.PROTEIN and len(roles) == 4
    gray = parse_recipe(_with(input={"size": 50, "channels": "gray"}))
    assert gray.inputs == (ChannelRole.GRAY,) and gray.job().params["channels"] == 1
    planes = [{"role": role, "name": role} for role in ("nucleus", "protein")]
    cut = {"data": "project", "input": {"size": 50, "channels": "joint", "planes": planes}}
    joint = parse_recipe(_with(**cut)).job()
    assert (joint.params["channels"], joint.each, joint.input_shape) == (2, 0, (50, 50, 2))
    cut["input"]["channels"] = "each"
    each = parse_recipe(_with(**cut)).job()
    assert (each.params["channels"], each.each, each.input_shape) == (3, 2, (50, 50, 2))
    assert each.embedding_size == 2 * joint.embedding_size


def test_only_networks_that_merge_take_merged_planes() -> None:
    with pytest.raises(DataError, match="rgb_merge; malaria_cnn takes them as they are"):
        parse_recipe(_with(input={"size": 50, "channels": "rgb_merge"})).job()


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"tittle": "x"}, "RECIPE-KEY", "Did you mean 'title'"),
        ({"epoch": 5}, "RECIPE-KEY", "Did you mean 'phases.0.epochs'"),
        ({"size": 50}, "RECIPE-KEY", "Did you mean 'input.size'"),
        ({"phases": [{"epochs": 1, "lerning_rate": 1}]}, "RECIPE-KEY",
         "phases.0.lerning_rate.*Did you mean 'learning_rate'"),
        ({"early_stopping": {"patiance": 1}}, "RECIPE-KEY", "early_stopping.patiance.*'patience'"),
        ({"published": {"metrics": 1}}, "RECIPE-KEY", "Did you mean 'metric'"),
        ({"augmentation": "heavy"}, "RECIPE-VALUE", "there are none, mild, strong"),
        ({"augmentation": {"flip": True}}, "RECIPE-KEY", "Did you mean 'flips'"),
        ({"classes": ["one"]}, "RECIPE-VALUE", "classes"),
        ({"positive": "Infected"}, "RECIPE-VALUE", "positive: 'Infected' is not among the classes"),
        ({"oversample": {"classes": ["Rings"], "factor": 2}}, "RECIPE-VALUE", "'Rings' is not among"),
        ({"protocol": {"folds": 1}}, "RECIPE-VALUE", "received 1"),
        ({"crop": {"size": 40}}, "RECIPE-VALUE", "say input.size instead"),
        ({"protocol": {"val": 0.0}}, "RECIPE-VALUE", "val_loss needs a validation side"),
        ({"loss": "binary_crossentropy", "multi_label": False}, "RECIPE-VALUE", "several labels"),
        ({"phases": []}, "RECIPE-VALUE", "phases"),
        ({"phases": [{"epochs": 0}]}, "RECIPE-VALUE", "phases.0.epochs.*received 0"),
        ({"threshold": "best"}, "RECIPE-VALUE", "threshold"),
        ({"data": "project", "input": {"size": 50, "channels": "each"}}, "RECIPE-VALUE", "need planes, and only they"),
        ({"input": {"size": 50, "channels": "each", "planes": [{"role": "er", "name": "ER"}]}}, "RECIPE-VALUE",
         "only a project cuts"),
        ({"normalization": {"kind": "background"}}, "RECIPE-VALUE", "do not show the background"),
    ],
)  # fmt: skip
def test_mistakes_are_explained(changes: dict, code: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        parse_recipe(_with(**changes), Path("mine.yaml"))
    assert error.value.code == code and error.value.path == "mine.yaml"


@pytest.mark.parametrize("text", ["name: [", "- a", "!!python/object/apply:os.system ['true']"])
def test_what_is_not_a_recipe(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        read_recipe(path)
    assert error.value.code == "RECIPE-SYNTAX"


def test_a_missing_recipe_lists_its_neighbors() -> None:
    with pytest.raises(DataError, match=r"malaria_cnn, .*malaria_thin_smear") as error:
        read_recipe(RECIPES / "malaria.yaml")
    assert error.value.code == "RECIPE-MISSING"
    with pytest.raises(DataError, match="Did you mean 'malaria_cnn'"):
        read_recipe("malaria_cn")


def test_shipped_recipes_by_name() -> None:
    assert find_recipe("malaria_cnn") == shipped_recipes()["malaria_cnn"]
    assert find_recipe("malaria_cnn").is_file()


def test_values_are_changed_from_outside() -> None:
    changes = ["phases.*.epochs=2", "input.size=32", "early_stopping.patience=3", "title=a-b"]
    recipe = read_recipe("malaria_cnn", changes)
    assert recipe.phases[0].epochs == 2 and recipe.input.size == 32 and recipe.title == "a-b"
    assert recipe.early_stopping is not None and recipe.early_stopping.patience == 3
    content = read_content(find_recipe("malaria_cnn"), changes)
    assert parse_recipe(content) == recipe


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("epochs", "--set phases.0.epochs=2"),
        ("phases.7.epochs=2", "nothing is called 'phases.7.epochs'"),
        ("seed=[", "expected"),
        ("=3", "nothing is called ''"),
    ],
)
def test_changes_that_cannot_be_made(change: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        read_recipe("malaria_cnn", [change])
    assert error.value.code == "RECIPE-VALUE" and change in error.value.what


def test_the_recipe_of_the_manual_is_valid() -> None:
    text = (RECIPES.parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    block = text.partition("```yaml\n")[2].partition("```")[0]
    assert parse_recipe(yaml.safe_load(block)).job().training.monitors == (
        "val_loss",
        "val_macro_f1",
    )


def test_the_manual_names_every_key() -> None:
    from dataclasses import fields

    from napari_cellcls.learn.augment import Augmentation
    from napari_cellcls.learn.job import Phase
    from napari_cellcls.learn.recipe import Protocol, Recipe

    text = (RECIPES.parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    keys = {*Recipe.model_fields, *Protocol.model_fields, *(f.name for f in fields(Phase))}
    keys |= {f.name for f in fields(Augmentation)}
    known_elsewhere = {
        "description",
        "positive",
        "simulation",
        "license",
        "data_terms",
        "probability",
    }
    missing = {key for key in keys - known_elsewhere if f"{key}" not in text}
    assert missing == set()
