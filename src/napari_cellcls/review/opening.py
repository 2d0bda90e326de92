"""Opens a journal safely: checks first, reads when it may not write, never makes one from nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from napari_cellcls.files import reason
from napari_cellcls.review import backups, collector, errors, eventfiles, sink, tables
from napari_cellcls.review import store as stores
from napari_cellcls.review.dialects import check_header
from napari_cellcls.review.events import Author, Event, Pen, is_genuine
from napari_cellcls.review.fold import State
from napari_cellcls.review.journal import Journal
from napari_cellcls.review.lock import Lock
from napari_cellcls.review.store import Store

_TAIL = 200
_HOPELESS = frozenset({"JOURNAL-MISSING", "JOURNAL-DAMAGED", "JOURNAL-FOREIGN"})


@dataclass(frozen=True)
class Places:
    """Where the parts of a journal are.

    Attributes
    ----------
    journal : Path or str
        SQLite file on a local disk, or a URL ``postgresql://...``.
    rescue : Path
        Folder for decisions that cannot be saved; not where the journal is.
    lock : Path or None
        Lock file; None on a server, where many write.
    backups : Path or None
        Folder of backups.
    share : Path or None
        Folder of exchanged event files, for projects on a network.
    """

    journal: Path | str
    rescue: Path
    lock: Path | None = None
    backups: Path | None = None
    share: Path | None = None

    @property
    def file(self) -> Path | None:
        """The SQLite file, None on a server."""
        return self.journal if isinstance(self.journal, Path) else None


def open_journal(
    places: Places, project_id: str, author: Author, *, read_only: bool = False
) -> Journal:
    """Open a journal for writing, or for reading when that is all that is safe.

    A second window, a folder without write access and a damaged file open for reading, with
    ``refusal`` saying why. A damaged file shows its newest backup and whatever else is left.

    Raises
    ------
    JournalError
        ``JOURNAL-NEWER``, ``JOURNAL-SERVER``, ``JOURNAL-DRIVER``; ``JOURNAL-MISSING``,
        ``JOURNAL-DAMAGED`` or ``JOURNAL-FOREIGN`` when there is nothing left to show.
    """
    lock, refusal = _lock(places, author, read_only)
    try:
        try:
            with collector.still():
                journal = _open_whole(places, project_id, author, refusal)
        except errors.JournalError as problem:
            if problem.code not in _HOPELESS or places.file is None:
                raise
            journal = _open_remains(places, project_id, author, problem)
    except BaseException:
        if lock is not None:
            lock.release()
        raise
    if lock is not None:
        if journal.is_writable:
            journal.on_close(lock.release)
        else:
            lock.release()
    return journal


def restore(places: Places, project_id: str, author: Author) -> tuple[int, Path | None]:
    """Make the journal anew from the newest good backup and all that is left beside it.

    Returns
    -------
    events : int
        How many the new journal holds.
    aside : Path or None
        Where the damaged file is now.

    Raises
    ------
    JournalError
        ``JOURNAL-INUSE`` while somebody writes, ``JOURNAL-NOBACKUP`` when nothing is left.
    """
    path = places.file
    assert path is not None
    lock, refusal = _lock(places, author, read_only=False)
    try:
        if refusal is not None:
            raise refusal
        events, backup = _remains(places, project_id)
        if not events and backup is None:
            raise errors.JournalError(
                "There is nothing to restore the journal from.",
                code="JOURNAL-NOBACKUP",
                path=path,
                why=f"no whole backup in {places.backups}, and no event can be read.",
                remedy="Bring back a copy of the project folder from elsewhere.",
            )
        aside = None
        if path.exists():
            aside = path.with_name(f"{path.stem}.damaged-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.db")
            os.replace(path, aside)
        path.with_name(f"{path.name}-journal").unlink(missing_ok=True)
        ordered = sorted(events, key=lambda e: e.key)
        stores.create(path, project_id, ordered)
        return len(ordered), aside
    finally:
        if lock is not None:
            lock.release()


def _lock(
    places: Places, author: Author, read_only: bool
) -> tuple[Lock | None, errors.JournalError | None]:
    if read_only:
        return None, errors.read_only("it was opened so.", places.file)
    if places.lock is None:
        return None, None
    lock = Lock(places.lock)
    try:
        holder = lock.acquire(author.annotator)
    except OSError as error:
        return None, errors.read_only(f"{reason(error)}: {places.lock}", places.file)
    if holder is None:
        return lock, None
    return None, errors.JournalError(
        "The project is open elsewhere, so here it is open for reading only.",
        code="JOURNAL-INUSE",
        path=places.file,
        why=f"in use by {holder}.",
        remedy="Close it there, then open it here again.",
    )


def _open_whole(
    places: Places, project_id: str, author: Author, refusal: errors.JournalError | None
) -> Journal:
    path = places.file
    if refusal is None and path is not None and path.exists() and not os.access(path, os.W_OK):
        refusal = errors.read_only("the file may not be written.", path)
    store = Store(places.journal, read_only=refusal is not None)
    try:
        stores.check(store, project_id)
        if refusal is None:
            keep = places.backups / f"before-format-{tables.FORMAT}.db" if places.backups else None
            stores.migrate(store, keep)
        with store.connect() as connection:
            events, seq = store.load(connection)
    except SQLAlchemyError as error:
        store.close()
        raise stores.failed(store, error) from error
    except errors.JournalError:
        store.close()
        raise
    fault = _tail_fault(events[-_TAIL:])
    if fault:
        refusal = errors.broken_chain(path or store.name, fault)
    state = State()
    state.add(events)
    last = events[-1].hash if events else ""
    if refusal is not None:
        found = _shared(places)
        state.add(found.events)
        notes = [str(problem) for problem in found.problems]
        return Journal(state, author, store=store, seq=seq, refusal=refusal, notes=notes)
    return _open_for_writing(places, author, store, state, seq, last)


def _open_for_writing(
    places: Places, author: Author, store: Store, state: State, seq: int, last: str
) -> Journal:
    notes: list[str] = []
    kept, files = sink.rescued(places.rescue, exclusive=places.lock is not None)
    lost = [event for event in kept if event.event_id not in state]
    if lost:
        notes.append(f"{len(lost):,} decisions that an earlier session could not save were added")
    found = _shared(places)
    notes += [str(problem) for problem in found.problems]
    published = {event.event_id for event in found.events}
    unshared = [] if places.share is None else _unshared(state, author.device_id, published)
    top = max((event.lamport for event in state.events), default=0)
    mine = sink.StoreSink(
        store,
        sink.rescue_file(places.rescue, author.session_id),
        lambda: list(state.events),
        places.backups,
        places.share,
        unshared,
        author.device_id,
    )
    pen = Pen(author, last, top)
    journal = Journal(state, author, store=store, sink=mine, pen=pen, seq=seq, notes=notes)
    journal.merge([*lost, *found.events])
    if files and journal.flush(30):
        for path in files:
            path.unlink(missing_ok=True)
    return journal


def _open_remains(
    places: Places, project_id: str, author: Author, problem: errors.JournalError
) -> Journal:
    events, backup = _remains(places, project_id)
    if not events and backup is None:
        raise problem
    state = State()
    state.add(events)
    source = f"the backup of {backup}" if backup else "what can still be read"
    note = f"shown is {source}: {len(state):,} events"
    return Journal(state, author, refusal=problem, backup=backup, notes=[note])


def _remains(places: Places, project_id: str) -> tuple[list[Event], backups.Backup | None]:
    """Return all events that are left anywhere, once each, and the newest good backup."""
    assert places.file is not None
    backup = backups.newest_good(places.backups, project_id) if places.backups else None
    found: list[Event] = backups.load(backup) if backup else []
    if _may_be_ours(places.file):
        found += [event for event in stores.salvage(places.file) if is_genuine(event)]
    found += sink.rescued(places.rescue, exclusive=True)[0]
    if places.share is not None:
        found += eventfiles.collect(places.share, set()).events
    return list({event.event_id: event for event in found}.values()), backup


def _unshared(state: State, device_id: str, published: set[str]) -> list[Event]:
    mine = [
        event
        for event in state.events
        if event.device_id == device_id and event.event_id not in published
    ]
    return sorted(mine, key=lambda event: event.key)


def _may_be_ours(path: Path) -> bool:
    try:
        check_header(path)
    except errors.JournalError as problem:
        return problem.code == "JOURNAL-DAMAGED"
    return True


def _shared(places: Places) -> eventfiles.Found:
    if places.share is None:
        return eventfiles.Found()
    return eventfiles.collect(places.share, set())


def _tail_fault(tail: Iterable[Event]) -> str:
    """Return what is wrong with the newest events; the whole chain is for ``cellcls project verify``."""
    hashes: dict[tuple[str, int], str] = {}
    for event in tail:
        before = hashes.get((event.session_id, event.session_n - 1))
        if not is_genuine(event):
            return f"event {event.event_id} of {event.annotator} was changed"
        if before is not None and before != event.prev_hash:
            return f"event {event.event_id} of {event.annotator} does not follow the one before"
        hashes[event.session_id, event.session_n] = event.hash
    return ""
