"""The Keras classifier of a job: building it, filling it, asking it. Needs a backend in this process."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from napari_cellcls.learn.job import Job, split_head

_BATCH_VALUES = 1 << 23


def prepare_backend(precision: str = "float32") -> str:
    """Choose and set up the Keras backend once, in a process of our own.

    GPU memory grows as needed. On a processor the operations are deterministic, so that a training
    cut and resumed ends in the same bits. ``precision`` "auto" computes in bfloat16 on GPUs that
    can. Several GPUs share each batch where Keras can distribute (JAX).
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    backend = str(keras.backend.backend())
    gpus = accelerators()
    if backend == "tensorflow":
        capable = _prepare_tensorflow()
    elif backend == "torch":
        import torch

        capable = bool(gpus and torch.cuda.is_bf16_supported())
    else:
        capable = bool(gpus)
        if len(gpus) > 1:
            keras.distribution.set_distribution(keras.distribution.DataParallel(devices=gpus))
    if precision == "auto" and capable:
        keras.config.set_dtype_policy("mixed_bfloat16")
    return backend


def accelerators() -> list[str]:
    """Return the names of the GPUs that the Keras backend of this process sees."""
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return [gpu.name for gpu in tf.config.list_physical_devices("GPU")]
    if backend == "torch":
        import torch

        return [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return [d for d in keras.distribution.list_devices() if not d.startswith("cpu")]


def _prepare_tensorflow() -> bool:
    """Return whether the first GPU computes in bfloat16 (compute capability 8 or higher)."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if not gpus:
        tf.config.experimental.enable_op_determinism()
        return False
    details = tf.config.experimental.get_device_details(gpus[0])
    return bool(details.get("compute_capability", (0, 0))[0] >= 8)


def build_classifier(job: Job) -> tuple[Any, Any]:
    """Return the backbone and the classifier (backbone, dropout, linear head) of a job."""
    import keras

    from napari_cellcls.models import networks

    if job.each:
        backbone = networks.build_each(job.architecture, job.params, job.each)
    else:
        backbone = networks.build(job.architecture, job.params)
    x = backbone.output
    if job.training.head_dropout:
        x = keras.layers.Dropout(job.training.head_dropout, name="head_dropout")(x)
    head = keras.layers.Dense(job.classes, name="head", dtype="float32")
    return backbone, keras.Model(backbone.input, head(x))


def load_classifier(job: Job, tensors: dict[str, np.ndarray]) -> Any:
    """Return the Keras classifier of a job with stored weights."""
    from napari_cellcls.models import plan

    backbone, model = build_classifier(job)
    body, head = split_head(tensors)
    plan.assign(backbone, body)
    model.layers[-1].set_weights(list(head))
    return model


def logits_of(
    model: Any,
    images: np.ndarray,
    rows: np.ndarray | None = None,
    *,
    batch_size: int | None = None,
    turns: int = 1,
) -> np.ndarray:
    """Return the logits ``(n, K)`` float32 of some rows of a crop array, a mean over quarter turns.

    By default a batch holds some 8 million values, at most 512 crops.
    """
    from napari_cellcls.models.turns import mean_of_turns

    def look(crops: np.ndarray) -> np.ndarray:
        return np.asarray(model.predict_on_batch(as_float(to_device(crops))), np.float32)

    batch_size = batch_size or min(512, max(1, _BATCH_VALUES // int(np.prod(images.shape[1:]))))
    rows = np.arange(len(images)) if rows is None else np.asarray(rows)
    parts = []
    for start in range(0, len(rows), batch_size):
        parts.append(mean_of_turns(look, images[rows[start : start + batch_size]], turns))
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
