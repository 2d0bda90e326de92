"""The sample files: made again the same, readable, and as described."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from training.simulate import make_samples

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"


def test_small_samples_are_byte_identical(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        make_samples.make_smear(tmp_path / name, shape=(256, 256), red_cells=9)
        make_samples.make_field(tmp_path / name, shape=(256, 256), cells=4)
    first = sorted((tmp_path / "a").iterdir())
    assert len(first) == 6
    for path in first:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_smear_file_says_what_it_is() -> None:
    with tifffile.TiffFile(SAMPLES / "thin_smear.ome.tif") as file:
        assert file.is_ome
        assert file.series[0].axes == "YXS"
        assert file.series[0].shape == (1024, 1024, 3)
        assert 'PhysicalSizeX="0.12"' in (file.ome_metadata or "")
    labels = tifffile.imread(SAMPLES / "thin_smear_labels.tif")
    truth = pd.read_csv(SAMPLES / "thin_smear_truth.csv", keep_default_na=False)
    red = truth[truth["kind"] == "red cell"]
    assert labels.max() == len(red)
    assert 150 <= len(red) <= 200
    assert 0.04 <= (red["class"] == "Parasitized").mean() <= 0.06
    assert (truth["kind"] == "white cell").sum() == 2
    assert (truth["kind"] == "platelet").sum() == 12


def test_field_file_names_its_channels() -> None:
    with tifffile.TiffFile(SAMPLES / "rgby_field.ome.tif") as file:
        assert file.series[0].axes == "CYX"
        assert file.series[0].dtype == np.uint16
        xml = file.ome_metadata or ""
    names = [xml.index(f'Name="{n}"') for n in ("Microtubules", "Protein", "Nucleus", "ER")]
    assert names == sorted(names)
    assert 'PhysicalSizeX="0.16"' in xml
    truth = pd.read_csv(SAMPLES / "rgby_field_truth.csv")
    labels = tifffile.imread(SAMPLES / "rgby_field_labels.tif")
    assert labels.max() == len(truth)
    assert 20 <= len(truth) <= 25
    assert truth["class"].nunique() >= 8


def test_ome_colors_are_signed_rgba() -> None:
    assert make_samples._ome_color("#ff0000") == -16776961
    assert make_samples._ome_color("#0000ff") == 65535


def test_samples_stay_small_and_described() -> None:
    files = [p for p in SAMPLES.iterdir() if p.is_file()]
    assert sum(p.stat().st_size for p in files) <= 8_000_000
    text = (SAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(p.name in text for p in files if p.suffix in (".tif", ".csv"))
    assert "CC0" in text
    assert "Simulated" in text


@pytest.mark.parametrize(
    "name", ["sample_smear_beside_real.png", "simulated_hpa.png", "simulated_smears.png"]
)
def test_comparison_figures_are_there_and_small(name: str) -> None:
    assert 50_000 < (SAMPLES.parent / "docs/images" / name).stat().st_size < 1_500_000
