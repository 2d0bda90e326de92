"""Tables for spreadsheets and scripts: one row per cell as CSV or Parquet, embeddings as Parquet."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from napari_cellcls.export.errors import ExportError, writing
from napari_cellcls.vocabulary import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

    from napari_cellcls.predict import Predictions

# Seven digits hold a position within a 100,000-pixel image to a hundredth of a pixel and a
# probability to float32 precision; more would be noise that differs between engines.
_FLOATS = "%.7g"


def write_cells(table: pd.DataFrame, target: str | os.PathLike[str]) -> None:
    """Write a cell table as CSV: UTF-8, comma, dot, line feed; the same bytes for the same table.

    Parameters
    ----------
    table : pandas.DataFrame
        As made by ``Predictions.to_table``; columns are documented in ``docs/file-formats.md``.
    target : path-like

    Raises
    ------
    ExportError
        When the file cannot be written.
    """
    with writing(target) as temporary:
        table.to_csv(
            temporary, index=False, encoding="utf-8", lineterminator="\n", float_format=_FLOATS
        )


def write_parquet(table: pd.DataFrame, target: str | os.PathLike[str]) -> None:
    """Write a table as Parquet, types and missing values as they are.

    Raises
    ------
    ExportError
        As :func:`write_cells`.
    """
    with writing(target) as temporary:
        table.to_parquet(temporary, index=False, compression="zstd")


def write_embeddings(predictions: Predictions, target: str | os.PathLike[str]) -> None:
    """Write the embeddings as Parquet: ``label`` and ``e0000`` ... (float32), one row per cell.

    Raises
    ------
    ExportError
        ``EXPORT-NOEMBEDDINGS`` when the predictions kept none; else as :func:`write_cells`.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if predictions.embeddings is None:
        raise ExportError(
            "There are no embeddings to write.",
            code="EXPORT-NOEMBEDDINGS",
            path=target,
            why="they were not kept while predicting.",
            remedy="Classify again with embeddings kept (--embeddings).",
        )
    vectors = predictions.embeddings
    columns = {COLUMNS.label: pa.array(predictions.ids)}
    columns |= {f"e{i:04d}": pa.array(vectors[:, i]) for i in range(vectors.shape[1])}
    table = pa.table(columns).replace_schema_metadata(
        {"model": f"{predictions.model} {predictions.model_sha}"}
    )
    with writing(target) as temporary:
        parquet.write_table(table, temporary, compression="zstd")
