"""Files of events that never change: how journals are exchanged, rescued and rebuilt."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from napari_cellcls.files import atomic_path
from napari_cellcls.review import errors
from napari_cellcls.review.events import Event, from_line, to_line

SUFFIX = ".jsonl"
_MAX_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Found:
    """What files of events hold: the events, and what is wrong with single files."""

    events: list[Event] = field(default_factory=list)
    problems: list[errors.JournalError] = field(default_factory=list)


def publish(folder: Path, events: Sequence[Event]) -> Path:
    """Write events of one device as a new file ``<device>/<first>-<last>-<sha8>.jsonl``.

    ``first`` and ``last`` are Lamport numbers, ``sha8`` the beginning of the file's SHA-256, by
    which a file that is still being copied is told from a whole one.
    """
    text = "".join(f"{to_line(event)}\n" for event in events).encode()
    name = (
        f"{events[0].lamport}-{events[-1].lamport}-{hashlib.sha256(text).hexdigest()[:8]}{SUFFIX}"
    )
    target = folder / events[0].device_id / name
    if not target.exists():
        with atomic_path(target) as temporary:
            temporary.write_bytes(text)
    return target


def collect(folder: Path, known: set[str]) -> Found:
    """Read the files of all devices that were not read before.

    Parameters
    ----------
    folder : Path
        ``events`` of a project; may not exist.
    known : set of str
        Names read before, ``<device>/<file>``; the whole ones read now are added.
    """
    found = Found()
    for path in sorted(folder.glob(f"*/*{SUFFIX}")):
        name = f"{path.parent.name}/{path.name}"
        if name in known or path.name.startswith("."):
            continue
        try:
            found.events.extend(read_published(path))
        except errors.JournalError as problem:
            found.problems.append(problem)
        else:
            known.add(name)
    return found


def read_published(path: Path) -> list[Event]:
    """Return the events of a published file.

    Raises
    ------
    JournalError
        ``JOURNAL-EVENTFILE`` when it is not whole, was changed, or holds something else.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise errors.bad_event_file(path, f"it is larger than {_MAX_BYTES >> 20} MiB")
        content = path.read_bytes()
    except OSError as error:
        raise errors.bad_event_file(path, f"the system says '{error.strerror}'") from error
    digest = hashlib.sha256(content).hexdigest()
    if not path.stem.endswith(f"-{digest[:8]}"):
        raise errors.bad_event_file(
            path, f"its content has the SHA-256 {digest[:8]}..., its name promises another"
        )
    try:
        return [from_line(line) for line in content.decode().splitlines() if line]
    except ValueError as error:
        raise errors.bad_event_file(path, f"{error}") from error


def append(path: Path, events: Iterable[Event]) -> None:
    """Add events to a file of this computer's own, flushed to the disk (see :func:`read_own`)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8", newline="\n") as stream:
        for event in events:
            stream.write(f"{to_line(event)}\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_own(path: Path) -> list[Event]:
    """Return the whole events of a file that may end in the middle of a line."""
    found = []
    with open(path, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            with contextlib.suppress(ValueError):
                found.append(from_line(line))
    return found
