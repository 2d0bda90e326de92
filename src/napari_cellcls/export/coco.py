"""COCO: images, categories and one annotation per cell, with its exact mask as run lengths."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_cellcls import __version__
from napari_cellcls.cells.identity import Anchor
from napari_cellcls.export.errors import writing
from napari_cellcls.export.field import Field
from napari_cellcls.export.imported import Found, bad_file, by_person, load_json, written_classes
from napari_cellcls.export.outlines import mask_of
from napari_cellcls.review.table import CELL, COMMENTS, NOTES, OPINIONS, SOURCE, WHEN
from napari_cellcls.vocabulary import COLUMNS, RESEARCH_USE_ONLY

UNLABELED = "not labeled"
"""Category of cells without a class: COCO has no annotation without one."""

_TEXTS = (
    CELL, COLUMNS.predicted, COLUMNS.corrected, COLUMNS.annotator, SOURCE, WHEN, COLUMNS.model,
    COLUMNS.flags, COMMENTS, OPINIONS, NOTES,
)  # fmt: skip
_MAX_PIXELS = 1 << 31


def write_coco(fields: Sequence[Field], target: str | os.PathLike[str]) -> None:
    """Write fields as one COCO instances file.

    A cell with several classes has the first as its category and all in ``attributes.classes``. What else is
    known (annotator, source, probabilities ...) is in ``attributes`` too, as CVAT reads it.

    Raises
    ------
    ExportError
        When the file cannot be written.
    """
    names = list(dict.fromkeys(c.name for field in fields for c in field.classes))
    for field in fields:
        for row in range(len(field)):
            names += [name for name in field.class_names(row) if name not in names]
    if any(not field.class_names(row) for field in fields for row in range(len(field))):
        names.append(UNLABELED)
    number = {name: i for i, name in enumerate(names, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_number, field in enumerate(fields, 1):
        height, width = field.extent
        images.append(
            {
                "id": image_number, "file_name": field.name, "height": height, "width": width,
                "cellcls_image_id": field.image_id,
            }
        )  # fmt: skip
        for row in range(len(field)):
            one = _annotation(field, row, number)
            annotations.append({"id": len(annotations) + 1, "image_id": image_number, **one})
    content = {
        "info": {
            "description": f"napari-cellcls {__version__}. {RESEARCH_USE_ONLY}",
            "version": "1",
        },
        "licenses": [],
        "images": images,
        "categories": [
            {"id": i, "name": name, "supercategory": "cell"} for name, i in number.items()
        ],
        "annotations": annotations,
    }
    with writing(target) as temporary:
        temporary.write_text(
            json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False),
            encoding="utf-8",
        )


def read_coco(path: str | os.PathLike[str]) -> list[Found]:
    """Read cells from a COCO file: run lengths (plain ones), polygons, or boxes alone as their centers.

    Raises
    ------
    DataError
        ``IMPORT-FORMAT`` when it is no COCO file or has no annotations.
    """
    content = load_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise bad_file(path, "it holds no list of annotations")
    try:
        images = {i["id"]: i for i in content.get("images", [])}
        categories = {c["id"]: str(c["name"]) for c in content.get("categories", [])}
        found = [
            one
            for entry in content["annotations"]
            for one in _by_person(entry, _found(entry, images, categories), categories)
        ]
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise bad_file(path, f"an entry cannot be understood: {error!r:.100}") from error
    if not found:
        raise bad_file(path, "its list of annotations is empty")
    return found


def run_lengths(anchor: Anchor, shape: tuple[int, int]) -> list[int]:
    """Return the mask of a cell as plain COCO run lengths over the whole image, column by column."""
    height, width = shape
    y0, x0 = anchor.bbox[:2]
    columns, rows = np.nonzero(anchor.pixels().T)
    at = (columns + x0).astype(np.int64) * height + rows + y0
    breaks = np.flatnonzero(np.diff(at) > 1)
    begin = np.concatenate([at[:1], at[breaks + 1]])
    stop = np.concatenate([at[breaks], at[-1:]]) + 1
    edges = np.stack([begin, stop], axis=1).ravel()
    counts = np.diff(np.concatenate([[0], edges, [height * width]]))
    if counts[-1] == 0:
        counts = counts[:-1]
    return [int(n) for n in counts]


def _annotation(field: Field, row: int, number: Mapping[str, int]) -> dict[str, Any]:
    anchor, values = field.anchors[row], field.table.iloc[row]
    names = field.class_names(row)
    y0, x0, y1, x1 = anchor.bbox
    attributes: dict[str, Any] = {
        name: str(values.get(name) or "") for name in _TEXTS if name in values
    }
    attributes = {name: text for name, text in attributes.items() if text}
    attributes["label"] = anchor.label
    if len(names) > 1:
        attributes["classes"] = names
    for column in (COLUMNS.confidence, *field.probability_columns):
        value = values.get(column)
        if value is not None and math.isfinite(float(value)):
            attributes[column] = float(value)
    return {
        "category_id": number[names[0] if names else UNLABELED],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": anchor.area_px,
        "iscrowd": 0,
        "segmentation": {"size": list(field.extent), "counts": run_lengths(anchor, field.extent)},
        "attributes": attributes,
    }


def _found(
    entry: Mapping[str, Any], images: Mapping[Any, Mapping[str, Any]], categories: Mapping[Any, str]
) -> Found:
    attributes = entry.get("attributes") or {}
    category = categories[entry["category_id"]]
    names = attributes.get("classes") or [category]
    if names[0] != category:  # another program changed the category and left the rest
        names = [category]
    image = images.get(entry.get("image_id"), {})
    label = attributes.get("label")
    told = Found(
        classes=tuple(str(n) for n in names if n != UNLABELED),
        image=str(image.get("file_name", "")),
        cell_id=str(attributes.get(CELL, "")),
        annotator=str(attributes.get(COLUMNS.annotator, "")),
        source=str(attributes.get(SOURCE, "")),
        flags=tuple(w for w in str(attributes.get(COLUMNS.flags, "")).split(COLUMNS.joiner) if w),
        comments=tuple(str(text) for text in (attributes.get(COMMENTS),) if text),
        label=label if isinstance(label, int) else None,
    )
    drawn = entry.get("segmentation")
    if isinstance(drawn, dict):
        mask, origin = _from_runs(drawn)
    elif isinstance(drawn, list) and drawn:
        rings = [np.array(part, np.float64).reshape(-1, 2) for part in drawn]
        mask, origin = mask_of([[ring] for ring in rings])
    else:
        x, y, width, height = (float(n) for n in entry["bbox"])
        return told.at_point(y + height / 2 - 0.5, x + width / 2 - 0.5)
    return told.at_mask(mask, origin) if mask.size else told


def _by_person(entry: Mapping[str, Any], told: Found, categories: Mapping[Any, str]) -> list[Found]:
    attributes = entry.get("attributes") or {}
    category, written = categories[entry["category_id"]], written_classes(attributes)
    was = written[0] if written else UNLABELED
    edited = CELL in attributes and category not in (was, UNLABELED)
    return by_person(told, attributes, edited)


def _from_runs(drawn: Mapping[str, Any]) -> tuple[np.ndarray, tuple[int, int]]:
    counts, (height, width) = drawn["counts"], (int(n) for n in drawn["size"])
    if isinstance(counts, str | bytes):
        counts = _unpacked(counts.encode() if isinstance(counts, str) else counts)
    runs = np.array(counts, np.int64)
    if (runs < 0).any() or int(runs.sum()) > height * width or height * width > _MAX_PIXELS:
        raise ValueError("run lengths do not fit the size")
    edges = np.cumsum(runs)
    begin, stop = edges[0::2], edges[1::2]
    begin = begin[: len(stop)]
    length = stop - begin
    at = np.repeat(begin - np.concatenate([[0], np.cumsum(length)[:-1]]), length)
    at = at + np.arange(len(at))
    if not len(at):
        return np.zeros((0, 0), bool), (0, 0)
    columns, rows = np.divmod(at, height)
    y, x = int(rows.min()), int(columns.min())
    mask = np.zeros((int(rows.max()) + 1 - y, int(columns.max()) + 1 - x), bool)
    mask[rows - y, columns - x] = True
    return mask, (y, x)


def _unpacked(text: bytes) -> list[int]:
    """Return run lengths from the packed form of pycocotools: 5 bits a character, from the third on as differences."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        part = character - 48
        value |= (part & 0x1F) << shift
        shift += 5
        if not part & 0x20:
            if part & 0x10:
                value -= 1 << shift
            if len(counts) > 2:
                value += counts[-2]
            counts.append(value)
            value = shift = 0
    return counts
