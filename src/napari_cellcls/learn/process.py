"""Training in a process of its own: started, followed, stopped, and started again with less memory.

A training may be killed for memory or crash inside a driver; the program that asked for it lives
on. Events come as JSON lines; nothing is pickled.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_cellcls.vocabulary import DataError, Progress, Task, TaskError

_KILLED = (-9, 137)
_STOP_S = 120.0
_RESUME = "Go on from the last checkpoint with --resume."


@dataclass(frozen=True)
class TrainingRequest:
    """What to train, on what, and where to.

    Attributes
    ----------
    recipe : str
        Path or name of a shipped recipe.
    data, out : Path
        Labelled images; folder of the run.
    fold : int, optional
        The fold held out by a grouped protocol.
    resume : bool
    changes : tuple of str
        ``key=value``, put in place of values of the recipe.
    teachers : tuple of Path
        Runs whose answers are learned beside the labels.
    """

    recipe: str
    data: Path
    out: Path
    fold: int | None = None
    resume: bool = False
    changes: tuple[str, ...] = ()
    teachers: tuple[Path, ...] = ()

    def arguments(self, *, resume: bool, micro_batch: int | None) -> list[str]:
        """Return the command line of the training process."""
        found = [self.recipe, "--data", str(self.data), "--out", str(self.out)]
        found += [] if self.fold is None else ["--fold", str(self.fold)]
        found += [f"--set={change}" for change in self.changes]
        found += [f"--teacher={teacher}" for teacher in self.teachers]
        found += ["--resume"] if resume else []
        return found + ([] if micro_batch is None else ["--micro-batch", str(micro_batch)])


@dataclass
class Child:
    """One run of the training process: its last event, its exit code, what it said on stderr."""

    last: dict[str, Any] = field(default_factory=dict)
    batch: int | None = None
    code: int = 0
    tail: str = ""


Follow = Callable[[list[str], Child, Callable[[str], None]], Task[None]]
"""Runs a command, fills the :class:`Child`, and yields its progress."""


def training(
    request: TrainingRequest,
    on_note: Callable[[str], None] | None = None,
    command: Sequence[str] = (sys.executable, "-P", "-m", "napari_cellcls.learn.runs", "train"),
    follow: Follow | None = None,
) -> Task[dict[str, Any]]:
    """Train in a process of its own; return its last event (``weights, sha256, metrics ...``).

    When the memory does not suffice, the process is started again from its last checkpoint with
    half as many cells at once, down to one; gradients are summed, so that the result is that of
    the whole batch. Closing the task stops the training, which then keeps a checkpoint.

    Parameters
    ----------
    request : TrainingRequest
    on_note : callable, optional
        Told what the user should know, in words.
    command : sequence of str
        What is started; for tests.
    follow : callable, optional
        How the child is run; by default as a part of this process, over a pipe. See
        :func:`napari_cellcls.learn.detached.follow_in`.

    Raises
    ------
    DataError
        What the training refuses, with its own code.
    TaskError
        ``TRAIN-MEMORY`` when one cell at once is too many, ``TASK-CHILD`` when the process ends
        without a result.
    """
    note = on_note or (lambda _: None)
    resume, micro = request.resume, None
    while True:
        child = Child()
        arguments = request.arguments(resume=resume, micro_batch=micro)
        yield from (follow or _follow)([*command, *arguments], child, note)
        if child.last.get("event") == "done" and child.code == 0:
            return child.last
        if not _short_of_memory(child):
            raise _failure(child)
        tried = child.batch or 1
        if tried <= 1:
            raise _memory_error(child)
        resume, micro = True, max(1, tried // 2)
        killed = child.code in _KILLED
        note(
            f"{'The process was killed, probably for memory' if killed else 'The memory did not suffice'}"
            f" with {tried} cells at once: going on with {micro} at once, gradients summed. Batch "
            "normalization and dropout see the smaller groups; everything else is the same."
        )


def _follow(command: list[str], child: Child, note: Callable[[str], None]) -> Task[None]:
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            for line in process.stdout:
                step = take(json.loads(line), child, note)
                if step is not None:
                    yield step
        except BaseException:
            _stop(process)
            raise
        child.code = process.wait()
        errors.seek(0)
        child.tail = errors.read()[-400:].strip()


def take(event: dict[str, Any], child: Child, note: Callable[[str], None]) -> Progress | None:
    """Take an event of a child in; return its progress, None for other events."""
    child.last = event
    child.batch = event.get("micro_batch", child.batch)
    for text in event.get("notes", ()):
        note(text)
    if event["event"] != "progress":
        return None
    return Progress(event["done"], event["total"], event["message"])


def _stop(process: subprocess.Popen[str]) -> None:
    """Ask the process to stop after this step; it writes a checkpoint first."""
    if process.poll() is None:
        process.terminate()
    try:
        process.communicate(timeout=_STOP_S)
    except (subprocess.TimeoutExpired, ValueError):
        process.kill()


def _short_of_memory(child: Child) -> bool:
    event = child.last.get("event")
    return event == "memory" or (child.code in _KILLED and child.batch is not None)


def _failure(child: Child) -> DataError | TaskError:
    last = child.last
    if last.get("event") == "error":
        said = {key: last[key] for key in ("code", "path", "why", "remedy")}
        return DataError(last["what"], **said)
    return TaskError(
        "The training process ended without a result.",
        code="TASK-CHILD",
        why=f"it ended with {child.code}: {child.tail}",
        remedy=f"Run `cellcls doctor` to see whether TensorFlow works. {_RESUME}",
    )


def _memory_error(child: Child) -> TaskError:
    return TaskError(
        "The memory does not suffice for this training.",
        code="TRAIN-MEMORY",
        why=str(child.last.get("why") or f"the process was killed with one cell at once ({child.code})"),
        remedy=f"Close other programs, or use a smaller network or input size. {_RESUME}",
    )  # fmt: skip
