"""The manifest of a model package (``package.json``): every fact about a model, strictly checked.

Unknown keys are refused, every text and list is bounded, and numbers that belong together (crop size
and network input, classes and thresholds) are checked against each other.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from napari_cellcls.models import networks
from napari_cellcls.models.tensors import unique_keys
from napari_cellcls.vocabulary import (
    RGB_ROLES,
    CellClass,
    ChannelRole,
    ClassScheme,
    CropSpec,
    Estimate,
    InputPlane,
    ModelError,
    Normalization,
)

SCHEMA = "cellpkg/1"
MAX_MANIFEST = 1 << 20

_Line = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
]
_Text = Annotated[str, StringConstraints(max_length=20_000)]
_Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_Version = Annotated[str, StringConstraints(pattern=r"^\d{1,6}\.\d{1,6}\.\d{1,6}$")]
_Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{1,64}$")]
_Sha = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Color = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Fraction = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ArchitectureRef(_Part):
    """Registry id and parameters of the network."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    params: Annotated[dict[str, JsonValue], Field(max_length=32)]


class ClassEntry(_Part):
    """A class: stable id (column ``p_<id>``), name, color."""

    id: _Id
    name: _Line
    color: _Color


class InputEntry(_Part):
    """A plane the model expects."""

    role: ChannelRole
    name: _Line
    optional: bool = False


class MetricValue(_Part):
    """A number with its 95 % interval, how that was made, and from how many cells."""

    value: _Finite
    low: _Finite | None = None
    high: _Finite | None = None
    method: Annotated[str, StringConstraints(max_length=200)] = ""
    n: Annotated[int, Field(ge=0)] = 0


class Metrics(_Part):
    """What was measured, on what, and by which protocol.

    ``values`` holds numbers by name (``accuracy``, ``auc``, ``sensitivity``, ``specificity``,
    ``macro_f1``, ``ece`` ...); ``per_class`` the same per class id. ``independent`` is False for
    numbers from data of the training groups (or simulated like them).
    """

    protocol: Annotated[str, StringConstraints(max_length=2000)] = ""
    dataset: Annotated[str, StringConstraints(max_length=500)] = ""
    n: Annotated[int, Field(ge=0)] = 0
    groups: Annotated[int, Field(ge=0)] = 0
    independent: bool = True
    values: Annotated[dict[_Line, MetricValue], Field(max_length=64)] = {}
    per_class: Annotated[dict[_Id, dict[_Line, MetricValue]], Field(max_length=1000)] = {}
    notes: _Text = ""

    def estimate(self, name: str) -> Estimate | None:
        """Return a value with its interval, or None when it was not measured with one."""
        found = self.values.get(name)
        if found is None or found.low is None or found.high is None:
            return None
        return Estimate(found.value, found.low, found.high, found.method, found.n or self.n)


class Provenance(_Part):
    """Where the model comes from."""

    created: Annotated[str, StringConstraints(max_length=40)] = ""
    parent: Annotated[str, StringConstraints(max_length=200)] = ""
    recipe: Annotated[str, StringConstraints(max_length=200)] = ""
    data: Annotated[str, StringConstraints(max_length=2000)] = ""
    n_labels: Annotated[int, Field(ge=0)] = 0
    annotators: Annotated[int, Field(ge=0)] = 0
    software: Annotated[dict[_Line, _Line], Field(max_length=32)] = {}
    extra: Annotated[dict[str, JsonValue], Field(max_length=64)] = {}


class SetsEntry(_Part):
    """When a class belongs to the set of a cell that holds the right one as often as promised.

    A class is in the set when its probability reaches its limit; ``own`` says for which classes
    the promise holds by itself; ``cells`` and ``groups`` count what the limits were taken from.
    """

    coverage: Annotated[float, Field(ge=0.5, le=0.999)]
    limits: Annotated[tuple[_Fraction, ...], Field(max_length=1000)]
    own: Annotated[tuple[bool, ...], Field(max_length=1000)]
    cells: Annotated[int, Field(ge=0)] = 0
    groups: Annotated[int, Field(ge=0)] = 0


