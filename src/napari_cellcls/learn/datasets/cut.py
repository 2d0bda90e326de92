"""Cells that are cut already, as the network of a model sees them: one array of crops and a table beside it.

A fine-tune writes them from a project, so that the same training runs on any other computer, without images,
cells and project. The folder holds ``crops.npy``, ``cells.json``, ``sides.csv`` and, where what is learned is not
the label alone, ``targets.npy``.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.files import atomic_path, reason, write_bytes
from napari_cellcls.learn.datasets.cellset import TRAINING_ONLY, CellSet, listed
from napari_cellcls.learn.datasets.listing import SIDES_FILE, given_sides
from napari_cellcls.vocabulary import DataError

CROPS, CELLS, TARGETS = "crops.npy", "cells.json", "targets.npy"
_FORMAT = "cellcls-cut/1"


def is_cut(path: Path) -> bool:
    """Return whether a folder holds cells that are cut already."""
    return (path / CROPS).is_file() and (path / CELLS).is_file()


def write_cut(folder: Path, data: CellSet, *, multi_label: bool) -> None:
    """Write a set, atomically file by file; the table comes last, so that a torn folder is none.

    Parameters
    ----------
    folder : Path
    data : CellSet
        ``images``, ``labels``, ``groups``, ``names``, ``classes``, ``soft`` and ``sides`` are kept, and the column
        ``training_only``.
    multi_label : bool
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CELLS).unlink(missing_ok=True)
    with atomic_path(folder / CROPS) as temporary:
        np.save(temporary, np.ascontiguousarray(data.images), allow_pickle=False)
    if data.soft is not None:
        with atomic_path(folder / TARGETS) as temporary:
            np.save(temporary, np.asarray(data.soft, np.float32), allow_pickle=False)
    lines = io.StringIO()
    csv.writer(lines).writerows(data.sides.items())
    write_bytes(folder / SIDES_FILE, lines.getvalue().encode())
    labels = [np.flatnonzero(row).tolist() for row in data.matrix]
    about = {
        "format": _FORMAT, "classes": data.classes, "multi_label": multi_label, "group_kind": data.group_kind,
        "layout": data.layout, "names": data.names.tolist(), "groups": data.groups.tolist(), "labels": labels,
        TRAINING_ONLY: np.flatnonzero(data.training_only).tolist(),
    }  # fmt: skip
    write_bytes(folder / CELLS, json.dumps(about, ensure_ascii=False).encode())


def read_cut(folder: Path, shape: tuple[int, int, int], classes: Sequence[str] | None) -> CellSet:
    """Read what :func:`write_cut` wrote; the crops stay in their file.

    Parameters
    ----------
    folder : Path
    shape : tuple of int
        ``(size, size, planes)`` that the recipe wants.
    classes : sequence of str, optional
        In the order wanted; by default that of the folder.

    Raises
    ------
    DataError
        ``DATA-UNREADABLE`` (damaged), ``DATA-SHAPE`` (crops for another network), ``DATA-LABEL`` (other classes).
    """
    try:
        images = np.load(folder / CROPS, mmap_mode="r", allow_pickle=False)
        about = json.loads((folder / CELLS).read_text("utf-8"))
        soft = None
        if (folder / TARGETS).is_file():
            soft = np.load(folder / TARGETS, allow_pickle=False)
        made = _made(np.asanyarray(images), about, soft, folder)
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError) as error:
        raise DataError(
            "The cells that were cut for this training cannot be read.",
            code="DATA-UNREADABLE",
            path=folder,
            why=reason(error),
            remedy="Start the fine-tune anew, or copy the folder again.",
        ) from None
    if made.images.shape[1:] != shape:
        raise DataError(
            "These cells were cut for another network.",
            code="DATA-SHAPE",
            path=folder,
            why=f"the crops are {made.images.shape[1:]}, the recipe wants {shape}",
            remedy="Use the recipe that lies beside this folder.",
        )
    return made if classes is None else _ordered(made, tuple(classes), folder)


def _made(images: np.ndarray, about: Any, soft: np.ndarray | None, folder: Path) -> CellSet:
    if about["format"] != _FORMAT:
        raise ValueError(f"its format is {about['format']!r:.40}, this version reads {_FORMAT}")
    classes, n = tuple(map(str, about["classes"])), len(images)
    matrix = np.zeros((n, len(classes)), np.uint8)
    for row, of in zip(matrix, about["labels"], strict=True):
        row[of] = 1
    several = bool(about["multi_label"])
    if not several and (matrix.sum(axis=1) != 1).any():
        raise ValueError("a cell has no class, or several")
    only = np.zeros(n, "U1")
    only[about[TRAINING_ONLY]] = "1"
    names, groups = (np.array(about[key], dtype=str) for key in ("names", "groups"))
    if images.dtype != np.uint8 or images.ndim != 4 or not n == len(names) == len(groups):
        raise ValueError(f"{n} crops of {images.dtype} {images.shape} for {len(names)} names")
    if soft is not None and soft.shape != matrix.shape:
        raise ValueError(f"targets {soft.shape} for labels {matrix.shape}")
    return CellSet(
        images=images,
        labels=matrix if several else matrix.argmax(axis=1).astype(np.int64),
        classes=classes,
        groups=groups,
        names=names,
        extra={TRAINING_ONLY: only},
        group_kind=str(about["group_kind"]),
        layout=str(about["layout"]),
        store=folder / CROPS,
        sides=given_sides(folder),
        soft=soft,
    )


def _ordered(data: CellSet, wanted: tuple[str, ...], folder: Path) -> CellSet:
    if data.classes == wanted:
        return data
    if set(data.classes) != set(wanted):
        raise DataError(
            "The classes of the data are not those expected.",
            code="DATA-LABEL",
            path=folder,
            why=f"the cells are of {listed(data.classes, 8)}; the recipe names {listed(wanted, 8)}",
            remedy="Use the recipe that lies beside this folder.",
        )
    order = [data.classes.index(name) for name in wanted]
    labels = data.labels[:, order] if data.multi_label else np.argsort(order)[data.labels]
    soft = None if data.soft is None else data.soft[:, order]
    return replace(data, labels=labels, classes=wanted, soft=soft)
