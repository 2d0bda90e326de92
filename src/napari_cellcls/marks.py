"""The short marks (letters) by which classes are told apart without color."""

from __future__ import annotations

from collections.abc import Iterator


def class_marks(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return a short mark per class, unique within the model: one letter where that is enough.

    Color alone must never tell two classes apart, so each mark differs from all others. The window
    and the pictures on disk use the same marks.

    Parameters
    ----------
    names : tuple of str
        Display names in output order.
    """
    taken: set[str] = set()
    marks = []
    for name in names:
        marks.append(next(m for m in _candidates(name) if m not in taken))
        taken.add(marks[-1])
    return tuple(marks)


def _candidates(name: str) -> Iterator[str]:
    letters = [c for c in name if c.isalnum()] or ["?"]
    first = letters[0].upper()
    yield first
    words = name.split()
    if len(words) > 1:
        yield first + words[1][0].lower()
    yield from (first + c.lower() for c in letters[1:])
    yield from (f"{first}{i}" for i in range(2, 10_000))
