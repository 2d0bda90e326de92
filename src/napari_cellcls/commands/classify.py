"""``cellcls classify``: images in; tables, label images, pictures and a summary out."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.markup import escape

from napari_cellcls.commands import console

if TYPE_CHECKING:
    from napari_cellcls.commands.options import Options
    from napari_cellcls.export.summary import Run
    from napari_cellcls.images.collections import ImageRef

RESULTS = (".overlay.png", ".labels.tif")
MANY = 12
"""From this many images on, the terminal shows totals instead of a row per image."""


class FinderName(StrEnum):
    """Ways to find cells."""

    smear = "smear"
    fluorescence = "fluorescence"
    whole = "whole"


class EngineName(StrEnum):
    """Engines by name."""

    auto = "auto"
    onnxruntime = "onnxruntime"
    openvino = "openvino"
    tensorflow = "tensorflow"


def classify(
    images: Annotated[
        list[Path], typer.Argument(help="Image files, or folders of images.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the results.", show_default=False)
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="Model name or .cellpkg file.", show_default="by the image"
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Label image (0 = background), or a folder of them with matching names."),
    ] = None,
    find: Annotated[
        FinderName | None,
        typer.Option(help="How to find the cells.", show_default="as the model suggests"),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            help="Which channel plays which role: nucleus=DAPI,protein=1",
            show_default="by their names",
        ),
    ] = None,
    scene: Annotated[
        str | None, typer.Option(help="Scene, by name or number.", show_default="first")
    ] = None,
    time: Annotated[int, typer.Option(min=0, help="Time point.")] = 0,
    z: Annotated[
        str | None, typer.Option("--z", help="Depth: a number, or max.", show_default="middle")
    ] = None,
    engine: Annotated[
        EngineName, typer.Option(help="What computes the network.")
    ] = EngineName.auto,
    device: Annotated[
        str, typer.Option(help="auto, cpu, or a device of `cellcls doctor`.")
    ] = "auto",
    batch_size: Annotated[
        int, typer.Option(min=1, max=65536, help="Cells per network call.")
    ] = 256,
    embeddings: Annotated[
        bool, typer.Option("--embeddings", help="Also write <stem>.embeddings.parquet.")
    ] = False,
) -> None:
    """Find the cells of images, classify each, and write tables, label images and pictures.

    Exit codes: 0 all done, 2 wrong usage, 3 some images failed, 4 none could be used.
    """
    from napari_cellcls.commands.options import Options
    from napari_cellcls.images.channels import parse_overrides

    if labels is not None and find is not None:
        raise typer.BadParameter("Give --labels or --find, not both: labels are the cells.")
    chosen = Options(
        out=out,
        model=model,
        labels=labels,
        find=None if find is None else find.value,
        channels=parse_overrides(channels) if channels else {},
        scene=scene,
        time=time,
        z=_depth(z),
        engine=engine.value,
        device=device,
        batch_size=batch_size,
        embeddings=embeddings,
    )
    raise typer.Exit(run(list(images), chosen))


def run(paths: list[Path], options: Options) -> int:
    """Classify, report, and return the exit code."""
    from napari_cellcls.commands.pipeline import classify_images
    from napari_cellcls.commands.steps import Job
    from napari_cellcls.export.errors import make_folder
    from napari_cellcls.export.names import output_stems
    from napari_cellcls.export.summary import Run, write_summary
    from napari_cellcls.models import registry

    if options.model is not None:
        registry.find(options.model)  # a misspelled name is one error, not one per image
    refs, notes = collect(paths)
    if len(refs) > 1 and options.labels is not None and options.labels.is_file():
        raise typer.BadParameter(
            f"--labels is one file, but there are {len(refs)} images: give a folder of label images."
        )
    make_folder(options.out)
    stems, clashes = output_stems([(ref.name, ref.paths[0]) for ref in refs])
    done = Run(
        {**options.to_json(), "images": [str(path) for path in paths]}, notes=notes + clashes
    )
    jobs = [Job(ref, stem) for ref, stem in zip(refs, stems, strict=True)]
    try:
        console.follow(classify_images(jobs, options, done), "Classifying")
    except KeyboardInterrupt:
        done.interrupted = True
        raise
    finally:
        if done.results or done.failures:
            write_summary(done, options.out / "summary.json")
            report(done, options.out)
    if not done.results:
        return 4
    return 3 if done.failures else 0


def collect(paths: list[Path]) -> tuple[list[ImageRef], list[str]]:
    """Return the images that paths stand for, and what was skipped, in words.

    Results of earlier runs (``*.overlay.png``, ``*.labels.tif``) in a folder are no images.

    Raises
    ------
    ImageError
        ``IMG-NOIMAGES`` when there is none.
    """
    from napari_cellcls.images.collections import find_images, scan

    found = scan(paths)
    named = {str(path) for path in paths}
    refs = [
        ref
        for ref in found.refs
        if str(ref.paths[0]) in named or not ref.paths[0].name.endswith(RESULTS)
    ]
    if not refs:
        return find_images(paths), []
    notes = [found.summary()] if found.skipped else []
    own = len(found.refs) - len(refs)
    return refs, notes + ([f"{own} results of earlier runs were skipped."] if own else [])


def report(done: Run, out: Path) -> None:
    """Show what a run found and where it is."""
    from napari_cellcls.export.summary import headline, summary

    for note in done.notes:
        console.warn(note)
    for failure in done.failures:
        console.show_error(failure.error)
    if 0 < len(done.results) <= MANY:
        rows = [[r.row["name"], str(r.counts.total), headline(r.row)] for r in done.results]
        console.show_table(["image", "cells", "found"], rows)
    _doubts(done)
    totals = summary(done)["totals"]
    if len(done.results) > 1:
        for model, row in totals["by_model"].items():
            console.say(f"all images, {model}: {row['cells']} cells: {headline(row)}")
    _closing(done, totals["cells"], out)


def _closing(done: Run, cells: int, out: Path) -> None:
    count = len(done.results)
    if not count:
        console.warn("No image could be used.")
        return
    rate = cells / done.seconds if done.seconds else 0.0
    console.say(
        f"{count} image{'s' * (count != 1)}, {cells:,} cells in {done.seconds:.1f} s "
        f"({rate:,.0f} cells/s)" + (f", {len(done.failures)} failed" if done.failures else "")
    )
    if done.interrupted:
        console.warn("Stopped before the end; every file written is whole.")
    if count:
        console.say(f"Results in {out}: summary.json, and per image {_endings(done)}")


def _endings(done: Run) -> str:
    files = done.results[0].row["files"]
    return ", ".join(f"<name>.{kind}{Path(name).suffix}" for kind, name in files.items())


def _doubts(done: Run) -> None:
    """Show each note once, with the image or the number of images it is about."""
    names: dict[str, list[str]] = {}
    for result in done.results:
        for note in result.row["notes"]:
            names.setdefault(note, []).append(result.row["name"])
    for note, about in list(names.items())[:MANY]:
        who = about[0] if len(about) == 1 else f"{len(about)} images"
        console.err().print(f"[dim]{escape(f'{who}: {note}')}[/]")
    if len(names) > MANY:
        console.err().print(f"[dim]{len(names) - MANY} more notes in summary.json[/]")


def _depth(z: str | None) -> int | Literal["max"] | None:
    if z is None:
        return None
    if z == "max":
        return "max"
    if not z.isdigit():
        raise typer.BadParameter(f"--z is a number from 0 on, or max; received {z!r}.")
    return int(z)
