"""The program on real fields: blood smears, a damaged copy, a four-file fluorescence image."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import PIL.Image
import pytest

from napari_cellcls import cli

pytestmark = pytest.mark.real


def summary(out: Path) -> dict:
    return json.loads((out / "summary.json").read_text("utf-8"))


def test_blood_smears_end_to_end(shared_data: Path, tmp_path: Path) -> None:
    fields = sorted((shared_data / "bccd" / "images").iterdir())[:3]
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(fields[0].read_bytes()[:9000])
    out = tmp_path / "out"
    arguments = ["classify", *map(str, fields), str(damaged), "--out", str(out)]
    assert cli.main([*arguments, "--find", "smear", "--model", "malaria-thin-smear"]) == 3
    got = summary(out)
    assert [row["name"] for row in got["images"]] == [path.stem for path in fields]
    assert [row["name"] for row in got["failures"]] == ["damaged"]
    assert got["failures"][0]["code"].startswith("IMG-")
    for row in got["images"]:
        table = pd.read_csv(out / row["files"]["cells"])
        assert len(table) == row["cells"]["count"] > 5
        assert table["p_parasitized"].between(0, 1).all()
        assert set(row["parasitemia"]) == {"apparent", "corrected"}
        corrected = row["parasitemia"]["corrected"]
        assert 0 <= corrected["low"] <= corrected["value"] <= corrected["high"] <= 1
        assert PIL.Image.open(out / row["files"]["overlay"]).size[0] >= 640
    assert got["totals"]["cells"] == sum(row["cells"]["count"] for row in got["images"])


def test_four_files_are_one_image_and_a_backbone_describes_its_cells(
    shared_data: Path, tmp_path: Path
) -> None:
    red = shared_data / "hpa" / "field" / "57_F11_1_red.png"
    out = tmp_path / "out"
    arguments = ["classify", str(red), "--model", "blank", "--find", "fluorescence", "--embeddings"]
    assert cli.main([*arguments, "--out", str(out)]) == 0
    row = summary(out)["images"][0]
    assert row["name"] == "57_F11_1"
    assert row["channels"] == ["microtubules", "protein", "nucleus", "er"]
    table = pd.read_parquet(out / "57_F11_1.embeddings.parquet")
    assert len(table) == row["cells"]["count"] > 5
    assert table.shape[1] == 1 + 4 * 1280
