"""Which layout lies before us, and the entries in it: names, labels, groups, places. No pixels.

Each layout has a module that turns a folder or table into a :class:`Listing`; this one chooses.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from napari_cellcls.learn.datasets.cellset import Fault
from napari_cellcls.vocabulary import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"})
GROUPS_FILE = "groups.csv"
SIDES_FILE = "sides.csv"
_SIMULATED = "SIMULATED.md"
SIMULATED = "The images are simulated: what is measured on them says nothing about real ones."
_SIDE_WORDS = {
    "train": "training", "training": "training", "val": "validation", "valid": "validation",
    "validation": "validation", "test": "test", "side": "",
}  # fmt: skip
UNKNOWN_GROUPS = (
    "Groups are unknown: every image counts as its own group, so results may flatter. "
    f"A file {GROUPS_FILE} (a name and a group per line) beside the images would tell them."
)


@dataclass(frozen=True)
class Entry:
    """One labeled image on disk.

    Attributes
    ----------
    name : str
    labels : tuple of str
        Class names; several, or none, where an image may have several.
    group : str
    files : tuple of Path
        One picture, or the files of ``planes`` in their order; empty for a row of a table.
    planes : tuple of str
        What each of several files shows.
    box : tuple of float or None
        ``(x0, y0, x1, y1)`` in pixels of the picture.
    row : int
        Row of the table.
    extra : tuple of (str, str)
        Further columns.
    """

    name: str
    labels: tuple[str, ...]
    group: str
    files: tuple[Path, ...] = ()
    planes: tuple[str, ...] = ()
    box: tuple[float, float, float, float] | None = None
    row: int = -1
    extra: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Listing:
    """All entries of a data set.

    Attributes
    ----------
    layout : str
        In words.
    root : Path
    entries : tuple of Entry
    classes : tuple of str
        In the order of the published set, else sorted.
    group_kind : str
    multi_label : bool
    notes : tuple of str
    faults : tuple of Fault
        Images that are there in part only, and labels that are no class.
    table : Path or None
        The file that holds the pixels, for entries with a ``row``.
    """

    layout: str
    root: Path
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    group_kind: str = ""
    multi_label: bool = False
    notes: tuple[str, ...] = ()
    faults: tuple[Fault, ...] = ()
    table: Path | None = None


def list_dataset(path: str | Path) -> Listing:
    """Detect the layout of a labeled set and list it.

    Raises
    ------
    DataError
        ``DATA-MISSING``, ``DATA-LAYOUT``, ``DATA-EMPTY``, ``DATA-GROUPS``, ``DATA-UNREADABLE``.
    """
    from napari_cellcls.learn.datasets import boxes, folders, hpa, tables

    path = Path(path)
    if not path.exists():
        raise DataError(
            "The labeled data are not there.",
            code="DATA-MISSING",
            path=path,
            remedy="Check the path.",
        )
    if path.is_file():
        found = hpa.list_table(path) if path.suffix == ".csv" else tables.list_table(path)
    elif table := hpa.find_table(path):
        found = hpa.list_table(table)
    elif pair := boxes.find_folders(path):
        found = boxes.list_boxes(path, *pair)
    else:
        found = folders.list_folders(path)
    if not found.entries and not found.faults:
        raise DataError(
            "There is no labeled image.",
            code="DATA-EMPTY",
            path=path,
            why=f"layout: {found.layout}" + "".join(f"; {note}" for note in found.notes),
            remedy="Give a folder with one sub-folder of images per class, or the parquet file.",
        )
    if (found.root / _SIMULATED).is_file():
        return replace(found, notes=(*found.notes, SIMULATED))
    return found


def pictures(folder: Path) -> list[Path]:
    """Return the image files of a folder, sorted by name."""
    return sorted(
        p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
    )


def read_pairs(paths: Iterable[Path]) -> list[tuple[str, str]]:
    """Return the first two cells of every line of CSV files, stripped, as they stand.

    Raises
    ------
    DataError
        ``DATA-UNREADABLE`` when a file is not text.
    """
    pairs: list[tuple[str, str]] = []
    for path in paths:
        try:
            with open(path, newline="", encoding="utf-8-sig") as stream:
                pairs += [(r[0].strip(), r[1].strip()) for r in csv.reader(stream) if len(r) >= 2]
        except (OSError, ValueError, csv.Error) as error:
            raise DataError(
                "The file cannot be read as a table.",
                code="DATA-UNREADABLE",
                path=path,
                why=str(error)[:200],
                remedy="Save it as CSV in UTF-8.",
            ) from error
    return pairs


def given_groups(root: Path) -> dict[str, str]:
    """Return name -> group of ``groups.csv`` in a folder; empty without that file."""
    path = root / GROUPS_FILE
    return dict(read_pairs([path])) if path.is_file() else {}


def given_sides(root: Path) -> dict[str, str]:
    """Return group -> side of ``sides.csv`` in a folder; empty without that file.

    Raises
    ------
    DataError
        ``DATA-LAYOUT`` for a word that is no side, ``DATA-LEAK`` for a group on two.
    """
    path = root / SIDES_FILE
    pairs = read_pairs([path]) if path.is_file() else []
    odd = next((pair for pair in pairs if pair[1].lower() not in _SIDE_WORDS), None)
    if odd:
        raise DataError(
            "The table of sides names a side that there is not.",
            code="DATA-LAYOUT",
            path=path,
            why=f"group {odd[0]}: {odd[1]!r}",
            remedy="Write training, validation or test behind each group.",
        )
    sides: dict[str, str] = {}
    for group, word in pairs:
        side = _SIDE_WORDS[word.lower()]
        if side and sides.setdefault(group, side) != side:
            raise DataError(
                "A group is on two sides.",
                code="DATA-LEAK",
                path=path,
                why=f"{group} is on the {sides[group]} side and on the {side} side",
                remedy="Keep one of the two lines.",
            )
    return sides
