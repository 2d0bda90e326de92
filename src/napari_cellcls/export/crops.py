"""Pictures of single cells in one folder per class, the layout that training reads, with patients, slides or images as groups."""

from __future__ import annotations

import csv
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.export.folders import writing_folder
from napari_cellcls.export.names import safe_stem
from napari_cellcls.vocabulary import COLUMNS, Progress, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_cellcls.export.field import Field
    from napari_cellcls.images.image import Image

_MARK = "cellcls-crops.txt"
_GROUPS = "groups.csv"


@dataclass(frozen=True)
class Written:
    """How many crops of each class were written, and how many cells were left out and why."""

    counts: dict[str, int]
    left_out: dict[str, int]


def write_crops(
    fields: Sequence[tuple[Field, Image]],
    target: str | os.PathLike[str],
    *,
    margin: float = 0.25,
    people_only: bool = True,
) -> Task[Written]:
    """Cut every labeled cell out of its image, raw values, in a square around its box.

    Color photographs and single channels become PNG, several channels TIFF ``(C, Y, X)``. ``groups.csv``
    names patient, slide or image of each crop, so that none is on both sides of a split.

    Parameters
    ----------
    fields : sequence of (Field, Image)
    target : path-like
        Folder; replaced when this function wrote it.
    margin : float
        Added on each side, as a fraction of the longer side of the box; cut at the edge of the image.
    people_only : bool
        Whether cells that only a model classified are left out.

    Raises
    ------
    ExportError
        ``EXPORT-EXISTS`` when something else has this name; else as all exports.
    """
    return _write(fields, Path(target), margin, people_only)


def _write(
    fields: Sequence[tuple[Field, Image]], target: Path, margin: float, people_only: bool
) -> Task[Written]:
    counts, left_out = Counter[str](), Counter[str]()
    total, done = sum(len(field) for field, _ in fields), 0
    with writing_folder(target, lambda folder: (folder / _MARK).is_file()) as temporary:
        groups = []
        for field, image in fields:
            for row, anchor in enumerate(field.anchors):
                why = _unfit(field, row, people_only)
                if why:
                    left_out[why] += 1
                    continue
                (name,) = field.class_names(row)
                file = f"{safe_stem(field.name)}-{anchor.label}-{anchor.cell_id[:8]}"
                folder = temporary / safe_stem(name)
                folder.mkdir(exist_ok=True)
                groups.append(
                    (
                        _save(_pixels(image, anchor.bbox, margin), folder / file),
                        field.group or field.name,
                    )
                )
                counts[name] += 1
            done += len(field)
            yield Progress(done, total, f"Cutting the cells of {field.name}")
        with open(temporary / _GROUPS, "w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows(groups)
        (temporary / _MARK).write_text("Crops written by napari-cellcls.\n", encoding="utf-8")
    return Written(dict(counts), dict(left_out))


def _unfit(field: Field, row: int, people_only: bool) -> str:
    names = field.class_names(row)
    if people_only and not field.table[COLUMNS.corrected].iloc[row]:
        return "no person gave a class, or people differ"
    if not names:
        return "no class"
    if len(names) > 1:
        return "several classes"
    return ""


def _pixels(image: Image, bbox: tuple[int, int, int, int], margin: float) -> np.ndarray:
    y0, x0, y1, x1 = bbox
    edge = round(max(y1 - y0, x1 - x0) * (1 + 2 * margin))
    top, left = (y0 + y1 - edge) // 2, (x0 + x1 - edge) // 2
    height, width = image.shape
    window = (
        slice(max(top, 0), min(top + edge, height)),
        slice(max(left, 0), min(left + edge, width)),
    )
    return image.planes(None, window)


def _save(planes: np.ndarray, path: Path) -> str:
    """Write ``(C, Y, X)`` and return the file name."""
    import tifffile
    from PIL import Image as Pillow

    small = planes.dtype == np.uint8
    if len(planes) == 3 and small:
        Pillow.fromarray(np.ascontiguousarray(np.moveaxis(planes, 0, 2))).save(f"{path}.png")
        return f"{path.name}.png"
    if len(planes) == 1 and (small or planes.dtype == np.uint16):
        Pillow.fromarray(np.ascontiguousarray(planes[0])).save(f"{path}.png")
        return f"{path.name}.png"
    tifffile.imwrite(f"{path}.tif", planes, photometric="minisblack", metadata={"axes": "CYX"})
    return f"{path.name}.tif"
