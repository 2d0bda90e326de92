"""The one thread that writes a journal, and the save state that people see."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

from napari_cellcls.review.errors import JournalError, not_saved
from napari_cellcls.review.events import Event

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_UPKEEP_S = 10.0


Status: TypeAlias = Literal["saved", "saving", "failed"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SaveState:
    """Whether everything decided is safe on the disk.

    Attributes
    ----------
    status : {"saved", "saving", "failed"}
    saved : int
        Events of the journal that are committed.
    waiting : int
        Events in memory that are not.
    problem : JournalError or None
        Why saving failed; it says where the waiting events are kept.
    notice : JournalError or None
        Trouble that endangers no decision: a backup or a shared folder that fails.
    """

    status: Status
    saved: int
    waiting: int = 0
    problem: JournalError | None = None
    notice: JournalError | None = None

    @property
    def text(self) -> str:
        """One line for a status bar."""
        if self.status == "saved":
            return "all decisions saved"
        if self.status == "saving":
            return f"saving {self.waiting:,} ..."
        why = self.problem.why if self.problem else ""
        return f"NOT SAVED: {self.waiting:,} ({why})"


class Sink(Protocol):
    """Where the writer puts events. Every method is called in the writer's thread."""

    def save(self, events: Sequence[Event]) -> None:
        """Commit; raises :class:`JournalError` when that fails, and then nothing was committed."""

    def keep(self, events: Sequence[Event], error: JournalError) -> JournalError:
        """Put events that could not be committed elsewhere; return the error that says where."""

    def upkeep(self, *, last: bool) -> JournalError | None:
        """Do what is due (backup, exchange); ``last`` at the end. Return what went wrong."""

    def close(self) -> None:
        """Let everything go."""


class Writer:
    """Queues events and commits them in a thread of its own.

    Parameters
    ----------
    sink : Sink
    saved : int
        Events already committed.
    on_change : callable
        Called without arguments after each change of :attr:`state`, in whichever thread made it.
    """

    def __init__(self, sink: Sink, saved: int, on_change: Callable[[], None]) -> None:
        self._sink, self._on_change = sink, on_change
        self._state = SaveState("saved", saved)
        self._queue: list[Event] = []
        self._failures = 0
        self._ending = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="cellcls-journal", daemon=True)
        self._thread.start()

    @property
    def state(self) -> SaveState:
        """The save state now."""
        with self._changed:
            return self._state

    def put(self, events: Sequence[Event]) -> None:
        """Queue events; they are saved in this order."""
        with self._changed:
            self._queue.extend(events)
            status = self._state.status
            self._set("failed" if status == "failed" else "saving", self._state.saved)
        self._on_change()

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything queued is saved; return False when that failed or took too long."""
        end = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            failures = self._failures
            self._changed.notify_all()
            while self._queue and self._failures == failures and self._thread.is_alive():
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(0.5 if left is None else min(left, 0.5))
            return not self._queue

    def close(self) -> bool:
        """Save what is left, do the upkeep, end the thread; return whether everything is saved."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join()
        return not self._queue

    def _run(self) -> None:
        try:
            wait = _FIRST_WAIT_S
            due = time.monotonic() + _UPKEEP_S
            while True:
                batch, ending = self._next(wait if self._failures else None, due)
                if batch:
                    wait = _FIRST_WAIT_S if self._save(batch) else min(2 * wait, _LONGEST_WAIT_S)
                if ending or time.monotonic() >= due:
                    self._note(self._sink.upkeep(last=ending))
                    due = time.monotonic() + _UPKEEP_S
                if ending:
                    return
        finally:
            self._sink.close()

    def _next(self, retry_in: float | None, due: float) -> tuple[list[Event], bool]:
        with self._changed:
            failed_now = self._failures > 0
            seen = len(self._queue) if failed_now else 0
            end = time.monotonic() + retry_in if retry_in is not None else due
            while not self._ending and len(self._queue) <= seen:
                left = min(end, due) - time.monotonic()
                if left <= 0 or (self._changed.wait(left) and failed_now):
                    break
            return list(self._queue), self._ending

    def _save(self, batch: list[Event]) -> bool:
        problem = self._try(batch)
        with self._changed:
            if problem is not None:
                self._failures += 1
                self._set("failed", self._state.saved, problem)
            else:
                self._failures = 0
                del self._queue[: len(batch)]
                status: Status = "saving" if self._queue else "saved"
                self._set(status, self._state.saved + len(batch))
        self._on_change()
        return problem is None

    def _try(self, batch: list[Event]) -> JournalError | None:
        try:
            self._sink.save(batch)
        except JournalError as error:
            return self._sink.keep(batch, error)
        # The last net: whatever goes wrong, the thread lives and people are told.
        except Exception as error:
            logger.exception("saving failed in a way nobody foresaw")
            failure = not_saved(None, f"{type(error).__name__}: {error}", "it is kept in memory")
            return self._sink.keep(batch, failure)
        return None

    def _note(self, notice: JournalError | None) -> None:
        with self._changed:
            if str(self._state.notice) == str(notice):
                return
            self._state = replace(self._state, notice=notice)
        self._on_change()

    def _set(self, status: Status, saved: int, problem: JournalError | None = None) -> None:
        if status == "failed" and problem is None:
            problem = self._state.problem
        self._state = SaveState(status, saved, len(self._queue), problem, self._state.notice)
        self._changed.notify_all()
