"""What SQLite and PostgreSQL do differently; no other module of the journal asks which one it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import NullPool

from napari_cellcls.review import errors
from napari_cellcls.review.tables import APPLICATION_ID, EVENT, FORMAT, META

_BUSY_S = 15.0
_HEADER = b"SQLite format 3\x00"


class Dialect(Protocol):
    """What the store asks of a database."""

    server: bool

    def engine(self, *, read_only: bool) -> sa.Engine:
        """Return the way to connections, prepared for safe commits."""

    def create(self, connection: sa.Connection) -> None:
        """Add what SQLAlchemy does not: format number, and triggers against changes."""

    def format(self, connection: sa.Connection) -> int:
        """Return the format number of the tables; 0 when there are none."""

    def set_format(self, connection: sa.Connection, number: int) -> None:
        """Write the format number."""

    def insert(self) -> sa.Insert:
        """Return the insertion of events that passes over those already there."""

    def before_insert(self, connection: sa.Connection) -> None:
        """Make the order of row numbers the order of commits."""

    def damage(self, connection: sa.Connection) -> str:
        """Return what is wrong with the file, empty when nothing is."""


class Sqlite:
    """A local file: rollback journal, every commit flushed to the disk before it counts."""

    server = False

    def __init__(self, path: Path) -> None:
        self.path = path

    def engine(self, *, read_only: bool) -> sa.Engine:
        """Return an engine that never creates the file."""
        uri = f"{self.path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"

        def connect() -> sqlite3.Connection:
            return sqlite3.connect(uri, uri=True, timeout=_BUSY_S, check_same_thread=False)

        engine = sa.create_engine("sqlite://", creator=connect, poolclass=NullPool)
        if not read_only:
            sa.event.listen(engine, "connect", _safe)
        return engine

    def create(self, connection: sa.Connection) -> None:
        """Mark the file as ours and forbid changes to events."""
        connection.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
        self.set_format(connection, FORMAT)
        for verb in ("UPDATE", "DELETE"):
            connection.exec_driver_sql(
                f"CREATE TRIGGER event_no_{verb.lower()} BEFORE {verb} ON event BEGIN "
                "SELECT RAISE(ABORT, 'events are never changed or removed'); END"
            )

    def format(self, connection: sa.Connection) -> int:
        """Return ``user_version``."""
        return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())

    def set_format(self, connection: sa.Connection, number: int) -> None:
        """Write ``user_version``."""
        connection.exec_driver_sql(f"PRAGMA user_version={int(number)}")

    def insert(self) -> sa.Insert:
        """Return ``INSERT ... ON CONFLICT (event_id) DO NOTHING``."""
        return sqlite.insert(EVENT).on_conflict_do_nothing(index_elements=["event_id"])

    def before_insert(self, connection: sa.Connection) -> None:
        """Nothing to do: SQLite has one writer at a time."""

    def damage(self, connection: sa.Connection) -> str:
        """Return the first complaint of ``quick_check``."""
        found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one())
        return "" if found == "ok" else found


class Postgres:
    """A server for live teams: the same table, many writers."""

    server = True

    def __init__(self, url: sa.URL) -> None:
        self.url = url

    def engine(self, *, read_only: bool) -> sa.Engine:
        """Return an engine with psycopg 3; ``JOURNAL-DRIVER`` where it is not installed."""
        try:
            engine = sa.create_engine(
                self.url.set(drivername="postgresql+psycopg"),
                pool_pre_ping=True,
                connect_args={"connect_timeout": 10},
            )
        except ModuleNotFoundError as error:
            raise errors.no_driver() from error
        return engine.execution_options(postgresql_readonly=True) if read_only else engine

    def create(self, connection: sa.Connection) -> None:
        """Write the format number and forbid changes to events."""
        self.set_format(connection, FORMAT)
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION event_is_final() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'events are never changed or removed'; END $$"
        )
        connection.exec_driver_sql(
            "CREATE TRIGGER event_is_final BEFORE UPDATE OR DELETE OR TRUNCATE ON event "
            "FOR EACH STATEMENT EXECUTE FUNCTION event_is_final()"
        )

    def format(self, connection: sa.Connection) -> int:
        """Return the number in the table ``meta``."""
        if not sa.inspect(connection).has_table("meta"):
            return 0
        found = connection.execute(sa.select(META.c.value).where(META.c.name == "format"))
        return int(found.scalar_one_or_none() or 0)

    def set_format(self, connection: sa.Connection, number: int) -> None:
        """Write the number to the table ``meta``."""
        row = postgresql.insert(META).values(name="format", value=str(number))
        connection.execute(
            row.on_conflict_do_update(index_elements=["name"], set_={"value": str(number)})
        )

    def insert(self) -> sa.Insert:
        """Return ``INSERT ... ON CONFLICT (event_id) DO NOTHING``."""
        return postgresql.insert(EVENT).on_conflict_do_nothing(index_elements=["event_id"])

    def before_insert(self, connection: sa.Connection) -> None:
        """Let one transaction add at a time: else a reader could pass a row number not yet visible."""
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({APPLICATION_ID})")

    def damage(self, connection: sa.Connection) -> str:
        """Nothing: the server looks after its files."""
        return ""


def dialect_of(place: Path | str) -> Dialect:
    """Return the dialect for a file or for a URL ``postgresql://...``."""
    if isinstance(place, Path):
        return Sqlite(place)
    return Postgres(sa.make_url(place))


def check_header(path: Path) -> None:
    """Look at the first bytes of a SQLite file before anything opens it.

    Raises
    ------
    JournalError
        ``JOURNAL-MISSING``, ``JOURNAL-DAMAGED``, ``JOURNAL-FOREIGN`` or ``JOURNAL-NEWER``.
    """
    try:
        with open(path, "rb") as stream:
            head = stream.read(100)
    except FileNotFoundError:
        raise errors.missing(path) from None
    except OSError as error:
        raise errors.damaged(path, f"it cannot be read: {error.strerror}") from error
    if len(head) < 100 or not any(head):
        raise errors.damaged(path, f"its first 100 bytes are missing or zero ({len(head)} read)")
    if not head.startswith(_HEADER):
        raise errors.damaged(path, f"it does not begin like a database: {head[:16]!r}")
    mark = int.from_bytes(head[68:72], "big")
    if mark != APPLICATION_ID:
        raise errors.foreign(path, f"it is a database with the mark {mark:#x}, not ours")
    number = int.from_bytes(head[60:64], "big")
    if number > FORMAT:
        raise errors.newer(path, number, FORMAT)


def backup(source: Path, target: Path) -> None:
    """Copy a SQLite database that may be in use, whole; the copy is checked.

    Raises
    ------
    sqlite3.Error
        When it cannot be read or written.
    """
    uri = f"{source.absolute().as_uri()}?mode=ro"
    with (
        closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_S)) as one,
        closing(sqlite3.connect(target)) as two,
    ):
        one.backup(two)
        found: Sequence[Any] = two.execute("PRAGMA quick_check(1)").fetchone()
        if found[0] != "ok":
            raise sqlite3.DatabaseError(f"the copy is not whole: {found[0]}")


def _safe(connection: sqlite3.Connection, _record: object) -> None:
    # Not WAL: it fails on network folders, and a copied file would lack its newest labels.
    for pragma in ("journal_mode=TRUNCATE", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()