class FileEntry(_Part):
    """Hash and size of one member of the package."""

    sha256: _Sha
    bytes: Annotated[int, Field(ge=0, le=1 << 29)]


class TestInfo(_Part):
    """How closely an engine must reproduce ``test_output.npy``, and what made it."""

    rtol: Annotated[float, Field(gt=0, le=0.1)] = 1e-3
    atol: Annotated[float, Field(gt=0, le=0.1)] = 1e-3
    made_with: Annotated[dict[_Line, _Line], Field(max_length=16)] = {}


class Manifest(_Part):
    """Everything about a model but its numbers; see ``docs/file-formats.md`` for each field.

    ``files`` and ``test`` are filled by the package writer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Annotated[Literal["cellpkg/1"], Field(alias="schema")] = "cellpkg/1"
    name: _Slug
    version: _Version
    title: _Line
    description: _Text = ""
    package_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    architecture: ArchitectureRef
    classes: Annotated[tuple[ClassEntry, ...], Field(max_length=1000)] = ()
    multi_label: bool = False
    inputs: Annotated[tuple[InputEntry, ...], Field(max_length=16)] = ()
    channel_policy: Literal["joint", "each"] = "joint"
    turns: Literal[1, 2, 4] = 1
    descriptor: Literal["embedding", "embedding+cell/1"] = "embedding"
    crop: CropSpec
    normalization: Normalization = Normalization()
    pixel_size_um: tuple[_Finite, _Finite] | None = None
    cells: Literal["smear", "blood", "fluorescence", "whole"] = "fluorescence"
    temperature: Annotated[float, Field(gt=0.01, lt=100)] = 1.0
    thresholds: Annotated[tuple[_Fraction, ...], Field(max_length=1000)] | None = None
    sets: SetsEntry | None = None
    metrics: Metrics = Metrics()
    level: Literal["released", "starter", "backbone", "tuned"] = "released"
    sample_hint: Annotated[str, StringConstraints(max_length=200)] = ""
    provenance: Provenance = Provenance()
    license: _Line
    data_terms: _Text = ""
    intended_use: _Text = ""
    files: Annotated[dict[str, FileEntry], Field(max_length=31)] = {}
    test: TestInfo = TestInfo()

    @field_validator("crop")
    @classmethod
    def _crop_bounds(cls, crop: CropSpec) -> CropSpec:
        for extent in (crop.extent_um, crop.extent_px):
            if extent is not None and not 0 < extent <= 1e5:
                raise ValueError(f"the window of {extent} is not between 0 and 100,000")
        if crop.frame == "window" and crop.extent_um is None and crop.extent_px is None:
            raise ValueError("a window needs extent_um or extent_px")
        if not 8 <= crop.size <= 512 or not 0 <= crop.margin <= 2 or not 0 <= crop.fill <= 1:
            raise ValueError("size must be 8 to 512, margin 0 to 2, fill 0 to 1")
        return crop

    @field_validator("normalization")
    @classmethod
    def _normalization_bounds(cls, rule: Normalization) -> Normalization:
        if not 0 <= rule.low < rule.high <= 100:
            raise ValueError(
                f"percentiles must rise within 0..100, received {rule.low}, {rule.high}"
            )
        return rule

    @model_validator(mode="after")
    def _agree(self) -> Self:
        y, _, channels = networks.input_shape(self.architecture.id, self.architecture.params)
        if self.crop.size != y:
            raise ValueError(f"crops of {self.crop.size} px do not fit a network of {y} px")
        if self.channel_policy == "joint" and len(self.inputs) != channels:
            raise ValueError(
                f"{len(self.inputs)} inputs do not fit a network of {channels} channels"
            )
        if self.channel_policy == "each" and channels != 3:
            raise ValueError("the policy 'each' needs a network of 3 channels")
        if len({c.id for c in self.classes}) != len(self.classes):
            raise ValueError("two classes have the same id")
        names = [c.name for c in self.classes]
        if len(set(names)) != len(names) or any("|" in name for name in names):
            raise ValueError("class names must differ and hold no '|' (it joins several classes)")
        if self.thresholds is not None and len(self.thresholds) != len(self.classes):
            raise ValueError(f"{len(self.thresholds)} thresholds for {len(self.classes)} classes")
        if self.sets is not None and self.multi_label:
            raise ValueError("sets of classes are for models with one class per cell")
        if self.sets is not None and not (
            len(self.sets.limits) == len(self.sets.own) == len(self.classes)
        ):
            raise ValueError(
                f"{len(self.sets.limits)} limits of sets for {len(self.classes)} classes"
            )
        if self.classes and not self.inputs:
            raise ValueError("a model with classes must name its inputs")
        return self

    @property
    def scheme(self) -> ClassScheme:
        """The classes in output order."""
        classes = tuple(CellClass(c.id, c.name, c.color) for c in self.classes)
        return ClassScheme(classes, self.multi_label)

    @property
    def planes(self) -> tuple[InputPlane, ...]:
        """The planes expected, in order; empty: any number."""
        return tuple(InputPlane(i.role, i.name, i.optional) for i in self.inputs)

    @property
    def in_color(self) -> bool:
        """Whether the network sees the planes as one color photograph although they could be any."""
        return self.channel_policy == "each" and tuple(i.role for i in self.inputs) == RGB_ROLES

    @property
    def passes(self) -> int:
        """Passes through the network per cell, each giving an embedding; 1 when the inputs are open."""
        each = self.channel_policy == "each" and not self.in_color
        return max(len(self.inputs), 1) if each else 1

    @property
    def label(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    def to_json(self) -> bytes:
        """Return the canonical text: same manifest, same bytes."""
        data = self.model_dump(mode="json", by_alias=True)
        return (json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def parse(data: bytes) -> Manifest:
    """Read ``package.json``.

    Raises
    ------
    ModelError
        ``MODEL-MANIFEST`` (malformed), ``MODEL-NEWER`` (made for a newer version of the plugin),
        ``MODEL-PARAMS`` (network parameters out of bounds).
    """
    if len(data) > MAX_MANIFEST:
        raise _bad(f"it has {len(data):,} bytes, at most {MAX_MANIFEST:,} are allowed")
    try:
        raw = json.loads(
            data.decode("utf-8"), object_pairs_hook=unique_keys, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise _bad(f"it is not valid JSON: {error!s:.120}") from None
    if not isinstance(raw, dict):
        raise _bad("it is not a JSON object")
    _check_schema(raw.get("schema"))
    return validate(raw)


def validate(raw: dict[str, Any]) -> Manifest:
    """Check a dictionary and return the manifest (errors as in :func:`parse`)."""
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "package"
        raise _bad(f"{where:.120}: {first['msg']:.300}; received {first['input']!r:.80}") from None


def _check_schema(schema: object) -> None:
    if schema == SCHEMA:
        return
    if isinstance(schema, str) and schema.startswith("cellpkg/") and schema[8:].isdigit():
        raise ModelError(
            "This model needs a newer version of napari-cellcls",
            code="MODEL-NEWER",
            why=f"its format is {schema:.40}; this version reads {SCHEMA}.",
            remedy="Update with: pip install --upgrade napari-cellcls",
        )
    raise _bad(f"its schema is {schema!r:.80}, expected {SCHEMA!r}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _bad(why: str) -> ModelError:
    return ModelError(
        "The manifest of the model (package.json) is not usable",
        code="MODEL-MANIFEST",
        why=f"{why}.",
        remedy="Get the package again, or ask its author for a corrected one.",
    )
