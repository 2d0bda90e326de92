"""Tables come back as they were written, and the same table gives the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_cellcls.export.errors import ExportError
from napari_cellcls.export.tables import write_cells, write_embeddings
from tests.export import fakes


def test_cells_come_back(tmp_path: Path) -> None:
    found, target = fakes.cells(), tmp_path / "f.cells.csv"
    write_cells(fakes.predictions().to_table(found), target)
    table = pd.read_csv(target)
    assert list(table.columns[:5]) == ["label", "y", "x", "area_px", "area_um2"]
    assert table["label"].tolist() == [3, 5, 7, 300]
    assert table["predicted"].tolist() == ["Parasitized", *["Uninfected"] * 3]
    assert table["y"].tolist() == found.table["y"].tolist()


def test_bytes_are_plain_and_repeatable(tmp_path: Path) -> None:
    table = pd.DataFrame({"label": [1], "class": ["空|é, x"], "p_a": [1 / 3]})
    write_cells(table, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_bytes() == 'label,class,p_a\n1,"空|é, x",0.3333333\n'.encode()


def test_embeddings_come_back(tmp_path: Path) -> None:
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    write_embeddings(fakes.predictions(embeddings=vectors), tmp_path / "e.parquet")
    table = pd.read_parquet(tmp_path / "e.parquet")
    assert list(table.columns) == ["label", "e0000", "e0001"]
    np.testing.assert_array_equal(table[["e0000", "e0001"]].to_numpy(), vectors)
    assert table["e0000"].dtype == np.float32


def test_embeddings_that_were_not_kept(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"--embeddings.*EXPORT-NOEMBEDDINGS"):
        write_embeddings(fakes.predictions(), tmp_path / "e.parquet")
