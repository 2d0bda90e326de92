"""The Keras classifier of a job: building it, filling it, asking it. Needs a backend in this process."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from napari_cellcls.learn.job import Job, split_head


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
        crops = as_float(to_device(images[rows[start : start + batch_size]]))
        parts.append(np.asarray(model.predict_on_batch(crops), np.float32))
    return np.concatenate(parts)


def to_device(images: np.ndarray) -> Any:
    """Return an array as a tensor of the backend, in its own dtype."""
    from keras import ops

    return ops.convert_to_tensor(np.ascontiguousarray(images), dtype=str(images.dtype))


def as_float(crops: Any) -> Any:
    """Return crops as float32, 0..1 (uint8 is divided by 255)."""
    from keras import ops

    whole = "uint8" in str(crops.dtype)
    return ops.cast(crops, "float32") * (1 / 255 if whole else 1.0)
