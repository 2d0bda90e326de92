"""What a person may say about a deep fine-tune: a short recipe; the rest follows from the model and the project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from napari_cellcls.learn.augment import PRESETS, Augmentation
from napari_cellcls.learn.job import BestWeights, EarlyStopping, Phase
from napari_cellcls.learn.recipe import Recipe
from napari_cellcls.learn.recipe_errors import explain
from napari_cellcls.learn.recipe_files import find_recipe, read_content
from napari_cellcls.vocabulary import DataError

_OF_LAST_PHASE = ("epochs", "learning_rate", "steps_per_epoch", "warmup_epochs")


class TuneRecipe(BaseModel):
    """Keys of a training recipe that a fine-tune takes; ``docs/fine-tuning.md`` explains them.

    ``epochs``, ``learning_rate``, ``steps_per_epoch`` and ``warmup_epochs`` are those of the last phase, in which the whole
    network learns; ``phases`` replaces all phases.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None
    steps_per_epoch: Annotated[int, Field(ge=1)] | None = None
    warmup_epochs: Annotated[float, Field(ge=0)] | None = None
    phases: Annotated[tuple[Phase, ...], Field(min_length=1, max_length=20)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | None = None
    augmentation: Augmentation | None = None
    class_weights: Literal["none", "balanced"] | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    head_dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    average: Annotated[float, Field(ge=0, lt=1)] | None = None
    versions: Annotated[int, Field(ge=0, le=100)] | None = None
    early_stopping: EarlyStopping | None = None
    checkpoint: BestWeights | None = None
    precision: Literal["auto", "float32"] | None = None
    seed: int | None = None

    @field_validator("augmentation", mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        if isinstance(value, str) and value not in PRESETS:
            raise ValueError(f"unknown preset; there are {', '.join(PRESETS)}")
        return PRESETS[value] if isinstance(value, str) else value


def read_tune_recipe(path: str | Path) -> dict[str, Any]:
    """Read and check a short recipe; return the keys that it holds and their values.

    Raises
    ------
    DataError
        ``RECIPE-MISSING``, ``RECIPE-SYNTAX``, ``RECIPE-KEY`` (a key that no recipe has, with the nearest right one, or
        one that a fine-tune takes from its model), ``RECIPE-VALUE``.
    """
    path = find_recipe(path)
    content = read_content(path)
    known = TuneRecipe.model_fields
    decided = [key for key in content if key in Recipe.model_fields and key not in known]
    if decided:
        raise DataError(
            f"A fine-tune takes this from its model and the project: {', '.join(decided)}.",
            code="RECIPE-KEY",
            path=path,
            why=f"its recipe may hold {', '.join(known)}",
            remedy="Remove these keys, or train anew by the whole recipe: cellcls train.",
        )
    try:
        TuneRecipe.model_validate(content)
    except ValidationError as error:
        raise explain(error, TuneRecipe, path) from None
    return content


def applied(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe of a fine-tune with what a person wants otherwise.

    Rules that look at a validation side are left out where there is none.

    Parameters
    ----------
    content : mapping
        From :func:`napari_cellcls.learn.deep_recipe.deep_recipe`.
    changes : mapping
        Keys of :class:`TuneRecipe`.
    """
    of_last = {key: changes[key] for key in _OF_LAST_PHASE if changes.get(key) is not None}
    made = dict(content) | {k: v for k, v in changes.items() if k not in _OF_LAST_PHASE}
    *before, last = made["phases"]
    made["phases"] = [*before, {**last, **of_last}]
    if not made["protocol"]["val"]:
        for key in ("early_stopping", "checkpoint"):
            rule = made.get(key) or {}
            if str(rule.get("monitor", "val_loss")).startswith("val_"):
                made.pop(key, None)
    return made
