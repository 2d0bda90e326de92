"""``cellcls audit``: what a labeled set holds and what is wrong with it, as one page."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cellcls.commands import console

if TYPE_CHECKING:
    from napari_cellcls.learn.datasets import Channels

_SOME_FAILED = 3
_SHOWN = 3
_STYLES = {"stop": "red", "look": "yellow", "good": "green"}


class Planes(StrEnum):
    """Planes of the crops."""

    rgb = "rgb"
    gray = "gray"
    rgby = "rgby"
    rgb_merge = "rgb_merge"


def audit(
    data: Annotated[
        Path,
        typer.Argument(
            help="Labeled cells: class folders, train.csv with HPA images, photographs with boxes, or a parquet file.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", help="Folder of audit.html and audit.json.", show_default=False
        ),
    ],
    size: Annotated[int, typer.Option(min=16, max=1024, help="Edge of the crops in pixels.")] = 64,
    channels: Annotated[
        Planes | None, typer.Option(help="Planes looked at.", show_default="all there are")
    ] = None,
) -> None:
    """Look through a labeled set: classes, sizes, brightness, duplicates, groups, damaged files.

    Nothing is changed. The exit code is 3 when training would stop at something.
    """
    from napari_cellcls.export.errors import writing
    from napari_cellcls.learn.audit import audit as look
    from napari_cellcls.learn.audit_page import html

    chosen: Channels | None = None if channels is None else channels.value
    found = console.follow(look(data, size=size, channels=chosen), "Looking")
    summary = found.summary()
    for name, text in (
        ("audit.html", html(found)),
        ("audit.json", json.dumps(summary, indent=2) + "\n"),
    ):
        with writing(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    groups = (
        f", {summary['groups']:,} groups ({summary['group_kind']})" if summary["group_kind"] else ""
    )
    console.say(
        f"{summary['images']:,} images of {len(summary['classes'])} classes{groups}; {summary['layout']}"
    )
    for item in found.findings:
        console.say(f"  {item.what}", style=_STYLES[item.level])
        for name in item.names[:_SHOWN] if item.level != "good" else ():
            console.say(f"    {name}")
    for note in found.notes:
        console.say(f"  {note}", style=_STYLES["look"])
    console.say(f"Page in {out / 'audit.html'}")
    if found.stops:
        raise typer.Exit(_SOME_FAILED)
