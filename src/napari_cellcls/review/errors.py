"""The coded errors of the journal, in words an annotator can act on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from napari_cellcls.vocabulary import CellClsError


class JournalError(CellClsError):
    """The journal of decisions cannot be opened, read or written as asked."""

    default_code: ClassVar[str] = "JOURNAL"


def missing(path: Path) -> JournalError:
    """Say that there is no journal where one should be."""
    return JournalError(
        "The journal of this project is not there.",
        code="JOURNAL-MISSING",
        path=path,
        why="there is no file of this name; nothing was created in its place.",
        remedy="Put the file back, or restore a backup: cellcls project verify lists them.",
    )


def damaged(path: Path, why: str) -> JournalError:
    """Say that the journal is damaged; its bytes are left as they are."""
    return JournalError(
        "The journal of this project is damaged, so nothing is written to it.",
        code="JOURNAL-DAMAGED",
        path=path,
        why=why,
        remedy="Restore the newest backup: cellcls project verify --restore. "
        "The damaged file is kept beside it, and what can be read of it is added.",
    )


def foreign(path: Path, why: str) -> JournalError:
    """Say that the file is no journal of ours."""
    return JournalError(
        "This file is not a journal of this project.",
        code="JOURNAL-FOREIGN",
        path=path,
        why=why,
        remedy="Put the right journal.db back, or restore a backup: cellcls project verify lists them.",
    )


def newer(path: str | os.PathLike[str] | None, found: int, known: int) -> JournalError:
    """Say that the journal was written by a newer release."""
    return JournalError(
        "The journal was written by a newer release of napari-cellcls.",
        code="JOURNAL-NEWER",
        path=path,
        why=f"its format is {found}, this release knows formats up to {known}.",
        remedy="Update napari-cellcls. The file was not changed.",
    )


def busy(path: Path, why: str) -> JournalError:
    """Say that another program holds the file, which is no damage."""
    return JournalError(
        "Another program holds the journal right now.",
        code="JOURNAL-BUSY",
        path=path,
        why=f"the database says: {why}",
        remedy="Try again in a moment; end copies or database tools that have the file open.",
    )


def read_only(why: str, path: str | os.PathLike[str] | None = None) -> JournalError:
    """Say that nothing can be decided in a journal that is open for reading."""
    return JournalError(
        "The journal is open for reading only.",
        code="JOURNAL-READONLY",
        path=path,
        why=why,
        remedy="Close the other window or get write access, then open the project again.",
    )


def not_saved(path: str | os.PathLike[str] | None, why: str, kept: str) -> JournalError:
    """Say that decisions could not be saved yet, and where they are meanwhile."""
    return JournalError(
        "The last decisions could not be saved yet.",
        code="JOURNAL-SAVE",
        path=path,
        why=f"{why}; {kept}",
        remedy="Make room or give write access; saving is tried again by itself.",
    )


def gone(path: Path, kept: str) -> JournalError:
    """Say that the journal file was deleted or replaced while it was open."""
    return JournalError(
        "The journal file was deleted, moved or replaced while it was open.",
        code="JOURNAL-GONE",
        path=path,
        why=f"the file at this place is not the one that was opened; {kept}",
        remedy="Put the project folder back where it was and open it again; "
        "the decisions of this session are added to it then.",
    )


def unreachable(server: str, why: str) -> JournalError:
    """Say that the database server does not answer as needed."""
    return JournalError(
        "The database server cannot be used.",
        code="JOURNAL-SERVER",
        why=f"{server}: {why}",
        remedy="Check address, name and password, and that the server runs.",
    )


def no_driver() -> JournalError:
    """Say which optional part PostgreSQL needs."""
    return JournalError(
        "A part needed for PostgreSQL is not installed.",
        code="JOURNAL-DRIVER",
        why="the package psycopg is missing.",
        remedy='pip install "napari-cellcls[postgresql]"',
    )


def bad_event_file(path: Path, why: str) -> JournalError:
    """Say that a file of exchanged events is not whole."""
    return JournalError(
        "A file of exchanged decisions is not whole and was left out.",
        code="JOURNAL-EVENTFILE",
        path=path,
        why=why,
        remedy="Wait until the folder has synchronized, or copy the file again from its author.",
    )


def broken_chain(path: str | os.PathLike[str] | None, why: str) -> JournalError:
    """Say that events were changed or removed behind our back."""
    return JournalError(
        "Decisions in the journal were changed or removed outside the program.",
        code="JOURNAL-CHAIN",
        path=path,
        why=why,
        remedy="Compare with the backups: cellcls project verify lists them.",
    )
