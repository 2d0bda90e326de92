"""The tables of the journal, its format number, and how older formats become this one."""

from __future__ import annotations

import sqlalchemy as sa

from napari_cellcls.review.events import Event

APPLICATION_ID = 0x43454C4C
"""``CELL``: the mark in the header by which our SQLite files are recognized."""
FORMAT = 1
"""Number of the table layout (``user_version`` in SQLite)."""

METADATA = sa.MetaData()

_TYPES: dict[str, type[sa.types.TypeEngine]] = {
    "session_n": sa.BigInteger,
    "lamport": sa.BigInteger,
    "ms_spent": sa.BigInteger,
    "shown_prob": sa.Double,
}
_NULLABLE = frozenset(Event._field_defaults) | {
    "cell_id", "image_id", "class_id", "value", "batch", "replaces", "shown_model", "shown_sha",
    "shown_class", "shown_prob", "ms_spent", "payload",
}  # fmt: skip

EVENT = sa.Table(
    "event",
    METADATA,
    # In SQLite only a column of exactly this type is the row number, which autoincrement needs.
    sa.Column(
        "seq",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    *(
        sa.Column(name, _TYPES.get(name, sa.Text), nullable=name in _NULLABLE)
        for name in Event._fields
    ),
    sa.UniqueConstraint("event_id", name="event_once"),
    sqlite_autoincrement=True,
)
META = sa.Table(
    "meta",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

MIGRATIONS: dict[int, tuple[str, ...]] = {}
"""Format -> SQL statements that make the next format of it; run in one transaction after a backup."""

EVENT_COLUMNS = tuple(EVENT.c[name] for name in Event._fields)
