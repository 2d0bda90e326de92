"""The short recipe of a deep fine-tune: what it may hold, and what becomes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_cellcls.learn.tune_recipe import applied, read_tune_recipe
from napari_cellcls.vocabulary import DataError


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text)
    return path


def refused(folder: Path, text: str) -> DataError:
    with pytest.raises(DataError) as caught:
        read_tune_recipe(written(folder, text))
    return caught.value


def test_only_what_is_said_changes(tmp_path: Path) -> None:
    found = read_tune_recipe(
        written(tmp_path, "epochs: 3\nlearning_rate: 0.001\naugmentation: strong\n")
    )
    assert found == {"epochs": 3, "learning_rate": 0.001, "augmentation": "strong"}
    content: dict[str, Any] = {
        "phases": [{"epochs": 3, "frozen": True}, {"epochs": 24, "learning_rate": 3e-4, "schedule": "cosine"}],
        "augmentation": "mild", "batch_size": 32, "protocol": {"val": 0.2},
        "early_stopping": {"monitor": "val_loss"},
    }  # fmt: skip
    made = applied(content, found)
    assert made["phases"][0] == {"epochs": 3, "frozen": True}
    assert made["phases"][1] == {"epochs": 3, "learning_rate": 0.001, "schedule": "cosine"}
    assert made["augmentation"] == "strong" and made["early_stopping"]["monitor"] == "val_loss"
    assert content["phases"][1]["epochs"] == 24 and "epochs" not in made
    whole = applied(content, {"phases": [{"epochs": 7}], "learning_rate": 0.1})
    assert whole["phases"] == [{"epochs": 7, "learning_rate": 0.1}]


def test_rules_for_a_validation_side_need_one() -> None:
    content = {"phases": [{"epochs": 3}], "protocol": {"val": 0.0}}
    made = applied(
        content,
        {"early_stopping": {"monitor": "loss"}, "checkpoint": {"monitor": "val_macro_f1"}},
    )
    assert made["early_stopping"] == {"monitor": "loss"} and "checkpoint" not in made
    assert "early_stopping" not in applied(content, {"early_stopping": {"patience": 3}})


def test_an_unknown_key_is_told_with_the_right_one(tmp_path: Path) -> None:
    error = refused(tmp_path, "epoch: 3\n")
    assert error.code == "RECIPE-KEY" and error.remedy == "Did you mean 'epochs'?"
    error = refused(tmp_path, "phases: [{epochs: 2, learning_rat: 0.1}]\n")
    assert error.code == "RECIPE-KEY" and error.remedy == "Did you mean 'learning_rate'?"
    error = refused(tmp_path, "early_stopping: {monitors: val_loss}\n")
    assert error.remedy == "Did you mean 'monitor'?"


def test_what_the_model_and_the_project_decide_cannot_be_said(tmp_path: Path) -> None:
    error = refused(tmp_path, "epochs: 2\nclasses: [a, b]\narchitecture: {id: vgg16}\n")
    assert error.code == "RECIPE-KEY" and "classes, architecture" in error.what
    assert "cellcls train" in error.remedy and "learning_rate" in error.why


def test_values_are_checked(tmp_path: Path) -> None:
    assert "received 0" in refused(tmp_path, "epochs: 0\n").why
    error = refused(tmp_path, "augmentation: wild\n")
    assert error.code == "RECIPE-VALUE" and "there are none, mild, strong" in error.why
    with pytest.raises(DataError) as missing:
        read_tune_recipe(tmp_path / "none.yaml")
    assert missing.value.code == "RECIPE-MISSING"
