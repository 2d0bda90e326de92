"""A child that labels without end and says after each batch how much is saved; it waits to be killed."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.review.make import reopen


def main(folder: str, batch: int) -> None:
    journal = reopen(Path(folder))
    assert journal.refusal is None, journal.refusal
    class_id = journal.add_class("RBC")
    n = 0
    while True:
        for _ in range(batch):
            journal.label(f"{n:032x}", class_id)
            n += 1
        assert journal.flush()
        sys.stdout.write(f"{journal.save_state.saved}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
