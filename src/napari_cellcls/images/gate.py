"""The gate: is this file what it says, whole, and affordable? It runs before any decoder.

It owns the order of the checks and the sniffing of formats; the format rooms beside it
(``tiffcheck``, ``flatcheck``, ``zarrcheck``) look inside. Nothing here decodes a pixel, follows a
reference out of the image's folder, or allocates by a number read from a file.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellcls.images.magic import NATIVE_KINDS, SUFFIXES, FileKind, name_notes, sniff
from napari_cellcls.vocabulary import ImageError

if TYPE_CHECKING:
    from napari_cellcls.images.flatcheck import FlatHeader
    from napari_cellcls.images.omexml import OmeImage
    from napari_cellcls.images.tiffcheck import TiffPage
    from napari_cellcls.images.zarrcheck import ZarrImage

__all__ = [
    "NATIVE_KINDS",
    "SUFFIXES",
    "Budget",
    "FileKind",
    "Finding",
    "check",
    "inspect",
    "is_zarr",
    "sniff",
]

_GIB = 1 << 30
_HEAD_BYTES = 4096


@dataclass(frozen=True)
class Budget:
    """How much an image may ask of this computer.

    Attributes
    ----------
    piece_bytes : int
        Largest piece decoded at once (a strip, a tile, a chunk, a whole PNG or JPEG).
    total_bytes : int
        Largest image at all, all planes of all scenes together, decoded.
    chunks : int
        Largest number of pieces.
    """

    piece_bytes: int = 2 * _GIB
    total_bytes: int = 256 * _GIB
    chunks: int = 5_000_000


@dataclass(frozen=True)
class Finding:
    """What the gate learned about a file that may be opened.

    Attributes
    ----------
    path : str
        The path as given.
    kind : FileKind
    notes : tuple of str
        Doubts in words for the user ("The name says TIFF, the content is JPEG ...").
    pages : tuple of TiffPage
        For TIFF: the main pages in file order.
    ome : tuple of OmeImage
        For OME-TIFF: the images of its header.
    flat : FlatHeader or None
        For PNG and JPEG.
    zarr : ZarrImage or None
    """

    path: str
    kind: FileKind
    notes: tuple[str, ...] = ()
    pages: tuple[TiffPage, ...] = ()
    ome: tuple[OmeImage, ...] = ()
    flat: FlatHeader | None = None
    zarr: ZarrImage | None = None
    stamp: tuple[int, int] = field(default=(0, 0), compare=False)


def check(path: str | os.PathLike[str], budget: Budget | None = None) -> FileKind:
    """Return what kind of image a path is, or say in words why it cannot be used.

    Parameters
    ----------
    path : path-like
        A file, or an OME-Zarr directory.
    budget : Budget, optional
        What the image may ask of this computer.

    Returns
    -------
    FileKind

    Raises
    ------
    ImageError
        With one of the codes of ``docs/troubleshooting.md`` (``IMG-EMPTY``, ``IMG-MAGIC``,
        ``IMG-TRUNC`` ...).
    """
    return inspect(path, budget).kind


def inspect(path: str | os.PathLike[str], budget: Budget | None = None) -> Finding:
    """Check a path like :func:`check` and return all that was learned on the way."""
    path = os.fspath(path)
    budget = budget or Budget()
    status = _status(path)
    if stat.S_ISDIR(status.st_mode):
        return _inspect_directory(path, budget)
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(
            "This is not a file with content but a device, pipe or socket.",
            code="IMG-NOTFILE",
            path=path,
            why=f"the system reports its type as {stat.filemode(status.st_mode)[0]!r}",
            remedy="Give the path of an image file.",
        )
    if status.st_size == 0:
        raise ImageError(
            "The file is empty.",
            code="IMG-EMPTY",
            path=path,
            why="its size is 0 bytes",
            remedy="Copy it again from its source; the copy did not arrive.",
        )
    head = _read_head(path)
    kind = sniff(head, path)
    notes = name_notes(path, kind)
    stamp = (status.st_size, status.st_mtime_ns)
    return _inspect_file(path, kind, notes, budget, stamp)


def is_zarr(path: str | os.PathLike[str]) -> bool:
    """Whether a directory is a Zarr store (by name or by its metadata files)."""
    folder = Path(path)
    if not folder.is_dir():
        return False
    if folder.name.lower().endswith(".zarr"):
        return True
    return any((folder / name).is_file() for name in (".zgroup", ".zattrs", ".zarray", "zarr.json"))


def _status(path: str) -> os.stat_result:
    try:
        return os.stat(path)
    except PermissionError as error:
        raise _no_permission(path, error) from error
    except (OSError, ValueError) as error:
        if os.path.islink(path):
            why = f"it is a link to {os.readlink(path)!r}, which does not exist"
        else:
            why = getattr(error, "strerror", None) or str(error)
        raise ImageError(
            "There is no such file.",
            code="IMG-MISSING",
            path=path,
            why=why,
            remedy="Check the spelling, and that the drive or network folder is connected.",
        ) from error


def _read_head(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read(_HEAD_BYTES)
    except PermissionError as error:
        raise _no_permission(path, error) from error
    except OSError as error:
        raise ImageError(
            "The file cannot be read.",
            code="IMG-CORRUPT",
            path=path,
            why=error.strerror or str(error),
            remedy="Check the disk or the network connection and copy the file again.",
        ) from error


def _no_permission(path: str, error: OSError) -> ImageError:
    return ImageError(
        "You are not allowed to read this file.",
        code="IMG-PERM",
        path=path,
        why=error.strerror or str(error),
        remedy="Ask its owner for read permission, or copy it to a folder of your own.",
    )


def _inspect_directory(path: str, budget: Budget) -> Finding:
    if not is_zarr(path):
        raise ImageError(
            "This is a folder, not an image.",
            code="IMG-DIR",
            path=path,
            why="it is a directory without OME-Zarr metadata",
            remedy="Give an image inside it, or open the folder as a collection.",
        )
    from napari_cellcls.images import zarrcheck

    image, notes = zarrcheck.inspect(path, budget)
    status = os.stat(path)
    return Finding(
        path, FileKind.OME_ZARR, notes, zarr=image, stamp=(status.st_size, status.st_mtime_ns)
    )


def _inspect_file(
    path: str, kind: FileKind, notes: tuple[str, ...], budget: Budget, stamp: tuple[int, int]
) -> Finding:
    if kind in (FileKind.PNG, FileKind.JPEG):
        from napari_cellcls.images import flatcheck

        header, more = flatcheck.inspect(path, kind, budget)
        return Finding(path, kind, notes + more, flat=header, stamp=stamp)
    if kind in (FileKind.TIFF, FileKind.OME_TIFF):
        from napari_cellcls.images import tiffcheck

        pages, ome, more = tiffcheck.inspect(path, kind is FileKind.OME_TIFF, budget)
        found = FileKind.OME_TIFF if ome else FileKind.TIFF
        return Finding(path, found, notes + more, pages=pages, ome=ome, stamp=stamp)
    return Finding(path, kind, notes, stamp=stamp)
