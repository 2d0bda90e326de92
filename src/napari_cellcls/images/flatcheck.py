"""PNG and JPEG from the outside: size, depth, colors and wholeness, without decoding a pixel.

Sources: PNG specification (W3C, third edition), chunk layout and color types; ITU-T T.81 for JPEG
markers; Exif 2.3 for the orientation tag.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from napari_cellcls.images.faults import cut_off, no_pixels
from napari_cellcls.vocabulary import ImageError

if TYPE_CHECKING:
    from napari_cellcls.images.gate import Budget, FileKind

_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
_TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class FlatHeader:
    """What the header of a PNG or JPEG declares.

    Attributes
    ----------
    height, width : int
        Pixels.
    samples : int
        Values per pixel as stored (1 for a palette).
    bits : int
        Bits per value.
    palette : bool
        Whether the values are indices into a palette.
    """

    height: int
    width: int
    samples: int
    bits: int
    palette: bool = False


def inspect(path: str, kind: FileKind, budget: Budget) -> tuple[FlatHeader, tuple[str, ...]]:
    """Check a PNG or JPEG and return its header and notes for the user.

    Raises
    ------
    ImageError
        ``IMG-ZEROSIZE``, ``IMG-BUDGET``, ``IMG-TRUNC``, ``IMG-CORRUPT``, ``IMG-DTYPE``.
    """
    with open(path, "rb") as stream:
        if kind.value == "png":
            return _inspect_png(path, stream, budget)
        return _inspect_jpeg(path, stream, budget)


def _inspect_png(path: str, stream: BinaryIO, budget: Budget) -> tuple[FlatHeader, tuple[str, ...]]:
    stream.seek(8)
    header: FlatHeader | None = None
    data_bytes = 0
    while True:
        head = stream.read(8)
        if len(head) < 8:
            raise cut_off(path, "the end mark (IEND) of a PNG is missing")
        length, name = struct.unpack(">I4s", head)
        if header is None:
            header = _png_header(path, name, stream.read(min(length, 64)), budget)
            stream.seek(16)
        crc, missing = _chunk_crc(stream, length, zlib.crc32(name))
        stored = stream.read(4)
        if missing or len(stored) < 4:
            raise cut_off(path, f"chunk {name!r} ends beyond the end of the file")
        if struct.unpack(">I", stored)[0] != crc:
            raise ImageError(
                "The PNG is damaged.",
                code="IMG-CORRUPT",
                path=path,
                why=f"the checksum of chunk {name.decode('latin-1')!r} is wrong",
                remedy="Copy or download the file again.",
            )
        if name == b"IDAT":
            data_bytes += length
        if name == b"IEND":
            break
    if data_bytes == 0:
        raise cut_off(path, "it holds no pixel data (no IDAT chunk)")
    return header, ()


def _png_header(path: str, name: bytes, body: bytes, budget: Budget) -> FlatHeader:
    if name != b"IHDR" or len(body) < 13:
        raise ImageError(
            "The PNG header is damaged.",
            code="IMG-CORRUPT",
            path=path,
            why=f"the first chunk is {name!r} of {len(body)} bytes, expected IHDR of 13",
            remedy="Copy or download the file again.",
        )
    width, height, bits, color = struct.unpack(">IIBB", body[:10])
    if color not in _PNG_SAMPLES or bits not in (1, 2, 4, 8, 16):
        raise ImageError(
            "The PNG header is damaged.",
            code="IMG-CORRUPT",
            path=path,
            why=f"color type {color} and bit depth {bits} do not exist",
            remedy="Copy or download the file again.",
        )
    header = FlatHeader(height, width, _PNG_SAMPLES[color], bits, palette=color == 3)
    _afford(path, header, budget)
    return header


def _chunk_crc(stream: BinaryIO, length: int, crc: int) -> tuple[int, bool]:
    left = length
    while left:
        block = stream.read(min(left, 1 << 20))
        if not block:
            return crc, True
        crc = zlib.crc32(block, crc)
        left -= len(block)
    return crc, False


def _inspect_jpeg(
    path: str, stream: BinaryIO, budget: Budget
) -> tuple[FlatHeader, tuple[str, ...]]:
    header, orientation = _jpeg_markers(path, stream)
    if header.samples == 4:
        raise ImageError(
            "This JPEG is made for printing (four inks, CMYK).",
            code="IMG-DTYPE",
            path=path,
            why="its frame header declares 4 components",
            remedy="Save it as an RGB image.",
        )
    _afford(path, header, budget)
    stream.seek(0, 2)
    size = stream.tell()
    stream.seek(max(0, size - _TAIL_BYTES))
    if b"\xff\xd9" not in stream.read():
        raise cut_off(path, "the end mark (EOI) of a JPEG is missing")
    notes: tuple[str, ...] = ()
    if orientation not in (0, 1):
        note = (
            f"The camera asks to show this picture turned (Exif orientation {orientation}); "
            "the stored orientation was kept so that masks and positions stay true."
        )
        notes = (note,)
    return header, notes


def _jpeg_markers(path: str, stream: BinaryIO) -> tuple[FlatHeader, int]:
    stream.seek(2)
    orientation = 0
    while True:
        byte = stream.read(1)
        if not byte:
            raise cut_off(path, "it ends before its frame header")
        if byte != b"\xff":
            raise ImageError(
                "The JPEG is damaged.",
                code="IMG-CORRUPT",
                path=path,
                why=f"at byte {stream.tell() - 1} a marker was expected",
                remedy="Copy or download the file again.",
            )
        while byte == b"\xff":
            byte = stream.read(1)
        marker = byte[0] if byte else 0xD9
        if marker in _JPEG_ALONE:
            continue
        sizes = stream.read(2)
        if marker == 0xD9 or marker == 0xDA or len(sizes) < 2:
            raise cut_off(path, "it ends before its frame header")
        body = stream.read(max(0, struct.unpack(">H", sizes)[0] - 2))
        if marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = _exif_orientation(body[6:])
        if marker in _JPEG_FRAMES:
            if len(body) < 6:
                raise cut_off(path, "it ends inside its frame header")
            bits, height, width, samples = struct.unpack(">BHHB", body[:6])
            return FlatHeader(height, width, samples, bits), orientation


def _exif_orientation(block: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None or len(block) < 8:
        return 0
    offset = struct.unpack(order + "I", block[4:8])[0]
    if offset + 2 > len(block):
        return 0
    count = struct.unpack(order + "H", block[offset : offset + 2])[0]
    for i in range(count):
        entry = block[offset + 2 + 12 * i : offset + 14 + 12 * i]
        if len(entry) == 12 and struct.unpack(order + "H", entry[:2])[0] == 0x0112:
            return int(struct.unpack(order + "H", entry[8:10])[0])
    return 0


def _afford(path: str, header: FlatHeader, budget: Budget) -> None:
    if header.height == 0 or header.width == 0:
        raise no_pixels(path, f"its header declares {header.width} x {header.height} pixels")
    samples = 4 if header.palette else header.samples
    need = header.height * header.width * samples * max(1, header.bits // 8)
    if need > budget.piece_bytes:
        raise ImageError(
            "The image is too large to be decoded in one piece.",
            code="IMG-BUDGET",
            path=path,
            why=(
                f"{header.width} x {header.height} pixels need {need / 2**30:.1f} GiB, "
                f"the limit is {budget.piece_bytes / 2**30:.1f} GiB"
            ),
            remedy="Save it as tiled OME-TIFF or OME-Zarr, which are read piece by piece.",
        )
