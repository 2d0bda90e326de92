"""Feeding an engine: the next batches are made in a thread while the engine works on this one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

_Item = TypeVar("_Item")
_BATCHES_AHEAD = 2


class Ahead(Generic[_Item]):
    """Run an iterator in a thread, a few items ahead.

    Use as a context manager and iterate; an error of the source comes out where the items are
    read, and leaving the block stops the source after its current item and joins the thread.

    Parameters
    ----------
    source : iterator
    """

    def __init__(self, source: Iterator[_Item]) -> None:
        self._source = source
        self._queue: queue.Queue[tuple[_Item | None, BaseException | None]] = queue.Queue(
            _BATCHES_AHEAD
        )
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="cellcls-crops", daemon=True)

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop and join the thread."""
        self._stopped.set()
        self._thread.join()

    def __iter__(self) -> Iterator[_Item]:
        """Yield the items in order."""
        while True:
            item, error = self._queue.get()
            if error is not None:
                raise error
            if item is None:
                return
            yield item

    def _work(self) -> None:
        try:
            for item in self._source:
                if not self._put((item, None)):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that reads
            self._put((None, error))
        else:
            self._put((None, None))

    def _put(self, entry: tuple[_Item | None, BaseException | None]) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(entry, timeout=0.05)
            except queue.Full:
                continue
            return True
        return False
