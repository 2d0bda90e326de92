"""A killed program loses nothing that was acknowledged, and leaves no half event."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from napari_cellcls.review.events import chain_faults
from tests.review.make import new_journal, reopen

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("batch", [1, 400])
def test_sigkill_at_random_moments(tmp_path: Path, batch: int):
    folder = tmp_path / "p"
    new_journal(folder).close()
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.review.streaming", str(folder), str(batch)],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        acknowledged = int(child.stdout.readline())
        time.sleep(random.random() / 4)
        child.kill()
        for line in child.stdout.read().splitlines(keepends=True):
            if line.endswith("\n"):
                acknowledged = int(line)
        child.wait()
        # SQLite itself rolls back what was half written.
        with sqlite3.connect(folder / "journal.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()
        journal = reopen(folder)
        assert journal.refusal is None
        assert len(journal.state) >= acknowledged
        assert list(chain_faults(journal.state.events)) == []
        assert journal.close()
