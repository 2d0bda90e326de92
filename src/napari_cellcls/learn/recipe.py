"""A training recipe: a YAML file that says how a model is made, checked before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from napari_cellcls.learn.augment import PRESETS, Augmentation
from napari_cellcls.learn.datasets import Channels
from napari_cellcls.learn.job import (
    BestWeights,
    EarlyStopping,
    Job,
    Loss,
    Oversample,
    Phase,
    Training,
)
from napari_cellcls.learn.protocols import SplitPlan
from napari_cellcls.learn.recipe_errors import explain
from napari_cellcls.learn.recipe_files import find_recipe, read_content
from napari_cellcls.models.manifest import InputEntry
from napari_cellcls.vocabulary import RGB_ROLES, ChannelRole, CropSpec, DataError, Normalization

_HPA_ROLES = (
    ChannelRole.MICROTUBULES,
    ChannelRole.PROTEIN,
    ChannelRole.NUCLEUS,
    ChannelRole.ER,
)

ROLES: dict[Channels, tuple[ChannelRole, ...]] = {
    "rgb": RGB_ROLES,
    "gray": (ChannelRole.GRAY,),
    "rgby": _HPA_ROLES,
    "rgb_merge": _HPA_ROLES,
}
"""Planes read from an image; with ``rgb_merge`` the first layer of the network makes three of four."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ArchitectureChoice(_Part):
    """Registry id and parameters of the network."""

    id: str
    params: dict[str, Any] = {}


class InputRule(_Part):
    """Edge of the network input in pixels, and the planes it takes.

    ``channels`` names a known set of planes; ``joint`` and ``each`` take those listed in ``planes``, together or one by
    one, from cells that a project has cut.
    """

    size: Annotated[int, Field(ge=8, le=1024)]
    channels: Literal["rgb", "gray", "rgby", "rgb_merge", "joint", "each"] = "rgb"
    planes: Annotated[tuple[InputEntry, ...], Field(max_length=16)] = ()

    @property
    def each(self) -> int:
        """Return how many planes pass through the network one by one; 0: all pass together."""
        return len(self.planes) if self.channels == "each" else 0


class Protocol(_Part):
    """How the data are split; see :class:`napari_cellcls.learn.protocols.SplitPlan`.

    ``grouped`` and ``kfold`` make folds, one of which is held out; ``random`` (as often
    published), ``stratified`` and ``hashed`` make shares; ``listed`` follows ``sides.csv``.
    """

    kind: Literal["grouped", "random", "kfold", "stratified", "hashed", "listed"] = "grouped"
    by: str | None = None
    folds: Annotated[int, Field(ge=2, le=50)] = 5
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    val: Annotated[float, Field(ge=0, lt=1)] = 0.0
    seed: int = 42
    allow_duplicates: bool = False

    def plan(self) -> SplitPlan:
        """Return what splits the data."""
        return SplitPlan(**self.model_dump())


class OversampleRule(_Part):
    """Rare classes drawn ``factor`` times per epoch, by name."""

    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    factor: Annotated[int, Field(ge=2, le=1000)]


class Simulation(_Part):
    """Simulated cells instead of data: the script, and fields and cells of each side."""

    source: str
    first_seeds: dict[Literal["train", "val", "test"], int]
    cells: dict[Literal["train", "val", "test"], Annotated[int, Field(ge=1)]]


