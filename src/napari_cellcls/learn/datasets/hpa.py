"""The layout of the Human Protein Atlas challenge: ``train.csv`` and four files per image.

``<Id>_red``, ``_green``, ``_blue``, ``_yellow``; ``Target`` is a list of class numbers. Ids of HPAv18
begin with the antibody; those of the challenge do not tell it, so ``groups.csv`` may.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from napari_cellcls.learn.datasets import known
from napari_cellcls.learn.datasets.cellset import Fault
from napari_cellcls.learn.datasets.listing import (
    SUFFIXES,
    UNKNOWN_GROUPS,
    Entry,
    Listing,
    given_groups,
    read_pairs,
)
from napari_cellcls.vocabulary import DataError

_HEADER = ("id", "target")
_TABLES = ("train.csv", "labels.csv")


def find_table(root: Path) -> Path | None:
    """Return the label table of a folder, or None when it is of another layout."""
    return next((root / name for name in _TABLES if (root / name).is_file()), None)


def list_table(path: Path) -> Listing:
    """List the images of an ``Id,Target`` table that lie beside it or in a folder beside it.

    Raises
    ------
    DataError
        ``DATA-LAYOUT`` when the first line is not ``Id,Target``.
    """
    rows = read_pairs([path])
    if not rows or tuple(cell.lower() for cell in rows[0]) != _HEADER:
        raise DataError(
            "The table is no table of images and labels.",
            code="DATA-LAYOUT",
            path=path,
            why=f"the first line is {','.join(rows[0]) if rows else 'empty'}, expected Id,Target",
            remedy="Use the train.csv of the challenge, or a parquet file.",
        )
    rows = rows[1:]
    files = _files(path.parent)
    given = given_groups(path.parent)
    entries, faults, absent, ungrouped = [], [], 0, 0
    for name, target in rows:
        found = files.get(name, {})
        if not found:
            absent += 1
            continue
        numbers = target.split()
        odd = [n for n in numbers if not n.isdecimal() or int(n) >= len(known.HPA_CLASSES)]
        missing = [plane for plane in known.HPA_PLANES if plane not in found]
        if odd:
            faults.append(Fault("DATA-LABEL", name, f"label {odd[0]!r}; known: 0 to 27"))
            continue
        group = given.get(name) or known.antibody_of(name)
        ungrouped += not group
        labels = tuple(known.HPA_CLASSES[int(n)] for n in dict.fromkeys(numbers))
        present = tuple(plane for plane in known.HPA_PLANES if plane in found)
        extra = (("missing", " ".join(missing)),) if missing else ()
        entries.append(
            Entry(
                name, labels, group or name, tuple(found[p] for p in present), present, extra=extra
            )
        )
    notes = _notes(len(rows), absent, ungrouped, len(entries), _repeated(rows))
    return Listing(
        "HPA table with four files per image",
        path.parent,
        tuple(entries),
        known.HPA_CLASSES,
        group_kind="" if ungrouped else "antibody",
        multi_label=True,
        notes=notes,
        faults=tuple(faults),
    )


def _files(root: Path) -> dict[str, dict[str, Path]]:
    """Return id -> plane -> file, looking beside the table and one folder deeper."""
    pattern = re.compile(rf"(.+)_({'|'.join(known.HPA_PLANES)})$")
    found: dict[str, dict[str, Path]] = {}
    places = [root, *(p for p in sorted(root.iterdir()) if p.is_dir())]
    for path in (p for place in places for p in _with_suffix(place)):
        if hit := pattern.match(path.stem):
            found.setdefault(hit.group(1), {}).setdefault(hit.group(2), path)
    return found


def _with_suffix(folder: Path) -> Iterable[Path]:
    return (p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)


def _repeated(rows: list[tuple[str, str]]) -> int:
    return len(rows) - len({name for name, _ in rows})


def _notes(rows: int, absent: int, ungrouped: int, entries: int, repeated: int) -> tuple[str, ...]:
    notes = []
    if absent:
        notes.append(f"{absent:,} of {rows:,} rows of the table have no image; they were left out.")
    if repeated:
        notes.append(f"{repeated} ids stand in the table more than once.")
    if ungrouped:
        which = "The antibody" if ungrouped == entries else f"The antibody of {ungrouped} images"
        notes.append(f"{which} is unknown. {UNKNOWN_GROUPS}")
    return tuple(notes)
