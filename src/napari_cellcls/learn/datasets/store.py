"""The decoded crops of a set in one memory-mapped file, made once, bounded, and safe to delete.

The name of the file is a hash of the identity of every image (place, size, time of change) and of
the input rule, so that a changed file is decoded again and nothing stale is ever used.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from zipfile import BadZipFile

import numpy as np

from napari_cellcls import files
from napari_cellcls.files import atomic_path, sweep
from napari_cellcls.learn.datasets import decode, tables
from napari_cellcls.learn.datasets.cellset import Fault, InputSpec, digest
from napari_cellcls.learn.datasets.listing import Entry, Listing
from napari_cellcls.vocabulary import DataError, Progress, Task

LIMIT_BYTES = 20 << 30
_SPARE_BYTES = 256 << 20
_WINDOW = 64
_VERSION = "v2"


@dataclass(frozen=True)
class Decoded:
    """The crops of a listing.

    Attributes
    ----------
    images : numpy.ndarray
        ``(N, size, size, C)`` uint8, memory-mapped read-only; black where ``good`` is False.
    good : numpy.ndarray
        ``(N,)`` bool.
    digests : numpy.ndarray
        ``(N,)`` content hashes.
    sizes : numpy.ndarray
        ``(N, 2)`` int32 height and width on disk.
    faults : tuple of Fault
    path : Path
        The file of the crops.
    """

    images: np.ndarray
    good: np.ndarray
    digests: np.ndarray
    sizes: np.ndarray
    faults: tuple[Fault, ...]
    path: Path


def folder() -> Path:
    """Return the user's folder of decoded crops (may not exist); deleting it is safe."""
    from napari_cellcls.models.places import home

    return home() / "cache" / "crops"


def decoded(
    listing: Listing, spec: InputSpec, cache: Path | None = None, limit: int = LIMIT_BYTES
) -> Task[Decoded]:
    """Return the crops of a listing, decoding what the cache does not hold yet.

    Parameters
    ----------
    listing : Listing
    spec : InputSpec
    cache : Path, optional
        By default :func:`folder`.
    limit : int
        Bytes the folder may hold; the sets used longest ago make room.

    Raises
    ------
    DataError
        ``DATA-SPACE`` when the disk cannot hold the crops.
    """
    path = (folder() if cache is None else Path(cache)) / f"crops-{_key(listing, spec)}.npy"
    if found := _stored(path, listing):
        return found
    _prepare(path, listing, spec, limit)
    yield from _write(path, path.with_suffix(".npz"), listing, spec)
    return _open(path, path.with_suffix(".npz"), listing)


def without_bad(crops: Decoded, listing: Listing, spec: InputSpec) -> tuple[Decoded, Listing]:
    """Return crops and listing without the images that cannot be used, in a file of their own."""
    good = np.flatnonzero(crops.good)
    kept = replace(listing, entries=tuple(listing.entries[i] for i in good))
    path = crops.path.with_name(f"crops-{_key(kept, spec)}.npy")
    if found := _stored(path, kept):
        return found, kept
    _prepare(path, kept, spec, LIMIT_BYTES)
    with atomic_path(path) as temporary, _new_array(temporary, (len(good), *spec.shape)) as stream:
        for start in range(0, len(good), _WINDOW):
            stream.write(crops.images[good[start : start + _WINDOW]].tobytes())
    empty = np.zeros(len(good), "U1")
    digests, sizes = crops.digests[good], crops.sizes[good]
    index = path.with_suffix(".npz")
    with atomic_path(index) as temporary:
        every = np.ones(len(good), bool)
        np.savez(temporary, digests=digests, sizes=sizes, good=every, why=empty, code=empty)
    return _open(path, index, kept), kept


def make_room(cache: Path, need: int, limit: int = LIMIT_BYTES) -> None:
    """Delete the sets used longest ago until ``need`` more bytes fit within ``limit``.

    Raises
    ------
    DataError
        ``DATA-SPACE``.
    """
    # The index goes first: crops without it count as unfinished.
    parts = (".npz", ".near.npz")
    files.make_room(cache, "crops-*.npy", limit, need=need, spare=_SPARE_BYTES, parts=parts)
    free = shutil.disk_usage(cache).free
    if free < need + _SPARE_BYTES:
        raise DataError(
            "There is no room for the decoded images.",
            code="DATA-SPACE",
            path=cache,
            why=f"they need {need / 1e9:.1f} GB; {free / 1e9:.1f} GB are free",
            remedy="Free some space, choose a smaller input size, or set CELLCLS_HOME to a larger disk.",
        )


