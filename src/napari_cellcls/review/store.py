"""Keeps events in a database: creating, checking, reading and appending, on SQLite or PostgreSQL."""

from __future__ import annotations

import itertools
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from napari_cellcls.files import atomic_path
from napari_cellcls.review import collector, errors, tables
from napari_cellcls.review.dialects import backup, check_header, dialect_of
from napari_cellcls.review.events import Event, clean
from napari_cellcls.review.tables import EVENT, EVENT_COLUMNS, META, METADATA

_INSERT_MANY = 1000


class Store:
    """One journal's table, in a file or on a server.

    Parameters
    ----------
    place : Path or str
        A SQLite file, or a URL ``postgresql://user@host/database``.
    read_only : bool
    """

    def __init__(self, place: Path | str, *, read_only: bool = False) -> None:
        self.place, self.read_only = place, read_only
        self.dialect = dialect_of(place)
        self.engine = self.dialect.engine(read_only=read_only)
        self._identity = self._file_identity()

    @property
    def path(self) -> Path | None:
        """The file, None on a server."""
        return self.place if isinstance(self.place, Path) else None

    @property
    def name(self) -> str:
        """Where it is, in words without a password."""
        if isinstance(self.place, Path):
            return str(self.place)
        return sa.make_url(self.place).render_as_string(hide_password=True)

    def connect(self) -> sa.Connection:
        """Return a new connection; the caller closes it."""
        return self.engine.connect()

    def project_id(self, connection: sa.Connection) -> str:
        """Return the id of the project the journal belongs to."""
        found = connection.execute(sa.select(META.c.value).where(META.c.name == "project_id"))
        return str(found.scalar_one_or_none() or "")

    def load(self, connection: sa.Connection, after: int = 0) -> tuple[list[Event], int]:
        """Return the events with a row number above ``after``, in order, and the last number."""
        query = sa.select(*EVENT_COLUMNS).where(EVENT.c.seq > after).order_by(EVENT.c.seq)
        # The number first: an event that is committed in between is then read twice, not never.
        last = connection.execute(sa.select(sa.func.max(EVENT.c.seq))).scalar_one()
        with collector.still():
            events = list(map(Event._make, connection.execute(query).all()))
        connection.rollback()
        return events, int(last or after)

    def insert(self, connection: sa.Connection, events: Iterable[Event]) -> None:
        """Append events in one transaction; those already there are passed over."""
        statement = self.dialect.insert()
        with connection.begin():
            self.dialect.before_insert(connection)
            for part in _parts(events):
                connection.execute(statement, [event._asdict() for event in part])

    def is_same_file(self) -> bool:
        """Return whether the file at the path is still the one that was opened."""
        return self._file_identity() == self._identity

    def close(self) -> None:
        """Let the connections go."""
        self.engine.dispose()

    def _file_identity(self) -> tuple[int, int] | None:
        if self.path is None:
            return None
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino


def create(place: Path | str, project_id: str, events: Sequence[Event] = ()) -> None:
    """Make a new journal; a file appears whole or not at all, and never replaces one.

    Raises
    ------
    JournalError
        ``JOURNAL-EXISTS``, or ``JOURNAL-SERVER`` when the server refuses.
    """
    if isinstance(place, Path):
        if place.exists():
            raise _exists(str(place))
        with atomic_path(place) as temporary:
            _fill(Store(temporary), project_id, events)
            temporary.with_name(f"{temporary.name}-journal").unlink(missing_ok=True)
        return
    store = Store(place)
    try:
        with store.connect() as connection:
            if sa.inspect(connection).has_table("event"):
                raise _exists(store.name)
        _fill(store, project_id, events)
    except SQLAlchemyError as error:
        raise errors.unreachable(store.name, said(error)) from error
    finally:
        store.close()


def check(store: Store, project_id: str | None) -> None:
    """Prove that a store is whole, ours, of this format and of this project.

    Raises
    ------
    JournalError
        ``JOURNAL-MISSING``, ``JOURNAL-DAMAGED``, ``JOURNAL-FOREIGN``, ``JOURNAL-NEWER``,
        ``JOURNAL-SERVER``.
    """
    path = store.path
    if path is not None:
        check_header(path)
    try:
        with store.connect() as connection:
            number = store.dialect.format(connection)
            if number > tables.FORMAT:
                raise errors.newer(path, number, tables.FORMAT)
            complaint = store.dialect.damage(connection)
            found = store.project_id(connection) if number else ""
    except SQLAlchemyError as error:
        raise failed(store, error) from error
    if complaint:
        raise errors.damaged(
            path or Path(store.name), f"the check of the database says: {complaint}"
        )
    if project_id is not None and found != project_id:
        raise errors.foreign(
            path or Path(store.name),
            f"it belongs to project '{found}', this is project '{project_id}'",
        )


def migrate(store: Store, keep: Path | None) -> bool:
    """Bring an older format to this one, in one transaction, after a copy to ``keep``.

    Returns whether there was anything to do.
    """
    with store.connect() as connection:
        number = store.dialect.format(connection)
        connection.rollback()
        if number >= tables.FORMAT:
            return False
        if keep is not None and store.path is not None:
            with atomic_path(keep) as temporary:
                backup(store.path, temporary)
        # pysqlite begins no transaction before a change of tables: begin it by hand.
        with connection.begin():
            if not store.dialect.server:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            for step in range(number, tables.FORMAT):
                for statement in tables.MIGRATIONS[step]:
                    connection.exec_driver_sql(statement)
            store.dialect.set_format(connection, tables.FORMAT)
    return True


def salvage(path: Path) -> list[Event]:
    """Return the events that can still be read from a damaged file, genuine ones only."""
    found: list[Event] = []
    names = ", ".join(Event._fields)
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    except sqlite3.Error:
        return found
    try:
        for row in connection.execute(f"SELECT {names} FROM event ORDER BY seq"):
            found.append(Event._make(row))
    except (sqlite3.Error, UnicodeDecodeError):
        pass  # what came before the damage is all there is
    finally:
        connection.close()
    return found


def failed(store: Store, error: SQLAlchemyError) -> errors.JournalError:
    """Return the coded error for a store that cannot be read."""
    if store.path is None:
        return errors.unreachable(store.name, said(error))
    if "locked" in said(error) or "busy" in said(error):
        return errors.busy(store.path, said(error))
    return errors.damaged(store.path, f"the database says: {said(error)}")


def said(error: BaseException) -> str:
    """Return what the database said, on one line, without the SQL."""
    original = getattr(error, "orig", None) or error
    return clean(" ".join(str(original).split()))[:300] or type(error).__name__


def _fill(store: Store, project_id: str, events: Sequence[Event]) -> None:
    try:
        with store.connect() as connection:
            with connection.begin():
                METADATA.create_all(connection)
                store.dialect.create(connection)
                connection.execute(META.insert(), {"name": "project_id", "value": project_id})
            store.insert(connection, events)
    finally:
        store.close()


def _exists(name: str) -> errors.JournalError:
    return errors.JournalError(
        "There is a journal already.",
        code="JOURNAL-EXISTS",
        path=name,
        why="a new one is never written over an old one.",
        remedy="Open the project that is there, or choose another place.",
    )


def _parts(events: Iterable[Event]) -> Iterator[list[Event]]:
    rest = iter(events)
    while part := list(itertools.islice(rest, _INSERT_MANY)):
        yield part
