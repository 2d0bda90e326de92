"""What a network is punished for, and the scores noted after each epoch.

Losses and the count of right and wrong answers are Keras objects for any backend; everything about
the validation side is NumPy on logits. Thresholds are 0.5 here: they are chosen after the training.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cellcls.learn.job import Job


def make_loss(job: Job) -> Any:
    """Return the Keras loss on logits; values are one per cell, or one per cell and class."""
    import keras
    from keras import ops

    smoothing = job.training.label_smoothing
    focal = job.training.loss == "focal"

    class Loss(keras.losses.Loss):  # type: ignore[misc]
        def call(self, y_true: Any, y_pred: Any) -> Any:
            y_pred = ops.cast(y_pred, "float32")
            # Teachers give soft labels: they are learned as they are, and only the focus asks which is right.
            given = ops.cast(y_true, "float32")
            true = ops.cast(y_true > 0.5, "float32")
            if job.multi_label:
                soft = given * (1 - smoothing) + 0.5 * smoothing
                loss = ops.softplus(y_pred) - soft * y_pred
                right = ops.sigmoid(y_pred * (2 * true - 1))
                return loss * ops.square(1 - right) if focal else loss
            soft = given * (1 - smoothing) + smoothing / job.classes
            logs = ops.log_softmax(y_pred, axis=-1)
            loss = -ops.sum(soft * logs, axis=-1)
            right = ops.exp(ops.sum(true * logs, axis=-1))
            return loss * ops.square(1 - right) if focal else loss

    return Loss(name="loss")


def make_counts(job: Job) -> Any:
    """Return a Keras metric whose result is ``(3, K)``: hits, false alarms, misses of a batch."""
    import keras
    from keras import ops

    class Counts(keras.metrics.Metric):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name="counts", dtype="float32")
            self.total = self.add_variable((3, job.classes), "zeros", name="total")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            y_pred = ops.cast(y_pred, "float32")
            if job.multi_label:
                true = ops.cast(y_true > 0.5, "float32")
                said = ops.cast(y_pred > 0, "float32")
            else:
                true = ops.one_hot(ops.argmax(y_true, axis=-1), job.classes, dtype="float32")
                said = ops.one_hot(ops.argmax(y_pred, axis=-1), job.classes, dtype="float32")
            parts = (said * true, said * (1 - true), (1 - said) * true)
            self.total.assign_add(ops.stack([ops.sum(part, axis=0) for part in parts]))

        def result(self) -> Any:
            return self.total * 1.0

    return Counts()


def scores_of(logits: np.ndarray, targets: np.ndarray, job: Job) -> dict[str, float]:
    """Return ``loss, accuracy, macro_f1, micro_f1`` and ``sample_f1`` of logits.

    Parameters
    ----------
    logits, targets : numpy.ndarray
        ``(N, K)``.
    job : Job
        Its loss is used without label smoothing and class weights.
    """
    logits = np.asarray(logits, np.float64)
    if job.multi_label:
        loss = np.logaddexp(0, logits) - targets * logits
        right = 1 / (1 + np.exp(-np.clip(logits * (2 * targets - 1), -60, 60)))
        said = logits > 0
    else:
        logs = logits - logits.max(1, keepdims=True)
        logs = logs - np.log(np.exp(logs).sum(1, keepdims=True))
        loss = -(targets * logs).sum(1)
        right = np.exp(-loss)
        said = np.eye(targets.shape[1], dtype=bool)[logits.argmax(1)]
    if job.training.loss == "focal":
        loss = loss * (1 - right) ** 2
    true = targets > 0.5
    counts = np.stack([(said & true), (said & ~true), (~said & true)])
    found = {"loss": float(loss.mean()), **counted_scores(counts.sum(1), len(true), job)}
    found["micro_f1"] = float(_f1(counts.sum((1, 2))[:, None])[0])
    found["sample_f1"] = float(_f1(counts.sum(2)).mean())
    return found


def counted_scores(counts: np.ndarray, n: int, job: Job) -> dict[str, float]:
    """Return ``accuracy`` and ``macro_f1`` of ``(3, K)`` hits, false alarms and misses of n cells.

    The macro F1 is the mean over the classes that occur or were predicted.
    """
    hits, alarms, misses = counts
    if job.multi_label:
        accuracy = 1 - float((alarms + misses).sum()) / max(1, n * job.classes)
    else:
        accuracy = float(hits.sum()) / max(1, n)
    used = counts.sum(0) > 0
    f1 = float(_f1(counts[:, used]).mean()) if used.any() else 0.0
    return {"accuracy": accuracy, "macro_f1": f1}


def _f1(counts: np.ndarray) -> np.ndarray:
    hits, alarms, misses = counts.astype(float)
    return np.asarray(2 * hits / np.maximum(2 * hits + alarms + misses, 1))


def better(monitor: str, value: float, than: float | None) -> bool:
    """Return whether a monitored value is an improvement: losses fall, scores rise."""
    if than is None:
        return not np.isnan(value)
    return value < than if monitor.endswith("loss") else value > than
