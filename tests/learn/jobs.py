"""A toy set that a network learns in a second, and jobs for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cellcls.learn.augment import Augmentation
from napari_cellcls.learn.job import Job, Phase, Training

PARAMS = {"size": 16, "channels": 3, "embedding": 16}


def blobs(n: int = 160, size: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return images, some with a blue spot, and labels 0 or 1."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    images = rng.integers(40, 90, (n, size, size, 3))
    images[labels == 1, 5:11, 5:11, 2] += 120
    return images.astype(np.uint8), labels


def job(
    *phases: Phase, multi_label: bool = False, arch: str = "malaria_cnn", **training: Any
) -> Job:
    """Return a job of three short epochs on :func:`blobs`, or of the phases given."""
    spec = {"phases": phases or (Phase(3, 3e-3, schedule="cosine"),), "batch_size": 32, **training}
    params = PARAMS if arch == "malaria_cnn" else {"size": 28, "channels": 3, "padding": "valid"}
    return Job(arch, params, 2, Training(**spec), Augmentation(flips=True), multi_label)
