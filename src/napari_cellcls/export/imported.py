"""Labels from files of other programs: what one row says, and files that say nothing."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.files import reason
from napari_cellcls.review.events import Source
from napari_cellcls.vocabulary import COLUMNS, DataError

_MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Found:
    """One labeled cell of a file.

    Attributes
    ----------
    classes : tuple of str
        Names; none when the file gives none.
    ruled_out : tuple of str
        Names of classes judged *no*.
    image : str
        Name or path in the file, "" when it is about one image.
    cell_id : str
        Our own id, where the file comes from us.
    label : int or None
        Number in the label image.
    y, x : float or None
        A place in the cell: pixels, the center of the first is (0, 0).
    place_um : tuple of float or None
        The same ``(y, x)`` in micrometers from the corner of the image.
    mask, origin : numpy.ndarray or None, tuple of int
        Pixels, and ``(y, x)`` of the first.
    annotator, source : str
        As the file says.
    flags : tuple of str
    comment : str
    """

    classes: tuple[str, ...] = ()
    ruled_out: tuple[str, ...] = ()
    image: str = ""
    cell_id: str = ""
    label: int | None = None
    y: float | None = None
    x: float | None = None
    place_um: tuple[float, float] | None = None
    mask: np.ndarray | None = field(default=None, repr=False)
    origin: tuple[int, int] = (0, 0)
    annotator: str = ""
    source: str = ""
    flags: tuple[str, ...] = ()
    comment: str = ""

    def at_mask(self, mask: np.ndarray, origin: tuple[int, int]) -> Found:
        """Return the same with a mask."""
        return replace(self, mask=mask, origin=origin)

    def at_point(self, y: float, x: float) -> Found:
        """Return the same with a place."""
        return replace(self, y=y, x=x)


def by_person(told: Found, opinions: str) -> list[Found]:
    """Return one row per annotator where a row of ours says what each of them decided.

    Parameters
    ----------
    told : Found
        What is to be taken of the cell.
    opinions : str
        JSON as in :data:`napari_cellcls.review.table.OPINIONS`; anything else is passed over.
    """
    try:
        said = json.loads(opinions) if opinions else {}
    except (ValueError, RecursionError):
        said = {}
    if not isinstance(said, dict) or not said:
        return [told]
    rows: list[Found] = []
    for person, text in said.items():
        words = [word for word in str(text).split(COLUMNS.joiner) if word]
        rows.append(
            replace(
                told,
                annotator=str(person),
                source="",
                classes=tuple(w for w in words if not w.startswith("!")),
                ruled_out=tuple(w[1:] for w in words if w.startswith("!")),
                # Flags and comments of a row belong to the cell: they are not multiplied.
                flags=told.flags if not rows else (),
                comment=told.comment if not rows else "",
            )
        )
    if told.source == Source.ADJUDICATED:
        rows.append(replace(told, flags=(), comment=""))
    return rows


def load_json(path: str | os.PathLike[str]) -> Any:
    """Return a JSON file.

    Raises
    ------
    DataError
        ``IMPORT-FORMAT`` when it is none or larger than 1 GiB, ``IMPORT-MISSING`` when it cannot be read.
    """
    try:
        if os.path.getsize(path) > _MAX_BYTES:
            raise bad_file(path, f"it is larger than {_MAX_BYTES >> 20} MiB")
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise missing(path, error) from error
    except (ValueError, RecursionError) as error:
        raise bad_file(path, f"it is no JSON: {error}") from error


def bad_file(path: str | os.PathLike[str], why: str) -> DataError:
    """Say that a file holds no labels we understand."""
    return DataError(
        "No labels can be read from this file.",
        code="IMPORT-FORMAT",
        path=path,
        why=f"{why}.",
        remedy="Import CSV (ours, QuPath, napari-feature-classifier, CellProfiler), GeoJSON or COCO.",
    )


def missing(path: str | os.PathLike[str], error: OSError) -> DataError:
    """Say that a file to import cannot be read."""
    return DataError(
        "The file to import cannot be read.",
        code="IMPORT-MISSING",
        path=path,
        why=f"{reason(error)}.",
        remedy="Check the path and your right to read it.",
    )
