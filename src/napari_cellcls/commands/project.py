"""``cellcls project``: make, look at, check and export projects of labeled cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cellcls.commands import console

if TYPE_CHECKING:
    from napari_cellcls.project.project import Project
    from napari_cellcls.review.fold import State

app = typer.Typer(help="Make, look at, check and export projects.", no_args_is_help=True)

_SOME_FAILED = 3

Folder = Annotated[Path, typer.Argument(help="Project folder (*.cellcls).", show_default=False)]


@app.command()
def create(
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
        _saved(project)
    console.say(f"Made {project.folder}")


@app.command()
def info(folder: Folder) -> None:
    """Show images, classes, and labels per class and annotator."""
    with _open(folder) as project:
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


@app.command()
def check(
    folder: Folder,
    restore: Annotated[
        bool,
        typer.Option(
            "--restore",
            help="Make the journal anew from the newest backup and all that can be read; "
            "the damaged file is kept.",
        ),
    ] = False,
) -> None:
    """Verify the journal, its chain of events and its backups.

    The exit code is 3 when something is wrong.
    """
    from napari_cellcls.project import description
    from napari_cellcls.project.project import author_now, places_of
    from napari_cellcls.review import opening

    about = description.read(folder)
    places = places_of(folder, about)
    if restore and places.file is not None:
        count, aside = opening.restore(places, about.id, author_now())
        console.say(f"The journal was made anew from {count:,} events.", "green")
        if aside is not None:
            console.say(f"  the file before is {aside}")
    wrong = _check_journal(folder)
    wrong += _check_backups(places, about.id)
    if wrong:
        raise typer.Exit(_SOME_FAILED)


@app.command()
def export(
    folder: Folder,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The table.", show_default="labels.csv in the folder exports"
        ),
    ] = None,
) -> None:
    """Write all labels as a table, one row per cell and annotator."""
    from napari_cellcls.export.errors import writing
    from napari_cellcls.review.table import label_table

    with _open(folder) as project:
        table = label_table(project.journal.state)
        target = out or project.exports / "labels.csv"
        with writing(target) as temporary:
            table.to_csv(temporary, index=False)
        console.say(f"{len(table):,} labels in {target}")


def _open(folder: Path) -> Project:
    from napari_cellcls.project.project import open_project

    project = open_project(folder, read_only=True)
    refusal = project.journal.refusal
    if refusal is not None and refusal.code != "JOURNAL-READONLY":
        console.show_error(refusal)
    return project


def _saved(project: Project) -> None:
    if not project.journal.flush(60):
        problem = project.journal.save_state.problem
        if problem is not None:
            raise problem


def _counts(state: State) -> tuple[list[str], list[list[str]]]:
    counts = state.counts()
    people = sorted(counts)
    rows = [
        [one.name, one.key, one.color, *(f"{counts[who].get(one.id, 0):,}" for who in people)]
        for one in state.classes.values()
        if one.merged_into is None
    ]
    return ["class", "key", "color", *people], rows


def _check_journal(folder: Path) -> int:
    from napari_cellcls.review.events import chain_faults

    with _open(folder) as project:
        journal = project.journal
        for note in journal.notes:
            console.warn(note)
        if journal.refusal is not None and journal.refusal.code not in (
            "JOURNAL-READONLY",
            "JOURNAL-CHAIN",
        ):
            return 1
        # Others' event files may still be on their way to a shared folder.
        complete = not (project.folder / "events").is_dir()
        faults = list(chain_faults(journal.state.events, complete=complete))
        for fault in faults[:20]:
            console.say(f"  {fault}", "red")
        if faults:
            console.say(f"Journal: {len(faults):,} faults in {len(journal.state):,} events.", "red")
            return len(faults)
        console.say(f"Journal: {len(journal.state):,} events, whole and in order.", "green")
    return 0


def _check_backups(places: object, project_id: str) -> int:
    from napari_cellcls.review import backups, errors, opening, store

    assert isinstance(places, opening.Places)
    if places.backups is None:
        console.say("Backups: those of the database server.")
        return 0
    found = backups.listed(places.backups)
    wrong = 0
    for one in found:
        copy = store.Store(one.path, read_only=True)
        try:
            store.check(copy, project_id)
            console.say(f"Backup: {one} is whole.", "green")
        except errors.JournalError as error:
            wrong += 1
            console.say(f"Backup: {one} is damaged: {error.why}", "red")
        finally:
            copy.close()
    if not found:
        console.say("Backups: none yet; the first is made with the first labels.")
    return wrong
