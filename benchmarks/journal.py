"""Measure the journal of decisions: a commit, an opening with many events, and kills at random moments.

Run ``python benchmarks/journal.py [--events 100000] [--kills 50]``. Times are of the wall clock, with the time
of the processor beside them where other programs may get in between.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from napari_cellcls.review import opening, store
from napari_cellcls.review.events import Author, Shown, chain_faults, new_id
from napari_cellcls.review.journal import Journal

PROJECT = "0" * 32
SHOWN = Shown("blood-cells@1.0", "ab" * 32, "rbc", 0.87)
CHILD = "import sys; sys.path.insert(0, sys.argv[1]); import journal; journal.stream(sys.argv[2])"


def open_at(folder: Path) -> Journal:
    places = opening.Places(
        folder / "journal.db", folder / "rescue", folder / "journal.lock", folder / "backups"
    )
    if not (folder / "journal.db").exists():
        store.create(folder / "journal.db", PROJECT)
    journal = opening.open_journal(places, PROJECT, Author("ana", new_id(), "d" * 32, "1"))
    assert journal.refusal is None, journal.refusal
    return journal


def stream(folder: str) -> None:
    """Label until killed; print how many events are saved after every commit."""
    journal = open_at(Path(folder))
    class_id = journal.add_class("RBC")
    while True:
        journal.label(new_id(), class_id, shown=SHOWN)
        assert journal.flush()
        sys.stdout.write(f"{journal.save_state.saved}\n")
        sys.stdout.flush()


def commits(folder: Path, count: int) -> None:
    journal = open_at(folder)
    class_id = journal.add_class("RBC")
    assert journal.flush()
    calls, saved = [], []
    for _ in range(count):
        begin = time.perf_counter()
        journal.label(new_id(), class_id, shown=SHOWN)
        calls.append(time.perf_counter() - begin)
        assert journal.flush()
        saved.append(time.perf_counter() - begin)
    journal.close()
    for name, times in (("label() returns", calls), ("label() to committed", saved)):
        p99 = sorted(times)[int(0.99 * len(times))]
        print(f"{name:<24} median {1e3 * statistics.median(times):.2f} ms, p99 {1e3 * p99:.2f} ms")


def openings(folder: Path, events: int) -> None:
    journal = open_at(folder)
    class_id = journal.add_class("RBC")
    for begin in range(0, events, 5000):
        cells = [new_id() for _ in range(min(5000, events - begin))]
        journal.label_many(cells, class_id, shown=dict.fromkeys(cells, SHOWN))
    assert journal.close()
    size = (folder / "journal.db").stat().st_size
    walls, processors = [], []
    for _ in range(5):
        wall, processor = time.perf_counter(), time.process_time()
        journal = open_at(folder)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
        journal.close()
    print(
        f"opening {events:,} events ({size / 1e6:.0f} MB): best {min(walls):.2f} s, median "
        f"{statistics.median(walls):.2f} s; processor {min(processors):.2f} s"
    )


def kills(folder: Path, count: int) -> None:
    open_at(folder).close()
    acknowledged = lost = broken = 0
    for _ in range(count):
        here = str(Path(__file__).parent)
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, here, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        last = int(child.stdout.readline())
        time.sleep(random.random() / 5)
        child.kill()
        lines = child.stdout.read().splitlines(keepends=True)
        last = max([last, *(int(line) for line in lines if line.endswith("\n"))])
        child.wait()
        connection = sqlite3.connect(folder / "journal.db")
        broken += connection.execute("PRAGMA integrity_check").fetchone() != ("ok",)
        connection.close()
        journal = open_at(folder)
        lost += max(0, last - len(journal.state))
        broken += len(list(chain_faults(journal.state.events)))
        acknowledged = last
        journal.close()
    print(
        f"{count} kills: {acknowledged:,} events acknowledged, {lost} lost, {broken} faults of "
        "integrity or chain"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commits", type=int, default=300)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=50)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for part, count in (
            (commits, chosen.commits),
            (openings, chosen.events),
            (kills, chosen.kills),
        ):
            if count:
                folder = Path(name, part.__name__)
                folder.mkdir()
                part(folder, count)


if __name__ == "__main__":
    main()
