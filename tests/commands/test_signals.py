"""Stopping: at once between two steps, and only after what is being written."""

from __future__ import annotations

import signal
import threading

import pytest

from napari_cellcls.commands import signals


def test_sigterm_is_an_exception_within_the_block_only() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(signals.Terminated), signals.heeded():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("number", "kind"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, signals.Terminated)],
)
def test_what_is_begun_is_done_first(number: signal.Signals, kind: type[BaseException]) -> None:
    done = []
    with pytest.raises(kind), signals.heeded():
        with signals.put_off():
            signal.raise_signal(number)
            done.append("written")
        done.append("never reached")
    assert done == ["written"]


def test_an_error_while_writing_does_not_swallow_the_stop() -> None:
    with pytest.raises(KeyboardInterrupt) as caught, signals.put_off():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("full")
    assert isinstance(caught.value.__context__, ValueError)


def test_other_threads_are_left_alone() -> None:
    done = []

    def work() -> None:
        with signals.heeded(), signals.put_off():
            done.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [1]
