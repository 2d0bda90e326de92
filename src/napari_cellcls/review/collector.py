"""Keeps Python's garbage collector still while a hundred thousand events are taken in at once."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def still() -> Iterator[None]:
    """Pause the collector: it would look through all events again and again and find nothing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            # All that was made counts as old from now on, without being looked through once.
            gc.freeze()
            gc.unfreeze()
            gc.enable()
