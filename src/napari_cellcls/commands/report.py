"""What ``cellcls classify`` says at its end: what was found, what is doubtful, where the files are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape

from napari_cellcls.commands import console
from napari_cellcls.vocabulary import CellsError

if TYPE_CHECKING:
    from napari_cellcls.export.summary import ImageResult, Run

MANY = 12
"""From this many images on, the terminal shows totals instead of a row per image."""


def report(done: Run, out: Path) -> None:
    """Show what a run found and where it is."""
    from napari_cellcls.export.summary import headline, summary

    for note in done.notes:
        console.warn(note)
    for failure in done.failures:
        console.show_error(failure.error)
    empty = [result for result in done.results if not result.counts.total]
    if 0 < len(done.results) <= MANY:
        rows = [[r.row["name"], str(r.counts.total), headline(r.row)] for r in done.results]
        console.show_table(["image", "cells", "found"], rows)
    elif empty:
        console.warn(f"{_count(len(empty))} without cells: {_names(empty)}")
    _doubts(done)
    totals = summary(done)["totals"]
    if len(done.results) > 1 and totals["cells"]:
        for model, row in totals["by_model"].items():
            console.say(f"all images, {model}: {row['cells']} cells: {headline(row)}")
    _closing(done, totals["cells"], out)


def _closing(done: Run, cells: int, out: Path) -> None:
    count = len(done.results)
    if not count:
        console.warn("No image could be used.")
        return
    rate = f" ({cells / done.seconds:,.0f} cells/s)" if cells and done.seconds else ""
    failed = f", {len(done.failures)} failed" if done.failures else ""
    console.say(
        f"{_count(count)}, {cells:,} cell{'s' * (cells != 1)} in {done.seconds:.1f} s{rate}{failed}"
    )
    if done.interrupted:
        console.warn("Stopped before the end; every file written is whole.")
    console.say(f"Results in {out}: summary.json, and per image {_endings(done)}")
    if not cells:
        console.show_error(_nothing_found(done.results))


def _nothing_found(results: list[ImageResult]) -> CellsError:
    from napari_cellcls.export.summary import why_empty

    reasons = {why_empty(result.row).partition(": ")[2] for result in results}
    only = (
        f"'{results[0].row['name']}'" if len(results) == 1 else f"any of the {len(results)} images"
    )
    return CellsError(
        f"There are no cells in {only}.",
        code="NO-CELLS",
        why=reasons.pop() if len(reasons) == 1 else "",
        remedy="Look at the pictures; choose another way with --find, or give your own cells with "
        "--labels.",
    )


def _count(images: int) -> str:
    return f"{images} image{'s' * (images != 1)}"


def _names(results: list[ImageResult]) -> str:
    names = [result.row["name"] for result in results]
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return ", ".join(names[:MANY]) + more


def _endings(done: Run) -> str:
    files = done.results[0].row["files"]
    return ", ".join(f"<name>.{kind}{Path(name).suffix}" for kind, name in files.items())


def _doubts(done: Run) -> None:
    """Show each note once, with the image or the number of images it is about."""
    from napari_cellcls.export.summary import why_empty

    names: dict[str, list[str]] = {}
    for result in done.results:
        shown = why_empty(result.row) if len(done.results) <= MANY else ""
        for note in result.row["notes"]:
            if note != shown:
                names.setdefault(note, []).append(result.row["name"])
    for note, about in list(names.items())[:MANY]:
        who = about[0] if len(about) == 1 else f"{len(about)} images"
        console.err().print(f"[dim]{escape(f'{who}: {note}')}[/]")
    if len(names) > MANY:
        console.err().print(f"[dim]{len(names) - MANY} more notes in summary.json[/]")
