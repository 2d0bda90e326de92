"""Class folders: one sub-folder of pictures per class, with the malaria and HeLa sets by name.

The malaria archive comes with two tables of patients **without a header line**: read with one, the
first cell would silently lose its patient (the published tables begin with data).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from napari_cellcls.learn.datasets import known
from napari_cellcls.learn.datasets.cellset import listed
from napari_cellcls.learn.datasets.listing import (
    UNKNOWN_GROUPS,
    Entry,
    Listing,
    given_groups,
    pictures,
    read_pairs,
)
from napari_cellcls.vocabulary import DataError


def list_folders(root: Path) -> Listing:
    """List a folder of class folders, also when it lies one folder deeper.

    Raises
    ------
    DataError
        ``DATA-LAYOUT``, or ``DATA-GROUPS`` for a malaria image of an unknown patient.
    """
    inside = [f for f in sorted(root.iterdir()) if f.is_dir() and not f.name.startswith(".")]
    # The published archive holds a second copy of everything in cell_images/cell_images, and
    # class folders without any image must not vanish from the message.
    full = {f: found for f in inside if (found := pictures(f))}
    if len(inside) == 1 and not full:
        return list_folders(inside[0])
    if len(full) < 2:
        raise DataError(
            "The folder does not hold one folder of images per class.",
            code="DATA-LAYOUT",
            path=root,
            why=f"folders with images: {listed([f.name for f in full]) or 'none'}",
            remedy="Point to the folder that contains the class folders (Parasitized and Uninfected; "
            "actin, dna, ...), to train.csv with its images, to a folder with images and "
            "annotations, or to a parquet file.",
        )
    names = {f.name for f in full}
    if names == set(known.MALARIA_CLASSES):
        return _malaria(root, full)
    if len(names) == len(known.HELA_CLASSES) and {known.hela_class(n) for n in names} == set(
        known.HELA_CLASSES
    ):
        return _hela(root, full)
    return _plain(root, full, "class folders", sorted(names), lambda name: name)


def _malaria(root: Path, full: dict[Path, list[Path]]) -> Listing:
    tables = [p for d in (root, root.parent) for p in sorted(d.glob("patientid_cellmapping_*.csv"))]
    # Official tables give id, file; copies with the columns exchanged are about.
    patients = {
        (a if "." in a else b): (b if "." in a else a) for a, b in reversed(read_pairs(tables))
    }
    given = given_groups(root)
    any_known = patients or given or any(known.patient_of(p.name) for f in full.values() for p in f)
    if not any_known:  # someone's own cells, of the same classes
        return _plain(root, full, "class folders", known.MALARIA_CLASSES, lambda name: name)

    def patient(image: Path) -> str:
        official = patients.get(image.name, "")
        found = (
            given.get(image.name)
            or known.patient_of(image.name)
            or known.patient_of(official)
            or official
        )
        if not found:
            raise DataError(
                "The patient of an image is not known.",
                code="DATA-GROUPS",
                path=image,
                why="its name does not begin with C and a number, and the patient tables do not list it",
                remedy="Put patientid_cellmapping_parasitized.csv and ..._uninfected.csv beside the class folders.",
            )
        return found

    entries = [
        Entry(
            p.name, (f.name,), patient(p), (p,), extra=known.malaria_columns(p.name)
        )
        for f, found in full.items()
        for p in found
    ]  # fmt: skip
    return Listing(
        "malaria class folders", root, tuple(entries), known.MALARIA_CLASSES, group_kind="patient"
    )


def _hela(root: Path, full: dict[Path, list[Path]]) -> Listing:
    columns = {p: known.hela_columns(p.stem) for found in full.values() for p in found}
    if given_groups(root) or not all(columns.values()):
        return _plain(
            root, full, "HeLa class folders", known.HELA_CLASSES, lambda n: known.hela_class(n) or n
        )
    entries = []
    for folder, found in full.items():
        for path in found:
            date, field = columns[path] or ("", "")
            label = known.hela_class(folder.name) or folder.name
            entries.append(Entry(path.name, (label,), field, (path,), extra=(("date", date),)))
    return Listing(
        "HeLa class folders", root, tuple(entries), known.HELA_CLASSES, group_kind="field"
    )


def _plain(
    root: Path,
    full: dict[Path, list[Path]],
    layout: str,
    classes: tuple[str, ...] | list[str],
    label: Callable[[str], str],
) -> Listing:
    given = given_groups(root)
    entries, without = [], []
    times = Counter(path.name for found in full.values() for path in found)
    for folder, found in full.items():
        for path in found:
            whole = f"{folder.name}/{path.name}"
            name = path.name if times[path.name] == 1 else whole
            group = given.get(name) or given.get(whole, "")
            if given and not group:
                without.append(whole)
            entries.append(Entry(name, (label(folder.name),), group or whole, (path,)))
    if without:
        raise DataError(
            "The group of some images is not known.",
            code="DATA-GROUPS",
            path=root / "groups.csv",
            why=f"{len(without)} images are not listed there: {listed(without)}",
            remedy="Add a line with name and group for each.",
        )
    return Listing(
        layout,
        root,
        tuple(entries),
        tuple(classes),
        group_kind="group" if given else "",
        notes=() if given else (UNKNOWN_GROUPS,),
    )
