"""Many images as one task: the next image is prepared while the engine works on this one.

One worker prepares (reading and finding cells leave Python's lock most of the time), the calling
thread predicts and writes. At most ``AHEAD`` prepared images wait, so memory stays bounded. A bad
image becomes a row of the report and the rest go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from napari_cellcls.commands import failures, signals, steps
from napari_cellcls.commands.options import Options
from napari_cellcls.commands.steps import Job, Models, Prepared, Stopped
from napari_cellcls.export.errors import LASTING
from napari_cellcls.export.summary import Failure, Run
from napari_cellcls.vocabulary import (
    CellClsError,
    CellsError,
    ChannelError,
    ImageError,
    Progress,
    Task,
)

AHEAD = 2
WORKERS = 2
UNITS = 100
"""Steps of the progress bar per image."""
_PREPARED, _PREDICTED = 60, 90

_log = logging.getLogger(__name__)


@dataclass
class _Ticket:
    """An image on its way through the worker."""

    job: Job
    stop: threading.Event
    progress: Progress = field(default_factory=lambda: Progress(0, 0, "Waiting"))
    future: Future[Prepared] | None = None

    def report(self, progress: Progress) -> None:
        if self.stop.is_set():
            raise Stopped
        self.progress = progress


def classify_images(jobs: Sequence[Job], options: Options, run: Run) -> Task[Run]:
    """Classify images and write their results.

    Parameters
    ----------
    jobs : sequence of Job
    options : Options
    run : Run
        Filled while the task runs, so that a stopped run still knows what is done.

    Raises
    ------
    ExportError
        When nothing can be written any more (no permission, no space).
    """
    begin = time.perf_counter()
    stop = threading.Event()
    models = Models(options)
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="cellcls-prepare")
    waiting: deque[_Ticket] = deque()
    todo = iter(jobs)

    def fill() -> None:
        while len(waiting) < AHEAD and (job := next(todo, None)) is not None:
            ticket = _Ticket(job, stop)
            ticket.future = pool.submit(steps.prepare, job, options, models, ticket.report)
            waiting.append(ticket)

    try:
        fill()
        for done in range(len(jobs)):
            ticket = waiting.popleft()
            fill()
            yield from _one(ticket, options, models, run, done, len(jobs))
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
        models.close()
        run.seconds = time.perf_counter() - begin
    return run


def _one(
    ticket: _Ticket, options: Options, models: Models, run: Run, done: int, total: int
) -> Task[None]:
    job = ticket.job

    def at(units: float, step: Progress) -> Progress:
        message = f"{job.stem}: {step.message}" if step.message else job.stem
        return Progress(done * UNITS + int(units), total * UNITS, message)

    try:
        assert ticket.future is not None
        while not _finished(ticket.future):
            yield at(_PREPARED * _share(ticket.progress), ticket.progress)
        ready = ticket.future.result()
        task = steps.predict(ready, options, models)
        try:
            while True:
                step = next(task)
                yield at(_PREPARED + (_PREDICTED - _PREPARED) * _share(step), step)
        except StopIteration as end:
            predictions = end.value
        finally:
            task.close()
        yield at(_PREDICTED, Progress(0, 0, "Writing"))
        with signals.put_off():
            run.results.append(steps.write(ready, predictions, options))
    except CellClsError as error:
        if error.code in LASTING:
            raise
        if isinstance(error, ImageError | ChannelError | CellsError):
            error.at(job.path)
        run.failures.append(Failure(job.stem, job.path, error))
    # One image that meets a fault of ours must not cost the user the other ones.
    except Exception as error:  # noqa: BLE001
        _log.exception("unforeseen failure with %s", job.path)
        run.failures.append(Failure(job.stem, job.path, failures.unexpected(error, job.path)))
    yield at(UNITS, Progress(0, 0, ""))


def _finished(future: Future[Prepared]) -> bool:
    try:
        future.exception(timeout=0.1)
    except TimeoutError:
        return False
    return True


def _share(progress: Progress) -> float:
    return min(progress.done / progress.total, 1.0) if progress.total else 0.0
