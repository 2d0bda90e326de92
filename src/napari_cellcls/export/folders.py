"""Folders that appear whole or not at all, and replace only what this program wrote."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_cellcls.export.errors import ExportError, write_error


@contextmanager
def writing_folder(target: Path, is_ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Give a temporary folder that becomes ``target`` when the block succeeds.

    Parameters
    ----------
    target : Path
    is_ours : callable
        Whether an existing ``target`` may be replaced.

    Raises
    ------
    ExportError
        ``EXPORT-EXISTS`` when something else has this name; else as all exports.
    """
    temporary = target.with_name(f".{target.name}.part-{os.getpid()}")
    old = target.with_name(f".{target.name}.old-{os.getpid()}")
    try:
        empty = target.is_dir() and not any(target.iterdir())
        if target.exists() and not empty and not is_ours(target):
            raise ExportError(
                "Something else has this name already.",
                code="EXPORT-EXISTS",
                path=target,
                why="it was not written by this program, so it is not replaced.",
                remedy="Choose another name.",
            )
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        yield temporary
        if target.exists():
            os.replace(target, old)
        os.replace(temporary, target)
    except OSError as error:
        if old.exists() and not target.exists():
            os.replace(old, target)
        raise write_error(target, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
