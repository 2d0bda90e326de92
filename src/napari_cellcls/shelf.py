"""The shelf of descriptors on disk: one file per image plane and view, one row per cell, bounded.

A cell is known by its own mask, so that a new segmentation, or the labeled cells alone, find
the rows of the cells they share. A shelf that cannot be read or written costs time, nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.identity import image_id, image_id_of_array
from napari_cellcls.files import atomic_path, make_room, sweep
from napari_cellcls.images.image import Image
from napari_cellcls.models.places import home
from napari_cellcls.vocabulary import COLUMNS, ImageError

LIMIT_BYTES = 2 << 30
_FILE_BYTES = 1 << 29
_VERSION = "2"
_TILE = 1024
_KEY = 16


def folder() -> Path:
    """Return the user's folder of descriptors (may not exist); deleting it is safe."""
    return home() / "cache" / "descriptors"


@dataclass(frozen=True)
class Rows:
    """The numbers of some cells, known or still to be filled in.

    Attributes
    ----------
    found : numpy.ndarray
        ``(N,)`` bool: whether the row came from the disk.
    embedding, measured : numpy.ndarray
        ``(N, E)`` float16 and ``(N, F)`` float32; zeros where not found.
    """

    found: np.ndarray
    embedding: np.ndarray
    measured: np.ndarray
    path: Path | None
    keys: np.ndarray
    others: tuple[np.ndarray, np.ndarray, np.ndarray]

    def keep(self) -> None:
        """Write these rows and the other ones of the file, the oldest of which make room."""
        if self.path is None:
            return
        mine = self.keys, self.embedding, self.measured
        parts = [np.concatenate(pair) for pair in zip(self.others, mine, strict=True)]
        most = max(1, _FILE_BYTES // max(1, sum(part[:1].nbytes for part in parts)))
        names = ("keys", "embedding", "measured")
        content = {name: part[-most:] for name, part in zip(names, parts, strict=True)}
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            sweep(self.path.parent)
            with atomic_path(self.path) as temporary:
                np.savez(temporary, **content)  # type: ignore[arg-type]
            make_room(self.path.parent, "*.npz", LIMIT_BYTES)


def nothing(cells: Cells, blocks: tuple[int, int]) -> Rows:
    """Return rows of which none is known and none will be kept."""
    return _empty(None, np.zeros((len(cells), _KEY), np.uint8), blocks)


def find(name: str | None, cells: Cells, blocks: tuple[int, int]) -> Rows:
    """Return what is on disk about cells.

    Parameters
    ----------
    name : str or None
        Everything the numbers follow from but the cell; None: nothing is found.
    cells : Cells
    blocks : tuple of int
        ``(E, F)`` columns.
    """
    if name is None:
        return nothing(cells, blocks)
    digest = hashlib.sha256(f"{_VERSION}|{name}|{blocks}".encode()).hexdigest()[:32]
    path = folder() / f"{digest}.npz"
    rows = _empty(path, keys_of(cells), blocks)
    stored = _stored(path, blocks)
    if stored is None:
        return rows
    places = {key.tobytes(): row for row, key in enumerate(stored[0])}
    at = np.array([places.get(key.tobytes(), -1) for key in rows.keys], np.int64)
    rows.found[:] = at >= 0
    rows.embedding[rows.found] = stored[1][at[rows.found]]
    rows.measured[rows.found] = stored[2][at[rows.found]]
    rest = np.ones(len(stored[0]), bool)
    rest[at[rows.found]] = False
    others = stored[0][rest], stored[1][rest], stored[2][rest]
    return Rows(rows.found, rows.embedding, rows.measured, path, rows.keys, others)


def content_of(image: Image) -> str | None:
    """Return the content id of an image, of its file where it has one; None when that is gone."""
    if not image.path:
        return image_id_of_array(np.asarray(image.data))
    with contextlib.suppress(ImageError):
        return image_id(image.path)
    return None


def keys_of(cells: Cells) -> np.ndarray:
    """Return what tells cells of one image apart, place and mask: ``(N, 16)`` uint8."""
    boxes = cells.table[list(COLUMNS.bbox)].to_numpy(np.int64)
    ids, keys = cells.ids, np.zeros((len(boxes), _KEY), np.uint8)
    tile = (boxes[:, :2] + boxes[:, 2:]) // 2 // _TILE
    order = np.lexsort((tile[:, 1], tile[:, 0]))
    new = (np.diff(tile[order], axis=0) != 0).any(axis=1)
    # Lazy labels are read window by window, not cell by cell.
    for rows in np.split(order, np.flatnonzero(new) + 1) if len(order) else ():
        (y, x), (height, width) = boxes[rows, :2].min(axis=0), boxes[rows, 2:].max(axis=0)
        labels = np.asarray(cells.labels[y:height, x:width])
        for row, (y0, x0, y1, x1) in zip(rows, boxes[rows].tolist(), strict=True):
            inside = labels[y0 - y : y1 - y, x0 - x : x1 - x] == ids[row]
            mask = boxes[row].tobytes() + np.packbits(inside).tobytes()
            keys[row] = np.frombuffer(hashlib.blake2b(mask, digest_size=_KEY).digest(), np.uint8)
    return keys


def _empty(path: Path | None, keys: np.ndarray, blocks: tuple[int, int]) -> Rows:
    def numbers(n: int) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((n, blocks[0]), np.float16), np.zeros((n, blocks[1]), np.float32)

    others = np.zeros((0, _KEY), np.uint8), *numbers(0)
    return Rows(np.zeros(len(keys), bool), *numbers(len(keys)), path, keys, others)


def _stored(
    path: Path, blocks: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, BadZipFile):
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            keys, embedding, measured = stored["keys"], stored["embedding"], stored["measured"]
        n = len(keys)
        if (keys.shape, embedding.shape, measured.shape) == (
            (n, _KEY), (n, blocks[0]), (n, blocks[1]),
        ):  # fmt: skip
            with contextlib.suppress(OSError):  # one that may only be read is as good
                path.touch()
            return keys, embedding, measured
    return None
