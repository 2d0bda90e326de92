"""Augmented versions of every crop, made once and shared by all folds of a training.

On a machine without a GPU the random changes cost as much as the training itself. They belong to
a crop and not to a fold, so they are made once per crop and version, kept in a memory-mapped file
and read by every fold. Mirroring and quarter turns are drawn anew for each batch: they are free.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from napari_cellcls.files import atomic_path
from napari_cellcls.learn.augment import Augmentation, augment
from napari_cellcls.vocabulary import Progress, Task

_CHUNK = 512


def make_bank(
    images: np.ndarray, spec: Augmentation, versions: int, seed: int, folder: Path
) -> Task[np.ndarray]:
    """Return augmented versions of all crops, from the folder's file when it is there.

    Parameters
    ----------
    images : numpy.ndarray
        ``(N, Y, X, C)`` uint8.
    spec : Augmentation
    versions : int
        How many versions of each crop; epoch ``e`` trains on version ``e % versions``.
    seed : int
    folder : Path
        Where the file is kept; its name tells images, changes, versions and seed apart.

    Returns
    -------
    numpy.ndarray
        ``(versions, N, Y, X, C)`` uint8, memory-mapped read-only.
    """
    path = folder / f"bank-{_key(images, spec, versions, seed)}.npy"
    if not path.is_file():
        shape = (versions, *images.shape)
        with atomic_path(path) as temporary:
            bank = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            for version in range(versions):
                for start in range(0, len(images), _CHUNK):
                    done = version * len(images) + start
                    yield Progress(done, versions * len(images), "changing crops at random")
                    part = images[start : start + _CHUNK].astype(np.float32) / 255
                    made = np.asarray(augment(part, spec, (seed, version, start)))
                    bank[version, start : start + _CHUNK] = np.round(made * 255)
            bank.flush()
            del bank
    stored: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return stored


def draw(version: np.ndarray, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a batch of one version, each crop mirrored and turned at random.

    Parameters
    ----------
    version : numpy.ndarray
        ``(N, Y, X, C)`` uint8; square crops.
    rows : numpy.ndarray
        Rows of the batch.
    rng : numpy.random.Generator

    Returns
    -------
    numpy.ndarray
        ``(len(rows), Y, X, C)`` float32, 0..1.
    """
    batch = version[rows]
    symmetry = rng.integers(0, 8, len(rows))
    turned = np.empty_like(batch)
    for k in range(8):
        chosen = batch[symmetry == k]
        chosen = chosen[:, ::-1] if k & 1 else chosen
        chosen = chosen[:, :, ::-1] if k & 2 else chosen
        turned[symmetry == k] = chosen.swapaxes(1, 2) if k & 4 else chosen
    return np.asarray(turned, np.float32) * np.float32(1 / 255)


def _key(images: np.ndarray, spec: Augmentation, versions: int, seed: int) -> str:
    digest = hashlib.sha256(json.dumps([asdict(spec), versions, seed]).encode())
    digest.update(repr((images.shape, images.dtype.str)).encode())
    digest.update(np.ascontiguousarray(images).tobytes())
    return digest.hexdigest()[:16]
