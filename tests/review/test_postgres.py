"""The same journal on a real PostgreSQL server, started for the test in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from napari_cellcls.review import opening, store
from napari_cellcls.review.errors import JournalError
from napari_cellcls.review.events import chain_faults
from napari_cellcls.review.journal import Journal
from napari_cellcls.review.opening import Places
from tests.review.make import PROJECT, author

_NOBODY = 65534


def _program(name: str) -> str | None:
    known = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return str(known[0]) if known else shutil.which(name)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Start a server that listens on a socket in a temporary folder only."""
    if sys.platform == "win32":
        pytest.skip("the test server listens on a Unix socket")
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    pytest.importorskip("psycopg", reason="pip install 'napari-cellcls[postgresql]'")
    root = os.geteuid() == 0  # PostgreSQL refuses to run as root

    def become() -> None:
        if root:
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)

    # The path of a socket may have 107 characters at most, so not in tmp_path.
    with tempfile.TemporaryDirectory(prefix="cellcls-pg-", ignore_cleanup_errors=True) as name:
        if root:
            os.chown(name, _NOBODY, _NOBODY)
        data = f"{name}/data"
        made = subprocess.run(
            [initdb, "-D", data, "-U", "tester", "-A", "trust", "-N", "--locale=C", "-E", "UTF8"],
            preexec_fn=become, cwd=name, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            pytest.skip(f"initdb does not work here: {made.stderr.strip()[-200:]}")
        with open(f"{name}/log", "wb") as log:
            process = subprocess.Popen(
                [postgres, "-D", data, "-k", name, "-c", "listen_addresses=", "-c", "fsync=off"],
                preexec_fn=become, cwd=name, stdout=log, stderr=log,
            )  # fmt: skip
        url = f"postgresql://tester@/postgres?host={name}"
        engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        try:
            for _ in range(200):
                try:
                    engine.connect().close()
                    break
                except sa.exc.OperationalError:
                    if process.poll() is not None:
                        pytest.skip(f"the server ended: {Path(name, 'log').read_text()[-300:]}")
                    time.sleep(0.1)
            yield url
        finally:
            engine.dispose()
            process.send_signal(signal.SIGINT)  # ends connections that are still there
            process.wait(30)


@pytest.fixture
def team(server: str, tmp_path: Path) -> Iterator[Places]:
    """Give a database of its own with an empty journal."""
    name = f"t{os.urandom(6).hex()}"
    engine = sa.create_engine(
        server.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    url = server.replace("/postgres?", f"/{name}?")
    store.create(url, PROJECT)
    yield Places(url, tmp_path / "rescue")


def join(team: Places, name: str) -> Journal:
    return opening.open_journal(team, PROJECT, author(name, name * 8))


def test_a_team_labels_at_the_same_time(team: Places):
    ana, bob = join(team, "ana"), join(team, "bob")
    rbc = ana.add_class("RBC")
    assert ana.flush()
    assert bob.refresh() == 1
    for i in range(20):
        ana.label(f"{i}", rbc)
        bob.label(f"{i}", rbc)
    ana.undo()
    assert ana.flush() and bob.flush()
    ana.refresh()
    bob.refresh()
    assert ana.state.snapshot() == bob.state.snapshot()
    assert ana.state.counts() == {"ana": {"rbc": 19}, "bob": {"rbc": 20}}
    assert ana.close() and bob.close()
    again = join(team, "ana")
    assert again.refusal is None
    assert len(again.redo()) == 1
    assert again.state.counts() == {"ana": {"rbc": 20}, "bob": {"rbc": 20}}
    assert list(chain_faults(again.state.events)) == []
    again.close()


def test_events_are_final_there_too(team: Places):
    journal = join(team, "ana")
    journal.add_class("RBC")
    journal.close()
    engine = store.Store(team.journal).engine
    for statement in ("DELETE FROM event", "UPDATE event SET kind='x'", "TRUNCATE event"):
        with (
            engine.connect() as connection,
            pytest.raises(sa.exc.DBAPIError, match="never changed"),
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_a_server_that_goes_away_loses_nothing(team: Places):
    journal = join(team, "ana")
    rbc = journal.add_class("RBC")
    assert journal.flush()
    engine = store.Store(team.journal).engine
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("ALTER TABLE event RENAME TO away")
        journal.label("c", rbc)
        assert not journal.flush()
        assert journal.save_state.status == "failed"
        assert journal.save_state.problem.code == "JOURNAL-SAVE"
        connection.exec_driver_sql("ALTER TABLE away RENAME TO event")
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND datname = current_database()"
        )
    journal.flush()
    assert journal.flush()
    assert journal.close()
    engine.dispose()


def test_other_journals_and_absent_servers_are_told_apart(team: Places, tmp_path: Path):
    with pytest.raises(JournalError, match="JOURNAL-EXISTS"):
        store.create(team.journal, PROJECT)
    with pytest.raises(JournalError, match="JOURNAL-FOREIGN"):
        opening.open_journal(team, "2" * 32, author())
    nowhere = Places(f"postgresql://x@/y?host={tmp_path}", tmp_path / "rescue")
    with pytest.raises(JournalError, match="JOURNAL-SERVER"):
        opening.open_journal(nowhere, PROJECT, author())
