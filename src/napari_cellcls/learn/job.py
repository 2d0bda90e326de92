"""What a training is told and what it gives back: job, settings, fitted weights. No Keras here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import Field, TypeAdapter

from napari_cellcls.learn.augment import Augmentation

_HEAD_KERNEL, _HEAD_BIAS = "head/kernel", "head/bias"


Loss: TypeAlias = Literal["categorical_crossentropy", "binary_crossentropy", "focal"]
Monitor: TypeAlias = Literal[
    "loss", "val_loss", "val_accuracy", "val_macro_f1", "val_micro_f1", "val_sample_f1"
]
_STRICT: dict[str, str] = {"extra": "forbid"}


@dataclass(frozen=True)
class Phase:
    """One stretch of a training with its own optimizer.

    Attributes
    ----------
    epochs : int
    learning_rate : float
        Start (``constant``, ``decay``) or peak (``cosine``).
    frozen : bool
        Whether the backbone that came with trained weights stays as it is. Its batch
        normalization then uses and keeps its stored statistics.
    steps_per_epoch : int, optional
        Batches per epoch; by default all training rows once.
    schedule : {"constant", "cosine", "decay"}
        ``decay`` divides by ``1 + step * learning_rate / epochs``, as Keras' former ``decay`` did.
    warmup_epochs : float
        Linear rise to ``learning_rate``.
    keep_statistics : bool
        Whether batch normalization uses the statistics it came with, and neither learns nor updates, while all else
        learns: those of some hundred changed crops are worse.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = _STRICT

    epochs: Annotated[int, Field(ge=1, le=100_000)]
    learning_rate: float = 1e-3
    frozen: bool = False
    steps_per_epoch: Annotated[int, Field(ge=1)] | None = None
    schedule: Literal["constant", "cosine", "decay"] = "constant"
    warmup_epochs: Annotated[float, Field(ge=0)] = 0.0
    keep_statistics: bool = False


@dataclass(frozen=True)
class Oversample:
    """Rows of rare classes are drawn ``factor`` times per epoch, each time augmented anew.

    ``classes`` are indices; a row with several labels counts when it has any of them.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = _STRICT

    classes: tuple[int, ...]
    factor: Annotated[int, Field(ge=2, le=1000)]


@dataclass(frozen=True)
class EarlyStopping:
    """A phase ends when ``monitor`` has not improved for ``patience`` epochs."""

    __pydantic_config__: ClassVar[dict[str, str]] = _STRICT

    monitor: Monitor = "val_loss"
    patience: Annotated[int, Field(ge=1)] = 6


@dataclass(frozen=True)
class BestWeights:
    """The weights of the epoch with the best ``monitor`` become the result, not the last ones."""

    __pydantic_config__: ClassVar[dict[str, str]] = _STRICT

    monitor: Monitor = "val_loss"


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes
    ----------
    phases : tuple of Phase
    batch_size : int
    loss : {"categorical_crossentropy", "binary_crossentropy", "focal"}
        The first for one label per cell, the second for several, ``focal`` (gamma 2) for both.
    label_smoothing : float
    class_weights : {"none", "balanced"}
        ``balanced``: every class weighs the same in the loss, however many cells it has.
    oversample : Oversample, optional
    early_stopping : EarlyStopping, optional
    checkpoint : BestWeights, optional
        Without it the last weights are the result.
    weight_decay : float
        AdamW; 0 gives Adam. Biases and normalization are never decayed.
    head_dropout : float
        Dropout between embedding and head while training.
    average : float
        Momentum of the running average of all weights per step (EMA), which is then judged and
        kept in place of the weights themselves; 0 for none.
    versions : int
        Augmented versions of each crop made once and shared by all folds (see ``learn.bank``);
        0 augments every batch anew, which suits a GPU.
    precision : {"auto", "float32"}
        ``auto`` computes in bfloat16 on GPUs that can; on a processor always float32.
    seed : int
    """

    __pydantic_config__: ClassVar[dict[str, str]] = _STRICT

    phases: Annotated[tuple[Phase, ...], Field(min_length=1, max_length=20)] = (Phase(20),)
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    loss: Loss = "categorical_crossentropy"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    oversample: Oversample | None = None
    early_stopping: EarlyStopping | None = None
    checkpoint: BestWeights | None = None
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    head_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    average: Annotated[float, Field(ge=0, lt=1)] = 0.0
    versions: Annotated[int, Field(ge=0, le=100)] = 0
    precision: Literal["auto", "float32"] = "auto"
    seed: int = 42

    @property
    def epochs(self) -> int:
        """Return the epochs of all phases together."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def monitors(self) -> tuple[str, ...]:
        """Return the values that early stopping and best weights look at."""
        return tuple(rule.monitor for rule in (self.early_stopping, self.checkpoint) if rule)


@dataclass(frozen=True)
class Job:
    """Everything that decides the result of a training, apart from the images.

    Attributes
    ----------
    architecture : str
        Id in ``models.networks``.
    params : dict
        Its parameters.
    classes : int
    training : Training
    augmentation : Augmentation
    multi_label : bool
    pretrained : {"none", "imagenet"}
        Where the backbone starts.
    start : str
        SHA-256 of the model package that backbone and head start from; "" for none.
    each : int
        Planes that pass through the network one by one, their embeddings joined; 0: all pass together.
    """

    architecture: str
    params: dict[str, Any]
    classes: int
    training: Training = field(default_factory=Training)
    augmentation: Augmentation = field(default_factory=Augmentation)
    multi_label: bool = False
    pretrained: Literal["none", "imagenet"] = "none"
    start: str = ""
    each: int = 0

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Return ``(Y, X, C)`` of one crop."""
        from napari_cellcls.models import networks

        y, x, planes = networks.input_shape(self.architecture, self.params)
        return y, x, self.each or planes

    @property
    def embedding_size(self) -> int:
        """Return the length of the embedding of a cell, all passes together."""
        from napari_cellcls.models import networks

        return networks.embedding_size(self.architecture, self.params) * (self.each or 1)


