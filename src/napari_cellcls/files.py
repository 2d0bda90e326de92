"""Writing files so that a crash never leaves half of one, and folders that stay bounded."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

_REPLACE_TRIES = 10
_PART = ".part-"
_FORGOTTEN_S = 3600.0


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``target``; rename it onto ``target`` if the block succeeds.

    The temporary name keeps the suffix of the target, because writers choose the format by it.
    On failure the temporary file is removed and ``target`` stays as it was.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f"{_PART}{uuid.uuid4().hex}{target.suffix}")
    try:
        temporary.touch(exist_ok=False)
        yield temporary
        with open(temporary, "rb+") as stream:
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        _replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(target: str | os.PathLike[str], content: bytes) -> None:
    """Write ``content`` to ``target`` atomically."""
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def sweep(folder: Path) -> None:
    """Remove unfinished files that a killed program left in a folder an hour ago or longer."""
    for path in folder.glob(f"{_PART}*"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _FORGOTTEN_S:
                path.unlink()


def make_room(
    folder: Path,
    pattern: str,
    limit: int,
    *,
    need: int = 0,
    spare: int = 0,
    parts: tuple[str, ...] = (),
) -> None:
    """Delete the files used longest ago until ``need`` more bytes fit, on the disk too.

    Parameters
    ----------
    folder : Path
        Of a cache: everything in it can be made again.
    pattern : str
        Which files count.
    limit : int
        Bytes they may hold together; the one used last stays, however large, when ``need`` is 0.
    need : int
        Bytes about to be written.
    spare : int
        Bytes of the disk to leave free beside them, looked at when ``need`` is given.
    parts : tuple of str, optional
        Suffixes of files that belong to each and go before it; the first one's time is its time.
    """

    def used(path: Path) -> float:
        try:
            return path.with_suffix(parts[0] if parts else path.suffix).stat().st_mtime
        except OSError:
            return 0.0

    files = sorted(folder.glob(pattern), key=used)
    held = sum(path.stat().st_size for path in files)
    for path in files if need else files[:-1]:
        fits = not need or shutil.disk_usage(folder).free > need + spare
        if held + need <= limit and fits:
            return
        held -= path.stat().st_size
        for suffix in (*parts, path.suffix):
            # On Windows a file in use stays.
            with contextlib.suppress(OSError):
                path.with_suffix(suffix).unlink(missing_ok=True)


def reason(error: BaseException) -> str:
    """Return why something failed, in words: no class names and no error numbers."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file or folder"
    if isinstance(error, OSError) and error.strerror:
        return f"the system says '{error.strerror}'"
    if isinstance(error, KeyError):
        return f"{error} is missing in it"
    return " ".join(str(error).split())[:300] or type(error).__name__


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file as hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _replace(source: Path, target: Path) -> None:
    # On Windows a virus scanner may hold the file for some milliseconds (zarr-python PR 4358).
    for attempt in range(_REPLACE_TRIES):
        try:
            os.replace(source, target)
        except PermissionError:
            if attempt == _REPLACE_TRIES - 1:
                raise
            time.sleep(0.01 * (attempt + 1))
        else:
            return


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
