"""Which key sets which class: those people chose, and for the others the first that is free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from napari_cellcls.review.state import ClassState

CLEAR, SKIP, BAD_SEGMENTATION, AMBIGUOUS, SETTLE, OUTLINES, WHY = "0", "s", "b", "a", "j", "o", "w"
RESERVED = frozenset({CLEAR, SKIP, BAD_SEGMENTATION, AMBIGUOUS, SETTLE, OUTLINES, WHY})
"""Keys with a meaning of their own, which no class can have."""

_CHOICE = "123456789qertyuipdfghklzxcvnm"


def class_keys(classes: Iterable[ClassState]) -> dict[str, str]:
    """Return class id -> key, one character in lower case; a class without a free key has none.

    A key that two classes were given belongs to the first of them.
    """
    found: dict[str, str] = {}
    every = list(classes)
    for one in every:
        key = one.key.lower()
        if is_possible(key) and key not in found.values():
            found[one.id] = key
    free = [key for key in _CHOICE if key not in found.values()]
    for one in every:
        if one.id not in found and free:
            found[one.id] = free.pop(0)
    return {one.id: found[one.id] for one in every if one.id in found}


def is_possible(key: str) -> bool:
    """Return whether a class may have this key."""
    return len(key) == 1 and key.isascii() and key.isalnum() and key.lower() not in RESERVED


def taken_by(key: str, keys: Mapping[str, str]) -> str | None:
    """Return the class that has a key, None when it is free."""
    return next((class_id for class_id, one in keys.items() if one == key.lower()), None)
