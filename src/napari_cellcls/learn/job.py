"""What a training is told and what it gives back: job, settings, fitted weights. No Keras here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from napari_cellcls.learn.augment import Augmentation

_HEAD_KERNEL, _HEAD_BIAS = "head/kernel", "head/bias"


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes
    ----------
    epochs, batch_size : int
    learning_rate : float
        Peak of the cosine schedule.
    warmup_epochs : float
        Linear rise to the peak.
    weight_decay : float
        AdamW; 0 gives Adam. Biases and normalization are never decayed.
    schedule : {"cosine", "constant"}
    label_smoothing : float
    head_dropout : float
        Dropout between embedding and head while training.
    average : float
        Momentum of the running average of all weights per step (EMA); 0 for none.
    keep : {"last", "average", "best"}
        Which weights become the result; ``best`` needs a validation side.
    versions : int
        Augmented versions of each crop made once and shared by all folds (see ``learn.bank``);
        0 augments every batch anew, which suits a GPU.
    seed : int
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 2e-3
    warmup_epochs: float = 1.0
    weight_decay: float = 0.02
    schedule: Literal["cosine", "constant"] = "cosine"
    label_smoothing: float = 0.1
    head_dropout: float = 0.0
    average: float = 0.0
    keep: Literal["last", "average", "best"] = "last"
    versions: int = 0
    seed: int = 42


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
    """

    architecture: str
    params: dict[str, Any]
    classes: int
    training: Training = field(default_factory=Training)
    augmentation: Augmentation = field(default_factory=Augmentation)
    multi_label: bool = False


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
        One entry per epoch: ``epoch, loss, val_loss, val_accuracy, seconds``.
    """

    weights: dict[str, np.ndarray]
    head: tuple[np.ndarray, np.ndarray]
    history: list[dict[str, float]]

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
    embedding = networks.embedding_size(job.architecture, job.params)
    spec[_HEAD_KERNEL] = ((embedding, job.classes), "float32")
    spec[_HEAD_BIAS] = ((job.classes,), "float32")
    return read_tensors(Path(path).read_bytes(), spec, name=Path(path).name)


def split_head(
    tensors: dict[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return backbone tensors and head of a mapping made by :meth:`Fitted.tensors`."""
    body = {k: v for k, v in tensors.items() if k not in (_HEAD_KERNEL, _HEAD_BIAS)}
    return body, (tensors[_HEAD_KERNEL], tensors[_HEAD_BIAS])


def fingerprint(images: np.ndarray, labels: np.ndarray, job: Job, rows: np.ndarray) -> str:
    """Return a hash of job and data: a checkpoint of anything else is never continued."""
    digest = hashlib.sha256(json.dumps(asdict(job), sort_keys=True).encode())
    for array in (labels, rows, images[rows[:: max(1, len(rows) // 256)]]):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(repr(images.shape).encode())
    return digest.hexdigest()
