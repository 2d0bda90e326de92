"""Damaged, foreign and newer journals: never an empty project, never a changed byte, always a way back."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from napari_cellcls.review import backups, opening, store, tables
from napari_cellcls.review.errors import JournalError
from napari_cellcls.review.events import chain_faults
from tests.review.make import PROJECT, author, labeled, places, reopen


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = bytes(len(content) - 4096)
    path.write_bytes(content)


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("these are my notes\n" * 100)


def other_database(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE event (x)")
    connection.close()


def other_project(path: Path) -> None:
    path.unlink()
    store.create(path, "1" * 32)


def remove(path: Path) -> None:
    path.unlink()


HARMS = [truncate, garble, zero, empty, text, other_database, other_project, remove]


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_a_harmed_journal_is_shown_from_its_backup_and_restored(tmp_path: Path, harm):
    folder = tmp_path / "p"
    labeled(folder, 5)
    assert len(backups.listed(folder / "backups")) == 1
    path = folder / "journal.db"
    harm(path)
    before = path.read_bytes() if path.exists() else None

    journal = reopen(folder)
    assert journal.refusal is not None and journal.refusal.code.startswith("JOURNAL-")
    assert not journal.is_writable
    assert journal.state.counts() == {"ana": {"rbc": 5}}
    assert journal.backup is not None
    with pytest.raises(JournalError):
        journal.label("x", "rbc")
    journal.close()
    assert (path.read_bytes() if path.exists() else None) == before

    count, aside = opening.restore(places(folder), PROJECT, author())
    assert count == 6
    assert (aside.read_bytes() if aside else None) == before
    journal = reopen(folder)
    assert journal.refusal is None
    assert journal.state.counts() == {"ana": {"rbc": 5}}
    assert list(chain_faults(journal.state.events)) == []
    journal.close()


@pytest.mark.parametrize("harm", [garble, zero, empty, other_database, other_project, remove])
def test_without_a_backup_a_harmed_journal_is_an_error(tmp_path: Path, harm):
    folder = tmp_path / "p"
    labeled(folder)
    shutil.rmtree(folder / "backups")
    path = folder / "journal.db"
    harm(path)
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(JournalError, match=r"JOURNAL-(DAMAGED|FOREIGN|MISSING)"):
        reopen(folder)
    with pytest.raises(JournalError, match="JOURNAL-NOBACKUP"):
        opening.restore(places(folder), PROJECT, author())
    assert (path.read_bytes() if path.exists() else None) == before


def test_a_newer_journal_is_refused_untouched(tmp_path: Path):
    folder = tmp_path / "p"
    labeled(folder)
    with sqlite3.connect(folder / "journal.db") as connection:
        connection.execute(f"PRAGMA user_version={tables.FORMAT + 1}")
    connection.close()
    before = (folder / "journal.db").read_bytes()
    with pytest.raises(JournalError, match=r"newer release.*JOURNAL-NEWER"):
        reopen(folder)
    assert (folder / "journal.db").read_bytes() == before


def test_an_older_journal_is_brought_up_after_a_backup(tmp_path: Path, monkeypatch):
    folder = tmp_path / "p"
    labeled(folder)
    monkeypatch.setattr(tables, "FORMAT", 2)
    monkeypatch.setattr("napari_cellcls.review.dialects.FORMAT", 2)
    monkeypatch.setitem(tables.MIGRATIONS, 1, ("ALTER TABLE meta ADD COLUMN note TEXT",))
    journal = reopen(folder)
    assert journal.refusal is None
    assert journal.state.counts() == {"ana": {"rbc": 5}}
    journal.close()
    for name, number in (("journal.db", 2), ("backups/before-format-2.db", 1)):
        connection = sqlite3.connect(folder / name)
        assert connection.execute("PRAGMA user_version").fetchone() == (number,)
        connection.close()


def test_a_failed_migration_leaves_the_old_format(tmp_path: Path, monkeypatch):
    folder = tmp_path / "p"
    labeled(folder)
    before = (folder / "journal.db").read_bytes()
    monkeypatch.setattr(tables, "FORMAT", 2)
    monkeypatch.setattr("napari_cellcls.review.dialects.FORMAT", 2)
    steps = ("ALTER TABLE meta ADD COLUMN note TEXT", "ALTER TABLE absent ADD COLUMN x")
    monkeypatch.setitem(tables.MIGRATIONS, 1, steps)
    journal = reopen(folder)
    assert journal.refusal is not None
    assert "no such table" in journal.refusal.why
    journal.close()
    assert (folder / "journal.db").read_bytes() == before


def test_changed_rows_open_for_reading_only(tmp_path: Path):
    folder = tmp_path / "p"
    labeled(folder)
    with sqlite3.connect(folder / "journal.db") as connection:
        connection.execute("DROP TRIGGER event_no_update")
        connection.execute("UPDATE event SET class_id = 'wbc' WHERE seq = 3")
    connection.close()
    journal = reopen(folder)
    assert journal.refusal is not None and journal.refusal.code == "JOURNAL-CHAIN"
    assert "was changed" in journal.refusal.why
    journal.close()


def test_backups_are_thinned_out(tmp_path: Path):
    names = [f"journal-202601{day:02}T{hour:02}0000Z.db" for day in range(1, 29) for hour in (8, 9)]
    for name in [*names, "journal-20250101T000000Z.db", "notes.txt"]:
        (tmp_path / name).write_bytes(b"x")
    backups.rotate(tmp_path)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert "notes.txt" in left
    kept = [name for name in left if name.startswith("journal")]
    assert kept[-10:] == names[-10:]
    assert kept[:-10] == [f"journal-202601{day:02}T090000Z.db" for day in range(15, 24)]


def test_a_damaged_backup_is_passed_over(tmp_path: Path):
    folder = tmp_path / "p"
    labeled(folder)
    (good,) = backups.listed(folder / "backups")
    (folder / "backups" / "journal-20991231T000000Z.db").write_bytes(b"SQLite format 3\x00" * 99)
    assert backups.newest_good(folder / "backups", PROJECT) == good
