"""GeoJSON as QuPath reads and writes it: one feature per cell, outline, class and measurements."""

from __future__ import annotations

import json
import math
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.export.errors import writing
from napari_cellcls.export.field import Field
from napari_cellcls.export.imported import Found, bad_file, by_person, load_json, written_classes
from napari_cellcls.export.outlines import Polygon, mask_of, polygons
from napari_cellcls.review.table import CELL, COMMENTS, NOTES, OPINIONS, SOURCE, WHEN
from napari_cellcls.vocabulary import COLUMNS

_SPACE = uuid.UUID("6f2b0c0e-5f1e-4c43-9d5b-9b9f2a4f7c11")
_TEXTS = (
    CELL, COLUMNS.predicted, COLUMNS.corrected, COLUMNS.annotator, SOURCE, WHEN, COLUMNS.model,
    COLUMNS.flags, COMMENTS, OPINIONS, NOTES,
)  # fmt: skip


def write_geojson(field: Field, target: str | os.PathLike[str]) -> None:
    """Write cells as a GeoJSON feature collection for QuPath (*File > Import objects*).

    Outlines run along the edges of pixels, so the masks come back exactly. The class is the feature's
    classification, with its color; numbers are measurements; texts are metadata.

    Raises
    ------
    ExportError
        When the file cannot be written.
    """
    colors = {c.name: _rgb(c.color) for c in field.classes}
    features = [_feature(field, row, colors) for row in range(len(field))]
    content = {"type": "FeatureCollection", "features": features}
    with writing(target) as temporary:
        temporary.write_text(
            json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False),
            encoding="utf-8",
        )


def read_geojson(path: str | os.PathLike[str]) -> list[Found]:
    """Read cells from GeoJSON of ours or of QuPath: polygons as masks, points as places.

    Raises
    ------
    DataError
        ``IMPORT-FORMAT`` when it is no GeoJSON or holds no polygon and no point.
    """
    content = load_json(path)
    features = content.get("features") if isinstance(content, dict) else content
    if isinstance(content, dict) and content.get("type") == "Feature":
        features = [content]
    if not isinstance(features, list):
        raise bad_file(path, "it holds no list of features")
    found = []
    for number, feature in enumerate(features):
        try:
            found += _cells(feature)
        except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
            raise bad_file(path, f"feature {number} cannot be understood: {error}") from error
    if not found:
        raise bad_file(path, f"none of its {len(features)} features is a polygon or a point")
    return found


def _feature(field: Field, row: int, colors: dict[str, list[int]]) -> dict[str, Any]:
    anchor, values = field.anchors[row], field.table.iloc[row]
    outlines = polygons(anchor.pixels(), anchor.bbox[:2])
    rings = [[[*ring.tolist(), ring[0].tolist()] for ring in polygon] for polygon in outlines]
    single = len(rings) == 1
    names = field.class_names(row)
    measured: dict[str, float] = {"label": anchor.label, "area_px": anchor.area_px}
    for column in (COLUMNS.area_um2, COLUMNS.confidence, *field.probability_columns):
        number = values.get(column)
        if number is not None and math.isfinite(float(number)):
            measured[column] = float(number)
    texts = {name: str(values.get(name) or "") for name in _TEXTS if name in values}
    properties: dict[str, Any] = {
        "objectType": "detection",
        "name": str(anchor.label),
        "measurements": measured,
        "metadata": {name: text for name, text in texts.items() if text},
    }
    if names:
        # QuPath joins several classes with a colon; newer releases read the list.
        color = colors.get(names[0], [128, 128, 128])
        properties["classification"] = {"name": ": ".join(names), "names": names, "color": color}
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_SPACE, f"{field.image_id}|{anchor.cell_id}")),
        "geometry": {
            "type": "Polygon" if single else "MultiPolygon",
            "coordinates": rings[0] if single else rings,
        },
        "properties": properties,
    }


def _cells(feature: dict[str, Any]) -> list[Found]:
    geometry = feature.get("geometry") or {}
    kind: str = geometry.get("type", "")
    coordinates: Any = geometry.get("coordinates")
    properties = feature.get("properties") or {}
    metadata = properties.get("metadata") or {}
    name = _class_name(properties.get("classification"))
    written = written_classes(metadata)
    ours = name == ": ".join(written)
    told = Found(
        classes=written if ours else (name,) if name else (),
        joined=not ours and ": " in name,
        cell_id=str(metadata.get(CELL, "")),
        annotator=str(metadata.get(COLUMNS.annotator, "")),
        source=str(metadata.get(SOURCE, "")),
        flags=_words(metadata.get(COLUMNS.flags)),
        comments=tuple(str(text) for text in (metadata.get(COMMENTS),) if text),
        label=_label(properties.get("measurements")),
    )
    if kind in ("Polygon", "MultiPolygon"):
        parts = [coordinates] if kind == "Polygon" else coordinates
        outlines: list[Polygon] = [[_ring(ring) for ring in part] for part in parts]
        mask, origin = mask_of(outlines)
        if not mask.size:
            return []
        edited = CELL in metadata and bool(name) and not ours
        return by_person(told.at_mask(mask, origin), metadata, edited)
    if kind in ("Point", "MultiPoint"):
        points = [coordinates] if kind == "Point" else coordinates
        # A point of QuPath is a place between pixels; the center of the first pixel is (0.5, 0.5).
        return [told.at_point(float(p[1]) - 0.5, float(p[0]) - 0.5) for p in points]
    return []


def _ring(coordinates: list[list[float]]) -> np.ndarray:
    ring = np.array([[float(p[0]), float(p[1])] for p in coordinates]).reshape(-1, 2)
    if not np.isfinite(ring).all() or np.abs(ring).max(initial=0) > 2**31:
        raise ValueError("a corner is not a number")
    return ring[:-1] if len(ring) > 1 and (ring[0] == ring[-1]).all() else ring


def _class_name(classification: Any) -> str:
    """Return the name of a class, several joined as QuPath does it, empty for none."""
    if isinstance(classification, str):
        return classification
    if not isinstance(classification, dict):
        return ""
    names = classification.get("names")
    if isinstance(names, list):
        return ": ".join(str(name) for name in names)
    return str(classification.get("name") or "")


def _label(measurements: Any) -> int | None:
    if isinstance(measurements, list):  # QuPath 0.3 and older
        measurements = {m.get("name"): m.get("value") for m in measurements}
    number = (measurements or {}).get("label")
    return int(number) if isinstance(number, int | float) and number == int(number) else None


def _words(text: Any) -> tuple[str, ...]:
    return tuple(w for w in str(text or "").split(COLUMNS.joiner) if w)


def _rgb(color: str) -> list[int]:
    return list(bytes.fromhex(color.removeprefix("#")[:6].ljust(6, "0")))


SUFFIXES = (".geojson", ".json")


def is_geojson(path: Path, content: Any) -> bool:
    """Return whether parsed JSON looks like GeoJSON."""
    if isinstance(content, dict):
        return content.get("type") in ("FeatureCollection", "Feature")
    return isinstance(content, list) and path.suffix == ".geojson"
