"""``cellcls project``: make, fill, look at and export projects of labeled cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cellcls.commands import console, options, project_checks, project_groups
from napari_cellcls.commands.project_checks import Folder, opened, saved

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.export.imported import Found
    from napari_cellcls.export.matching import Matched
    from napari_cellcls.project.project import Project
    from napari_cellcls.review.fold import State

app = typer.Typer(
    help="Make, fill, group, look at, check, merge and export projects.", no_args_is_help=True
)
app.command("merge")(project_checks.merge)
app.command("verify")(project_checks.verify)
app.command("check", hidden=True)(project_checks.verify)
app.command("agreement")(project_checks.agreement)
app.command("group")(project_groups.group)

_FORMATS = "csv, parquet, geojson, coco, tiff, zarr or crops"


@app.command("create", hidden=True)
@app.command("new")
def new(
    folder: Folder,
    class_: Annotated[
        list[str] | None,
        typer.Option("--class", "-c", help="A class; several times.", show_default=False),
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option("--image", "-i", help="An image; several times.", show_default=False),
    ] = None,
    multi_label: Annotated[
        bool, typer.Option("--multi-label", help="A cell may have several classes.")
    ] = False,
    database: Annotated[
        str | None,
        typer.Option(help="postgresql://user@host/name for a live team.", show_default="a file"),
    ] = None,
    annotator: Annotated[
        str | None, typer.Option(help="Your name in the journal.", show_default="user name")
    ] = None,
) -> None:
    """Make a new project."""
    from napari_cellcls.cells.identity import image_id
    from napari_cellcls.project.project import create_project

    for path in image or ():
        image_id(path)  # before anything is made: a wrong path should leave nothing behind
    with create_project(
        folder,
        classes=class_ or (),
        multi_label=multi_label,
        database=database,
        annotator=annotator,
    ) as project:
        for path in image or ():
            project.add_image(path)
        saved(project)
    console.say(f"Made {project.folder}")


@app.command()
def add(
    folder: Folder,
    images: Annotated[list[Path], typer.Argument(help="Images.", show_default=False)],
) -> None:
    """Add images, or say where they are now."""
    with opened(folder, write=True) as project:
        for path in images:
            console.say(f"{path.name}: {project.add_image(path)}")
        saved(project)


@app.command()
def info(folder: Folder) -> None:
    """Show images, classes, and labels per class and annotator."""
    with opened(folder) as project:
        about, state = project.description, project.journal.state
        console.say(f"{about.name}: {len(state.cells):,} cells, {len(state):,} events", "bold")
        several = "several" if about.multi_label else "one"
        console.say(f"  made {about.created_utc[:10]}, {several} label per cell, id {about.id}")
        for note in project.journal.notes:
            console.warn(note)
        images = [project.locate(image) for image in state.images]
        if images:
            console.show_table(
                ["image", "is", "where"],
                [[one.image.name, one.status, str(one.path or "")] for one in images],
            )
        if state.classes:
            console.show_table(*_counts(state))
        for model, sha in project.models_used.items():
            console.say(f"  model {model}, sha256 {sha[:8]}")


@app.command("import")
def take_in(
    folder: Folder,
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV (ours, QuPath, napari-feature-classifier, CellProfiler), GeoJSON or COCO.",
            show_default=False,
        ),
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            help="Label image, or a folder of them, for files without outlines.", show_default=False
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(help="The image all rows are about, when the file does not say."),
    ] = None,
    as_me: Annotated[
        bool, typer.Option("--as-me", help="Sign all labels as you, whoever the file names.")
    ] = False,
    annotator: Annotated[
        str | None, typer.Option(help="Your name in the journal.", show_default="user name")
    ] = None,
) -> None:
    """Take in labels from a file; labels that are there already are not written again.

    The exit code is 3 when some rows mean no cell, 4 when none does.
    """
    from dataclasses import replace

    from napari_cellcls.export.project import of_images, read_labels
    from napari_cellcls.export.taking import take_in as write

    found = read_labels(file)
    if image is not None:
        found = [replace(one, image=image) for one in found]
    with opened(folder, write=True, annotator=annotator) as project:
        state = project.journal.state
        names = {image_id: known.name for image_id, known in state.images.items()}
        written = lost = 0
        for image_id, rows in of_images(found, names).items():
            matched = _matched(project, image_id, rows, labels)
            several = project.description.multi_label
            taken = write(project.journal, matched, keep_names=not as_me, multi_label=several)
            written += taken.labels + taken.known
            lost += sum(taken.lost.values())
            console.say(
                f"{names[image_id]}: {taken.labels:,} labels taken in, {taken.known:,} known before"
            )
            if taken.classes:
                console.say(f"  new classes: {', '.join(taken.classes)}")
            for why, count in taken.lost.items():
                console.warn(f"  {count:,} rows left out: {why}")
        saved(project)
    if lost:
        raise typer.Exit(project_checks.SOME_FAILED if written else project_checks.NOTHING)


@app.command()
def export(
    folder: Folder,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File or folder.", show_default="in the folder exports"),
    ] = None,
    format_: Annotated[
        str, typer.Option("--format", "-f", help=f"{_FORMATS}.", show_default="csv")
    ] = "csv",
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="What `cellcls classify --out` wrote: adds the columns p_<class>.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write all labels: as a table, for QuPath, as COCO, TIFF, OME-Zarr, or crops for training."""
    from napari_cellcls.export.project import FORMATS, export_project

    if format_ not in FORMATS:
        raise typer.BadParameter(f"'{format_}' is none of {_FORMATS}", param_hint="--format")
    with opened(folder) as project:
        task = export_project(project, format_, out, predictions=predictions)
        done = console.follow(task, "Exporting")
        for note in done.notes:
            console.say(note)
        for path in done.paths:
            console.say(f"  {path}")


def _matched(project: Project, image_id: str, rows: list[Found], labels: Path | None) -> Matched:
    """Say which cells the rows of one image mean."""
    from napari_cellcls.export.matching import match
    from napari_cellcls.review.masks import anchor_of

    state = project.journal.state
    wanted = {one.cell_id for one in rows if one.cell_id}
    places = {cell_id: anchor_of(state, cell_id) for cell_id in wanted}
    known = {cell_id: anchor for cell_id, anchor in places.items() if anchor is not None}
    cells, size = None, None
    if labels is not None:
        cells, size = _cells(project, image_id, labels)
    return match(rows, image_id, cells, known=known, pixel_size_um=size)


def _cells(
    project: Project, image_id: str, labels: Path
) -> tuple[Cells, tuple[float, float] | None]:
    from napari_cellcls.cells.table import cells_from_labels
    from napari_cellcls.images.read import open_image, stem

    located = project.locate(image_id)
    there = located.path if located.status in ("found", "moved") else None
    image = None if there is None else open_image(there)
    path = options.labels_for(labels, stem(located.image.name))
    drawn = open_image(path)
    size = image.pixel_size_um if image is not None else drawn.pixel_size_um
    shape = None if image is None else image.shape
    plane = options.plane_of_labels(drawn)
    return cells_from_labels(plane, size, f"labels from {path.name}", shape), size


def _counts(state: State) -> tuple[list[str], list[list[str]]]:
    counts = state.counts()
    people = sorted(counts)
    rows = [
        [one.name, one.key, one.color, *(f"{counts[who].get(one.id, 0):,}" for who in people)]
        for one in state.classes.values()
        if one.merged_into is None
    ]
    return ["class", "key", "color", *people], rows
