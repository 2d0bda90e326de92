"""A parquet file with one labeled image per row: encoded bytes, name, label and group.

The pixels are read batch by batch, so that a table larger than memory can be used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from napari_cellcls.learn.datasets import known
from napari_cellcls.learn.datasets.cellset import listed
from napari_cellcls.learn.datasets.listing import Entry, Listing
from napari_cellcls.vocabulary import DataError

_COLUMNS = ("name", "label", "image")
_GROUPS = ("patient", "antibody", "group")
_BATCH = 512


def list_table(path: Path) -> Listing:
    """List the rows of a table.

    Raises
    ------
    DataError
        ``DATA-UNREADABLE``, or ``DATA-LAYOUT`` when columns are missing.
    """
    import pyarrow.parquet as parquet

    try:
        table = parquet.ParquetFile(path)
        columns = table.schema_arrow.names
        missing = [c for c in _COLUMNS if c not in columns]
        kind = next((c for c in _GROUPS if c in columns), None)
        rows = {} if missing else table.read([c for c in columns if c != "image"]).to_pydict()
    except (OSError, ValueError) as error:
        if not _begins_as_parquet(path):
            raise DataError(
                "This is a file of another kind, not labeled cells.",
                code="DATA-LAYOUT",
                path=path,
                why="it does not begin as a parquet file does",
                remedy="Give a folder with one sub-folder of images per class, or a parquet file with "
                f"the columns {', '.join(_COLUMNS)} and one of {', '.join(_GROUPS)}.",
            ) from None
        raise DataError(
            "The file cannot be read as a table.",
            code="DATA-UNREADABLE",
            path=path,
            why=str(error)[:200],
            remedy="Copy the file again.",
        ) from error
    if missing or kind is None:
        raise DataError(
            "The table lacks columns.",
            code="DATA-LAYOUT",
            path=path,
            why=f"missing {', '.join(missing) or 'a group'}; found {listed(columns, 10)}",
            remedy=f"Needed: {', '.join(_COLUMNS)}, and one of {', '.join(_GROUPS)}.",
        )
    further = [c for c in rows if c not in (*_COLUMNS, kind)]
    entries = []
    for i in range(len(rows["name"])):
        name = str(rows["name"][i])
        extra = dict(known.malaria_columns(name)) if kind == "patient" else {}
        extra |= {c: str(rows[c][i]) for c in further}
        group = str(rows[kind][i])
        entries.append(
            Entry(name, (str(rows["label"][i]),), group, row=i, extra=tuple(extra.items()))
        )
    classes = tuple(sorted({e.labels[0] for e in entries}))
    return Listing(
        "parquet table", path.parent, tuple(entries), classes, group_kind=kind, table=path
    )


def _begins_as_parquet(path: Path) -> bool:
    try:
        with open(path, "rb") as stream:
            return stream.read(4) == b"PAR1"
    except OSError:
        return True  # what the system says is the better reason


def encoded_images(path: Path) -> Iterator[bytes]:
    """Yield the encoded image of every row, a batch in memory at a time."""
    import pyarrow.parquet as parquet

    for batch in parquet.ParquetFile(path).iter_batches(_BATCH, columns=["image"]):
        for value in batch.column(0):
            yield value.as_py() or b""
