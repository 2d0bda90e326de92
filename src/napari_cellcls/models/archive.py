"""Flat zip archives of known files: written with the same bytes every time, read with suspicion.

Members are only ever read into memory, never extracted, and never beyond the byte count that the
caller allows, whatever the archive says about its sizes.
"""

from __future__ import annotations

import io
import re
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

from napari_cellcls.vocabulary import ModelError

MAX_MEMBERS = 32
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
_FAILURES = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, KeyError)
_BLOCK = 1 << 20


def write_archive(members: Mapping[str, bytes]) -> bytes:
    """Return a zip of ``members``, stored without compression; same members, same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(info, content)
    return buffer.getvalue()


class Archive:
    """A zip whose table of contents has passed every check.

    Parameters
    ----------
    data : bytes
        The whole file.
    path : Path or None
        For messages.

    Raises
    ------
    ModelError
        ``MODEL-ARCHIVE``: not a zip, damaged, encrypted, an unusual compression, too many members,
        names with folders or odd characters, names given twice (case ignored), links, overlaps.
    """

    def __init__(self, data: bytes, path: Path | None = None) -> None:
        self.path = path
        if not data.startswith(b"PK\x03\x04"):
            raise self._bad("it does not start as a zip archive does")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            self._infos = self._zip.infolist()
        except (*_FAILURES, NotImplementedError) as error:
            raise self._bad(f"it is not a whole zip archive ({error!s:.100})") from None
        self._check_contents()

    @property
    def names(self) -> tuple[str, ...]:
        """Member names in order."""
        return tuple(info.filename for info in self._infos)

    def read(self, name: str, limit: int) -> bytes:
        """Return a member of at most ``limit`` bytes, counted while it is unpacked."""
        blocks, total = [], 0
        try:
            with self._zip.open(name) as stream:
                while block := stream.read(min(_BLOCK, limit - total + 1)):
                    blocks.append(block)
                    total += len(block)
                    if total > limit:
                        raise self._bad(f"{name} unpacks to more than its {limit:,} bytes")
        except (*_FAILURES, NotImplementedError) as error:
            raise self._bad(f"{name} cannot be unpacked ({error!s:.100})") from None
        return b"".join(blocks)

    def _check_contents(self) -> None:
        if not 1 <= len(self._infos) <= MAX_MEMBERS:
            raise self._bad(f"it has {len(self._infos)} members, at most {MAX_MEMBERS} are allowed")
        if self._zip.comment:
            raise self._bad("it carries a comment")
        seen: set[str] = set()
        end = 0
        for info in sorted(self._infos, key=lambda i: i.header_offset):
            self._check_member(info)
            if info.filename.casefold() in seen:
                raise self._bad(f"the name {info.filename!r} is given twice")
            seen.add(info.filename.casefold())
            if info.header_offset < end:
                raise self._bad(f"{info.filename!r} overlaps another member")
            end = info.header_offset + 30 + len(info.filename) + info.compress_size

    def _check_member(self, info: zipfile.ZipInfo) -> None:
        shown = ascii(info.orig_filename)[:80]
        # zipfile cuts a name at a zero byte and turns backslashes, so the original is what counts.
        if info.filename != info.orig_filename or not _NAME.match(info.filename):
            raise self._bad(f"the member name {shown} is not a plain file name")
        if info.flag_bits & 0x1:
            raise self._bad(f"{shown} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise self._bad(f"{shown} uses compression method {info.compress_type}")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise self._bad(f"{shown} is not a regular file")

    def _bad(self, why: str) -> ModelError:
        return ModelError(
            "The model package cannot be opened",
            code="MODEL-ARCHIVE",
            path=self.path,
            why=f"{why}.",
            remedy="Get the package again; a download may have stopped half way.",
        )
