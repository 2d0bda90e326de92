"""A training recipe: a YAML file that says how a model is made, checked before anything runs."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from napari_cellcls.learn.augment import PRESETS, Augmentation
from napari_cellcls.learn.job import Job, Training
from napari_cellcls.vocabulary import ChannelRole, CropSpec, DataError, Normalization

_MAX_BYTES = 1 << 20


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ArchitectureChoice(_Part):
    """Registry id and parameters of the network."""

    id: str
    params: dict[str, Any] = {}


class Protocol(_Part):
    """How the data are split: ``grouped`` into folds by patient, or ``random`` as often published."""

    kind: Literal["grouped", "random"] = "grouped"
    folds: Annotated[int, Field(ge=2, le=50)] = 5
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    val: Annotated[float, Field(ge=0, lt=1)] = 0.0
    seed: int = 42


class Recipe(_Part):
    """Everything about a training but the data.

    ``name`` names files; ``positive`` is the class that sensitivity is about; ``augmentation`` is
    the name of a preset or a mapping of strengths.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    title: str
    description: str = ""
    data: Literal["malaria", "folders"] = "folders"
    architecture: ArchitectureChoice
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=1000)]
    positive: str | None = None
    inputs: tuple[ChannelRole, ...] = (
        ChannelRole.RGB_RED,
        ChannelRole.RGB_GREEN,
        ChannelRole.RGB_BLUE,
    )
    crop: CropSpec
    normalization: Normalization = Normalization()
    augmentation: Augmentation = Augmentation()
    training: Training = Training()
    protocol: Protocol = Protocol()
    license: str = ""
    data_terms: str = ""

    @field_validator("augmentation", mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in PRESETS:
                raise ValueError(f"unknown preset; there are {', '.join(PRESETS)}")
            return PRESETS[value]
        return value

    def job(self) -> Job:
        """Return what the trainer needs."""
        from napari_cellcls.models import networks

        params = {"size": self.crop.size, "channels": len(self.inputs), **self.architecture.params}
        return Job(
            architecture=self.architecture.id,
            params=networks.full_params(self.architecture.id, params),
            classes=len(self.classes),
            training=self.training,
            augmentation=self.augmentation,
        )

    @property
    def positive_index(self) -> int:
        """Index of the positive class (the first when none is named)."""
        return self.classes.index(self.positive) if self.positive else 0


def read_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe file.

    Raises
    ------
    DataError
        ``RECIPE-MISSING``, ``RECIPE-SYNTAX`` (not YAML), ``RECIPE-KEY`` (a key that no recipe
        has, with the nearest right one), ``RECIPE-VALUE`` (a value out of bounds).
    """
    import yaml

    path = Path(path)
    if not path.is_file():
        near = sorted(p.stem for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise DataError(
            "The recipe is not there.",
            code="RECIPE-MISSING",
            path=path,
            remedy=f"Recipes in that folder: {', '.join(near) or 'none'}.",
        )
    try:
        content = yaml.safe_load(path.read_bytes()[:_MAX_BYTES])
    except yaml.YAMLError as error:
        raise DataError(
            "The recipe is not valid YAML.",
            code="RECIPE-SYNTAX",
            path=path,
            why=str(error).replace("\n", " ")[:300],
            remedy="Correct the line named above.",
        ) from None
    if not isinstance(content, dict):
        raise DataError(
            "The recipe is not a list of keys and values.",
            code="RECIPE-SYNTAX",
            path=path,
            why=f"it holds {type(content).__name__}",
            remedy="Start from a recipe in training/recipes.",
        )
    return parse_recipe(content, path)


def parse_recipe(content: dict[str, Any], path: Path | None = None) -> Recipe:
    """Check the content of a recipe; see :func:`read_recipe` for the errors."""
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise _explain(error, path) from None
    if recipe.positive is not None and recipe.positive not in recipe.classes:
        raise DataError(
            "The positive class is not among the classes.",
            code="RECIPE-VALUE",
            path=path,
            why=f"positive: {recipe.positive!r}; classes: {', '.join(recipe.classes)}",
            remedy="Name one of the classes.",
        )
    return recipe


def _explain(error: ValidationError, path: Path | None) -> DataError:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _keys_beside(first["loc"])
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.5)
        return DataError(
            f"The recipe has an unknown key: {where}.",
            code="RECIPE-KEY",
            path=path,
            why=f"known here: {', '.join(known)}",
            remedy=f"Did you mean {near[0]!r}?" if near else "Remove the key.",
        )
    received = "" if first["type"] == "missing" else f"; received {first['input']!r:.80}"
    return DataError(
        f"The recipe's {where} is not usable.",
        code="RECIPE-VALUE",
        path=path,
        why=f"{first['msg']}{received}",
        remedy="Correct this value.",
    )


def _keys_beside(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys allowed where an unknown one was found."""
    parts: dict[str, Any] = {
        "architecture": ArchitectureChoice,
        "protocol": Protocol,
        "crop": CropSpec,
        "normalization": Normalization,
        "augmentation": Augmentation,
        "training": Training,
    }
    owner = parts.get(str(location[0]), Recipe) if len(location) > 1 else Recipe
    fields = getattr(owner, "model_fields", None) or getattr(owner, "__dataclass_fields__", {})
    return sorted(fields)
