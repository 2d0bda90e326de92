"""``cellcls project merge``, ``verify`` and ``agreement``: joining people's work, and whether all is well with it."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cellcls.commands import console

if TYPE_CHECKING:
    from napari_cellcls.project.project import Project
    from napari_cellcls.review.agreement import Ratings
    from napari_cellcls.review.fold import State

SOME_FAILED, NOTHING = 3, 4
_SHOWN = 20

Folder = Annotated[Path, typer.Argument(help="Project folder (*.cellcls).", show_default=False)]


def merge(
    folder: Folder,
    others: Annotated[
        list[Path], typer.Argument(help="Projects of other annotators.", show_default=False)
    ],
) -> None:
    """Take in what other annotators decided in copies of the project; theirs stay as they are.

    Nothing is lost and nothing is overwritten: different labels of one cell stay side by side.
    """
    with opened(folder, write=True) as project:
        journal = project.journal
        for path in others:
            with opened(path) as other:
                count = journal.merge(other.journal.state.events)
                people = sorted(other.journal.state.counts())
            console.say(
                f"{path.name}: {count:,} new events, labels of {', '.join(people) or 'nobody'}"
            )
        saved(project)
        apart = [cell for cell in journal.state.cells.values() if cell.disagreed]
        unsettled = sum(cell.final is None for cell in apart)
        console.say(
            f"{len(journal.state.cells):,} cells, {len(journal.state):,} events; "
            f"people differ on {len(apart):,} cells, {unsettled:,} of them open"
        )


def verify(
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
    """Verify the journal, its chain of events, its backups, and the content of the images.

    The exit code is 3 when something is wrong. An image that is not there is told, but is no fault.
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
    with opened(folder) as project:
        wrong = _check_journal(project)
        wrong += _check_images(project)
    wrong += _check_backups(places, about.id)
    if wrong:
        raise typer.Exit(SOME_FAILED)


def agreement(
    folder: Folder,
    class_: Annotated[
        str | None,
        typer.Option("--class", "-c", help="Only yes or no on this class.", show_default=False),
    ] = None,
    by_image: Annotated[
        bool, typer.Option("--by-image", help="Intervals from whole images, not from single cells.")
    ] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="List the cells on which people differ.")
    ] = False,
) -> None:
    """Show how far annotators agree: Cohen, Fleiss, Krippendorff, and which classes they mix up."""
    from napari_cellcls.review import agreement as measures

    with opened(folder) as project:
        state = project.journal.state
        class_id = None if class_ is None else _class_id(state, class_)
        rated = measures.ratings(state, class_id)
        people = rated.annotators
        console.say(
            f"{len(rated.cell_ids):,} cells judged by {', '.join(people) or 'nobody'}", "bold"
        )
        for one, other in combinations(people, 2):
            found = measures.cohen(rated, one, other, by_image=by_image)
            console.say(f"{found.name}, {one} and {other}: {found.text}")
        if len(people) > 2:
            found = measures.fleiss(rated, by_image=by_image)
            console.say(f"{found.name}: {found.text}")
        found = measures.krippendorff(rated, by_image=by_image)
        console.say(f"{found.name}: {found.text}")
        for one, other in combinations(people, 2):
            _show_confusion(state, rated, one, other)
        if listed:
            _show_disagreements(state)


def opened(folder: Path, *, write: bool = False, annotator: str | None = None) -> Project:
    """Open a project; for writing only when asked, and then with its refusal as an error."""
    from napari_cellcls.project.project import open_project

    project = open_project(folder, read_only=not write, annotator=annotator)
    refusal = project.journal.refusal
    if refusal is not None and write:
        project.close()
        raise refusal
    if refusal is not None and refusal.code != "JOURNAL-READONLY":
        console.show_error(refusal)
    return project


def saved(project: Project) -> None:
    """Wait until all is on the disk, or raise what is in the way."""
    if not project.journal.flush(60):
        problem = project.journal.save_state.problem
        if problem is not None:
            raise problem


def _class_id(state: State, name: str) -> str:
    for one in state.classes.values():
        if name in (one.id, one.name):
            return one.id
    known = ", ".join(one.name for one in state.classes.values()) or "none"
    raise typer.BadParameter(f"'{name}' is none of: {known}", param_hint="--class")


def _show_confusion(state: State, rated: Ratings, one: str, other: str) -> None:
    table = rated.confusion(one, other)
    if not table.sum():
        return
    known = state.classes
    names = [known[c].name if c in known else c for c in rated.classes]
    rows = [[name, *(f"{n:,}" for n in row)] for name, row in zip(names, table.tolist())]
    console.show_table([f"{one} \\ {other}", *names], rows)


def _show_disagreements(state: State) -> None:
    from napari_cellcls.review.agreement import disagreements
    from napari_cellcls.review.masks import anchor_of

    rows = []
    for one in disagreements(state):
        anchor = anchor_of(state, one.cell_id)
        image = state.images.get(anchor.image_id) if anchor else None
        place = (
            f"{image.name} y {anchor.y:.0f} x {anchor.x:.0f}" if anchor and image else one.cell_id
        )
        said = "; ".join(
            f"{who}: {'|'.join(given) or 'none'}" for who, given in one.classes.items()
        )
        rows.append([place, said, "open" if one.final is None else "|".join(one.final)])
    if rows:
        console.show_table(["cell", "said", "last word"], rows)


def _check_journal(project: Project) -> int:
    from napari_cellcls.review.events import chain_faults

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
    for fault in faults[:_SHOWN]:
        console.say(f"  {fault}", "red")
    if faults:
        console.say(f"Journal: {len(faults):,} faults in {len(journal.state):,} events.", "red")
        return len(faults)
    console.say(f"Journal: {len(journal.state):,} events, whole and in order.", "green")
    return 0


def _check_images(project: Project) -> int:
    from napari_cellcls.project import proof
    from napari_cellcls.vocabulary import finish

    changed = missing = 0
    every = [project.locate(image) for image in project.journal.state.images]
    for one in every:
        if one.status == "changed":
            changed += 1
            console.say(f"Image: {one.text}", "red")
        elif one.status == "missing":
            missing += 1
            console.warn(f"Image: {one.text}")
        elif one.path is not None and proof.SHA in one.image.hints:
            found = finish(proof.prove(one.image, one.path, again=True))
            if found is not None and found.is_other:
                changed += 1
                console.say(f"Image: {proof.other_content(found)}", "red")
    whole = len(every) - changed - missing
    if every:
        console.say(f"Images: {whole:,} of {len(every):,} have the content that was labeled.")
    return changed


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
