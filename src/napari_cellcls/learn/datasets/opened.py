"""Opening a labeled set: its layout found, its labels checked, its crops decoded once.

Everything that would make a training wrong stops here with the names of the offenders; a caller
that only looks (the audit) may ask for the list of them instead.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from napari_cellcls.learn.datasets import known
from napari_cellcls.learn.datasets.cellset import CellSet, Channels, Fault, InputSpec, listed
from napari_cellcls.learn.datasets.cut import is_cut, read_cut
from napari_cellcls.learn.datasets.listing import Entry, Listing, given_sides, list_dataset
from napari_cellcls.learn.datasets.store import Decoded, decoded, without_bad
from napari_cellcls.vocabulary import DataError, Normalization, Task

_REMEDIES = {
    "DATA-UNREADABLE": ("Images cannot be read.", "Copy these files again, or take them out of the folder."),
    "DATA-CHANNEL": (
        "Images lack a channel.",
        "Get the missing files, or choose other channels (rgb needs no yellow, gray only green).",
    ),
    "DATA-LABEL": ("Images have labels that are no class.", "Correct these rows of the table."),
}  # fmt: skip


def open_dataset(
    path: str | Path,
    *,
    size: int = 50,
    channels: Channels = "rgb",
    classes: tuple[str, ...] | None = None,
    cache: Path | None = None,
    normalization: Normalization | None = None,
    frame: Literal["box", "square"] = "box",
    margin: float = 0.0,
    faults: Literal["stop", "list"] = "stop",
) -> Task[CellSet]:
    """Read a labeled set of any known layout; every image becomes one uint8 crop.

    Parameters
    ----------
    path : path-like
        A folder of class folders (malaria, HeLa, your own), a folder with ``train.csv`` and HPA
        images, a folder with images and annotations, a parquet file, or cells cut for a fine-tune.
    size, channels, normalization, frame, margin
        See :class:`InputSpec`.
    classes : tuple of str, optional
        Classes and their order; by default those of the published set, or those found, sorted.
    cache : Path, optional
        Folder for the decoded crops; by default the user's own, bounded and shared by all runs.
    faults : {"stop", "list"}
        Whether images that cannot be used stop, or are left out and listed in ``CellSet.faults``.

    Raises
    ------
    DataError
        ``DATA-MISSING``, ``DATA-LAYOUT``, ``DATA-EMPTY``, ``DATA-LABEL``, ``DATA-GROUPS``,
        ``DATA-UNREADABLE``, ``DATA-CHANNEL``, ``DATA-SPACE``.
    """
    spec = InputSpec(size, channels, normalization or Normalization(), frame, margin)
    if is_cut(Path(path)):
        return read_cut(Path(path), spec.shape, classes)
    listing = list_dataset(path)
    listing, names = _labeled(listing, classes, Path(path))
    crops = yield from decoded(listing, spec, cache)
    found = (*listing.faults, *crops.faults)
    if faults == "stop":
        refuse(found, len(listing.entries), listing.root)
    if not crops.good.any():
        refuse(found, len(listing.entries), listing.root)
    if not crops.good.all():
        crops, listing = without_bad(crops, listing, spec)
    return _cell_set(listing, names, crops, found)


def refuse(faults: tuple[Fault, ...], total: int, root: Path) -> None:
    """Stop at images that cannot be used, naming them; nothing happens when there are none.

    Raises
    ------
    DataError
        With the code of the first fault.
    """
    if not faults:
        return
    same = [f for f in faults if f.code == faults[0].code]
    what, remedy = _REMEDIES[faults[0].code]
    raise DataError(
        what,
        code=faults[0].code,
        path=root,
        why=f"{len(same)} of {total}: {listed([f.name for f in same])} ({same[0].why})",
        remedy=remedy,
    )


def _labeled(
    listing: Listing, wanted: tuple[str, ...] | None, path: Path
) -> tuple[Listing, tuple[str, ...]]:
    """Return the listing in the words of the wanted classes, and the classes."""
    names = tuple(wanted) if wanted else listing.classes
    spelled = {known.plain(name): name for name in names}

    def word(label: str) -> str:
        return label if label in names else spelled.get(known.plain(label), label)

    entries = tuple(_worded(e, tuple(map(word, e.labels))) for e in listing.entries)
    counts = Counter(label for e in entries for label in e.labels)
    unknown = sorted(set(counts) - set(names))
    # Of the 28 HPA labels some are so rare that an honest part of the set has none of them.
    absent = [] if listing.multi_label else [c for c in names if not counts[c]]
    if unknown or absent or len(names) < 2:
        example = next((e.name for e in entries if set(e.labels) & set(unknown)), "")
        raise DataError(
            "The classes of the data are not those expected.",
            code="DATA-LABEL",
            path=path,
            why=f"unknown: {', '.join(unknown) or 'none'}{f' (first: {example})' if example else ''}; "
            f"without any cell: {', '.join(absent) or 'none'}; classes: {', '.join(names)}",
            remedy="Name the folders (or labels) so, or correct `classes` in the recipe; at least two are needed.",
        )
    return replace(listing, entries=entries), names


def _worded(entry: Entry, labels: tuple[str, ...]) -> Entry:
    return entry if labels == entry.labels else replace(entry, labels=labels)


def _cell_set(
    listing: Listing, names: tuple[str, ...], crops: Decoded, faults: tuple[Fault, ...]
) -> CellSet:
    entries = listing.entries
    index = {name: k for k, name in enumerate(names)}
    if listing.multi_label:
        labels = np.zeros((len(entries), len(names)), np.uint8)
        for i, entry in enumerate(entries):
            labels[i, [index[label] for label in entry.labels]] = 1
    else:
        labels = np.array([index[e.labels[0]] for e in entries], np.int64)
    columns = sorted({key for e in entries for key, _ in e.extra})
    tables = [dict(e.extra) for e in entries]
    return CellSet(
        images=crops.images,
        labels=labels,
        classes=names,
        groups=np.array([e.group for e in entries]),
        names=np.array([e.name for e in entries]),
        extra={c: np.array([t.get(c, "") for t in tables]) for c in columns},
        notes=listing.notes,
        group_kind=listing.group_kind,
        layout=listing.layout,
        faults=faults,
        sizes=crops.sizes,
        digests=crops.digests,
        store=crops.path,
        sides=given_sides(listing.root),
    )
