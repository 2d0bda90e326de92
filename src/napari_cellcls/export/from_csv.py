"""Tables of labels from our own exports, QuPath, napari-feature-classifier and CellProfiler, told apart by their columns."""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from napari_cellcls.export.imported import Found, bad_file, missing
from napari_cellcls.review.table import CELL, COMMENTS, IMAGE, RULED_OUT, SKIPPED, SOURCE
from napari_cellcls.vocabulary import COLUMNS

Row: TypeAlias = Mapping[str, str]

_IMAGE = ("Image", "FileName", "ImageName", "Metadata_FileName")
_CLASS = ("Classification", "Class", "class", "class_name")
_QUPATH_X = re.compile(r"^Centroid X\s*(?:\[|\()?(px|µm|μm|um)?")
_NUMBER = ("ObjectNumber", "Number_Object_Number", "label")
_PLACES = (
    ("Location_Center_Y", "Location_Center_X"),
    ("AreaShape_Center_Y", "AreaShape_Center_X"),
)
_MOST = 5_000_000


def read_csv(path: str | os.PathLike[str]) -> list[Found]:
    """Read labels from a table with commas, semicolons or tabs.

    Parameters
    ----------
    path : path-like
        *Ours*: by ``cell`` or ``label``. *QuPath*: ``Class`` or ``Classification`` with ``Centroid X µm`` or
        ``px``. *napari-feature-classifier*: ``label`` with ``annotations`` or ``prediction`` (whole numbers,
        0 or -1 is none; classes become ``class 1`` ...). *CellProfiler* (and Analyst): ``ObjectNumber`` or
        ``Location_Center_X`` with a class column.

    Raises
    ------
    DataError
        ``IMPORT-FORMAT`` when the columns are of none of these, ``IMPORT-MISSING`` when it cannot be read.
    """
    rows = _rows(path)
    columns = set(rows[0]) if rows else set()
    read = _reader(columns)
    if not rows or read is None:
        names = ", ".join(sorted(columns)[:12]) or "none"
        raise bad_file(path, f"its columns are {names}")
    try:
        return [read(row) for row in rows]
    except (ValueError, KeyError) as error:
        raise bad_file(path, f"a row cannot be understood: {error}") from error


def _rows(path: str | os.PathLike[str]) -> list[dict[str, str]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            head = stream.readline()
            stream.seek(0)
            delimiter = max(",;\t", key=head.count)
            found: list[dict[str, str]] = []
            for row in csv.DictReader(stream, delimiter=delimiter):
                if len(found) == _MOST:
                    raise bad_file(path, f"it has more than {_MOST:,} rows")
                found.append({k.strip(): (v or "").strip() for k, v in row.items() if k})
            return found
    except OSError as error:
        raise missing(path, error) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise bad_file(path, f"it is no table in UTF-8: {error}") from error


def _reader(columns: set[str]) -> Callable[[Row], Found] | None:
    if CELL in columns or {COLUMNS.label, COLUMNS.corrected} <= columns:
        return _ours
    if any(_QUPATH_X.match(name) for name in columns) and columns & set(_CLASS):
        return _qupath
    if COLUMNS.label in columns and columns & {"annotations", "prediction", "predict"}:
        return _feature_classifier
    if columns & set(_CLASS) and (
        columns & set(_NUMBER) or any(set(place) <= columns for place in _PLACES)
    ):
        return _profiler
    return None


def _ours(row: Row) -> Found:
    return Found(
        classes=_words(row.get(COLUMNS.corrected, row.get(COLUMNS.class_, ""))),
        ruled_out=_words(row.get(RULED_OUT, "")),
        image=row.get(IMAGE, ""),
        cell_id=row.get(CELL, ""),
        label=_whole(row.get(COLUMNS.label, "")),
        annotator=row.get(COLUMNS.annotator, ""),
        source=row.get(SOURCE, ""),
        flags=_words(row.get(COLUMNS.flags, "")),
        comments=tuple(text for text in (row.get(COMMENTS, ""),) if text),
        skipped=row.get(SKIPPED, "").casefold() == "true",
    )


def _qupath(row: Row) -> Found:
    name = _first(row, _CLASS)
    told = Found(
        classes=(name,) if name else (),
        joined=": " in name,
        image=_first(row, _IMAGE),
    )
    for column, text in row.items():
        found = _QUPATH_X.match(column)
        if not found:
            continue
        x, y = float(text), float(row[column.replace("Centroid X", "Centroid Y")])
        if found.group(1) == "px":
            return told.at_point(y - 0.5, x - 0.5)
        return replace(told, place_um=(y, x))
    return told


def _feature_classifier(row: Row) -> Found:
    text = next((row[k] for k in ("annotations", "prediction", "predict") if row.get(k)), "")
    number = _whole(text)
    return Found(
        classes=(f"class {number}",) if number is not None and number > 0 else (),
        image=row.get("roi_id", ""),
        label=_whole(row[COLUMNS.label]),
    )


def _profiler(row: Row) -> Found:
    told = Found(
        classes=_words(_first(row, _CLASS)),
        image=_first(row, _IMAGE),
        label=_whole(_first(row, _NUMBER)),
    )
    for y, x in _PLACES:
        if row.get(y) and row.get(x):
            return told.at_point(float(row[y]), float(row[x]))
    return told


def _first(row: Row, names: Iterable[str]) -> str:
    return next((row[name] for name in names if row.get(name)), "")


def _words(text: str) -> tuple[str, ...]:
    return tuple(w.strip() for w in text.split(COLUMNS.joiner) if w.strip())


def _whole(text: str) -> int | None:
    if not text:
        return None
    number = float(text)
    if not math.isfinite(number) or number != int(number):
        raise ValueError(f"'{text}' is no whole number")
    return int(number)
