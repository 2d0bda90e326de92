"""What the first bytes of a file show, and words for everything that is no image."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from napari_cellcls.vocabulary import ImageError


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


def name_notes(path: str, kind: FileKind) -> tuple[str, ...]:
    """Return a note when the name promises another kind than the content shows."""
    suffix = Path(path).suffix.lower()
    expected = SUFFIXES.get(suffix)
    family = FileKind.TIFF if kind is FileKind.OME_TIFF else kind
    if expected is None or expected is family:
        return ()
    return (
        f"The name ends in {suffix}, but the content is {family.value.upper()}; it was read as that.",
    )
