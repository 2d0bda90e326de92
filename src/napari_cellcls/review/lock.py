"""Keeps two windows from writing one journal: who has it open, and whether they still live."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_cellcls.review.events import now

_BYTE = 1 << 20  # far behind the text, so that others can read it on Windows too


@dataclass(frozen=True)
class Holder:
    """Who has a journal open for writing."""

    annotator: str
    user: str
    host: str
    pid: int
    since_utc: str

    def __str__(self) -> str:
        """Return it in words."""
        who = self.annotator or self.user
        if self.user != who:
            who = f"{who} (user {self.user})"
        return f"{who} on {self.host} since {self.since_utc[:16].replace('T', ' ')} UTC, process {self.pid}"


class Lock:
    """The right to write, held by the operating system for as long as the process lives.

    A file of a process that died is nobody's: the system lets go of it at its death.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, annotator: str) -> Holder | None:
        """Take the lock; return None when it is ours, else who has it.

        Raises
        ------
        OSError
            When the lock file cannot be written (a folder for reading only).
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if not _take(descriptor):
                other = read_holder(self.path)
                os.close(descriptor)
                return other or Holder("somebody", "unknown", "an unknown computer", 0, "")
            mine = Holder(annotator, _user(), socket.gethostname(), os.getpid(), now())
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps(asdict(mine)).encode())
        except OSError:
            with contextlib.suppress(OSError):
                os.close(descriptor)
            raise
        self._descriptor = descriptor
        return None

    def release(self) -> None:
        """Give the lock back; the file stays, empty (removing it could take away another's)."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def read_holder(path: Path) -> Holder | None:
    """Return who the lock file names, None when it names nobody."""
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")[:4000]))
    except (OSError, ValueError, TypeError):
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no name for this user id
        return "unknown"


if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> bool:
        os.lseek(descriptor, _BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:
    import fcntl

    def _take(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
