"""What every room of learning gets: crops of one size with labels, groups and names.

The pixels are usually a memory-mapped file; nothing here reads images or decides sides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_cellcls.vocabulary import DataError, Normalization

Channels = Literal["rgb", "gray", "rgby", "rgb_merge"]
TRAINING_ONLY = "training_only"
"""Column of cells that are trained on and never judged by, such as drawn or altered ones."""
PLANES: dict[Channels, int] = {"rgb": 3, "gray": 1, "rgby": 4, "rgb_merge": 3}


@dataclass(frozen=True)
class InputSpec:
    """How an image becomes a crop; a part of the name of its cache file.

    Attributes
    ----------
    size : int
        Edge of the crop in pixels; the image is stretched to it without keeping its aspect.
    channels : {"rgb", "gray", "rgby", "rgb_merge"}
        ``rgb``: three planes, gray images repeated. ``gray``: one plane; the luma of a color
        picture, the protein (green) of a four-file image. ``rgby``: the four files. ``rgb_merge``:
        ``((R+Y)/2, (G+Y)/2, B/2)`` of the four.
    normalization : Normalization
        How values become 0..255: by full scale, or by percentiles of each plane of the image.
    frame : {"box", "square"}
        Where boxes mark the cells: the box itself, or a square of its longer side.
    margin : float
        Added on each side of a box, as a fraction of that side.
    """

    size: int = 50
    channels: Channels = "rgb"
    normalization: Normalization = field(default_factory=Normalization)
    frame: Literal["box", "square"] = "box"
    margin: float = 0.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return ``(size, size, planes)``."""
        return (self.size, self.size, PLANES[self.channels])


@dataclass(frozen=True)
class Fault:
    """Something wrong with one image: the code training would stop with, who, and why."""

    code: str
    name: str
    why: str


@dataclass(frozen=True)
class CellSet:
    """Labeled crops of one size.

    Attributes
    ----------
    images : numpy.ndarray
        ``(N, size, size, C)`` uint8, usually memory-mapped.
    labels : numpy.ndarray
        ``(N,)`` int64 indices into ``classes``, or ``(N, K)`` uint8 0/1 for several labels.
    classes : tuple of str
    groups : numpy.ndarray
        ``(N,)`` str; what must stay on one side of a split.
    names : numpy.ndarray
        ``(N,)`` str; file names.
    extra : dict of str to numpy.ndarray
        Further columns, such as ``fuhad2020``, ``slide_image``, ``date``.
    notes : tuple of str
        Doubts for the user.
    group_kind : str
        What a group is: ``patient``, ``antibody``, ``image``, ... or ``""`` when unknown, where
        every image is its own group.
    layout : str
        How the data lay on disk, in words.
    faults : tuple of Fault
        Images left out; only where the caller asked not to stop at them.
    sizes : numpy.ndarray or None
        ``(N, 2)`` int32 height and width before resizing.
    digests : numpy.ndarray or None
        ``(N,)`` content hashes when known.
    store : Path or None
        The cache file behind ``images``.
    sides : dict of str to str
        Group -> side, as far as ``sides.csv`` beside the data says.
    soft : numpy.ndarray or None
        ``(N, K)`` float32 that is learned in place of the labels; NaN where nobody judged a class.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray
    names: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    group_kind: str = ""
    layout: str = ""
    faults: tuple[Fault, ...] = ()
    sizes: np.ndarray | None = None
    digests: np.ndarray | None = None
    store: Path | None = None
    sides: dict[str, str] = field(default_factory=dict)
    soft: np.ndarray | None = None

    def __len__(self) -> int:
        """Return the number of crops."""
        return len(self.labels)

    def hashes(self) -> np.ndarray:
        """Return a content hash of every image, ``(N,)`` str."""
        if self.digests is not None:
            return self.digests
        return np.array([digest(image) for image in self.images])

    @property
    def multi_label(self) -> bool:
        """Return whether an image may have several labels."""
        return self.labels.ndim == 2

    @property
    def matrix(self) -> np.ndarray:
        """Return the labels as ``(N, K)`` bool."""
        if self.multi_label:
            return self.labels.astype(bool)
        return np.asarray(self.labels[:, None] == np.arange(len(self.classes)))

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of images of each class."""
        return {name: int(n) for name, n in zip(self.classes, self.matrix.sum(0))}

    @property
    def training_only(self) -> np.ndarray:
        """Return which cells nothing may be judged by, ``(N,)`` bool: the column ``training_only``."""
        column = self.extra.get(TRAINING_ONLY)
        return np.zeros(len(self), bool) if column is None else column != ""

    def judged(self) -> CellSet:
        """Return the set without the cells that are for training only."""
        only = self.training_only
        return self.take(np.flatnonzero(~only)) if only.any() else self

    def take(self, rows: np.ndarray, *, pixels: bool = True) -> CellSet:
        """Return some rows as a set of their own; the pixels are copied into memory, or left out."""

        def part(column: Any) -> Any:
            return None if column is None else column[rows]

        return replace(
            self,
            images=self.images[rows] if pixels else self.images[:0],
            labels=self.labels[rows],
            groups=self.groups[rows],
            names=self.names[rows],
            extra={key: column[rows] for key, column in self.extra.items()},
            sizes=part(self.sizes),
            digests=part(self.digests),
            soft=part(self.soft),
            store=None,
        )

    def grouped(self, by: str) -> CellSet:
        """Return the same cells grouped by another column, such as ``date`` or ``slide_image``.

        Raises
        ------
        DataError
            ``DATA-GROUPS`` when there is no such column or a cell has no value in it.
        """
        if by == self.group_kind:
            return self
        column = self.extra.get(by)
        if column is None or (column == "").any():
            empty = [] if column is None else self.names[column == ""][:3].tolist()
            known = [self.group_kind or "none", *self.extra]
            raise DataError(
                f"The cells cannot be grouped by {by}.",
                code="DATA-GROUPS",
                why=f"no {by} is known of {', '.join(empty)}" if empty
                else f"columns: {', '.join(known)}",
                remedy="Name another column, or give groups.csv with a name and a group per line.",
            )  # fmt: skip
        return replace(self, groups=column.astype(str), group_kind=by)


def digest(image: np.ndarray) -> str:
    """Return the content hash of one crop."""
    return hashlib.sha1(np.ascontiguousarray(image).tobytes(), usedforsecurity=False).hexdigest()


def listed(names: Sequence[str] | np.ndarray, shown: int = 5) -> str:
    """Return the first names and how many more there are."""
    head = ", ".join(str(name) for name in names[:shown])
    return head + (f" and {len(names) - shown} more" if len(names) > shown else "")
