"""Labels from files of other programs: what one row says, and files that say nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.files import reason
from napari_cellcls.review.events import Source
from napari_cellcls.review.table import DISAGREED, NOTES, OPINIONS
from napari_cellcls.vocabulary import COLUMNS, DataError

_MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Found:
    """One labeled cell of a file.

    Attributes
    ----------
    classes : tuple of str
        Names; none when the file gives none.
    joined : bool
        Whether the one name may be several with ": " between them, as QuPath writes them.
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
    flags, comments : tuple of str
    skipped : bool
        Whether the annotator passed the cell over.
    """

    classes: tuple[str, ...] = ()
    joined: bool = False
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
    comments: tuple[str, ...] = ()
    skipped: bool = False

    def at_mask(self, mask: np.ndarray, origin: tuple[int, int]) -> Found:
        """Return the same with a mask."""
        return replace(self, mask=mask, origin=origin)

    def at_point(self, y: float, x: float) -> Found:
        """Return the same with a place."""
        return replace(self, y=y, x=x)


def by_person(told: Found, texts: Mapping[str, Any], edited: bool = False) -> list[Found]:
    """Return one row per annotator where a row of ours says what each of them decided.

    Parameters
    ----------
    told : Found
        What is to be taken of the cell.
    texts : mapping
        What we wrote beside it: :data:`~napari_cellcls.review.table.OPINIONS` and
        :data:`~napari_cellcls.review.table.NOTES`; anything else is passed over.
    edited : bool
        Whether the class is no longer what we wrote: then whoever imports it says so.
    """
    said, notes = (_mapping(texts.get(name)) for name in (OPINIONS, NOTES))
    mine = replace(told, annotator="", source="", flags=(), comments=(), skipped=False)
    if not said and not notes:
        return [replace(told, annotator="", source="") if edited else told]
    rows: list[Found] = []
    for person in dict.fromkeys((*said, *notes)):
        words = [word for word in str(said.get(person, "")).split(COLUMNS.joiner) if word]
        one = replace(
            told,
            annotator=str(person),
            source="",
            classes=tuple(w for w in words if not w.startswith("!")),
            joined=False,
            ruled_out=tuple(w[1:] for w in words if w.startswith("!")),
        )
        if notes:
            one = _noted(one, notes.get(person))
        elif rows:  # of a release that did not say whose they are
            one = replace(one, flags=(), comments=())
        rows.append(one)
    if told.source == Source.ADJUDICATED:
        rows.append(replace(mine, annotator=told.annotator, source=told.source))
    return [*rows, mine] if edited else rows


def written_classes(texts: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the classes of a cell as we wrote them, from the texts that we wrote beside them."""
    words = str(texts.get(COLUMNS.flags) or "").split(COLUMNS.joiner)
    text = str(texts.get(COLUMNS.corrected) or "")
    if not text and DISAGREED not in words:
        text = str(texts.get(COLUMNS.predicted) or "")
    return tuple(text.split(COLUMNS.joiner)) if text else ()


def _noted(one: Found, note: Any) -> Found:
    """Return a row with what one person flagged, skipped and remarked."""
    known = note if isinstance(note, dict) else {}
    flags, comments = (known.get(name) for name in ("flags", "comments"))
    return replace(
        one,
        flags=tuple(map(str, flags)) if isinstance(flags, list) else (),
        comments=tuple(map(str, comments)) if isinstance(comments, list) else (),
        skipped=known.get("skipped") is True,
    )


def _mapping(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text) if isinstance(text, str) and text else {}
    except (ValueError, RecursionError):
        found = {}
    return found if isinstance(found, dict) else {}


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
