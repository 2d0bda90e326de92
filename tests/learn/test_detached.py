"""A training of its own: followed from a file, left alone, taken up again, stopped, and killed."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from pathlib import Path

import pytest

from napari_cellcls.learn import detached
from napari_cellcls.learn.process import TrainingRequest, training
from napari_cellcls.review.lock import read_holder
from napari_cellcls.vocabulary import TaskError, finish

HELD = """
    import json, sys, time
    from pathlib import Path
    from napari_cellcls.learn.detached import alive
    def say(**event):
        print(json.dumps(event), flush=True)
    folder = Path(sys.argv[sys.argv.index("--detached") + 1])
    with alive(folder) as told:
"""


def fake(tmp_path: Path, body: str) -> list[str]:
    path = tmp_path / "fake.py"
    path.write_text(textwrap.dedent(HELD) + textwrap.indent(textwrap.dedent(body), "    "))
    return [sys.executable, str(path)]


def endless(tmp_path: Path) -> list[str]:
    """A training that hears nothing but the file."""
    return fake(
        tmp_path,
        """
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say(event="start", micro_batch=4)
        for i in range(2000):
            say(event="progress", done=i, total=2000, message=f"step {i}")
            time.sleep(0.02)
            if told() and len(sys.argv) < 3:
                break
        say(event="done", i=i)
        """,
    )


@pytest.fixture
def request_(tmp_path: Path) -> TrainingRequest:
    return TrainingRequest("toy", tmp_path / "data", tmp_path / "run")


def until_it_works(task, folder: Path) -> None:
    for _ in range(1000):
        if next(task).message.startswith("step"):
            break
    assert detached.is_alive(folder)


def test_events_come_from_a_file_and_the_end_is_told(tmp_path: Path, request_) -> None:
    command = fake(
        tmp_path,
        """
        say(event="data", notes=["a doubt"])
        for i in range(5):
            say(event="progress", done=i, total=5, message="m")
        say(event="done", told=told())
        """,
    )
    notes, steps = [], []
    follow = detached.follow_in(tmp_path / "run")
    done = finish(training(request_, notes.append, command, follow), steps.append)
    assert done == {"event": "done", "told": False} and notes == ["a doubt"]
    assert steps[0].message == "Starting the training" and steps[-1].done == 4
    assert not detached.is_alive(tmp_path / "run")


def test_closing_stops_within_a_moment(tmp_path: Path, request_) -> None:
    folder = tmp_path / "run"
    task = training(request_, None, endless(tmp_path), detached.follow_in(folder))
    until_it_works(task, folder)
    started = time.monotonic()
    task.close()
    assert not detached.is_alive(folder)
    assert time.monotonic() - started < 5


def test_it_goes_on_without_a_window_and_is_taken_up_and_stopped(tmp_path: Path, request_) -> None:
    folder, command = tmp_path / "run", endless(tmp_path)
    first = training(request_, None, command, detached.follow_in(folder, lambda: True))
    until_it_works(first, folder)
    first.close()
    assert detached.is_alive(folder)
    pid = read_holder(folder / detached.ALIVE).pid
    second = training(request_, None, command, detached.follow_in(folder))
    until_it_works(second, folder)
    assert read_holder(folder / detached.ALIVE).pid == pid  # followed, not started anew
    with pytest.raises(TaskError) as busy, detached.alive(folder):
        pass
    assert busy.value.code == "RUN-BUSY"
    second.close()
    for _ in range(200):
        if not detached.is_alive(folder):
            break
        time.sleep(0.02)
    assert not detached.is_alive(folder)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
def test_a_killed_child_is_an_error_in_words(tmp_path: Path, request_) -> None:
    folder = tmp_path / "run"
    command = fake(
        tmp_path, "sys.stderr.write('the driver failed'); sys.stderr.flush(); sys.exit(3)"
    )
    with pytest.raises(TaskError, match="ended with 3: the driver failed"):
        finish(training(request_, None, command, detached.follow_in(folder)))
    command = fake(
        tmp_path,
        """
        say(event="start", micro_batch=1)
        say(event="progress", done=0, total=1, message="step")
        time.sleep(60)
        """,
    )
    task = training(request_, None, command, detached.follow_in(folder))
    until_it_works(task, folder)
    os.kill(read_holder(folder / detached.ALIVE).pid, signal.SIGKILL)
    with pytest.raises(TaskError) as killed:
        finish(task)
    assert killed.value.code == "TRAIN-MEMORY"
    assert not detached.is_alive(folder)
