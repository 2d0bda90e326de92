"""Failures of writing: this module turns what the disk says into coded errors."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from napari_cellcls.files import atomic_path, sweep
from napari_cellcls.vocabulary import CellClsError


class ExportError(CellClsError):
    """A result could not be written."""

    default_code: ClassVar[str] = "EXPORT"


@dataclass(frozen=True)
class _Kind:
    what: str
    code: str
    remedy: str
    errnos: frozenset[int] = frozenset()


_KINDS = (
    _Kind(
        "The result may not be written there.",
        code="EXPORT-PERM",
        remedy="Choose an output folder you may write to, or ask for write access to this one.",
        errnos=frozenset({errno.EACCES, errno.EPERM, errno.EROFS}),
    ),
    _Kind(
        "There is no room left to write the result.",
        code="EXPORT-SPACE",
        remedy="Free some space, or choose an output folder on another disk.",
        errnos=frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG}),
    ),
    _Kind(
        "The result cannot be written under this name.",
        code="EXPORT-NAME",
        remedy="Choose another output folder: a shorter one, and not in place of a file.",
        errnos=frozenset(
            {errno.ENAMETOOLONG, errno.EINVAL, errno.EEXIST, errno.ENOTDIR, errno.EISDIR}
        ),
    ),
)
_OTHER = _Kind(
    "Writing the result failed.",
    code="EXPORT-IO",
    remedy="Check that the disk or network folder is still connected, then run again.",
)
LASTING = frozenset({"EXPORT-PERM", "EXPORT-SPACE"})
"""Codes that will meet every further file too: a run stops there."""


def write_error(target: str | os.PathLike[str], error: OSError) -> ExportError:
    """Return the coded error for an ``OSError`` met while writing ``target``."""
    kind = next((kind for kind in _KINDS if error.errno in kind.errnos), _OTHER)
    why = f"the system says '{error.strerror or error}'."
    return ExportError(kind.what, code=kind.code, path=target, why=why, remedy=kind.remedy)


@contextlib.contextmanager
def writing(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path that becomes ``target`` when the block succeeds.

    Raises
    ------
    ExportError
        ``EXPORT-PERM``, ``EXPORT-SPACE``, ``EXPORT-NAME`` or ``EXPORT-IO``.
    """
    try:
        with atomic_path(target) as temporary:
            yield temporary
    except OSError as error:
        raise write_error(target, error) from error


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Create an output folder and prove that it can be written to.

    Raises
    ------
    ExportError
        As :func:`writing`.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / ".cellcls-write-test") as temporary:
            temporary.write_bytes(b"ok")
        (folder / ".cellcls-write-test").unlink()
        sweep(folder)
    except OSError as error:
        raise write_error(folder, error) from error
    return folder
