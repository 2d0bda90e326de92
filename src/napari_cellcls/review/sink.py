"""Where decisions go: committed to the store, or kept in a rescue file; then copied and shared."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped, unused-ignore]
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from napari_cellcls.files import reason
from napari_cellcls.review import backups, errors, eventfiles
from napari_cellcls.review.events import Event
from napari_cellcls.review.store import Store, said


class StoreSink:
    """Commits events to a store; see :class:`~napari_cellcls.review.writer.Sink`.

    Parameters
    ----------
    store : Store
    rescue : Path
        File for events that cannot be committed, on another place than the journal.
    everything : callable
        Returns all events in memory: what a rescue holds when the journal itself is gone.
    backups : Path or None
        Folder of backups; None: none are made (a server has its own).
    share : Path or None
        Folder where committed events are published for others.
    unshared : sequence of Event
        Events of this computer that were never published.
    device_id : str
        This computer: only its own events are published.
    """

    def __init__(
        self,
        store: Store,
        rescue: Path,
        everything: Callable[[], Iterable[Event]],
        backup_folder: Path | None = None,
        share: Path | None = None,
        unshared: Sequence[Event] = (),
        device_id: str = "",
    ) -> None:
        self._store, self._rescue, self._everything = store, rescue, everything
        self._backups, self._share = backup_folder, share
        self._unshared, self._device_id = list(unshared), device_id
        self._connection: sa.Connection | None = None
        self._kept: set[str] = set()
        self._dirty = False

    def save(self, events: Sequence[Event]) -> None:
        """Commit events, or raise ``JOURNAL-SAVE`` or ``JOURNAL-GONE``."""
        self._still_there()
        try:
            if self._connection is None:
                self._connection = self._store.connect()
            self._store.insert(self._connection, events)
        except (SQLAlchemyError, OSError) as error:
            self._disconnect()
            why = f"the database says: {said(error)}"
            raise errors.not_saved(self._store.name, why, "") from error
        # A file deleted meanwhile takes the commit with it: only now is it known to be safe.
        self._still_there()
        self._dirty = True
        if self._share is not None:
            self._unshared.extend(e for e in events if e.device_id == self._device_id)
        if self._kept:
            self._kept.clear()
            with contextlib.suppress(OSError):
                self._rescue.unlink()

    def keep(self, events: Sequence[Event], error: errors.JournalError) -> errors.JournalError:
        """Write events to the rescue file; return the error with where they are."""
        wanted = list(self._everything()) if error.code == "JOURNAL-GONE" else events
        fresh = [event for event in wanted if event.event_id not in self._kept]
        try:
            if fresh:
                eventfiles.append(self._rescue, fresh)
                self._kept.update(event.event_id for event in fresh)
            kept = f"they are kept in memory and in {self._rescue}"
        except OSError as trouble:
            kept = (
                f"they are kept in memory only, because {self._rescue.parent} cannot be written "
                f"either ({reason(trouble)}): leave the program open"
            )
        if error.code == "JOURNAL-GONE" and self._store.path is not None:
            return errors.gone(self._store.path, kept)
        return errors.not_saved(self._store.name, error.why.rstrip("; "), kept)

    def upkeep(self, *, last: bool) -> errors.JournalError | None:
        """Make the backup that is due, publish what was committed; return what went wrong."""
        problem = self._publish()
        path = self._store.path
        # Of a journal that is gone there is nothing to copy, and its folder is not made again.
        if self._dirty and self._backups and path is not None and self._store.is_same_file():
            try:
                if last or backups.is_due(self._backups):
                    backups.make(path, self._backups)
                    self._dirty = False
            except backups.CopyError as error:
                problem = _no_backup(self._backups, reason(error))
        return problem

    def close(self) -> None:
        """Let the connection go."""
        self._disconnect()
        self._store.close()

    def _publish(self) -> errors.JournalError | None:
        if self._share is None or not self._unshared:
            return None
        try:
            os.stat(self._share.parent)  # a project folder that is gone is not made again
            eventfiles.publish(self._share, self._unshared)
        except OSError as error:
            return errors.JournalError(
                "The decisions are saved here, but could not be shared yet.",
                code="JOURNAL-SHARE",
                path=self._share,
                why=f"{len(self._unshared):,} wait: {reason(error)}.",
                remedy="Connect the folder again; sharing is tried again by itself.",
            )
        self._unshared.clear()
        return None

    def _still_there(self) -> None:
        if not self._store.is_same_file():
            self._disconnect()
            assert self._store.path is not None
            raise errors.gone(self._store.path, "")

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._connection.close()
            self._connection = None


def rescued(folder: Path, *, exclusive: bool) -> tuple[list[Event], list[Path]]:
    """Return the events that earlier sessions could not save, and the files to remove then.

    Parameters
    ----------
    folder : Path
        Rescue folder of the project; may not exist.
    exclusive : bool
        Whether no other program can be writing there (the lock is ours); otherwise the files of
        living processes are left alone.
    """
    events: list[Event] = []
    paths = []
    for path in sorted(folder.glob(f"*{eventfiles.SUFFIX}")):
        pid = path.name.partition("-")[0]
        if not exclusive and pid.isdigit() and psutil.pid_exists(int(pid)):
            continue
        with contextlib.suppress(OSError):
            events.extend(eventfiles.read_own(path))
            paths.append(path)
    return events, paths


def rescue_file(folder: Path, session_id: str) -> Path:
    """Return the rescue file of this process and session."""
    return folder / f"{os.getpid()}-{session_id}{eventfiles.SUFFIX}"


def _no_backup(folder: Path, why: str) -> errors.JournalError:
    return errors.JournalError(
        "The decisions are saved, but no backup could be made.",
        code="JOURNAL-BACKUP",
        path=folder,
        why=why,
        remedy="Make room or give write access; the backup is tried again by itself.",
    )
