"""Training a network: one Keras 3 loop for every backend, and the process it runs in.

The images live on the device once, batches are gathered and augmented there, so that a fast
GPU is not kept waiting. The loop is a generator of progress; run it in a process of its own
(``python -m napari_cellcls.learn.trainer``), because a training may be killed for memory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_cellcls.learn.classifier import prepare_backend
from napari_cellcls.learn.job import Fitted, Job
from napari_cellcls.vocabulary import DataError, Progress, Task


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
    from napari_cellcls.learn.loop import Loop

    loop = Loop(images, labels, job, rows, val, out, resume, bank_folder)
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