class StartRule(_Part):
    """The model package that the network starts from: a file beside the recipe, and its SHA-256.

    ``named`` says of classes what the package calls them, where that is another name. With ``head: fitted`` the head is fitted
    on the training side before the network learns, near the one of the package.
    """

    package: Annotated[str, Field(min_length=1, max_length=400)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    named: dict[str, str] = {}
    head: Literal["kept", "fitted"] = "kept"


class Published(_Part):
    """What the authors of a system reported, and by which protocol."""

    metric: str
    value: float | tuple[float, ...] | str
    protocol: str = ""
    source: str = ""


class Recipe(_Part):
    """Everything about a training but the data; ``docs/training.md`` explains each key.

    ``name`` names files; ``positive`` is the class that sensitivity is about; ``augmentation`` is
    the name of a preset or a mapping of strengths; ``published`` is what others reported for this
    network, one entry or several.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
    title: str
    description: str = ""
    data: Literal["folders", "malaria", "hpa", "simulated", "project"] = "folders"
    simulation: Simulation | None = None
    architecture: ArchitectureChoice
    pretrained: Literal["none", "imagenet"] = "none"
    start: StartRule | None = None
    classes: Annotated[tuple[str, ...], Field(min_length=2, max_length=1000)]
    positive: str | None = None
    input: InputRule
    crop: CropSpec
    normalization: Normalization = Normalization()
    augmentation: Augmentation = Augmentation()
    phases: Annotated[tuple[Phase, ...], Field(min_length=1, max_length=20)]
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    loss: Loss = "categorical_crossentropy"
    multi_label: bool | None = None
    teaching: Annotated[float, Field(gt=0, le=1)] = 0.5
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    oversample: OversampleRule | None = None
    early_stopping: EarlyStopping | None = None
    checkpoint: BestWeights | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] | Literal["per_class", "matched"] = 0.5
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    head_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    versions: Annotated[int, Field(ge=0, le=100)] = 0
    turns: Literal[1, 2, 4] = 1
    precision: Literal["auto", "float32"] = "auto"
    seed: int = 42
    protocol: Protocol = Protocol()
    published: tuple[Published, ...] = ()
    license: str = ""
    data_terms: str = ""

    @model_validator(mode="before")
    @classmethod
    def _size_of_the_crop(cls, content: Any) -> Any:
        """Take the edge of the crop from ``input``: it would otherwise be said twice."""
        if not isinstance(content, dict):
            return content
        crop = content.get("crop", {})
        if isinstance(crop, dict) and "size" in crop:
            raise ValueError("crop.size: say input.size instead")
        if isinstance(crop, dict) and isinstance(content.get("input"), dict):
            return {**content, "crop": {**crop, "size": content["input"].get("size", 0)}}
        return content

    @field_validator("published", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    @field_validator("augmentation", mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        if isinstance(value, str):
            if value not in PRESETS:
                raise ValueError(f"unknown preset; there are {', '.join(PRESETS)}")
            return PRESETS[value]
        return value

    @model_validator(mode="after")
    def _agree(self) -> Recipe:
        rare = self.oversample.classes if self.oversample else ()
        named = [("positive", self.positive)] if self.positive is not None else []
        for key, name in [*named, *(("oversample.classes", name) for name in rare)]:
            if name not in self.classes:
                raise ValueError(f"{key}: {name!r} is not among the classes")
        if self.loss == "binary_crossentropy" and self.multi_label is False:
            raise ValueError("loss: binary_crossentropy is for several labels per image")
        if self.loss == "categorical_crossentropy" and self.multi_label:
            raise ValueError("loss: categorical_crossentropy is for one label per image")
        if self.start is not None and self.pretrained != "none":
            raise ValueError("start and pretrained both say where the network starts")
        if (self.data == "simulated") is (self.simulation is None):
            raise ValueError("data: simulated and simulation belong together")
        if self.normalization.kind == "background" and self.data != "project":
            raise ValueError("normalization: crops alone do not show the background of their image")
        if (self.input.channels in ("joint", "each")) is not bool(self.input.planes):
            raise ValueError("input: channels joint and each need planes, and only they")
        if self.input.planes and self.data != "project":
            raise ValueError("input: only a project cuts cells with planes of its own")
        blind = [m for m in self.training.monitors if m.startswith("val_")]
        if blind and not self.protocol.val:
            raise ValueError(f"{blind[0]} needs a validation side: set protocol.val")
        return self

    @property
    def several_labels(self) -> bool:
        """Return whether an image may have several labels (by default as the loss implies)."""
        if self.multi_label is None:
            return self.loss == "binary_crossentropy" or self.data == "hpa"
        return self.multi_label

    @property
    def inputs(self) -> tuple[ChannelRole, ...]:
        """Return the planes read from an image, in order."""
        channels = self.input.channels
        if channels == "joint" or channels == "each":
            return tuple(plane.role for plane in self.input.planes)
        return ROLES[channels]

    @property
    def training(self) -> Training:
        """Return the part of the recipe that the trainer follows."""
        rare = self.oversample
        return Training(
            oversample=Oversample(tuple(map(self.classes.index, rare.classes)), rare.factor)
            if rare
            else None,
            **{name: getattr(self, name) for name in _SHARED},
        )

    def job(self) -> Job:
        """Return what the trainer needs."""
        from napari_cellcls.models import networks

        own = {"size": self.input.size, "channels": 3 if self.input.each else len(self.inputs)}
        params = {**own, **self.architecture.params}
        layers = networks.plan(self.architecture.id, params).layers
        if self.input.channels == "rgb_merge" and not any(x.kind == "mix" for x in layers):
            raise DataError(
                "The network of the recipe does not merge its planes.",
                code="RECIPE-VALUE",
                why=f"input.channels: rgb_merge; {self.architecture.id} takes them as they are",
                remedy="Write input.channels: rgby, or choose hpa_vgg16 or hpa_inception_resnet_v2.",
            )
        return Job(
            architecture=self.architecture.id,
            params=networks.full_params(self.architecture.id, params),
            classes=len(self.classes),
            training=self.training,
            augmentation=self.augmentation,
            multi_label=self.several_labels,
            pretrained=self.pretrained,
            start=self.start.sha256 if self.start is not None else "",
            each=self.input.each,
        )

    @property
    def positive_index(self) -> int:
        """Index of the positive class (the first when none is named)."""
        return self.classes.index(self.positive) if self.positive else 0


_SHARED = tuple(
    name for name in Training.__dataclass_fields__ if name in Recipe.model_fields and name != "oversample"
)  # fmt: skip


def read_recipe(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Parameters
    ----------
    path : path-like
        A file, or the name of a shipped recipe.
    changes : sequence of str
        ``key=value``, the key with dots (``phases.0.epochs=2``; ``phases.*.epochs`` for all), the
        value as in YAML.

    Raises
    ------
    DataError
        ``RECIPE-MISSING``, ``RECIPE-SYNTAX`` (not YAML), ``RECIPE-KEY`` (a key that no recipe
        has, with the nearest right one), ``RECIPE-VALUE`` (a value out of bounds).
    """
    path = find_recipe(path)
    return parse_recipe(read_content(path, changes), path)


def parse_recipe(content: dict[str, Any], path: Path | None = None) -> Recipe:
    """Check the content of a recipe; see :func:`read_recipe` for the errors."""
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise explain(error, Recipe, path) from None
