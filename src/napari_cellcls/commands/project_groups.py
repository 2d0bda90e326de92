"""``cellcls project group``: which images are of one patient, slide or plate, so that a proof keeps them together."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cellcls.commands import console
from napari_cellcls.commands.project_checks import Folder, opened, saved

if TYPE_CHECKING:
    from napari_cellcls.project.groups import Change, Wanted
    from napari_cellcls.project.project import Project

Table = Annotated[
    Path | None,
    typer.Argument(
        help="CSV with a column 'image' and columns such as patient, slide, plate.",
        show_default=False,
    ),
]


def group(
    folder: Folder,
    table: Table = None,
    from_path: Annotated[
        str | None,
        typer.Option(
            help="Regular expression for the path of an image, with a named part: (?P<patient>P\\d+).",
            show_default=False,
        ),
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", "-i", help="An image, with --set; several times.", show_default=False),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="patient=P12; nothing after = takes it away; several times.", show_default=False
        ),
    ] = None,
    later: Annotated[
        bool | None,
        typer.Option(
            "--later/--not-later", help="Images added later follow --from-path too, or no more.",
            show_default=False,
        ),
    ] = None,
    skip_unknown: Annotated[
        bool, typer.Option("--skip-unknown", help="Pass over images that the project does not have.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")
    ] = False,
) -> None:  # fmt: skip
    """Say which patient, donor, animal, slide, plate or well each image is of; alone: show it.

    Images of one group are never on both sides when a fine-tune is judged.
    """
    ways = [table is not None, from_path is not None, bool(set_ or image)]
    if sum(ways) > 1:
        raise typer.BadParameter("Give one of: a table, --from-path, --image with --set.")
    if bool(set_) != bool(image):
        raise typer.BadParameter("--image and --set go together.")
    if later and from_path is None:
        raise typer.BadParameter("--later goes with --from-path.")
    if not any(ways) and later is None:
        with opened(folder) as project:
            _show(project)
        return
    rule = {None: None, True: from_path, False: ""}[later]
    with opened(folder, write=not dry_run) as project:
        wanted = _wanted(project, table, from_path, image or [], set_ or [], skip_unknown)
        _apply(project, wanted, rule, dry_run)


def _apply(project: Project, wanted: Wanted, rule: str | None, dry_run: bool) -> None:
    from napari_cellcls.project import groups

    state = project.journal.state
    if dry_run:
        found = groups.changes(project, wanted)
    else:
        found = groups.write(project, wanted, rule=rule)
        saved(project)
    if found:
        console.show_table(["image", "before", "now"], [_row(one) for one in found])
    verb = "would be" if dry_run else "were"
    console.say(f"{len(found):,} of {len(state.images):,} images {verb} changed.")
    after = {one.id: one for one in state.images.values()}
    after |= {one.image.id: one.result for one in found}
    console.say(groups.summary(after.values()))
    if rule is not None and not dry_run:
        console.say(
            f"Images added later follow {rule}" if rule else "Images added later follow no rule."
        )


def _wanted(
    project: Project,
    table: Path | None,
    from_path: str | None,
    images: list[str],
    assigned: list[str],
    skip_unknown: bool,
) -> Wanted:
    from napari_cellcls.project import errors, groups
    from napari_cellcls.project.grouptable import Names, read_table

    if from_path is not None:
        return groups.by_path(project, from_path)
    names = Names(project.journal.state.images.values(), project.folder)
    if table is not None:
        found = read_table(table, names, skip_unknown=skip_unknown)
        if found.unknown:
            console.warn(
                f"{len(found.unknown):,} images are not in the project and were passed over."
            )
        return found.wanted  # fmt: skip
    given = {}
    for one in assigned:
        kind, sign, name = one.partition("=")
        if not sign:
            raise typer.BadParameter(f"write patient=P12; received {one!r}", param_hint="--set")
        given[kind.strip().lower()] = name
    wanted = {}
    for text in images:
        meant = names.find(text)
        if len(meant) > 1:
            raise errors.unclear_image(text, [names.place(one) for one in meant])
        if not meant:
            raise errors.unknown_image(text)
        wanted[meant[0]] = given
    return wanted


def _show(project: Project) -> None:
    from napari_cellcls.project import groups
    from napari_cellcls.review.state import GROUPS

    state = project.journal.state
    images = list(state.images.values())
    used = [kind for kind in GROUPS if any(kind in one.groups for one in images)]
    if images:
        rows = [[one.name, *(one.groups.get(kind, "") for kind in used)] for one in images]
        console.show_table(["image", *used], rows)
    console.say(groups.summary(images))
    if state.grouping:
        console.say(f"Images added later follow {state.grouping}")
    for one in groups.suggest(project):
        pattern, where = shlex.quote(one.pattern), shlex.quote(str(project.folder))
        console.say(f"Suggestion: {one.text}. To see and then to set them:")
        console.say(f"  cellcls project group {where} --from-path {pattern} --dry-run")


def _row(change: Change) -> list[str]:
    return [change.image.name, _words(change.before), _words(change.after)]


def _words(given: Mapping[str, str]) -> str:
    return ", ".join(f"{kind} {name}" for kind, name in given.items()) or "-"
