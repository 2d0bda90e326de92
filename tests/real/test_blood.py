"""The blood-cells model on real photographs, as a person uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from napari_cellcls import cli

pytestmark = pytest.mark.real


def test_all_cells_of_blood_are_found_and_told_apart(shared_data: Path, tmp_path: Path) -> None:
    images = shared_data / "bccd" / "images"
    fields = [images / "BloodImage_00014.jpg", images / "BloodImage_00086.jpg"]
    out = tmp_path / "out"
    arguments = ["classify", *map(str, fields), "--model", "blood-cells", "--out", str(out)]
    assert cli.main(arguments) == 0
    got = json.loads((out / "summary.json").read_text("utf-8"))
    for row in got["images"]:
        assert row["cells"]["found_by"] == "blood"
        assert not {"white cell", "platelet"} & set(row["cells"]["left_out"])
        table = pd.read_csv(out / row["files"]["cells"])
        area = table.groupby("predicted")["area_px"].median()
        assert area["Platelets"] < area["RBC"] < area["WBC"]
        assert row["parasitemia"] == {}