def job_from(content: dict[str, Any]) -> Job:
    """Return a job stored as JSON by ``dataclasses.asdict``."""
    return TypeAdapter(Job).validate_python(content)


@dataclass(frozen=True)
class Fitted:
    """The result of a training.

    Attributes
    ----------
    weights : dict of str to numpy.ndarray
        Backbone tensors named as in a package.
    head : tuple of numpy.ndarray
        Kernel ``(E, K)`` and bias ``(K,)``.
    history : list of dict
        One entry per epoch: ``epoch, phase, learning_rate, loss, accuracy, macro_f1, seconds`` and,
        with a validation side, the ``val_`` values of :data:`Monitor`.
    notes : tuple of str
        What the user should know about how it went.
    """

    weights: dict[str, np.ndarray]
    head: tuple[np.ndarray, np.ndarray]
    history: list[dict[str, float]]
    notes: tuple[str, ...] = ()

    def tensors(self) -> dict[str, np.ndarray]:
        """Return backbone and head in one mapping, the content of a weights file."""
        return {**self.weights, _HEAD_KERNEL: self.head[0], _HEAD_BIAS: self.head[1]}


def write_weights(path: Path, fitted: Fitted) -> None:
    """Write backbone and head of a training as one safetensors file, atomically."""
    from napari_cellcls.files import write_bytes
    from napari_cellcls.models.tensors import write_tensors

    write_bytes(path, write_tensors(fitted.tensors()))


def read_weights(path: Path, job: Job) -> dict[str, np.ndarray]:
    """Read what :func:`write_weights` wrote; anything that is not this job's network is refused."""
    from napari_cellcls.models import networks
    from napari_cellcls.models.tensors import read_tensors

    spec = dict(networks.weight_spec(job.architecture, job.params))
    spec[_HEAD_KERNEL] = ((job.embedding_size, job.classes), "float32")
    spec[_HEAD_BIAS] = ((job.classes,), "float32")
    return read_tensors(Path(path).read_bytes(), spec, name=Path(path).name)


def split_head(
    tensors: dict[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return backbone tensors and head of a mapping made by :meth:`Fitted.tensors`."""
    body = {k: v for k, v in tensors.items() if k not in (_HEAD_KERNEL, _HEAD_BIAS)}
    return body, (tensors[_HEAD_KERNEL], tensors[_HEAD_BIAS])


def fingerprint(
    images: np.ndarray, labels: np.ndarray, job: Job, rows: np.ndarray, val: np.ndarray | None
) -> str:
    """Return a hash of job and data: a checkpoint of anything else is never continued."""
    facts = {k: v for k, v in asdict(job).items() if v or k not in ("start", "each")}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    sample = images[rows[:: max(1, len(rows) // 256)]]
    for array in (labels, rows, rows[:0] if val is None else val, sample):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(repr(images.shape).encode())
    return digest.hexdigest()
