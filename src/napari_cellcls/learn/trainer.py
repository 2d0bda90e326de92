"""Training a network: one Keras 3 loop for every backend, as a generator of progress.

Images that fit live on a GPU once, batches are gathered and augmented there, so that it is not kept
waiting; on a processor they stay in their memory-mapped file. Run it in a process of its own (``learn.process``), because a training
may be killed for memory.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.learn.bank import make_bank
from napari_cellcls.learn.job import Fitted, Job
from napari_cellcls.learn.start import Start
from napari_cellcls.vocabulary import DataError, Progress, Task

if TYPE_CHECKING:
    from napari_cellcls.learn.loop import Loop


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
    feature_folder: Path | None = None,
    micro_batch: int | None = None,
    soft: np.ndarray | None = None,
    start: Start | None = None,
    on_begin: Callable[[list[str]], None] | None = None,
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
        Folder of the run: crash-safe checkpoints after each epoch, every five minutes, and when
        the task is closed; ``history.jsonl``.
    resume : bool
        Continue from the newest whole checkpoint in ``out``, if there is one.
    bank_folder : Path, optional
        Where augmented versions are kept when ``training.versions`` asks for them.
    feature_folder : Path, optional
        Where the features of a frozen network are kept (see :mod:`napari_cellcls.learn.features`);
        without it every step computes them anew.
    micro_batch : int, optional
        Cells computed at once; gradients are summed up to ``training.batch_size``.
    soft : numpy.ndarray, optional
        ``(N, K)`` float32, learned in place of the labels: see :mod:`napari_cellcls.learn.teachers`.
        NaN, with several labels per cell: nobody judged this class, nothing is learned there.
    start : Start, optional
        Trained weights that the network goes on from, needed when ``job.start`` names some.
    on_begin : callable, optional
        Told what the training starts from, once, when a checkpoint to go on from is accepted.

    Raises
    ------
    DataError
        ``DATA-EMPTY`` (nothing to train on), ``DATA-SHAPE`` (images do not fit the network),
        ``DATA-LABEL`` (a label outside the classes), ``TRAIN-NAN`` (the loss became NaN),
        ``RUN-CHANGED`` (the checkpoint belongs to another recipe or other data), ``DATA-SPACE``.
    TaskError
        ``TRAIN-MEMORY`` (:class:`~napari_cellcls.learn.steps.MemoryShort`), ``RUN-WRITE``.
    """
    rows = np.arange(len(images)) if train is None else np.asarray(train)
    _check_inputs(images, labels, rows, job)
    from napari_cellcls.learn.loop import Loop  # not before: it needs a backend of Keras

    bank, spec = None, job.training
    if spec.versions and bank_folder is not None:
        bank = yield from make_bank(images, job.augmentation, spec.versions, spec.seed, bank_folder)
    loop = Loop(
        images, labels, job, rows, val,
        out=out, resume=resume, bank=bank, micro_batch=micro_batch, feature_folder=feature_folder,
        soft=soft, start=start,
    )  # fmt: skip
    if on_begin is not None:
        on_begin(loop.notes)
    yield from _followed(loop)
    return loop.result()


def _followed(loop: Loop) -> Task[None]:
    total = loop.steps_total
    try:
        yield Progress(loop.steps_done, total, "starting")
        while not loop.finished:
            yield from loop.seen.prepare(loop.micro)
            for loss in loop.run_epoch():
                yield Progress(loop.steps_done, total, f"epoch {loop.epoch + 1}: loss {loss:.4f}")
            loop.end_epoch()
            yield Progress(loop.steps_done, total, loop.summary())
    except GeneratorExit:
        if loop.checkpoints:
            loop.save()
        raise


def _check_inputs(images: np.ndarray, labels: np.ndarray, rows: np.ndarray, job: Job) -> None:
    expected = job.input_shape
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