def _stored(path: Path, listing: Listing) -> Decoded | None:
    index = path.with_suffix(".npz")
    if path.is_file() and index.is_file():
        with contextlib.suppress(OSError, ValueError, KeyError, EOFError, BadZipFile):
            return _open(path, index, listing)
    return None


def _prepare(path: Path, listing: Listing, spec: InputSpec, limit: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep(path.parent)
    make_room(path.parent, len(listing.entries) * int(np.prod(spec.shape)), limit)


def _write(path: Path, index: Path, listing: Listing, spec: InputSpec) -> Task[None]:
    n = len(listing.entries)
    digests = np.empty(n, "U40")
    sizes = np.zeros((n, 2), np.int32)
    good = np.zeros(n, bool)
    why = np.zeros(n, "U160")
    code = np.zeros(n, "U32")
    nothing = np.zeros(spec.shape, np.uint8)
    with (
        atomic_path(path) as temporary,
        _new_array(temporary, (n, *spec.shape)) as stream,
        ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool,
    ):
        tasks = _sources(listing)
        done = 0
        while window := list(islice(tasks, _WINDOW)):
            for i, result in enumerate(pool.map(partial(_one, spec), window), start=done):
                if isinstance(result, decode.Unusable):
                    code[i], why[i] = result.code, result.why[:160]
                    stream.write(nothing.tobytes())
                    continue
                crop, sizes[i] = result
                stream.write(crop.tobytes())
                good[i] = True
                digests[i] = digest(crop)
            done += len(window)
            yield Progress(done, n, "reading images")
    with atomic_path(index) as temporary:
        np.savez(temporary, digests=digests, sizes=sizes, good=good, why=why, code=code)


@contextlib.contextmanager
def _new_array(path: Path, shape: tuple[int, ...]) -> Iterator[BinaryIO]:
    """Open a new array file of bytes, to be filled in order: a mapped one would stay in memory."""
    with open(path, "wb") as stream:
        about = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, about)
        yield stream


def _one(
    spec: InputSpec, task: tuple[Entry, bytes | None]
) -> tuple[np.ndarray, tuple[int, int]] | decode.Unusable:
    try:
        return decode.crop(task[0], spec, task[1])
    except decode.Unusable as error:
        return error


def _sources(listing: Listing) -> Iterator[tuple[Entry, bytes | None]]:
    if listing.table is None:
        yield from ((entry, None) for entry in listing.entries)
        return
    entries = iter(listing.entries)
    entry = next(entries, None)
    for row, encoded in enumerate(tables.encoded_images(listing.table)):
        if entry is None:
            return
        if entry.row == row:
            yield entry, encoded
            entry = next(entries, None)


def _open(path: Path, index: Path, listing: Listing) -> Decoded:
    images = np.load(path, mmap_mode="r", allow_pickle=False)
    # Opened here, because np.load leaves a damaged archive open.
    with open(index, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
        good, digests, sizes = stored["good"], stored["digests"], stored["sizes"]
        codes, why = stored["code"], stored["why"]
    if not len(images) == len(good) == len(listing.entries):
        raise ValueError("the cache file is of another set")
    with contextlib.suppress(OSError):
        os.utime(index)
    faults = tuple(
        Fault(str(codes[i]), listing.entries[i].name, str(why[i])) for i in np.flatnonzero(~good)
    )
    return Decoded(np.asanyarray(images), good, digests, sizes, faults, path)


def _key(listing: Listing, spec: InputSpec) -> str:
    seen: dict[Path, str] = {}
    root = f"{listing.root}{os.sep}"

    def identity(path: Path) -> str:
        if path not in seen:
            stat = path.stat()
            place = str(path).removeprefix(root)
            seen[path] = f"{place} {stat.st_size} {stat.st_mtime_ns}"
        return seen[path]

    hashed = hashlib.sha256(f"{_VERSION} {spec!r}".encode())
    if listing.table is not None:
        hashed.update(identity(listing.table).encode())
    for e in listing.entries:
        files = "|".join(identity(p) for p in e.files)
        hashed.update(f"{e.name}|{files}|{e.planes}|{e.box}|{e.row}\n".encode())
    return hashed.hexdigest()[:24]
