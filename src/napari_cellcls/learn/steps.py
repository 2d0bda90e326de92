"""One step of a training: learning rate, optimizer of a phase, frozen layers, batches in parts.

A batch too large for the memory is computed in parts whose gradients are summed: the step is the
same as with the whole batch, except that batch normalization sees the parts one by one, and that
dropout draws for each of them.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from napari_cellcls.learn.job import Job, Phase
from napari_cellcls.learn.losses import make_counts, make_loss
from napari_cellcls.vocabulary import TaskError

_ACCUMULATOR = "gradient_accumulator"
_MEMORY_WORDS = ("RESOURCE_EXHAUSTED", "out of memory", "failed to allocate")


def learning_rate(phase: Phase, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of one step, counted from the start of its phase."""
    peak = phase.learning_rate
    warm = round(phase.warmup_epochs * steps_per_epoch)
    if step < warm:
        return peak / 25 + (peak - peak / 25) * step / warm
    if phase.schedule == "cosine":
        rest = max(1, phase.epochs * steps_per_epoch - warm)
        return 0.5 * peak * (1 + math.cos(math.pi * min(1.0, (step - warm) / rest)))
    if phase.schedule == "decay":
        return peak / (1 + step * peak / phase.epochs)
    return peak


class MemoryShort(TaskError):
    """The memory does not suffice for a batch; ``micro_batch`` cells at once were too many."""

    def __init__(self, micro_batch: int, why: str) -> None:
        self.micro_batch = micro_batch
        super().__init__(
            "The memory does not suffice for this training.",
            code="TRAIN-MEMORY",
            why=f"{micro_batch} cells at once were too many: {why[:200]}",
            remedy="Close other programs, or use a smaller network or input size.",
        )


@contextlib.contextmanager
def memory_short(micro_batch: int) -> Iterator[None]:
    """Raise :class:`MemoryShort` for what the backends raise when the memory runs out."""
    try:
        yield
    except _memory_errors() as error:
        if not _is_memory(error):
            raise
        raise MemoryShort(micro_batch, str(error)) from error


class Optimizing:
    """The compiled model of one phase, which learns batch by batch.

    Parameters
    ----------
    job : Job
    backbone, model : keras.Model
    phase : Phase
    batch, micro : int
        Cells of one step, and how many of them are computed at once.
    """

    def __init__(
        self, job: Job, backbone: Any, model: Any, phase: Phase, batch: int, micro: int
    ) -> None:
        from napari_cellcls.models import networks

        self.model, self.batch, self.micro = model, batch, micro
        self.parts = -(-batch // micro)
        # A frozen batch normalization neither learns nor updates its statistics, and uses those it
        # has: Keras does so for layers that are not trainable.
        networks.freeze(backbone, job.architecture, job.params, phase.frozen)
        if phase.keep_statistics:
            _keep_statistics(model)
        model.compile(
            optimizer=_optimizer(job, phase, self.parts), loss=make_loss(job), metrics=[make_counts(job)]
        )  # fmt: skip
        model.optimizer.build(model.trainable_variables)

    def learn(
        self, crops: Any, targets: np.ndarray, weights: np.ndarray, rate: float
    ) -> tuple[float, np.ndarray]:
        """Take one step; return the loss and ``(3, K)`` hits, false alarms and misses.

        Raises
        ------
        MemoryShort
            When the batch, or this part of it, does not fit.
        """
        self.model.optimizer.learning_rate = rate
        loss, counts = 0.0, np.zeros((3, targets.shape[1]))
        for rows in np.array_split(np.arange(self.batch), self.parts):
            # The optimizer averages over the parts: parts of other size must count accordingly.
            share = len(rows) * self.parts / self.batch
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            with memory_short(self.micro):
                found = self._train(crops[part], targets[part], weights[part] * np.float32(share))
            loss += float(found["loss"]) / self.parts
            counts += np.asarray(found["counts"])
        return loss, counts

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the state of the optimizer between two steps, without the sums of parts."""
        from keras import ops

        found = {
            f"{i:05d}": np.asarray(ops.convert_to_numpy(v.value))
            for i, v in enumerate(self._variables())
        }
        found["steps"] = np.asarray(int(self.model.optimizer.iterations))
        return found

    def restore(self, stored: dict[str, np.ndarray]) -> None:
        """Put back what :meth:`arrays` returned, also when the number of parts is another."""
        for i, variable in enumerate(self._variables()):
            variable.assign(stored[f"{i:05d}"])
        self.model.optimizer._iterations.assign(int(stored["steps"]) * self.parts)

    def _train(self, crops: Any, targets: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
        found: dict[str, Any] = self.model.train_on_batch(crops, targets, weights, return_dict=True)
        return found

    def _variables(self) -> list[Any]:
        return [v for v in self.model.optimizer.variables if _ACCUMULATOR not in v.path]


def reseed(seed: int, epoch: int, step: int) -> None:
    """Let the random numbers of a step follow from its place in the training.

    Keras keeps the state of dropout among the variables of the model, so that checkpoints hold it;
    with PyTorch it is PyTorch's own.
    """
    import keras

    if keras.backend.backend() == "torch":
        import torch

        torch.manual_seed(int(np.random.SeedSequence((seed, epoch, step)).generate_state(1)[0]))


def shorten_statistics(model: Any, steps: int) -> None:
    """Let batch normalization forget its start within a short training.

    Keras' default momentum remembers some 100 steps; after a training of 200 steps an eighth of
    the initial statistics would remain, and a deep network would answer the same for every cell.
    """
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.momentum = float(np.clip(1 - 20 / steps, 0.5, 0.99))
        elif hasattr(layer, "layers"):
            shorten_statistics(layer, steps)


def _keep_statistics(model: Any) -> None:
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.trainable = False
        elif hasattr(layer, "layers"):
            _keep_statistics(layer)


def _optimizer(job: Job, phase: Phase, parts: int) -> Any:
    from keras import optimizers

    accumulated = parts if parts > 1 else None
    decay = job.training.weight_decay
    if not decay:
        return optimizers.Adam(phase.learning_rate, gradient_accumulation_steps=accumulated)
    optimizer = optimizers.AdamW(
        phase.learning_rate, weight_decay=decay, gradient_accumulation_steps=accumulated
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _memory_errors() -> tuple[type[BaseException], ...]:
    """Return what the backends raise when memory runs out (PyTorch and JAX: RuntimeError)."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return (MemoryError, RuntimeError)
    import tensorflow as tf

    return (MemoryError, RuntimeError, tf.errors.ResourceExhaustedError, tf.errors.InternalError)


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    text = str(error).lower()
    return any(word.lower() in text for word in _MEMORY_WORDS)
