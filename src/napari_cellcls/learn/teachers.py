"""Learning from trained networks beside the labels: several large or lucky ones become one small net.

A teacher answers the training cells, turned in four ways; where it doubts a label the student learns the
doubt (distillation: Hinton, Vinyals and Dean 2015, arXiv 1503.02531). No teacher may have seen a
cell that the student is judged by.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_cellcls.files import reason
from napari_cellcls.learn.balance import targets_of
from napari_cellcls.learn.classifier import load_classifier, logits_of
from napari_cellcls.learn.datasets import CellSet
from napari_cellcls.learn.datasets.cellset import listed
from napari_cellcls.learn.job import Job, job_from, read_weights
from napari_cellcls.learn.splits import Split
from napari_cellcls.models.turns import QUARTERS
from napari_cellcls.vocabulary import DataError, Progress, Task

_BLOCK = 2048


def soft_targets(
    teachers: Sequence[Path], weight: float, data: CellSet, split: Split, job: Job
) -> Task[np.ndarray]:
    """Return what the training rows are taught: labels and the mean answer of the teachers, mixed.

    Parameters
    ----------
    teachers : sequence of Path
        Folders of finished runs (of the same fold), on the same data.
    weight : float
        Of the teachers' answer, 0..1; the rest is the label.
    data : CellSet
    split : Split
        Of the student.
    job : Job
        Of the student; teachers may have another network, but the same input and classes.

    Returns
    -------
    numpy.ndarray
        ``(N, K)`` float32; rows outside the training side keep their labels.

    Raises
    ------
    DataError
        ``RUN-MISSING`` when a folder holds no finished run, ``RUN-TEACHER`` when its input or classes are
        others, ``DATA-LEAK`` when it was trained on a cell that the student is judged by.
    """
    total = np.zeros((len(split.train), job.classes))
    for folder in teachers:
        teacher = _read(folder, data, split, job)
        model = load_classifier(teacher, read_weights(folder / "weights.safetensors", teacher))
        for start in range(0, len(split.train), _BLOCK):
            yield Progress(start, len(split.train), f"asking {folder}")
            crops = data.images[split.train[start : start + _BLOCK]]
            total[start : start + len(crops)] += logits_of(model, crops, turns=QUARTERS)
    mean = total / len(teachers)
    answer = 1 / (1 + np.exp(-mean)) if job.multi_label else _softmax(mean)
    targets = targets_of(data.labels, job)
    mixed = targets.copy()
    mixed[split.train] = (1 - weight) * targets[split.train] + weight * answer
    return mixed


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def _read(folder: Path, data: CellSet, split: Split, job: Job) -> Job:
    """Return the job of a teacher after checking that it may teach this student."""
    from napari_cellcls.models import networks

    try:
        teacher = job_from(json.loads((folder / "job.json").read_text("utf-8")))
        seen = set(json.loads((folder / "split.json").read_text("utf-8"))["training"])
        (folder / "weights.safetensors").stat()
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            "There is no finished run to learn from.",
            code="RUN-MISSING",
            path=folder,
            why=reason(error),
            remedy="Give the folder of a run of `cellcls train`; with --fold, it must hold the same fold.",
        ) from None
    shapes = [networks.input_shape(j.architecture, j.params) for j in (teacher, job)]
    if shapes[0] != shapes[1] or (teacher.classes, teacher.multi_label) != (
        job.classes,
        job.multi_label,
    ):
        raise DataError(
            "This teacher answers other questions.",
            code="RUN-TEACHER",
            path=folder,
            why=f"it takes {shapes[0]} and tells {teacher.classes} classes, the student {shapes[1]} and {job.classes}",
            remedy="Train teacher and student with the same input, classes and kind of labels.",
        )
    judged = data.names[np.concatenate([split.val, split.test])]
    leaked = [name for name in judged.tolist() if name in seen]
    if leaked:
        raise DataError(
            "The teacher has seen cells that the student is judged by.",
            code="DATA-LEAK",
            path=folder,
            why=f"{len(leaked)} of {len(judged)}: {listed(leaked, 3)}",
            remedy="Give a run of the same fold, seed of the protocol and data.",
        )
    return teacher
