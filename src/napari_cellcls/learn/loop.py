"""The state of one training: model, crops on the device, running average, history, checkpoint."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.learn.augment import augment
from napari_cellcls.learn.bank import draw, make_bank
from napari_cellcls.learn.checkpoint import Checkpoint
from napari_cellcls.learn.classifier import as_float, build_classifier, logits_of, to_device
from napari_cellcls.learn.job import Fitted, Job, fingerprint
from napari_cellcls.vocabulary import DataError


class Loop:
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
        self.device_images = None if self.bank is not None else to_device(images)
        self.average = [_copy(w.value) for w in self.model.weights] if self.spec.average else None
        self.checkpoint = Checkpoint(out, fingerprint(images, labels, job, rows)) if out else None
        if self.checkpoint and resume:
            self._restore()

    def run_epoch(self) -> Iterator[tuple[int, float]]:
        """Train on all rows once; yields the step and the mean loss so far."""
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
        crops = as_float(ops.take(self.device_images, ops.convert_to_tensor(rows), axis=0))
        return augment(crops, self.job.augmentation, seed)

    def end_epoch(self) -> None:
        """Judge on the validation side, note the epoch, save the checkpoint."""
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
        """Return the last epoch in one line."""
        entry = self.history[-1]
        words = [f"epoch {self.epoch}/{self.spec.epochs}: loss {entry['loss']:.4f}"]
        if "val_loss" in entry:
            words.append(f"val {entry['val_loss']:.4f}, accuracy {entry['val_accuracy']:.4f}")
        return ", ".join([*words, f"{entry['seconds']:.1f} s"])

    def result(self) -> Fitted:
        """Return the weights that the job asks to keep."""
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


def _copy(value: Any) -> Any:
    from keras import ops

    return ops.stop_gradient(value) * 1.0


def _numpy(value: Any) -> np.ndarray:
    from keras import ops

    return np.asarray(ops.convert_to_numpy(value))
