"""Copies of a journal by time: made while it is in use, checked, and thinned out."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from napari_cellcls.files import atomic_path
from napari_cellcls.review import dialects, errors, store
from napari_cellcls.review.events import Event

NEWEST, DAILY = 10, 14
EVERY = timedelta(hours=1)
_FORMAT = "journal-%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"^journal-\d{8}T\d{6}Z\.db$")


@dataclass(frozen=True)
class Backup:
    """One copy of a journal."""

    path: Path
    made: datetime

    def __str__(self) -> str:
        """Return the time and the file name."""
        return f"{self.made:%Y-%m-%d %H:%M} UTC ({self.path.name})"


def listed(folder: Path) -> list[Backup]:
    """Return the backups of a folder, newest first, without opening them."""
    found = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _NAME.match(path.name):
                made = datetime.strptime(path.stem, _FORMAT).replace(tzinfo=UTC)
                found.append(Backup(path, made))
    return sorted(found, key=lambda one: one.path.name, reverse=True)


def make(journal: Path, folder: Path) -> Backup:
    """Copy a journal, check the copy, and thin out the old ones.

    Keeps the newest of this hour: a copy never takes more than one place of the ten.

    Raises
    ------
    OSError, sqlite3.Error
        When it cannot be read or written; no half copy is left.
    """
    made = datetime.now(UTC).replace(microsecond=0)
    target = folder / f"{made:{_FORMAT}}.db"
    with atomic_path(target) as temporary:
        try:
            dialects.backup(journal, temporary)
        finally:
            temporary.with_name(f"{temporary.name}-journal").unlink(missing_ok=True)
    rotate(folder)
    return Backup(target, made)


def rotate(folder: Path) -> None:
    """Remove what is neither one of the newest ten nor the last copy of one of the last 14 days."""
    every = listed(folder)
    keep = {one.path for one in every[:NEWEST]}
    days: dict[str, Path] = {}
    for one in every:
        days.setdefault(f"{one.made:%Y%m%d}", one.path)
    keep |= set(list(days.values())[:DAILY])
    for one in every:
        if one.path not in keep:
            with contextlib.suppress(OSError):
                one.path.unlink()


def newest_good(folder: Path, project_id: str | None) -> Backup | None:
    """Return the newest backup that is whole and of this project."""
    for one in listed(folder):
        found = store.Store(one.path, read_only=True)
        try:
            store.check(found, project_id)
        except errors.JournalError:
            continue
        finally:
            found.close()
        return one
    return None


def is_due(folder: Path) -> bool:
    """Return whether the last backup is older than an hour."""
    newest = listed(folder)
    return not newest or datetime.now(UTC) - newest[0].made > EVERY


def load(one: Backup) -> list[Event]:
    """Return the events of a backup."""
    found = store.Store(one.path, read_only=True)
    try:
        with found.connect() as connection:
            return found.load(connection)[0]
    finally:
        found.close()


CopyError = (OSError, sqlite3.Error)
"""What making a backup can raise."""
