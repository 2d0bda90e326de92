"""TIFF and OME-TIFF judged: whole, affordable, of a usable type, and true to the OME header.

It stands before BioIO because a half-copied OME-TIFF opens there without an error: channels
vanish or become depth. Here every declared plane must exist, and every strip and tile must lie
inside the file.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_cellcls.images import omexml, tiffwalk
from napari_cellcls.images.faults import cut_off, no_pixels
from napari_cellcls.images.tiffwalk import Entries, Walk
from napari_cellcls.vocabulary import ImageError

if TYPE_CHECKING:
    from napari_cellcls.images.gate import Budget
    from napari_cellcls.images.omexml import OmeHeader, OmeImage

_PALETTE, _WHITE_IS_ZERO = 3, 0
_OME_TYPES = {"bit": (1, 1), "uint8": (1, 8), "int8": (2, 8), "uint16": (1, 16), "int16": (2, 16), "uint32": (1, 32), "int32": (2, 32), "float": (3, 32), "double": (3, 64)}  # fmt: skip


@dataclass(frozen=True)
class TiffPage:
    """What one page declares: sizes in pixels, bits per value, TIFF codes as in the standard."""

    height: int
    width: int
    samples: int
    bits: int
    sample_format: int
    photometric: int
    compression: int
    tiled: bool
    piece_bytes: int

    @property
    def plane_bytes(self) -> int:
        """Return the decoded size of the whole page."""
        return self.height * self.width * self.samples * max(1, self.bits // 8)

    @property
    def is_palette(self) -> bool:
        """Whether the values are indices into a color table."""
        return self.photometric == _PALETTE

    @property
    def white_is_zero(self) -> bool:
        """Whether 0 means white."""
        return self.photometric == _WHITE_IS_ZERO


def inspect(
    path: str, named_ome: bool, budget: Budget
) -> tuple[tuple[TiffPage, ...], tuple[OmeImage, ...], tuple[str, ...]]:
    """Check a TIFF and return its pages, the images of its OME header, and notes.

    Raises
    ------
    ImageError
        ``IMG-TRUNC``, ``IMG-TRUNC-OME``, ``IMG-ZEROSIZE``, ``IMG-BUDGET``, ``IMG-DTYPE``,
        ``IMG-OME-MISMATCH``, ``IMG-OME-COMPANION``, ``IMG-XML-UNSAFE``, ``IMG-CORRUPT``.
    """
    try:
        with open(path, "rb") as stream:
            found = tiffwalk.walk(stream)
    except tiffwalk.CutOff as error:
        why = f"the file refers to {error}"
        if named_ome:
            raise omexml.damaged(path, why) from error
        raise cut_off(path, why) from error
    header = _ome_header(path, found, named_ome)
    if header is not None:
        _check_declared(path, header, budget)
    pages = tuple(_page(path, entries) for entries in found.pages)
    _check_pieces(path, found, pages, budget, header is not None)
    notes: tuple[str, ...] = ()
    if found.broken:
        if header is not None and "circle" not in found.broken:
            raise omexml.damaged(path, found.broken)
        notes = (
            f"The TIFF may be incomplete (IMG-TRUNC): {found.broken}. {len(pages)} page(s) were read.",
        )
    if header is not None:
        _check_planes(path, header, pages)
    return pages, header.images if header else (), notes


def _ome_header(path: str, found: Walk, named_ome: bool) -> OmeHeader | None:
    text = found.pages[0].description.rstrip(b"\0").decode("utf-8", errors="replace")
    if "<OME" not in text and "<!DOCTYPE OME" not in text:
        if named_ome:
            raise omexml.damaged(
                path,
                "the name says OME-TIFF but there is no OME header "
                "(rename it to .tif if it never had one)",
            )
        return None
    header = omexml.parse(text, path)
    _check_files(path, header)
    return header


def _check_files(path: str, header: OmeHeader) -> None:
    own = os.path.basename(path)
    others = {
        name
        for image in header.images
        for name, uuid in image.files
        if name and name != own and not (uuid and uuid == header.uuid)
    }
    if header.companion is not None:
        others.add(header.companion)
    if others:
        listed = ", ".join(repr(name) for name in sorted(others)[:3])
        raise ImageError(
            "This file is one part of an image that is stored in several files.",
            code="IMG-OME-COMPANION",
            path=path,
            why=f"its OME header places planes in {listed}; other files are never opened by reference",
            remedy="Export the image as one OME-TIFF or OME-Zarr.",
        )


def _check_declared(path: str, header: OmeHeader, budget: Budget) -> None:
    for image in header.images:
        if min(image.sizes.values()) <= 0:
            raise no_pixels(path, f"the OME header declares the sizes {image.sizes}")
        bits = _OME_TYPES.get(image.pixel_type, (1, 64))[1]
        need = math.prod(image.sizes.values()) * max(1, bits // 8)
        if need > budget.total_bytes:
            raise _too_large(
                path, f"the OME header declares {image.sizes}", need, budget.total_bytes
            )
        if image.pixel_type.startswith(("complex", "double-complex")):
            raise _complex(path)


def _page(path: str, entries: Entries) -> TiffPage:
    width, height = entries.first(tiffwalk.WIDTH, 0), entries.first(tiffwalk.HEIGHT, 0)
    if width <= 0 or height <= 0:
        raise no_pixels(path, f"a page declares {width} x {height} pixels")
    if entries.first(tiffwalk.FORMAT, 1) in (5, 6):
        raise _complex(path)
    samples, bits = entries.first(tiffwalk.SAMPLES, 1), entries.first(tiffwalk.BITS, 1)
    tiled = tiffwalk.TILE_WIDTH in entries.numbers
    rows = min(entries.first(tiffwalk.ROWS, height), height)
    across, down = width, rows
    if tiled:
        across = entries.first(tiffwalk.TILE_WIDTH, width)
        down = entries.first(tiffwalk.TILE_HEIGHT, height)
    if across <= 0 or down <= 0 or samples <= 0:
        raise no_pixels(
            path, f"a page declares pieces of {across} x {down} pixels, {samples} samples"
        )
    planar = entries.first(tiffwalk.PLANAR, 1) == 2
    piece = across * down * (1 if planar else samples) * max(1, bits // 8)
    return TiffPage(
        height, width, samples, bits, entries.first(tiffwalk.FORMAT, 1),
        entries.first(tiffwalk.PHOTOMETRIC, 1), entries.first(tiffwalk.COMPRESSION, 1), tiled, piece,
    )  # fmt: skip


def _check_pieces(
    path: str, found: Walk, pages: tuple[TiffPage, ...], budget: Budget, is_ome: bool
) -> None:
    total = sum(page.plane_bytes for page in pages)
    if total > budget.total_bytes:
        largest = max(pages, key=lambda page: page.plane_bytes)
        why = f"a page declares {largest.width} x {largest.height} pixels"
        raise _too_large(path, why, total, budget.total_bytes)
    for number, (entries, page) in enumerate(zip(found.pages, pages), start=1):
        problem = _piece_problem(entries, page, found.size)
        if problem and is_ome:
            raise omexml.damaged(path, f"page {number}: {problem}")
        if problem:
            raise cut_off(path, f"page {number}: {problem}")
    # BioIO decodes page by page, so a page is one piece however finely it is tiled.
    largest_piece = max(page.piece_bytes for page in pages)
    if largest_piece > budget.piece_bytes:
        raise _too_large(path, "one strip or tile is that large", largest_piece, budget.piece_bytes)


def _piece_problem(entries: Entries, page: TiffPage, size: int) -> str:
    names = (
        (tiffwalk.TILE_OFFSETS, tiffwalk.TILE_BYTES)
        if page.tiled
        else (tiffwalk.STRIP_OFFSETS, tiffwalk.STRIP_BYTES)
    )
    offsets, lengths = (entries.numbers.get(name, ()) for name in names)
    if not offsets:
        return "it holds no pixel data"
    if not lengths and len(offsets) == 1 and page.compression == 1:
        lengths = ((page.height * page.width * page.samples * page.bits + 7) // 8,)
    if len(offsets) != len(lengths):
        return f"it lists {len(offsets)} pieces but {len(lengths)} lengths"
    for offset, length in zip(offsets, lengths):
        if offset + length > size:
            return f"pixel data at byte {offset} of length {length} ends beyond the file's {size} bytes"
    needed = _pieces_needed(entries, page)
    if page.compression != 1 and len(offsets) < needed:
        return f"it lists {len(offsets)} pieces, {page.width} x {page.height} pixels need {needed}"
    stored = sum(lengths)
    expected = page.height * ((page.width * page.bits * page.samples + 7) // 8)
    if page.compression == 1 and stored < expected and 0 not in lengths:
        return f"{stored} bytes of pixels are stored, {page.width} x {page.height} need {expected}"
    return ""


def _pieces_needed(entries: Entries, page: TiffPage) -> int:
    down = min(entries.first(tiffwalk.ROWS, page.height), page.height)
    across = page.width
    if page.tiled:
        down = entries.first(tiffwalk.TILE_HEIGHT, page.height)
        across = entries.first(tiffwalk.TILE_WIDTH, page.width)
    return -(-page.height // down) * -(-page.width // across)


def _check_planes(path: str, header: OmeHeader, pages: tuple[TiffPage, ...]) -> None:
    needed = sum(image.plane_count for image in header.images)
    if needed > len(pages):
        sizes = "; ".join(
            ", ".join(f"Size{a}={n}" for a, n in image.sizes.items()) for image in header.images[:2]
        )
        raise ImageError(
            "The OME header promises more planes than the file holds.",
            code="IMG-OME-MISMATCH",
            path=path,
            why=f"the header says {sizes}, that is {needed} planes; the file has {len(pages)}",
            remedy="Export the image again, or save it as plain TIFF if the header is wrong.",
        )
    first, page = header.images[0], pages[0]
    declared = (first.sizes["Y"], first.sizes["X"])
    kind = _OME_TYPES.get(first.pixel_type)
    wrong_type = kind is not None and kind != (page.sample_format, page.bits) and page.bits > 1
    if declared != (page.height, page.width) or wrong_type:
        raise ImageError(
            "The OME header and the pixels of the file contradict each other.",
            code="IMG-OME-MISMATCH",
            path=path,
            why=(
                f"the header says {declared[1]} x {declared[0]} pixels of {first.pixel_type}; the "
                f"first page holds {page.width} x {page.height} of {page.bits} bits"
            ),
            remedy="Export the image again.",
        )


def _too_large(path: str, why: str, need: int, limit: int) -> ImageError:
    return ImageError(
        "The image asks for more memory than this plugin allows.",
        code="IMG-BUDGET",
        path=path,
        why=f"{why}: {need / 2**30:.1f} GiB, the limit is {limit / 2**30:.1f} GiB",
        remedy="If the size is real, save the image tiled (OME-Zarr); if not, the file is damaged.",
    )


def _complex(path: str) -> ImageError:
    return ImageError(
        "The image holds complex numbers, which have no brightness.",
        code="IMG-DTYPE",
        path=path,
        why="its sample format is complex",
        remedy="Save its magnitude or phase as a real image.",
    )
