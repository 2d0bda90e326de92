"""``cellcls doctor``: what this computer has, what was chosen and why, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from napari_cellcls import __version__
from napari_cellcls.commands import console

if TYPE_CHECKING:
    from napari_cellcls.commands.checkup import Finding

_MARKS = {
    "ok": ("ok     ", "green"),
    "missing": ("missing", "yellow"),
    "broken": ("PROBLEM", "red"),
}


def doctor() -> None:
    """Say what was found on this computer, what is missing, and how to get it.

    Exit code 0 when images can be classified, else 4.
    """
    from napari_cellcls.commands import checkup

    console.say(f"napari-cellcls {__version__}", "bold")
    parts: tuple[Callable[[], Iterator[Finding]], ...] = (
        checkup.computer, checkup.engines, checkup.models, checkup.readers, checkup.window,
        checkup.folders, checkup.libraries,
    )  # fmt: skip
    findings = [_show(finding) for part in parts for finding in part()]
    blocking = [f for f in findings if f.needed and f.state != "ok"]
    if blocking:
        console.say(f"Images cannot be classified: {', '.join(f.part for f in blocking)}.", "red")
        raise typer.Exit(4)
    console.say("Images can be classified.", "green")


def _show(finding: Finding) -> Finding:
    mark, color = _MARKS[finding.state]
    console.out().print(f"[{color}]{mark}[/]  {escape(finding.part + ': ' + finding.text)}")
    if finding.state != "ok" and finding.remedy:
        console.say(f"         -> {finding.remedy}", "dim")
    return finding
