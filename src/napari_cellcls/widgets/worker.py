"""Long work beside the window: one worker per runner, guarded, cancelable at once.

A napari generator worker has three traps (measured with superqt 0.9): it swallows RuntimeError
and then never finishes; its generator's ``finally`` does not run after an abort; it reports late
results of work the user gave up on. :class:`Runner` closes all three.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_cellcls.vocabulary import CellClsError, Progress, Task, TaskError

_BAR_STEPS = 1000
_QUIET_SECONDS = 0.03


STOPPED = object()
"""What a job returns when it was asked to stop."""


class Courtesy:
    """Lets other threads have the interpreter sooner while work runs: ``with courtesy: ...``.

    Drawing calls OpenGL some hundred times per frame and gives the interpreter away each time. By
    default a working thread keeps it for 5 ms then, and a frame takes twice as long (measured);
    with 1 ms hardly longer than in peace. The setting belongs to the whole process: it is put
    back when the last work has ended.
    """

    interval_s = 0.001

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._working, self._usual_s = 0, 0.0

    def __enter__(self) -> None:
        """Hand over sooner from now on."""
        with self._lock:
            if not self._working:
                self._usual_s = sys.getswitchinterval()
                sys.setswitchinterval(min(self._usual_s, self.interval_s))
            self._working += 1

    def __exit__(self, *_error: object) -> None:
        """Return to the usual once nothing works any more."""
        with self._lock:
            self._working -= 1
            if not self._working:
                sys.setswitchinterval(self._usual_s)


courtesy = Courtesy()


class Job:
    """One task on its way: made, stepped and closed by the worker thread that runs it."""

    def __init__(self, make: Callable[[], Task[Any]]) -> None:
        self.make = make
        self.stop = threading.Event()
        self.task: Task[Any] | None = None

    def close(self) -> None:
        """Let the task clean up; only when no thread is inside it."""
        if self.task is not None:
            self.task.close()


def guarded(job: Job) -> Generator[Progress, None, Any]:
    """Run a job so that every failure is an error a worker reports, and ``stop`` ends it cleanly.

    Raises
    ------
    CellClsError
        As the task raised it; anything else becomes a :class:`TaskError` with code
        ``TASK-FAILED`` (``TASK-MEMORY`` for exhausted memory) and the original as its cause.
    """
    try:
        with courtesy:
            return (yield from _steps(job))
    except CellClsError:
        raise
    except MemoryError as error:
        raise TaskError(
            "The computer ran out of memory.",
            code="TASK-MEMORY",
            why=str(error) or "MemoryError",
            remedy="Close other programs, or work on a smaller image or region.",
        ) from error
    except Exception as error:
        raise unexpected(error) from error


def _steps(job: Job) -> Generator[Progress, None, Any]:
    job.task = job.make()
    said = 0.0
    while not job.stop.is_set():
        try:
            step = next(job.task)
        except StopIteration as end:
            return end.value
        # Each step becomes a queued Qt event; thousands of them would be the stall.
        if time.monotonic() - said >= _QUIET_SECONDS or step.done == step.total:
            said = time.monotonic()
            yield step
    job.close()
    return STOPPED


def unexpected(error: BaseException) -> TaskError:
    """Return an error of ours that carries an unforeseen one and where it came from."""
    if type(error).__name__ == "EmitLoopError" and error.__cause__ is not None:
        error = error.__cause__  # psygnal wraps what a listener raised in a page of text
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].name}, line {frames[-1].lineno}" if frames else ""
    return TaskError(
        "Something unforeseen went wrong.",
        code="TASK-FAILED",
        why=f"{type(error).__name__}: {error!s:.300}{place}",
        remedy="Try again. If it happens again, copy the details and report them.",
    )


class Runner(QObject):
    """Runs one task at a time; a newer task or a cancel makes the older one silent.

    Signals
    -------
    progressed(Progress), succeeded(object), failed(CellClsError)
    ended()
        Once per run, after ``succeeded`` or ``failed``; after a cancel at once.
    """

    progressed = Signal(object)
    succeeded = Signal(object)
    failed = Signal(object)
    ended = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._run: _Run | None = None

    @property
    def running(self) -> bool:
        """Whether a task runs whose result is still wanted."""
        return self._run is not None

    def start(self, make: Callable[[], Task[Any]], title: str = "") -> None:
        """Start a task made by ``make`` in a worker thread; a running one is canceled first.

        With a title napari shows a bar in its activity dock.
        """
        self.cancel()
        self._run = _Run(self, make, title)
        self._run.worker.start()

    def cancel(self) -> None:
        """Give the running task up: the window is free at once, the thread follows at its next step."""
        if self._run is not None:
            self._run.job.stop.set()
            self._run = None
            self.ended.emit()

    def settle(self, run: _Run, signal: Any = None, value: object = None) -> None:
        """End ``run`` with one signal, unless it was superseded."""
        if self._run is run:
            self._run = None
            if signal is not None:
                signal.emit(value)
            self.ended.emit()

    def step(self, run: _Run, step: Progress) -> None:
        """Pass a step of ``run`` on, unless it was superseded."""
        if self._run is run:
            self.progressed.emit(step)


class _Run(QObject):
    """The main-thread end of one worker: receives its signals, moves its activity bar."""

    def __init__(self, runner: Runner, make: Callable[[], Task[Any]], title: str) -> None:
        from napari.qt.threading import create_worker

        super().__init__(runner)
        self.runner, self.job = runner, Job(make)
        bar = {"desc": title} if title else None
        self.worker = create_worker(guarded, self.job, _progress=bar, _ignore_errors=True)
        self.worker.yielded.connect(self._on_yielded)
        self.worker.returned.connect(self._on_returned)
        self.worker.errored.connect(self._on_errored)
        self.worker.finished.connect(self._on_finished)

    def _on_yielded(self, step: Progress) -> None:
        if not self.job.stop.is_set():
            self._move_bar(step)
            self.runner.step(self, step)

    def _on_returned(self, result: object) -> None:
        if result is not STOPPED:
            self.runner.settle(self, self.runner.succeeded, result)

    def _on_errored(self, error: Exception) -> None:
        known = error if isinstance(error, CellClsError) else unexpected(error)
        self.runner.settle(self, self.runner.failed, known)

    def _on_finished(self) -> None:
        # Reached without a result when napari itself stopped the worker (its task list, or the
        # window closing): then the task was left in the middle and is closed here.
        self.job.close()
        self.runner.settle(self)
        self.deleteLater()

    def _move_bar(self, step: Progress) -> None:
        bar = getattr(self.worker, "pbar", None)
        if step.total <= 0 or bar is None or bar.disable:
            return
        if bar.total != _BAR_STEPS:
            bar.total = _BAR_STEPS
        target = int(_BAR_STEPS * min(step.done / step.total, 1.0))
        if target > bar.n:
            bar.update(target - bar.n)
