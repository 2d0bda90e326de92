"""The napari writer: labels and features to files that other programs read, without napari."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import zarr

from napari_cellcls._writer import write_cells_layer
from napari_cellcls.export.errors import ExportError
from tests.export.projects import label_image

FEATURES = pd.DataFrame(
    {
        "index": [0, 4, 5, 9],
        "predicted": ["", "RBC", "WBC", "RBC"],
        "class": ["", "RBC", "RBC|WBC", "RBC"],
        "p_rbc": [np.nan, 0.9, 0.4, 0.8],
    }
)
ATTRIBUTES = {
    "name": "field",
    "scale": (0.5, 250),
    "units": ("micrometer", "nanometer"),
    "features": FEATURES,
}


def test_a_table(tmp_path):
    path = str(tmp_path / "x.csv")
    assert write_cells_layer(path, label_image(), ATTRIBUTES) == [path]
    table = pd.read_csv(path, keep_default_na=False)
    assert table["label"].tolist() == [4, 5, 9, 11]
    assert table["class"].tolist() == ["RBC", "RBC|WBC", "RBC", ""]
    assert table["p_rbc"].tolist() == ["0.9", "0.4", "0.8", ""]
    assert table["area_um2"].tolist()[0] == 170 * 0.5 * 0.25


def test_geojson(tmp_path):
    path = tmp_path / "x.geojson"
    write_cells_layer(str(path), label_image(), ATTRIBUTES)
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    assert [f["properties"].get("classification", {}).get("names") for f in features] == [
        ["RBC"],
        ["RBC", "WBC"],
        ["RBC"],
        None,
    ]
    assert features[0]["properties"]["measurements"]["p_rbc"] == 0.9


def test_ome_zarr_and_what_is_never_replaced(tmp_path):
    path = tmp_path / "x.ome.zarr"
    for _ in range(2):  # its own store may be replaced
        write_cells_layer(str(path), label_image(), ATTRIBUTES)
    root = zarr.open_group(str(path), mode="r")
    assert (root["labels/cells/0"][:] == label_image()).all()
    scale = root["labels/cells"].attrs["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert scale == [{"type": "scale", "scale": [0.5, 0.25]}]
    assert root["tables/cells/X"][:].ravel().tolist()[:3] == pytest.approx([0.9, 0.4, 0.8])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.ome.zarr"]
    other = tmp_path / "other.zarr"
    other.mkdir()
    (other / "precious.txt").write_text("x")
    with pytest.raises(ExportError, match="EXPORT-EXISTS"):
        write_cells_layer(str(other), label_image(), {})
    assert (other / "precious.txt").read_text() == "x"


def test_a_layer_without_features(tmp_path):
    write_cells_layer(
        str(tmp_path / "x.csv"), label_image(), {"scale": (1, 1), "units": ("pixel",) * 2}
    )
    table = pd.read_csv(tmp_path / "x.csv", keep_default_na=False)
    assert table["class"].tolist() == [""] * 4 and table["area_um2"].tolist() == [""] * 4
