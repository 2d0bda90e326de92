"""Ctrl+C and SIGTERM: both end a command in good order, and never in the middle of a file.

Windows has no SIGTERM that another program could send; there only Ctrl+C counts.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_STOPS = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """The system or another program asked the command to end (SIGTERM)."""


@contextmanager
def heeded() -> Iterator[None]:
    """Within the block, SIGTERM raises :class:`Terminated`, as Ctrl+C raises KeyboardInterrupt."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    with _handled({signal.SIGTERM: end}):
        yield


@contextmanager
def put_off() -> Iterator[None]:
    """Let the block end before Ctrl+C or SIGTERM are heeded: what is begun is written whole."""
    waiting: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        waiting.append(number)

    try:
        with _handled(dict.fromkeys(_STOPS, remember)):
            yield
    finally:
        if waiting:
            signal.raise_signal(waiting[0])


@contextmanager
def _handled(
    handlers: dict[signal.Signals, Callable[[int, FrameType | None], Any]],
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may, and only it is told
        return
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
