"""Labelled single-cell images from the layouts in which people have them, decoded once.

Known layouts: the malaria parquet of this project, the malaria folders (``Parasitized`` and
``Uninfected`` with two patient tables), and class folders in general. Images end in one uint8
array, memory-mapped when a cache folder is given. This module does not split or train.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from napari_cellcls.files import atomic_path, write_bytes
from napari_cellcls.vocabulary import DataError, Progress, Task

MALARIA_CLASSES = ("Parasitized", "Uninfected")
_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"}
_PATIENT = re.compile(r"(C\d+)")
_COLUMNS = ("name", "label", "patient", "image")
_STEP = 500


@dataclass(frozen=True)
class CellSet:
    """Labelled crops of one size.

    Attributes
    ----------
    images : numpy.ndarray
        ``(N, size, size, C)`` uint8, possibly memory-mapped.
    labels : numpy.ndarray
        ``(N,)`` int64 indices into ``classes``.
    classes : tuple of str
    groups : numpy.ndarray
        ``(N,)`` str; what must stay on one side of a split (patient).
    names : numpy.ndarray
        ``(N,)`` str; file names.
    extra : dict of str to numpy.ndarray
        Further columns, such as ``fuhad2020``.
    notes : tuple of str
        Doubts for the user.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    groups: np.ndarray
    names: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def hashes(self) -> np.ndarray:
        """Return a content hash of every image, ``(N,)`` str."""
        return np.array(
            [hashlib.sha1(i.tobytes(), usedforsecurity=False).hexdigest() for i in self.images]
        )

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of cells of each class."""
        found = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.classes, found)}


@dataclass(frozen=True)
class _Row:
    name: str
    label: str
    group: str
    source: Path | bytes
    extra: tuple[tuple[str, str], ...] = ()


def open_dataset(
    path: str | Path,
    *,
    size: int = 50,
    classes: tuple[str, ...] | None = None,
    cache: Path | None = None,
) -> Task[CellSet]:
    """Read a labelled set; every image becomes RGB uint8, stretched to ``size``.

    Parameters
    ----------
    path : path-like
        A parquet file, or a folder of class folders (``cell_images`` or its parent).
    size : int
        Edge of the crops in pixels.
    classes : tuple of str, optional
        Classes and their order; by default those found, sorted.
    cache : Path, optional
        Folder for the decoded array; used again when the source has not changed.

    Raises
    ------
    DataError
        ``DATA-MISSING``, ``DATA-LAYOUT``, ``DATA-EMPTY``, ``DATA-LABEL``, ``DATA-UNREADABLE``.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(
            "The labelled data are not there.",
            code="DATA-MISSING",
            path=path,
            remedy="Check the path.",
        )
    rows, notes = _parquet_rows(path) if path.is_file() else _folder_rows(path)
    if not rows:
        raise DataError(
            "There is no labelled image.",
            code="DATA-EMPTY",
            path=path,
            remedy="Give a folder with one sub-folder of images per class, or the parquet file.",
        )
    names = tuple(classes) if classes else tuple(sorted({r.label for r in rows}))
    _check_labels(rows, names, path)
    images = yield from _decoded(rows, size, cache)
    columns = {key for row in rows for key, _ in row.extra}
    return CellSet(
        images=images,
        labels=np.array([names.index(r.label) for r in rows], np.int64),
        classes=names,
        groups=np.array([r.group for r in rows]),
        names=np.array([r.name for r in rows]),
        extra={c: np.array([dict(r.extra).get(c, "") for r in rows]) for c in sorted(columns)},
        notes=notes,
    )


def patient_of(name: str) -> str:
    """Return the patient in a malaria file name (``C33P1thinF_...`` gives ``C33``), or ``""``.

    One patient has several official ids, one for each camera; the prefix joins them.
    """
    found = _PATIENT.match(name)
    return found.group(1) if found else ""


def _parquet_rows(path: Path) -> tuple[list[_Row], tuple[str, ...]]:
    import pandas as pd

    try:
        table = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(
            "The file cannot be read as a table.", code="DATA-UNREADABLE", path=path, why=str(error)[:200],
            remedy="Copy the file again.",
        ) from error  # fmt: skip
    missing = [c for c in _COLUMNS if c not in table.columns]
    if missing:
        raise DataError(
            "The table lacks columns.",
            code="DATA-LAYOUT",
            path=path,
            why=f"missing {', '.join(missing)}; found {', '.join(map(str, table.columns))}",
            remedy=f"The columns {', '.join(_COLUMNS)} are needed.",
        )
    extra = [c for c in table.columns if c not in _COLUMNS]
    rows = [
        _Row(
            str(r["name"]),
            str(r["label"]),
            str(r["patient"]),
            r["image"],
            tuple((c, str(r[c])) for c in extra),
        )
        for r in table.to_dict("records")
    ]
    return rows, ()


