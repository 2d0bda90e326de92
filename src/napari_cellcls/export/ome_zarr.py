"""OME-Zarr 0.4: the image, its label image with class colors, and the cells as a table in AnnData's layout.

The table is what anndata, spatialdata and Fractal read: ``tables/cells`` with ``X`` (class probabilities), ``obs`` (one
row per cell) and ``var`` (one row per class). Only zarr is used; the layout is that of AnnData 0.1.0 on Zarr 2.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cellcls import __version__
from napari_cellcls.export.field import Field
from napari_cellcls.export.folders import writing_folder
from napari_cellcls.vocabulary import COLUMNS

if TYPE_CHECKING:
    from napari_cellcls.images.image import Image

_CHUNK = 1024
_SMALLEST = 256
_LABELS, _TABLE = "cells", "cells"


def write_ome_zarr(
    field: Field, target: str | os.PathLike[str], image: Image | None = None
) -> None:
    """Write a field as one OME-Zarr folder; it appears whole or not at all.

    Parameters
    ----------
    field : Field
    target : path-like
        Usually ``<name>.ome.zarr``. Replaced when it is a store this function wrote; anything else
        that is there is left alone.
    image : Image, optional
        Written beside the labels, so that viewers open both; without it the image is the label image's
        outline only in size.

    Raises
    ------
    ExportError
        ``EXPORT-EXISTS`` when something else has this name; else as all exports.
    """
    import zarr

    with writing_folder(Path(target), _is_ours) as temporary:
        root = zarr.open_group(str(temporary), mode="w", zarr_format=2)
        root.attrs["napari_cellcls"] = {"version": __version__, "image_id": field.image_id}
        if image is not None:
            _write_image(root, image)
        labels = root.create_group("labels")
        labels.attrs["labels"] = [_LABELS]
        _write_labels(labels.create_group(_LABELS), field)
        tables = root.create_group("tables")
        tables.attrs["tables"] = [_TABLE]
        _write_table(tables.create_group(_TABLE), field)


def _write_image(root: Any, image: Image) -> None:
    paths = []
    for level, planes in enumerate(_pyramid(image.data)):
        _array(root, str(level), np.asarray(planes), (1, _CHUNK, _CHUNK))
        paths.append(level)
    root.attrs["multiscales"] = [_multiscale(image.name, paths, "cyx", image.pixel_size_um)]
    black, white = image.value_range
    root.attrs["omero"] = {
        "name": image.name,
        "version": "0.4",
        "channels": [
            {
                "label": channel.name,
                "color": channel.color.removeprefix("#").upper()[:6],
                "active": True,
                "window": {"min": black, "max": white, "start": black, "end": white},
            }
            for channel in image.channels
        ],
    }


def _write_labels(group: Any, field: Field) -> None:
    whole = field.label_image()
    paths = []
    for level, labels in enumerate(_pyramid(whole[None])):
        _array(group, str(level), labels[0], (_CHUNK, _CHUNK))
        paths.append(level)
    group.attrs["multiscales"] = [_multiscale(_LABELS, paths, "yx", field.pixel_size_um)]
    colors = {c.name: [*bytes.fromhex(c.color.removeprefix("#")[:6]), 255] for c in field.classes}
    shown = []
    properties = []
    for row, anchor in enumerate(field.anchors):
        names = field.class_names(row)
        rgba = colors.get(names[0], [153, 153, 153, 255]) if names else [153, 153, 153, 255]
        shown.append({"label-value": anchor.label, "rgba": rgba})
        properties.append({"label-value": anchor.label, "class": COLUMNS.joiner.join(names)})
    group.attrs["image-label"] = {
        "version": "0.4",
        "colors": shown,
        "properties": properties,
        "source": {"image": "../../"},
    }


def _write_table(group: Any, field: Field) -> None:
    columns = field.probability_columns
    group.attrs.update(
        {
            "encoding-type": "anndata", "encoding-version": "0.1.0",
            # How Fractal and spatialdata find the cells of a row in the label image.
            "type": "feature_table", "fractal_table_version": "1",
            "region": {"path": f"../labels/{_LABELS}"}, "instance_key": COLUMNS.label,
        }
    )  # fmt: skip
    values = field.table[columns].to_numpy(np.float32) if columns else np.zeros((len(field), 0))
    _encoded(_array(group, "X", np.asarray(values, np.float32)), "array", "0.2.0")
    observed = field.table.drop(columns=columns).copy()
    observed["region"] = _LABELS
    index = [str(anchor.label) for anchor in field.anchors]
    _write_frame(group.create_group("obs"), observed, index)
    names = {c.id: c.name for c in field.classes}
    ids = [c.removeprefix(COLUMNS.probability_prefix) for c in columns]
    classes = pd.DataFrame({"class": [names.get(i, i) for i in ids]})
    _write_frame(group.create_group("var"), classes, columns)
    for name in ("obsm", "varm", "obsp", "varp", "layers"):
        _encoded(group.create_group(name), "dict", "0.1.0")
    uns = _encoded(group.create_group("uns"), "dict", "0.1.0")
    link = _encoded(uns.create_group("spatialdata_attrs"), "dict", "0.1.0")
    for name, text in (
        ("region", _LABELS),
        ("region_key", "region"),
        ("instance_key", COLUMNS.label),
    ):
        _encoded(_array(link, name, np.array(text)), "string", "0.2.0")
    palette = json.dumps({c.name: c.color for c in field.classes}, ensure_ascii=False)
    _encoded(_array(uns, "class_colors_json", np.array(palette)), "string", "0.2.0")


def _write_frame(group: Any, frame: pd.DataFrame, index: list[str]) -> None:
    _encoded(group, "dataframe", "0.2.0")
    group.attrs["_index"] = "_index"
    group.attrs["column-order"] = [str(name) for name in frame.columns]
    _strings(group, "_index", index)
    for name, column in frame.items():
        kind = column.dtype.kind
        if kind in "iub":
            _encoded(_array(group, str(name), column.to_numpy()), "array", "0.2.0")
        elif kind == "f":
            _encoded(_array(group, str(name), column.to_numpy(np.float64)), "array", "0.2.0")
        else:
            _categories(group, str(name), ["" if pd.isna(v) else str(v) for v in column])


def _categories(group: Any, name: str, values: list[str]) -> None:
    """Write repeated texts as codes and a list, which is small and which every reader knows."""
    inside = _encoded(group.create_group(name), "categorical", "0.2.0")
    inside.attrs["ordered"] = False
    known, codes = np.unique(np.array(values, dtype=str), return_inverse=True)
    _strings(inside, "categories", known.tolist())
    smallest = np.int8 if len(known) < 128 else np.int32
    _encoded(_array(inside, "codes", codes.astype(smallest)), "array", "0.2.0")


def _strings(group: Any, name: str, values: list[str]) -> None:
    from numcodecs import VLenUTF8

    array = group.create_array(
        name, shape=(len(values),), chunks=(max(len(values), 1),), dtype=str, filters=[VLenUTF8()],
        compressors=None, overwrite=True,
    )  # fmt: skip
    if values:
        array[:] = np.array(values, dtype=object)
    _encoded(array, "string-array", "0.2.0")


def _array(group: Any, name: str, values: np.ndarray, chunks: tuple[int, ...] | None = None) -> Any:
    from numcodecs import Zlib

    if values.dtype.kind == "U":
        text = group.create_array(name, shape=(), dtype=values.dtype, compressors=None)
        text[()] = values[()]
        return text
    size = values.shape if chunks is None else chunks
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=tuple(max(min(a, b), 1) for a, b in zip(size, values.shape)),
        dtype=values.dtype,
        compressors=Zlib(level=1),
        chunk_key_encoding={"name": "v2", "separator": "/"},
    )
    array[...] = values
    return array


def _encoded(node: Any, kind: str, version: str) -> Any:
    node.attrs.update({"encoding-type": kind, "encoding-version": version})
    return node


def _multiscale(
    name: str, levels: list[int], axes: str, pixel_size_um: tuple[float, float] | None
) -> dict[str, Any]:
    y, x = pixel_size_um or (1.0, 1.0)
    unit = {"unit": "micrometer"} if pixel_size_um else {}
    channels = [1.0] * (len(axes) - 2)
    return {
        "version": "0.4",
        "name": name,
        "axes": [
            {"name": a, "type": "channel"} if a == "c" else {"name": a, "type": "space", **unit}
            for a in axes
        ],
        "datasets": [
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [*channels, y * 2**level, x * 2**level]}
                ],
            }
            for level in levels
        ],
    }


def _pyramid(planes: Any) -> Iterator[Any]:
    """Yield ``(C, Y, X)`` and every second pixel of it, until it is small; labels stay labels."""
    while True:
        yield planes
        if max(planes.shape[1:]) <= _SMALLEST:
            return
        planes = planes[:, ::2, ::2]


def _is_ours(target: Path) -> bool:
    try:
        return "napari_cellcls" in json.loads((target / ".zattrs").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
