"""Saving a Labels layer with what is known of its cells: OME-Zarr with a table, GeoJSON for QuPath, or a table.

The layer's features (class, probabilities, corrections) become the table. A layer without features is saved as
cells without classes. Failures are our own errors, which napari shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from napari_cellcls.cells.identity import anchors
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.export.field import Field, scheme_of
from napari_cellcls.export.geojson import write_geojson
from napari_cellcls.export.ome_zarr import write_ome_zarr
from napari_cellcls.export.tables import write_cells
from napari_cellcls.vocabulary import COLUMNS

_UM_PER = {
    "micrometer": 1.0,
    "micron": 1.0,
    "um": 1.0,
    "µm": 1.0,
    "nanometer": 1e-3,
    "millimeter": 1e3,
}


def write_cells_layer(path: str, data: Any, attributes: dict[str, Any]) -> list[str]:
    """Write one Labels layer; the ending of the name decides the format.

    Parameters
    ----------
    path : str
        ``*.ome.zarr`` or ``*.zarr``, ``*.geojson``, or ``*.cells.csv``.
    data : array-like
        ``(Y, X)`` whole numbers, 0 is background.
    attributes : dict
        As napari gives them: ``name``, ``scale``, ``units``, ``features`` ...

    Returns
    -------
    list of str
        The path written.

    Raises
    ------
    CellsError
        ``CELLS-SIZE`` for more than one plane, ``CELLS-EMPTY`` without cells.
    ExportError
        When it cannot be written.
    """
    field = _field(data, attributes)
    lower = path.lower()
    if lower.endswith(".zarr"):
        write_ome_zarr(field, path)
    elif lower.endswith(".geojson"):
        write_geojson(field, path)
    else:
        write_cells(field.table, path)
    return [path]


def _field(data: Any, attributes: Mapping[str, Any]) -> Field:
    size = _pixel_size(attributes)
    name = str(attributes.get("name") or "cells")
    cells = cells_from_labels(data, size, name)
    table = _with_features(cells.table, attributes.get("features"))
    found = {text for joined in table[COLUMNS.class_] for text in joined.split(COLUMNS.joiner)}
    shape = (int(cells.labels.shape[0]), int(cells.labels.shape[1]))
    classes = scheme_of(sorted(found - {""}))
    return Field(name, "", tuple(anchors(cells, "", pixel_size_um=size)), table, classes, shape)


def _with_features(table: pd.DataFrame, features: Any) -> pd.DataFrame:
    """Join the features of a layer to the measured cells: by ``index`` or ``label``, else row by number."""
    given = pd.DataFrame(features if features is not None else {})
    key = next((name for name in ("index", COLUMNS.label) if name in given.columns), None)
    numbers = np.arange(len(given)) if key is None else given[key].to_numpy()
    given = given.drop(columns=[c for c in given.columns if c == key or c in table.columns])
    given = given.set_index(pd.Index(numbers)).loc[lambda t: ~t.index.duplicated()]
    joined = given.reindex(table[COLUMNS.label])
    result = table.copy()
    for name in joined.columns:
        column = joined[name]
        text = column.dtype.kind not in "iufb"
        result[str(name)] = (column.fillna("") if text else column).to_numpy()
    if COLUMNS.class_ not in result:
        result[COLUMNS.class_] = result.get(COLUMNS.predicted, "")
    result[COLUMNS.class_] = result[COLUMNS.class_].astype(str)
    return result


def _pixel_size(attributes: Mapping[str, Any]) -> tuple[float, float] | None:
    scale = attributes.get("scale")
    units = [str(unit) for unit in attributes.get("units") or ()]
    if scale is None or len(units) < 2 or any(unit not in _UM_PER for unit in units[-2:]):
        return None
    y, x = (float(s) * _UM_PER[u] for s, u in zip(tuple(scale)[-2:], units[-2:]))
    return (y, x) if min(y, x) > 0 else None