def _folder_rows(root: Path) -> tuple[list[_Row], tuple[str, ...]]:
    folders = [f for f in sorted(root.iterdir()) if f.is_dir() and not f.name.startswith(".")]
    if len(folders) == 1 and not _images(folders[0]):
        return _folder_rows(folders[0])
    # The published archive holds a second copy of everything in cell_images/cell_images.
    folders = [f for f in folders if _images(f)]
    if len(folders) < 2:
        raise DataError(
            "The folder does not hold one folder of images per class.",
            code="DATA-LAYOUT",
            path=root,
            why=f"folders with images: {', '.join(f.name for f in folders) or 'none'}",
            remedy="Point to the folder that contains Parasitized and Uninfected (or your class folders).",
        )
    is_malaria = {f.name for f in folders} == set(MALARIA_CLASSES)
    patients = _patient_tables(root) if is_malaria else {}
    rows = [
        _Row(image.name, folder.name, _group(image, is_malaria, patients), image)
        for folder in folders
        for image in _images(folder)
    ]
    if is_malaria:
        return rows, ()
    return rows, (
        "Groups are unknown: every image counts as its own group, so results may flatter.",
    )


def _group(image: Path, is_malaria: bool, patients: dict[str, str]) -> str:
    if not is_malaria:
        return f"{image.parent.name}/{image.name}"
    group = (
        patient_of(image.name)
        or patient_of(patients.get(image.name, ""))
        or patients.get(image.name, "")
    )
    if not group:
        raise DataError(
            "The patient of an image is not known.",
            code="DATA-GROUPS",
            path=image,
            why="its name does not begin with C and a number, and the patient tables do not list it",
            remedy="Put patientid_cellmapping_parasitized.csv and ..._uninfected.csv beside the class folders.",
        )
    return group


def _images(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and not p.name.startswith(".")
    )


def _patient_tables(root: Path) -> dict[str, str]:
    """Return official patient ids by file name; the tables have no header line."""
    import csv

    found: dict[str, str] = {}
    for path in [
        *root.glob("patientid_cellmapping_*.csv"),
        *root.parent.glob("patientid_cellmapping_*.csv"),
    ]:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            found.update(
                {row[1].strip(): row[0].strip() for row in csv.reader(stream) if len(row) >= 2}
            )
    return found


def _check_labels(rows: list[_Row], classes: tuple[str, ...], path: Path) -> None:
    counts = Counter(r.label for r in rows)
    unknown = sorted(set(counts) - set(classes))
    absent = [c for c in classes if not counts[c]]
    if unknown or absent or len(classes) < 2:
        raise DataError(
            "The classes of the data are not those of the recipe.",
            code="DATA-LABEL",
            path=path,
            why=f"unknown: {', '.join(unknown) or 'none'}; without any cell: {', '.join(absent) or 'none'}; "
            f"classes: {', '.join(classes)}",
            remedy="Correct `classes` in the recipe or the names of the folders; at least two are needed.",
        )


def _decoded(rows: list[_Row], size: int, cache: Path | None) -> Task[np.ndarray]:
    key = _cache_key(rows, size)
    stored = None if cache is None else Path(cache) / f"crops-{key}.npy"
    if stored is not None and stored.is_file():
        return np.asanyarray(np.load(stored, mmap_mode="r", allow_pickle=False))
    images = np.empty((len(rows), size, size, 3), np.uint8)
    bad: list[str] = []
    for i, row in enumerate(rows):
        image = _decode(row, size)
        if image is None:
            bad.append(row.name)
        else:
            images[i] = image
        if i % _STEP == 0:
            yield Progress(i, len(rows), "reading images")
    if bad:
        raise DataError(
            "Images cannot be read.",
            code="DATA-UNREADABLE",
            path=rows[0].source.parent if isinstance(rows[0].source, Path) else None,
            why=f"{len(bad)} of {len(rows)}: {', '.join(bad[:5])}",
            remedy="Copy these files again, or take them out of the folder.",
        )
    if stored is None:
        return images
    with atomic_path(stored) as temporary:
        np.save(temporary, images, allow_pickle=False)
    about = {"crops": len(rows), "size": size, "first": rows[0].name}
    write_bytes(stored.with_suffix(".json"), json.dumps(about).encode())
    return np.asanyarray(np.load(stored, mmap_mode="r", allow_pickle=False))


def _decode(row: _Row, size: int) -> np.ndarray | None:
    from PIL import Image

    source = io.BytesIO(row.source) if isinstance(row.source, bytes) else row.source
    try:
        with Image.open(source) as image:
            rgb = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if rgb.size != (size, size):
        # Area average, as for the crops of a field: stretched, aspect ratio not kept.
        rgb = rgb.resize((size, size), Image.Resampling.BOX)
    return np.array(rgb, np.uint8)


def _cache_key(rows: Iterable[_Row], size: int) -> str:
    digest = hashlib.sha256(f"v1 {size}".encode())
    for row in rows:
        digest.update(f"{row.label}/{row.name}".encode())
        if isinstance(row.source, bytes):
            digest.update(row.source)
        else:
            stat = row.source.stat()
            digest.update(f"{stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:24]
