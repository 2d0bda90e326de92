"""Judging the bundled model on real crops, as anybody would."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from napari_cellcls import cli

pytestmark = pytest.mark.real


def test_the_bundled_model_on_some_patients(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pd.read_parquet(shared_data / "malaria_nih_50px.parquet")
    chosen = sorted(table.patient.unique())[::8]
    some = table[table.patient.isin(chosen)].groupby(["patient", "label"]).head(8)
    some.to_parquet(tmp_path / "some.parquet")
    out = tmp_path / "out"
    arguments = ["evaluate", "malaria-thin-smear", "--data", str(tmp_path / "some.parquet")]
    assert cli.main([*arguments, "--out", str(out)]) == 0
    found = json.loads((out / "metrics.json").read_text())
    assert found["n"] == len(some) and found["groups"] == len(chosen)
    assert found["accuracy"] > 0.92 and found["auc"] > 0.97 and found["ece"] < 0.08
    trivial = found["baselines"]
    assert trivial["most frequent class"]["balanced_accuracy"] == 0.5
    assert 0.6 < trivial["intensity histogram"]["accuracy"] < found["accuracy"]
    assert found["model"].startswith("malaria-thin-smear@") and found["groups_apart"] is None
    assert "it may have been trained on them" in capsys.readouterr().out
    assert (out / "report.html").stat().st_size > 100_000
