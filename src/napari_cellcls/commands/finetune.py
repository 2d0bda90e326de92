"""``cellcls finetune``: the labels of a project make a better model, proven before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from napari_cellcls.commands import console
from napari_cellcls.commands.project_checks import Folder, opened

if TYPE_CHECKING:
    from napari_cellcls.learn.finetune import Tuned
    from napari_cellcls.learn.gate import Verdict
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.project.project import Project
    from napari_cellcls.vocabulary import Task


def finetune(
    folder: Folder,
    base: Annotated[
        str | None,
        typer.Option(
            help="Released model to start from: name or .cellpkg file.",
            show_default="the one shown most in the project, else blank",
        ),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Train the whole network, in a process of its own.")
    ] = False,
    use_anyway: Annotated[
        bool,
        typer.Option("--use-anyway", help="Use the new version whatever the verdict."),
    ] = False,
    annotator: Annotated[
        str | None, typer.Option(help="Your name in the history.", show_default="user name")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 42,
) -> None:
    """Learn from the labels of a project; the new version is used only when it is not worse."""
    from napari_cellcls.learn.finetune import default_base
    from napari_cellcls.models import registry
    from napari_cellcls.project import versions

    with opened(folder, annotator=annotator) as project:
        package = registry.load(base or default_base(project))
        console.say(f"From {package.manifest.label}", "bold")
        found = console.follow(_task(project, package, deep, seed), "Fine-tuning")
        _show(found)
        if use_anyway and not found.promoted:
            versions.use(project, found.label, why="used anyway")
            console.say(f"{found.label} is in use, because you asked for it.")
        elif not found.promoted:
            now = versions.in_use(project)
            console.say(
                f"{package.manifest.label if now is None else now.label} stays in use; to use the new "
                f"version anyway: cellcls models rollback {project.folder} --to "
                f"{found.label.rpartition('@')[2]}"
            )
        else:
            console.say(f"{found.label} is in use now.")


def show_verdict(verdict: Verdict) -> None:
    """Say what the verdict is and what became of each class."""
    console.say(verdict.text())
    if verdict.classes:
        console.show_table(
            ["class", "F1 before", "F1 after", "held-out cells"],
            [
                [one.name, f"{one.before:.3f}", f"{one.after:.3f}", f"{one.cells:,}"]
                for one in verdict.classes
            ],
        )


def _task(project: Project, package: ModelPackage, deep: bool, seed: int) -> Task[Tuned]:
    if not deep:
        from napari_cellcls.learn.finetune import finetune as quick

        return quick(project, package, seed=seed)
    from napari_cellcls.learn import deep as room

    unfinished = room.unfinished(project)
    if unfinished is not None:
        console.warn(f"Going on with the training in {unfinished}")
        return room.go_on(project, unfinished, on_note=console.warn)
    return room.finetune_deep(project, package, seed=seed, on_note=console.warn)


def _show(found: Tuned) -> None:
    held = f", held out {found.held_out:,}" if found.held_out else ""
    console.say(
        f"{found.label}: learned from {found.labels_used:,} cells{held}; {found.seconds:.1f} s"
    )
    for why, count in found.left_out.items():
        console.warn(f"  {count:,} cells left out: {why}")
    for note in found.notes:
        console.warn(f"  {note}")
    show_verdict(found.verdict)
