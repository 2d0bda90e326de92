"""A training that can outlive the window that asked for it: its events in a file, whether it lives, how to stop it.

The child writes its events into the folder of the run and holds a lock there for as long as it lives. Whoever
looks at the folder can follow it, also a window that was opened later.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from napari_cellcls.learn.process import Child, Follow, take
from napari_cellcls.review.lock import Lock, read_holder
from napari_cellcls.vocabulary import Progress, Task, TaskError

EVENTS, ERRORS, ALIVE, STOP = "events.jsonl", "errors.txt", "alive", "stop"
_LOOK_S = 0.05
_GRACE_S = 0.7
_NICE = 5


def follow_in(folder: Path, keeps_going: Callable[[], bool] = lambda: False) -> Follow:
    """Return how :func:`napari_cellcls.learn.process.training` runs its child: detached, in this folder.

    A child that is at work there already is followed instead of started. Closing the task stops the child
    within a second (what it did since the last epoch may be lost), unless ``keeps_going`` says otherwise.

    Parameters
    ----------
    folder : Path
    keeps_going : callable
        Asked when the task is closed.
    """

    def follow(command: list[str], child: Child, note: Callable[[str], None]) -> Task[None]:
        folder.mkdir(parents=True, exist_ok=True)
        process = (
            None if is_alive(folder) else _start([*command, "--detached", str(folder)], folder)
        )
        try:
            yield from _watch(folder, process, child, note)
        except GeneratorExit:
            if not keeps_going():
                stop(folder, process)
            raise

    return follow


def is_alive(folder: Path) -> bool:
    """Return whether a training is at work in a folder, whoever started it."""
    path = folder / ALIVE
    if not path.is_file():
        return False
    lock = Lock(path)
    try:
        if lock.acquire("") is not None:
            return True
    except OSError:
        return False
    lock.release()
    return False


def stop(folder: Path, process: subprocess.Popen[bytes] | None = None) -> None:
    """Ask the training in a folder to stop; end it when it does not within a moment.

    Parameters
    ----------
    folder : Path
    process : subprocess.Popen, optional
        The child, where this process started it.
    """
    (folder / STOP).touch()
    if process is not None and process.poll() is None:
        process.terminate()
    until = time.monotonic() + _GRACE_S
    while time.monotonic() < until and _lives(folder, process):
        time.sleep(_LOOK_S)
    if process is not None:
        process.kill()
        process.wait()
    elif is_alive(folder):
        holder = read_holder(folder / ALIVE)
        # Only its holder keeps the lock, so this number is that of no other process.
        if holder is not None and holder.pid and holder.host == socket.gethostname():
            with contextlib.suppress(OSError):
                os.kill(holder.pid, getattr(signal, "SIGKILL", signal.SIGTERM))


@contextlib.contextmanager
def alive(folder: Path | None) -> Iterator[Callable[[], bool]]:
    """In the child: hold the folder, and yield what tells whether it should stop.

    Raises
    ------
    TaskError
        ``RUN-BUSY`` when another training is at work in the folder.
    """
    if folder is None:
        yield lambda: False
        return
    lock = Lock(folder / ALIVE)
    holder = lock.acquire("training")
    if holder is not None:
        raise TaskError(
            "A training is at work in this folder already.",
            code="RUN-BUSY",
            path=folder,
            why=str(holder),
            remedy="Wait for it, or stop it first.",
        )
    if hasattr(os, "nice"):
        os.nice(_NICE)
    (folder / STOP).unlink(missing_ok=True)
    try:
        yield (folder / STOP).exists
    finally:
        lock.release()


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    (folder / STOP).unlink(missing_ok=True)
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    with open(folder / EVENTS, "wb") as events, open(folder / ERRORS, "wb") as errors:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=events,
            stderr=errors,
            env=environment,
            **apart,
        )


def _lives(folder: Path, process: subprocess.Popen[bytes] | None) -> bool:
    return process.poll() is None if process is not None else is_alive(folder)


def _watch(
    folder: Path,
    process: subprocess.Popen[bytes] | None,
    child: Child,
    note: Callable[[str], None],
) -> Task[None]:
    """Pass on what the child says, several times a second also while it is silent."""
    shown = Progress(0, 0, "Starting the training")
    with open(folder / EVENTS, encoding="utf-8", errors="replace") as stream:
        while True:
            ended = not _lives(folder, process)
            for line in _lines(stream):
                shown = take(json.loads(line), child, note) or shown
            yield shown
            if ended:
                break
            time.sleep(_LOOK_S)
    finished = child.last.get("event") == "done"
    # The code of a child that another process started is not known; without a last word it was killed.
    child.code = process.returncode if process is not None else (0 if finished else -9)
    child.tail = (folder / ERRORS).read_text("utf-8", "replace")[-400:].strip()


def _lines(stream: TextIO) -> Iterator[str]:
    """Yield the whole lines there are; half a line is left for later."""
    while True:
        at = stream.tell()
        line = stream.readline()
        if not line.endswith("\n"):
            stream.seek(at)
            return
        yield line
