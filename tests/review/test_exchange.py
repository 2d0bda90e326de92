"""Exchange: files that never change, taken in by any number of people in any order."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from napari_cellcls.review import eventfiles, folders, opening, store
from napari_cellcls.review.errors import JournalError
from napari_cellcls.review.events import Pen
from napari_cellcls.review.journal import Journal
from tests.review.make import PROJECT, author, label, places, reopen


def member(folder: Path, name: str, share: Path) -> Journal:
    folder.mkdir(exist_ok=True)
    at = places(folder, share=share)
    if not at.journal.exists():
        store.create(at.journal, PROJECT)
    return opening.open_journal(at, PROJECT, author(name, name * 8))


def test_two_annotators_label_the_same_cells_offline(tmp_path: Path):
    share = tmp_path / "project" / "events"
    share.parent.mkdir()
    cells = [f"{i:032x}" for i in range(200)]
    for name, classes in (("ana", ["RBC", "WBC"]), ("bob", ["WBC", "RBC"])):
        journal = member(tmp_path / name, name, share)
        ids = [journal.add_class(c) for c in classes]
        journal.label_many(cells, ids[0])
        journal.label(cells[0], ids[1])
        assert journal.close()
        share.rename(tmp_path / f"share-{name}")
        share.mkdir()
    # Both copy their files into one folder, as a synchronizing service does.
    for name in ("ana", "bob"):
        for path in (tmp_path / f"share-{name}").iterdir():
            path.rename(share / path.name)
    states = []
    for name in ("ana", "bob"):
        journal = member(tmp_path / name, name, share)
        states.append(journal.state.snapshot())
        assert journal.state.counts() == {
            "ana": {"rbc": 199, "wbc": 1},
            "bob": {"rbc": 1, "wbc": 199},
        }
        assert all(cell.disagreed for cell in journal.state.cells.values())
        assert journal.close()
    assert states[0] == states[1]
    third = member(tmp_path / "cyd", "cyd", share)
    assert third.state.snapshot() == states[0]
    third.close()
    assert len(list(share.glob("*/*.jsonl"))) == 2  # what is received is not published again


def test_a_lost_database_is_rebuilt_from_what_was_shared(tmp_path: Path):
    share = tmp_path / "project" / "events"
    share.parent.mkdir()
    journal = member(tmp_path / "ana", "ana", share)
    rbc = journal.add_class("RBC")
    journal.label("c", rbc)
    journal.close()
    for path in (tmp_path / "ana").rglob("*.db"):
        path.unlink()
    count, _ = opening.restore(places(tmp_path / "ana", share=share), PROJECT, author())
    assert count == 2
    journal = reopen(tmp_path / "ana", share=share)
    assert journal.state.counts() == {"ana": {"rbc": 1}}
    journal.close()


def test_a_share_that_is_gone_endangers_nothing(tmp_path: Path):
    share = tmp_path / "project" / "events"
    share.parent.mkdir()
    journal = member(tmp_path / "ana", "ana", share)
    journal.add_class("RBC")
    share.parent.rmdir()
    assert journal.close()
    assert not share.parent.exists()
    share.parent.mkdir()
    member(tmp_path / "ana", "ana", share).close()
    (path,) = share.glob("*/*.jsonl")  # made up for when the folder was back
    assert [e.class_id for e in eventfiles.read_published(path)] == ["rbc"]


@pytest.mark.parametrize("size", [0, 10, -1])
def test_half_copied_files_are_left_for_later(tmp_path: Path, size: int):
    events = [label(Pen(author("ana", "a" * 32)))]
    path = eventfiles.publish(tmp_path, events)
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    known: set[str] = set()
    found = eventfiles.collect(tmp_path, known)
    assert found.events == []
    assert [problem.code for problem in found.problems] == ["JOURNAL-EVENTFILE"]
    path.write_bytes(whole)
    assert eventfiles.collect(tmp_path, known).events == events
    assert eventfiles.collect(tmp_path, known) == eventfiles.Found()


def test_a_forged_event_file_is_refused(tmp_path: Path):
    import hashlib

    path = eventfiles.publish(tmp_path, [label(Pen(author("ana", "a" * 32)))])
    text = path.read_bytes().replace(b'"rbc"', b'"wbc"')
    forged = path.with_name(f"1-1-{hashlib.sha256(text).hexdigest()[:8]}.jsonl")
    forged.write_bytes(text)
    with pytest.raises(JournalError, match="does not match its hash"):
        eventfiles.read_published(forged)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/home/ada/Dropbox/p.cellcls", "cloud"),
        ("/home/ada/OneDrive - Lab of Cells/x/p.cellcls", "cloud"),
        ("/Users/ada/Library/CloudStorage/GoogleDrive-ada@x.org/p.cellcls", "cloud"),
        ("/mnt/lab/p.cellcls", "network file system (nfs4)"),
        ("/mnt/laboratory/p.cellcls", ""),
        ("/mnt/lab/fast/p.cellcls", ""),
        ("/home/ada/boxes/p.cellcls", ""),
    ],
)
def test_shared_folders_are_recognized(monkeypatch, path: str, reason: str):
    mounts = [("/", "ext4"), ("/mnt/lab", "nfs4"), ("/mnt/lab/fast", "xfs")]
    found = [SimpleNamespace(mountpoint=m, fstype=f) for m, f in mounts]
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: found)
    assert reason in folders.shared_because(Path(path))
    assert bool(reason) == bool(folders.shared_because(Path(path)))
