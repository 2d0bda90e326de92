"""The journal: saved at once, one writer, undone across restarts, and honest when saving fails."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from napari_cellcls.review import eventfiles, opening
from napari_cellcls.review.errors import JournalError
from napari_cellcls.review.events import Flag, Shown, Source, Value
from napari_cellcls.review.fold import fold
from napari_cellcls.review.tables import APPLICATION_ID
from tests.review.make import PROJECT, author, labeled, new_journal, places, reopen

ROOT = Path(__file__).resolve().parents[2]
SHOWN = Shown("blood-cells@1", "ab" * 32, "wbc", 0.75)


def test_a_label_says_who_when_what_was_shown_and_how(tmp_path: Path):
    journal = new_journal(tmp_path / "p", "ana")
    rbc = journal.add_class("RBC", key="1")
    event = journal.label("c1", rbc, source=Source.ACCEPTED, shown=SHOWN, ms_spent=900)
    assert journal.flush()
    assert journal.save_state.text == "all decisions saved"
    journal.close()
    again = reopen(tmp_path / "p", "bo")
    decision = again.state.cells["c1"].decisions["ana"]
    assert decision.classes == ("rbc",)
    assert decision.event == event
    stored = decision.event
    assert stored is not None
    assert (stored.annotator, stored.source, stored.ms_spent) == ("ana", "accepted", 900)
    assert (stored.shown_model, stored.shown_sha) == ("blood-cells@1", "ab" * 32)
    assert (stored.shown_class, stored.shown_prob) == ("wbc", 0.75)
    assert stored.created_utc.endswith("Z")
    again.close()


def test_undo_and_redo_reach_across_restarts(tmp_path: Path):
    journal = new_journal(tmp_path / "p")
    rbc, wbc = journal.add_class("RBC"), journal.add_class("WBC")
    journal.label("a", rbc)
    journal.label_many(["b", "c", "d"], wbc)
    journal.flag("a", Flag.BORDER)
    journal.close()
    journal = reopen(tmp_path / "p")
    assert [len(journal.undo()) for _ in range(3)] == [1, 3, 1]
    assert journal.state.counts() == {}
    journal.close()
    journal = reopen(tmp_path / "p")
    assert len(journal.redo()) == 1
    assert {e.cell_id for e in journal.redo()} == {"b", "c", "d"}
    assert journal.state.counts() == {"ana": {"rbc": 1, "wbc": 3}}
    journal.label("e", rbc)
    assert journal.redo() == []
    sources = {
        e.source for e in journal.state.events if e.cell_id in ("b", "c", "d") and e.class_id
    }
    assert sources == {"bulk"}
    journal.close()


def test_classes_keep_their_id(tmp_path: Path):
    journal = new_journal(tmp_path / "p")
    ring = journal.add_class("Ring stage")
    assert ring == "ring_stage" == journal.add_class("Ring stage")
    journal.label("a", ring)
    journal.rename_class(ring, "Early trophozoite")
    journal.recolor_class(ring, "#123456")
    journal.set_key(ring, "r")
    assert journal.add_class("Ring stage") == "ring_stage_2"
    known = journal.state.classes[ring]
    assert (known.name, known.color, known.key) == ("Early trophozoite", "#123456", "r")
    journal.merge_class("ring_stage", "ring_stage_2")
    assert journal.state.counts() == {"ana": {"ring_stage_2": 1}}
    journal.undo()
    assert journal.state.counts() == {"ana": {"ring_stage": 1}}
    with pytest.raises(JournalError, match=r"no class 'x'.*JOURNAL-CLASS"):
        journal.label("a", "x")
    journal.close()


def test_several_labels_per_cell(tmp_path: Path):
    journal = new_journal(tmp_path / "p")
    a, b = journal.add_class("Nucleus"), journal.add_class("Cytosol")
    journal.judge("c", {a: Value.YES, b: Value.NO}, shown={a: SHOWN})
    assert journal.state.cells["c"].decisions["ana"].judged == {a: "yes", b: "no"}
    journal.undo()
    assert "c" not in journal.state.cells
    journal.close()


def test_events_can_be_neither_changed_nor_removed(tmp_path: Path):
    labeled(tmp_path / "p")
    connection = sqlite3.connect(tmp_path / "p" / "journal.db")
    for statement in ("DELETE FROM event", "UPDATE event SET class_id='x'"):
        with pytest.raises(sqlite3.IntegrityError, match="never changed or removed"):
            connection.execute(statement)
    assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()
    journal = reopen(tmp_path / "p")
    engine = journal._store.engine
    with engine.connect() as one:
        assert one.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "truncate"
        assert one.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2
    journal.close()


def test_a_second_window_reads_and_learns_who_writes(tmp_path: Path):
    first = new_journal(tmp_path / "p", "ana")
    rbc = first.add_class("RBC")
    second = reopen(tmp_path / "p", "bo")
    assert second.refusal is not None and second.refusal.code == "JOURNAL-INUSE"
    assert "in use by ana" in second.refusal.why and f"process {os.getpid()}" in second.refusal.why
    for class_id in (rbc, "not saved yet"):
        with pytest.raises(JournalError, match="JOURNAL-INUSE"):
            second.label("a", class_id)
    first.label("a", rbc)
    first.flush()
    assert second.refresh() >= 1
    assert second.state.counts() == {"ana": {"rbc": 1}}
    first.close()
    second.close()
    third = reopen(tmp_path / "p", "bo")
    assert third.refusal is None
    third.close()


def test_the_lock_of_a_dead_process_is_nobodys(tmp_path: Path):
    labeled(tmp_path / "p")
    lock = tmp_path / "p" / "journal.lock"
    lock.write_text('{"annotator":"zoe","user":"z","host":"h","pid":1,"since_utc":"2020"}')
    journal = reopen(tmp_path / "p")
    assert journal.refusal is None
    journal.close()
    assert lock.read_text() == ""


def test_calls_from_several_threads_make_one_chain(tmp_path: Path):
    from napari_cellcls.review.events import chain_faults

    journal = new_journal(tmp_path / "p")
    rbc = journal.add_class("RBC")
    threads = [
        threading.Thread(target=lambda k=k: [journal.label(f"{k}-{i}", rbc) for i in range(20)])
        for k in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.close()
    journal = reopen(tmp_path / "p")
    assert len(journal.state.cells) == 80
    assert list(chain_faults(journal.state.events)) == []
    journal.close()


def test_when_the_disk_is_full_nothing_is_lost_and_people_are_told(tmp_path: Path):
    if sys.platform == "win32":
        pytest.skip("needs a limit on the size of files")
    journal = new_journal(tmp_path / "p")
    rbc = journal.add_class("RBC")
    journal.label("0", rbc)
    assert journal.flush()
    seen: list[str] = []
    journal.save_changed.connect(lambda: seen.append(journal.save_state.status))
    size = (tmp_path / "p" / "journal.db").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        journal.label_many([f"{i}" for i in range(1, 31)], rbc)
        assert not journal.flush()
        state = journal.save_state
        assert state.status == "failed"
        assert state.waiting == 30
        assert state.problem is not None and state.problem.code == "JOURNAL-SAVE"
        (kept,) = (tmp_path / "p-rescue").iterdir()
        assert str(kept) in state.problem.why
        assert "NOT SAVED: 30" in state.text
        assert len(eventfiles.read_own(kept)) == 30
        journal.label("31", rbc)
        assert journal.state.counts() == {"ana": {"rbc": 32}}
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert journal.flush()
    assert journal.save_state.text == "all decisions saved"
    assert {"failed", "saving", "saved"} <= set(seen)
    assert list((tmp_path / "p-rescue").iterdir()) == []
    assert journal.close()
    journal = reopen(tmp_path / "p")
    assert journal.state.counts() == {"ana": {"rbc": 32}}
    journal.close()


def test_what_could_not_be_saved_comes_back_at_the_next_opening(tmp_path: Path):
    journal = new_journal(tmp_path / "p")
    rbc = journal.add_class("RBC")
    assert journal.flush()
    shutil.copytree(tmp_path / "p", tmp_path / "copy")
    shutil.rmtree(tmp_path / "p")
    journal.label("a", rbc)
    assert not journal.flush()
    problem = journal.save_state.problem
    assert problem is not None and problem.code == "JOURNAL-GONE"
    assert "kept in memory and in" in problem.why
    assert not journal.close()
    shutil.copytree(tmp_path / "copy", tmp_path / "p")
    journal = reopen(tmp_path / "p")
    assert journal.state.counts() == {"ana": {"rbc": 1}}
    assert "1 decisions that an earlier session could not save were added" in journal.notes
    assert list((tmp_path / "p-rescue").iterdir()) == []
    journal.close()


def test_a_replaced_file_is_noticed_and_not_written(tmp_path: Path):
    labeled(tmp_path / "p")
    labeled(tmp_path / "q", 2)
    journal = reopen(tmp_path / "p")
    os.replace(tmp_path / "q" / "journal.db", tmp_path / "p" / "journal.db")
    journal.label("new", "rbc")
    assert not journal.flush()
    assert journal.save_state.problem.code == "JOURNAL-GONE"
    journal.close()
    (rescue,) = (tmp_path / "p-rescue").iterdir()
    assert len(eventfiles.read_own(rescue)) == 7  # everything of this session's memory


def test_when_nothing_at_all_can_be_written_memory_keeps_it(tmp_path: Path):
    (tmp_path / "p-rescue").write_text("a file where the rescue folder should be")
    journal = new_journal(tmp_path / "p")
    rbc = journal.add_class("RBC")
    assert journal.flush()
    away = tmp_path / "away"
    (tmp_path / "p").rename(away)
    journal.label("a", rbc)
    assert not journal.flush()
    assert "in memory only" in journal.save_state.problem.why
    away.rename(tmp_path / "p")
    assert journal.flush()
    assert journal.close()


def test_a_folder_without_write_access_opens_for_reading():
    if sys.platform == "win32":
        pytest.skip("access rights of POSIX")
    with tempfile.TemporaryDirectory(prefix="cellcls-ro-") as name:
        folder = Path(name) / "p"
        labeled(folder)
        program = (
            "import os, sys; sys.path.insert(0, os.getcwd()); from pathlib import Path\n"
            "from tests.review.make import reopen\n"
            f"folder = Path({str(folder)!r})\n"
            "if os.geteuid() == 0: os.setegid(65534); os.seteuid(65534)\n"
            "journal = reopen(folder)\n"
            "print(journal.refusal.code, len(journal.state))\n"
        )
        for path in (folder, *folder.iterdir()):
            path.chmod(0o555 if path.is_dir() else 0o444)
        Path(name).chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
        )
        folder.chmod(0o755)
    assert done.stdout.split() == ["JOURNAL-READONLY", "6"], done.stderr


class Story(RuleBasedStateMachine):
    """Random work with restarts: no label is lost, none is invented."""

    @initialize()
    def begin(self) -> None:
        base = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self.home = tempfile.TemporaryDirectory(dir=base)
        self.folder = Path(self.home.name) / "p"
        self.journal = new_journal(self.folder)
        self.done: list[tuple[str, object]] = []
        self.undone: list[tuple[str, object]] = []
        self.copies = 0
        for name in ("A", "B"):
            self.journal.add_class(name)
            self.done.append(("class", name))

    def _do(self, kind: str, what: object) -> None:
        self.done.append((kind, what))
        self.undone.clear()

    @rule(cell=st.sampled_from("xyz"), class_id=st.sampled_from("ab"))
    def label(self, cell: str, class_id: str) -> None:
        if class_id in self.journal.state.classes:
            self.journal.label(cell, class_id)
            self._do("label", (cell, class_id))

    @rule(cell=st.sampled_from("xyz"))
    def clear(self, cell: str) -> None:
        self.journal.label(cell, None)
        self._do("label", (cell, None))

    @rule()
    def merge_classes(self) -> None:
        if {"a", "b"} <= self.journal.state.classes.keys():
            self.journal.merge_class("a", "b")
            self._do("merge", ("a", "b"))

    @rule(name=st.sampled_from(["Apple", "Anchor"]))
    def rename(self, name: str) -> None:
        if "a" in self.journal.state.classes:
            self.journal.rename_class("a", name)
            self._do("rename", name)

    @rule()
    def undo(self) -> None:
        assert bool(self.journal.undo()) == bool(self.done)
        if self.done:
            self.undone.append(self.done.pop())

    @rule()
    def redo(self) -> None:
        assert bool(self.journal.redo()) == bool(self.undone)
        if self.undone:
            self.done.append(self.undone.pop())

    @rule()
    def restart(self) -> None:
        assert self.journal.close()
        self.journal = reopen(self.folder)
        assert self.journal.refusal is None

    @rule()
    def crash(self) -> None:
        """What is on the disk after a commit is all there is: copy it, as a kill would leave it."""
        assert self.journal.flush()
        self.copies += 1
        copy = Path(self.home.name) / f"copy{self.copies}"
        shutil.copytree(self.folder, copy)
        self.journal.close()
        self.folder = copy
        self.journal = reopen(self.folder)

    @invariant()
    def labels_are_those_given(self) -> None:
        if not hasattr(self, "done"):
            return
        labels: dict[str, str] = {}
        for kind, what in self.done:
            if kind == "label":
                cell, class_id = what
                labels.pop(cell, None)
                if class_id is not None:
                    labels[cell] = class_id
        if any(kind == "merge" for kind, _ in self.done):
            labels = dict.fromkeys(labels, "b")
        state = self.journal.state
        found = {cell: one.decisions["ana"].classes for cell, one in state.cells.items()}
        assert found == {cell: (class_id,) for cell, class_id in labels.items()}
        assert state.snapshot() == fold(state.events).snapshot()

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            self.home.cleanup()


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)


def test_an_opening_needs_a_file(tmp_path: Path):
    with pytest.raises(JournalError, match="JOURNAL-MISSING"):
        opening.open_journal(places(tmp_path), PROJECT, author())
    assert not (tmp_path / "journal.db").exists()
