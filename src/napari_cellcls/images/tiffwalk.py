"""A TIFF's page chain read entry by entry, with every offset held against the file's size.

It owns the walk only; ``tiffcheck`` judges. It never follows a circle, never allocates by a count
read from the file, and takes classic TIFF and BigTIFF in both byte orders.
Sources: TIFF 6.0 specification (Adobe 1992); BigTIFF design (AWare Systems).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO

_TYPE_BYTES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_TYPE_CODE = {1: "B", 3: "H", 4: "I", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MAX_PAGES = 1_000_000
_MAX_VALUES = 16_000_000
_MAX_ENTRIES = 4096

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION = 256, 257, 258, 259, 262, 270
STRIP_OFFSETS, SAMPLES, ROWS, STRIP_BYTES, PLANAR = 273, 277, 278, 279, 284
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, EXTRA, FORMAT = 322, 323, 324, 325, 338, 339
_WANTED = frozenset({
    WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, DESCRIPTION, STRIP_OFFSETS, SAMPLES, ROWS,
    STRIP_BYTES, PLANAR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, EXTRA, FORMAT,
})  # fmt: skip


class CutOff(Exception):
    """A structure lies beyond the end of the file; the message says which."""


@dataclass(frozen=True)
class Entries:
    """The tags of one page: numbers as tuples, the description as bytes."""

    numbers: dict[int, tuple[int, ...]]
    description: bytes = b""

    def first(self, tag: int, default: int) -> int:
        """Return the first value of a tag."""
        values = self.numbers.get(tag)
        return values[0] if values else default


@dataclass(frozen=True)
class Walk:
    """All pages of a file, and how the chain ended when it did not end well."""

    pages: tuple[Entries, ...]
    size: int
    big_endian: bool
    broken: str = ""


class _File:
    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.size = stream.seek(0, 2)
        head = self.read(0, 16)
        self.order = "<" if head[:2] == b"II" else ">"
        self.big = struct.unpack(self.order + "H", head[2:4])[0] == 43
        if self.big:
            self.start = struct.unpack(self.order + "Q", head[8:16])[0]
        else:
            self.start = struct.unpack(self.order + "I", head[4:8])[0]

    def read(self, offset: int, length: int) -> bytes:
        if offset + length > self.size:
            raise CutOff(f"something at byte {offset} of a file of {self.size} bytes")
        self.stream.seek(offset)
        return self.stream.read(length)


def walk(stream: BinaryIO) -> Walk:
    """Read the page chain of an open TIFF.

    Raises
    ------
    CutOff
        The header, the first page or one of the first page's tags lies beyond the file's end.
    """
    file = _File(stream)
    pages: list[Entries] = []
    seen: set[int] = set()
    offset, broken = file.start, ""
    while offset:
        if offset in seen:
            broken = "the chain of pages runs in a circle"
            break
        seen.add(offset)
        try:
            page, offset = _page(file, offset)
        except CutOff as error:
            if not pages:
                raise
            broken = f"page {len(pages) + 1} is missing: the file refers to {error}"
            break
        pages.append(page)
        if len(pages) >= _MAX_PAGES:
            broken = f"it declares more than {_MAX_PAGES} pages"
            break
    if not pages:
        raise CutOff("no page at all")
    return Walk(tuple(pages), file.size, file.order == ">", broken)


def _page(file: _File, offset: int) -> tuple[Entries, int]:
    count_bytes, entry_bytes = (8, 20) if file.big else (2, 12)
    code = file.order + ("Q" if file.big else "H")
    count = struct.unpack(code, file.read(offset, count_bytes))[0]
    if count > _MAX_ENTRIES:
        raise CutOff(f"a page with {count} tags")
    block = file.read(offset + count_bytes, count * entry_bytes)
    tail = 8 if file.big else 4
    following = file.read(offset + count_bytes + count * entry_bytes, tail)
    numbers: dict[int, tuple[int, ...]] = {}
    description = b""
    for i in range(count):
        entry = block[i * entry_bytes : (i + 1) * entry_bytes]
        tag, kind = struct.unpack(file.order + "HH", entry[:4])
        if tag not in _WANTED or kind not in _TYPE_BYTES:
            continue
        values = _values(file, entry, kind)
        if tag == DESCRIPTION:
            if not description:
                description = values
        elif kind in _TYPE_CODE:
            step = _TYPE_BYTES[kind]
            numbers[tag] = struct.unpack(
                f"{file.order}{len(values) // step}{_TYPE_CODE[kind]}", values
            )
    code = file.order + ("Q" if file.big else "I")
    return Entries(numbers, description), struct.unpack(code, following)[0]


def _values(file: _File, entry: bytes, kind: int) -> bytes:
    if file.big:
        count, inline = struct.unpack(file.order + "Q", entry[4:12])[0], entry[12:20]
        where = struct.unpack(file.order + "Q", inline)[0]
    else:
        count, inline = struct.unpack(file.order + "I", entry[4:8])[0], entry[8:12]
        where = struct.unpack(file.order + "I", inline)[0]
    length = count * _TYPE_BYTES[kind]
    if length <= len(inline):
        return inline[:length]
    if count > _MAX_VALUES * 4:
        raise CutOff(f"a tag with {count} values")
    return file.read(where, length)
