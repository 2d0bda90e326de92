"""``cellcls models history|rollback|compare``: the versions of a project's model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cellcls.commands import console
from napari_cellcls.commands.finetune import show_verdict
from napari_cellcls.commands.project_checks import Folder, opened

if TYPE_CHECKING:
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.project.project import Project
    from napari_cellcls.project.versions import Version

Data = Annotated[
    Path, typer.Option("--data", help="Project whose labels judge.", show_default=False)
]


def history(folder: Folder) -> None:
    """List the versions of a project's model, and what happened to them."""
    from napari_cellcls.project import versions

    with opened(folder) as project:
        found = versions.history(project)
    if not found.versions:
        console.say("No version yet. Make one with: cellcls finetune PROJECT")
        return
    words = {attempt.version: attempt.word for attempt in found.attempts}
    rows = [_row(one, words.get(one.label, "")) for one in found.versions]
    console.show_table(
        ["version", "in use", "from", "labels", "macro F1", "verdict", "sha256"], rows
    )
    for change in found.changes:
        before, after = change.before or "the released model", change.after or "the released model"
        when = change.when[:16].replace("T", " ")
        console.say(f"{when} UTC, {change.who}: {before} → {after} ({change.why})")
    for one in found.versions:
        if one.error is not None:
            console.show_error(one.error)


def rollback(
    folder: Folder,
    to: Annotated[
        str | None,
        typer.Option(
            help="Version: number, name@version, or the beginning of its SHA-256.",
            show_default="the one before",
        ),
    ] = None,
    annotator: Annotated[
        str | None, typer.Option(help="Your name in the history.", show_default="user name")
    ] = None,
) -> None:
    """Use an earlier version again."""
    from napari_cellcls.project import versions

    with opened(folder, annotator=annotator) as project:
        found = versions.roll_back(project, to)
    label = "The released model that the project started from" if found is None else found.label
    console.say(f"{label} is in use now.")


def compare(
    one: Annotated[str, typer.Argument(help="Model or version before.", show_default=False)],
    two: Annotated[str, typer.Argument(help="Model or version after.", show_default=False)],
    data: Data,
) -> None:
    """Compare two models on labeled cells of a project that neither has learned from."""
    from napari_cellcls.learn.compared import compare_models

    with opened(data) as project:
        packages = [_load(project, name) for name in (one, two)]
        task = compare_models(project, packages[0], packages[1])
        verdict, notes = console.follow(task, "Comparing")
    console.say(f"{packages[0].manifest.label} → {packages[1].manifest.label}", "bold")
    for note in notes:
        console.warn(f"  {note}")
    show_verdict(verdict)


def _load(project: Project, name: str) -> ModelPackage:
    """Read a version of the project, else a model of this computer."""
    from napari_cellcls.models import registry
    from napari_cellcls.models.package import read_package
    from napari_cellcls.project import versions

    for version in versions.history(project).versions:
        if name in (version.label, version.label.rpartition("@")[2], version.sha256[:8]):
            return read_package(version.path)
    return registry.load(name)


def _row(one: Version, word: str) -> list[str]:
    use = "yes" if one.in_use else ""
    if one.manifest is None:
        return [one.label, use, "", "", "", "cannot be read", one.sha256[:8]]
    facts, macro = one.manifest.provenance, one.manifest.metrics.values.get("macro_f1")
    number = "" if macro is None else f"{macro.value:.3f}"
    labels = f"{facts.n_labels:,}"
    return [one.label, use, facts.parent, labels, number, word, one.sha256[:8]]
