"""Training a network: one Keras 3 loop for every backend, and the process it runs in.

The images live on the device once, batches are gathered and augmented there, so that a fast
GPU is not kept waiting. The loop is a generator of progress; run it in a process of its own
(``python -m napari_cellcls.learn.trainer``), because a training may be killed for memory.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from napari_cellcls.learn.augment import Augmentation, augment
from napari_cellcls.learn.bank import draw, make_bank
from napari_cellcls.learn.checkpoint import Checkpoint
from napari_cellcls.vocabulary import DataError, Progress, Task

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


def fit(
    images: np.ndarray,
    labels: np.ndarray,
    job: Job,
    *,
    train: np.ndarray | None = None,
    val: np.ndarray | None = None,
    out: Path | None = None,
    resume: bool = False,
    bank_folder: Path | None = None,
) -> Task[Fitted]:
    """Train a network and return its weights; yields progress with the loss.

    Parameters
    ----------
    images : numpy.ndarray
        ``(N, size, size, C)`` uint8 (divided by 255) or float32 in 0..1.
    labels : numpy.ndarray
        ``(N,)`` class indices, or ``(N, K)`` 0/1 for several labels per cell.
    job : Job
    train, val : numpy.ndarray, optional
        Rows of the two sides; all rows and none by default.
    out : Path, optional
        Folder for the crash-safe checkpoint, written after each epoch.
    resume : bool
        Continue from the checkpoint in ``out`` when it belongs to this very job and data.
    bank_folder : Path, optional
        Where augmented versions are kept when ``training.versions`` asks for them.

    Raises
    ------
    DataError
        ``DATA-EMPTY`` (nothing to train on), ``DATA-SHAPE`` (images do not fit the network),
        ``DATA-LABEL`` (a label outside the classes), ``TRAIN-NAN`` (the loss became NaN).
    """
    rows = np.arange(len(images)) if train is None else np.asarray(train)
    _check_inputs(images, labels, rows, job)
    loop = _Loop(images, labels, job, rows, val, out, resume, bank_folder)
    steps = loop.steps * job.training.epochs
    while loop.epoch < job.training.epochs:
        for step, loss in loop.run_epoch():
            done = loop.epoch * loop.steps + step
            yield Progress(done, steps, f"epoch {loop.epoch + 1}: loss {loss:.4f}")
        loop.end_epoch()
        yield Progress(loop.epoch * loop.steps, steps, loop.summary())
    return loop.result()


def _check_inputs(images: np.ndarray, labels: np.ndarray, rows: np.ndarray, job: Job) -> None:
    from napari_cellcls.models import networks

    expected = networks.input_shape(job.architecture, job.params)
    if len(rows) == 0:
        raise DataError(
            "There is no cell to train on.", code="DATA-EMPTY", remedy="Check the split."
        )
    if tuple(images.shape[1:]) != expected:
        raise DataError(
            "The crops do not fit the network.",
            code="DATA-SHAPE",
            why=f"crops are {tuple(images.shape[1:])}, the network takes {expected}",
            remedy="Set `size` and `channels` of the recipe to those of the crops.",
        )
    top = labels.shape[1] - 1 if labels.ndim == 2 else int(labels.max())
    if len(labels) != len(images) or top >= job.classes or labels.min() < 0:
        raise DataError(
            "The labels do not fit the classes.",
            code="DATA-LABEL",
            why=f"{len(labels)} labels up to {top} for {len(images)} crops and {job.classes} classes",
            remedy="Check the class list of the recipe.",
        )


class _Loop:
    """State of one training: model, data on the device, average, history."""

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        job: Job,
        rows: np.ndarray,
        val: np.ndarray | None,
        out: Path | None,
        resume: bool,
        bank_folder: Path | None,
    ) -> None:
        import keras

        self.job, self.rows, self.val = job, rows, val
        self.spec = job.training
        self.epoch = 0
        self.history: list[dict[str, float]] = []
        self.best: tuple[float, list[np.ndarray]] | None = None
        self.batch = min(self.spec.batch_size, len(rows))
        self.steps = max(1, len(rows) // self.batch)
        keras.utils.set_random_seed(self.spec.seed)
        self.backbone, self.model = build_classifier(job)
        _shorten_statistics(self.model, self.steps * self.spec.epochs)
        self.model.compile(optimizer=_optimizer(job, self.steps), loss=_loss(job))
        self.model.optimizer.build(self.model.trainable_variables)
        self.images, self.labels = images, labels
        self.targets = _targets(labels, job)
        self.bank: np.ndarray | None = None
        if self.spec.versions and bank_folder is not None:
            self.bank = make_bank(
                images, job.augmentation, self.spec.versions, self.spec.seed, bank_folder
            )
        self.device_images = None if self.bank is not None else _to_device(images)
        self.average = [_copy(w.value) for w in self.model.weights] if self.spec.average else None
        self.checkpoint = Checkpoint(out, fingerprint(images, labels, job, rows)) if out else None
        if self.checkpoint and resume:
            self._restore()

    def run_epoch(self) -> Iterator[tuple[int, float]]:
        self.started, self.losses = time.perf_counter(), []
        order = np.random.default_rng((self.spec.seed, self.epoch)).permutation(self.rows)
        for step in range(self.steps):
            rows = order[step * self.batch : (step + 1) * self.batch]
            loss = float(self.model.train_on_batch(self._crops(rows, step), self.targets[rows]))
            if not np.isfinite(loss):
                raise DataError(
                    "The training ran away: the loss is not a number any more.",
                    code="TRAIN-NAN",
                    why=f"epoch {self.epoch + 1}, step {step + 1}",
                    remedy="Lower learning_rate in the recipe, or raise warmup_epochs.",
                )
            self.losses.append(loss)
            self._update_average(self.epoch * self.steps + step)
            yield step + 1, float(np.mean(self.losses))

    def _crops(self, rows: np.ndarray, step: int) -> Any:
        from keras import ops

        seed = (self.spec.seed, self.epoch, step)
        if self.bank is not None:
            version = self.bank[self.epoch % len(self.bank)]
            return draw(version, rows, np.random.default_rng(seed))
        crops = _as_float(ops.take(self.device_images, ops.convert_to_tensor(rows), axis=0))
        return augment(crops, self.job.augmentation, seed)

    def end_epoch(self) -> None:
        entry = {"epoch": float(self.epoch + 1), "loss": float(np.mean(self.losses))}
        if self.val is not None and len(self.val):
            with _Swapped(self.model, self.average if self.spec.keep == "average" else None):
                entry |= self._validate(self.val)
            if self.spec.keep == "best" and (self.best is None or entry["val_loss"] < self.best[0]):
                self.best = (entry["val_loss"], self.model.get_weights())
        entry["seconds"] = time.perf_counter() - self.started
        self.history.append(entry)
        self.epoch += 1
        if self.checkpoint:
            self._save()

    def summary(self) -> str:
        entry = self.history[-1]
        words = [f"epoch {self.epoch}/{self.spec.epochs}: loss {entry['loss']:.4f}"]
        if "val_loss" in entry:
            words.append(f"val {entry['val_loss']:.4f}, accuracy {entry['val_accuracy']:.4f}")
        return ", ".join([*words, f"{entry['seconds']:.1f} s"])

    def result(self) -> Fitted:
        from napari_cellcls.models import networks, plan

        if self.spec.keep == "best" and self.best is not None:
            self.model.set_weights(self.best[1])
        with _Swapped(self.model, self.average if self.spec.keep == "average" else None):
            spec = networks.weight_spec(self.job.architecture, self.job.params)
            kernel, bias = (np.asarray(w, np.float32) for w in self.model.layers[-1].get_weights())
            return Fitted(plan.collect(self.backbone, spec), (kernel, bias), self.history)

    def _update_average(self, step: int) -> None:
        if self.average is None:
            return
        # A short memory at first, so that the random start is forgotten (as in TensorFlow's EMA).
        keep = min(self.spec.average, (1 + step) / (10 + step))
        for i, weight in enumerate(self.model.weights):
            self.average[i] = keep * self.average[i] + (1 - keep) * _copy(weight.value)

    def _validate(self, rows: np.ndarray) -> dict[str, float]:
        logits = logits_of(self.model, self.images, rows)
        targets = self.targets[rows]
        if self.job.multi_label:
            loss = np.logaddexp(0, logits) - targets * logits
            return {
                "val_loss": float(loss.mean()),
                "val_accuracy": float(((logits > 0) == (targets > 0.5)).mean()),
            }
        top = logits.max(1, keepdims=True)
        log_p = logits - top - np.log(np.exp(logits - top).sum(1, keepdims=True))
        hit = logits.argmax(1) == targets.argmax(1)
        return {
            "val_loss": float(-(targets * log_p).sum(1).mean()),
            "val_accuracy": float(hit.mean()),
        }

    def _save(self) -> None:
        assert self.checkpoint is not None
        groups = {
            "model": [_numpy(v.value) for v in self.model.variables],
            "optimizer": [_numpy(v.value) for v in self.model.optimizer.variables],
            "average": [_numpy(v) for v in self.average or []],
            "best": self.best[1] if self.best else [],
        }
        best = self.best[0] if self.best else None
        self.checkpoint.save(groups, {"epoch": self.epoch, "history": self.history, "best": best})

    def _restore(self) -> None:
        from keras import ops

        assert self.checkpoint is not None
        found = self.checkpoint.load()
        if found is None:
            return
        groups, state = found
        for variable, value in zip(self.model.variables, groups["model"]):
            variable.assign(value)
        for variable, value in zip(self.model.optimizer.variables, groups["optimizer"]):
            variable.assign(value)
        if self.average is not None:
            self.average = [ops.convert_to_tensor(v) for v in groups["average"]]
        self.best = (state["best"], groups["best"]) if state["best"] is not None else None
        self.epoch, self.history = state["epoch"], state["history"]


class _Swapped:
    """Use other weights for a while (the running average), then put the own ones back."""

    def __init__(self, model: Any, weights: list[Any] | None) -> None:
        self.model, self.weights = model, weights

    def __enter__(self) -> None:
        if self.weights is not None:
            self.own = [_copy(w.value) for w in self.model.weights]
            for variable, value in zip(self.model.weights, self.weights):
                variable.assign(value)

    def __exit__(self, *_: object) -> None:
        if self.weights is not None:
            for variable, value in zip(self.model.weights, self.own):
                variable.assign(value)


def build_classifier(job: Job) -> tuple[Any, Any]:
    """Return the backbone and the classifier (backbone, dropout, linear head) of a job."""
    import keras

    from napari_cellcls.models import networks

    backbone = networks.build(job.architecture, job.params)
    x = backbone.output
    if job.training.head_dropout:
        x = keras.layers.Dropout(job.training.head_dropout, name="head_dropout")(x)
    return backbone, keras.Model(backbone.input, keras.layers.Dense(job.classes, name="head")(x))


def load_classifier(job: Job, tensors: dict[str, np.ndarray]) -> Any:
    """Return the Keras classifier of a job with stored weights."""
    from napari_cellcls.models import plan

    backbone, model = build_classifier(job)
    body, head = split_head(tensors)
    plan.assign(backbone, body)
    model.layers[-1].set_weights(list(head))
    return model


def logits_of(
    model: Any, images: np.ndarray, rows: np.ndarray | None = None, *, batch_size: int = 512
) -> np.ndarray:
    """Return the logits ``(n, K)`` float32 of some rows of a crop array."""
    rows = np.arange(len(images)) if rows is None else np.asarray(rows)
    parts = []
    for start in range(0, len(rows), batch_size):
        crops = _as_float(_to_device(images[rows[start : start + batch_size]]))
        parts.append(np.asarray(model.predict_on_batch(crops), np.float32))
    return np.concatenate(parts)


def fingerprint(images: np.ndarray, labels: np.ndarray, job: Job, rows: np.ndarray) -> str:
    """Return a hash of job and data: a checkpoint of anything else is never continued."""
    digest = hashlib.sha256(json.dumps(asdict(job), sort_keys=True).encode())
    for array in (labels, rows, images[rows[:: max(1, len(rows) // 256)]]):
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(repr(images.shape).encode())
    return digest.hexdigest()


def _optimizer(job: Job, steps: int) -> Any:
    from keras import optimizers

    spec = job.training
    rate: Any = spec.learning_rate
    if spec.schedule == "cosine":
        warm = max(1, round(spec.warmup_epochs * steps))
        rate = optimizers.schedules.CosineDecay(
            spec.learning_rate / 25,
            decay_steps=max(1, spec.epochs * steps - warm),
            warmup_target=spec.learning_rate,
            warmup_steps=warm,
        )
    if not spec.weight_decay:
        return optimizers.Adam(rate)
    optimizer = optimizers.AdamW(rate, weight_decay=spec.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _shorten_statistics(model: Any, steps: int) -> None:
    """Let batch normalization forget its start within a short training.

    Keras' default momentum remembers some 100 steps; after a training of 200 steps an eighth of
    the initial statistics would remain, and a deep network would answer the same for every cell.
    """
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.momentum = float(np.clip(1 - 20 / steps, 0.5, 0.99))


def _loss(job: Job) -> Any:
    from keras import losses

    smoothing = job.training.label_smoothing
    if job.multi_label:
        return losses.BinaryCrossentropy(from_logits=True, label_smoothing=smoothing)
    return losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)


def _targets(labels: np.ndarray, job: Job) -> np.ndarray:
    if job.multi_label:
        return np.asarray(labels, np.float32)
    return np.asarray(np.eye(job.classes, dtype=np.float32)[labels])


def _to_device(images: np.ndarray) -> Any:
    from keras import ops

    return ops.convert_to_tensor(np.ascontiguousarray(images), dtype=str(images.dtype))


def _as_float(crops: Any) -> Any:
    from keras import ops

    whole = "uint8" in str(crops.dtype)
    return ops.cast(crops, "float32") * (1 / 255 if whole else 1.0)


def _copy(value: Any) -> Any:
    from keras import ops

    return ops.stop_gradient(value) * 1.0


def _numpy(value: Any) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(value))


def prepare_backend() -> str:
    """Choose the Keras backend once, in a process of our own, and let the GPU memory grow."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    backend = str(keras.backend.backend())
    if backend == "tensorflow":
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    return backend


def main(arguments: Sequence[str] | None = None) -> int:
    """Train one fold of a recipe, or all its data; one JSON line per event on stdout."""
    from napari_cellcls.learn import runs

    parser = argparse.ArgumentParser(prog="python -m napari_cellcls.learn.trainer")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fold", type=int, help="hold this fold out; without it: all data")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args(arguments)
    prepare_backend()
    return runs.train_command(options, sys.stdout)


if __name__ == "__main__":
    raise SystemExit(main())
