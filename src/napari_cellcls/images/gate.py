"""The gate: is this file what it says, whole, and affordable? It runs before any decoder.

It owns the order of the checks and the sniffing of formats; the format rooms beside it
(``tiffcheck``, ``flatcheck``, ``zarrcheck``) look inside. Nothing here decodes a pixel, follows a
reference out of the image's folder, or allocates by a number read from a file.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellcls.vocabulary import ImageError

if TYPE_CHECKING:
    from napari_cellcls.images.flatcheck import FlatHeader
    from napari_cellcls.images.omexml import OmeImage
    from napari_cellcls.images.tiffcheck import TiffPage
    from napari_cellcls.images.zarrcheck import ZarrImage

_GIB = 1 << 30
_HEAD_BYTES = 4096


class FileKind(StrEnum):
    """What a file is, by its content."""

    OME_TIFF = "ome_tiff"
    TIFF = "tiff"
    PNG = "png"
    JPEG = "jpeg"
    OME_ZARR = "ome_zarr"
    CZI = "czi"
    ND2 = "nd2"
    LIF = "lif"


NATIVE_KINDS = (FileKind.CZI, FileKind.ND2, FileKind.LIF)
"""Vendor formats: optional readers with native code, probed in a child process first."""

SUFFIXES = {
    ".tif": FileKind.TIFF,
    ".tiff": FileKind.TIFF,
    ".png": FileKind.PNG,
    ".jpg": FileKind.JPEG,
    ".jpeg": FileKind.JPEG,
    ".zarr": FileKind.OME_ZARR,
    ".czi": FileKind.CZI,
    ".nd2": FileKind.ND2,
    ".lif": FileKind.LIF,
}
"""File name endings this plugin opens (lower case) and what they promise."""


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
    notes = _name_notes(path, kind)
    stamp = (status.st_size, status.st_mtime_ns)
    return _inspect_file(path, kind, notes, budget, stamp)


def sniff(head: bytes, path: str) -> FileKind:
    """Return the kind that the first bytes of a file show.

    Raises
    ------
    ImageError
        ``IMG-LFS`` for a Git-LFS pointer, ``IMG-MAGIC`` for anything that is no image we read.
    """
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return (
            FileKind.OME_TIFF if path.lower().endswith((".ome.tif", ".ome.tiff")) else FileKind.TIFF
        )
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return FileKind.PNG
    if head.startswith(b"\xff\xd8\xff"):
        return FileKind.JPEG
    if head.startswith(b"ZISRAWFILE"):
        return FileKind.CZI
    jp2 = head.startswith(b"\0\0\0\x0cjP  ")
    if head.startswith(b"\xda\xce\xbe\x0a") or (jp2 and path.lower().endswith(".nd2")):
        return FileKind.ND2
    if head[:4] == b"\x70\0\0\0" and head[8:9] == b"\x2a":
        return FileKind.LIF
    raise _wrong_magic(head, path)


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


def _wrong_magic(head: bytes, path: str) -> ImageError:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    if head.startswith(b"version https://git-lfs"):
        return ImageError(
            "This is only a Git-LFS pointer, not the image itself.",
            code="IMG-LFS",
            path=path,
            why="the file is a short text that begins with 'version https://git-lfs'",
            remedy="Run 'git lfs pull' in its repository.",
        )
    if text.startswith((b"<!doctype html", b"<html")) or b"<html" in text:
        what, why = "This is a web page, not an image.", "the content begins with HTML"
        remedy = "Download the image again: the server sent an error or log-in page instead."
    elif text.startswith((b"<?xml", b"<svg")):
        what, why = "This is an XML text, not an image.", "the content begins with XML"
        remedy = "Open the image file this text belongs to."
    elif head.startswith(b"PK\x03\x04"):
        what, why = "This is a zip archive, not an image.", "the content begins with 'PK'"
        remedy = "Unpack it and open what is inside."
    elif head.startswith((b"GIF8", b"BM", b"RIFF")):
        what, why = (
            "GIF, BMP and WebP images are not read.",
            f"the content begins with {head[:4]!r}",
        )
        remedy = "Save the image as PNG or TIFF."
    elif _looks_like_text(head):
        what, why = "This is a text file, not an image.", "the content is plain text"
        remedy = "Open the image file instead."
    else:
        what, why = (
            "The content is no image format this plugin knows.",
            f"it begins with {head[:8]!r}",
        )
        remedy = "Open TIFF, OME-TIFF, PNG, JPEG, OME-Zarr, CZI, ND2 or LIF files."
    return ImageError(what, code="IMG-MAGIC", path=path, why=why, remedy=remedy)


def _looks_like_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8")
    return all(c.isprintable() or c.isspace() for c in text)


def _name_notes(path: str, kind: FileKind) -> tuple[str, ...]:
    suffix = Path(path).suffix.lower()
    expected = SUFFIXES.get(suffix)
    family = FileKind.TIFF if kind is FileKind.OME_TIFF else kind
    if expected is None or expected is family:
        return ()
    return (
        f"The name ends in {suffix}, but the content is {family.value.upper()}; it was read as that.",
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
