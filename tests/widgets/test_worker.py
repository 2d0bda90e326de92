from __future__ import annotations

import sys
import threading
import time
from typing import Any

import pytest

from napari_cellcls.vocabulary import CellsError, Progress, TaskError
from napari_cellcls.widgets.worker import STOPPED, Courtesy, Job, Runner, guarded, unexpected

from .fakes import counting_to


class Log:
    """Writes down what a runner signals, in order."""

    def __init__(self, runner: Runner) -> None:
        self.events: list[tuple[str, Any]] = []
        runner.succeeded.connect(self.on_succeeded)
        runner.failed.connect(self.on_failed)
        runner.ended.connect(self.on_ended)

    def on_succeeded(self, result: object) -> None:
        self.events.append(("succeeded", result))

    def on_failed(self, error: Exception) -> None:
        self.events.append(("failed", error))

    def on_ended(self) -> None:
        self.events.append(("ended", None))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


def run_to_end(job: Job) -> Any:
    steps = guarded(job)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def failing(error: Exception) -> Any:
    yield Progress(0, 1, "about to fail")
    raise error


def test_a_guarded_job_returns_the_result() -> None:
    assert run_to_end(Job(lambda: counting_to(3))) == 3


def test_work_hands_over_sooner_and_puts_the_setting_back() -> None:
    usual, seen = sys.getswitchinterval(), []
    inner = Job(lambda: counting_to(2))

    def look() -> None:
        run_to_end(inner)
        seen.append(sys.getswitchinterval())

    run_to_end(Job(lambda: counting_to(2, look)))
    assert seen == [pytest.approx(Courtesy.interval_s)] * 2
    assert sys.getswitchinterval() == usual
    with pytest.raises(TaskError):
        run_to_end(Job(lambda: failing(ValueError("bad"))))
    assert sys.getswitchinterval() == usual


@pytest.mark.parametrize("error", [RuntimeError("deleted"), ValueError("bad"), KeyError("k")])
def test_an_unforeseen_error_becomes_a_task_error(error: Exception) -> None:
    with pytest.raises(TaskError, match=type(error).__name__) as caught:
        run_to_end(Job(lambda: failing(error)))
    assert caught.value.code == "TASK-FAILED"
    assert caught.value.__cause__ is error
    assert "in failing" in caught.value.why


def test_memory_has_its_own_message() -> None:
    with pytest.raises(TaskError) as caught:
        run_to_end(Job(lambda: failing(MemoryError())))
    assert caught.value.code == "TASK-MEMORY"


def test_our_own_errors_pass_unchanged() -> None:
    error = CellsError("no cells", code="CELLS-EMPTY")
    with pytest.raises(CellsError) as caught:
        run_to_end(Job(lambda: failing(error)))
    assert caught.value is error


def test_a_stopped_job_closes_its_task() -> None:
    closed = []

    def task() -> Any:
        try:
            yield from counting_to(1000)
        finally:
            closed.append(True)

    job = Job(task)
    steps = guarded(job)
    next(steps)
    job.stop.set()
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert end.value.value is STOPPED
    assert closed == [True]


def test_unexpected_without_a_traceback_still_says_what() -> None:
    assert unexpected(OSError("disk")).why == "OSError: disk"


def test_success_then_end(qtbot: Any) -> None:
    runner = Runner()
    log = Log(runner)
    with qtbot.waitSignal(runner.ended, timeout=5000):
        runner.start(lambda: counting_to(3), "test")
    assert log.events == [("succeeded", 3), ("ended", None)]
    assert not runner.running


def test_a_runtime_error_is_reported_and_ends_the_run(qtbot: Any) -> None:
    runner = Runner()
    log = Log(runner)
    with qtbot.waitSignal(runner.ended, timeout=5000):
        runner.start(lambda: failing(RuntimeError("out of memory")), "test")
    assert log.names == ["failed", "ended"]


def test_cancel_ends_at_once_and_late_results_are_ignored(qtbot: Any) -> None:
    runner = Runner()
    log = Log(runner)
    go = threading.Event()
    closed = threading.Event()

    def slow() -> Any:
        try:
            yield Progress(0, 2, "first")
            go.wait(5)
            yield Progress(1, 2, "second")
        finally:
            closed.set()
        return "late"

    with qtbot.waitSignal(runner.progressed, timeout=5000):
        runner.start(slow, "test")
    start = time.perf_counter()
    runner.cancel()
    assert log.names == ["ended"]
    assert time.perf_counter() - start < 0.1
    go.set()
    qtbot.waitUntil(closed.is_set, timeout=5000)
    qtbot.wait(50)
    assert log.names == ["ended"]


def test_a_newer_run_silences_the_older_one(qtbot: Any) -> None:
    runner = Runner()
    log = Log(runner)
    go = threading.Event()

    def older() -> Any:
        yield Progress(0, 1, "older")
        go.wait(5)
        return "older"

    with qtbot.waitSignal(runner.progressed, timeout=5000):
        runner.start(older, "test")
    with qtbot.waitSignal(runner.succeeded, timeout=5000):
        runner.start(lambda: counting_to(2), "test")
    go.set()
    qtbot.wait(100)
    assert log.events == [("ended", None), ("succeeded", 2), ("ended", None)]
