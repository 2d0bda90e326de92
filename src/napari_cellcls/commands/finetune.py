"""``cellcls finetune``: the labels of a project make a better model, proven before it is used."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cellcls.commands import console
from napari_cellcls.commands.project_checks import Folder, opened
from napari_cellcls.vocabulary import DataError

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
    recipe: Annotated[
        str | None,
        typer.Option(
            help="How to train the whole network (.yaml: epochs, learning_rate, augmentation ...); means --deep.",
            show_default="made for the model and the labels",
        ),
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Train nothing: write recipe, model and cells of a deep fine-tune there, to be trained elsewhere.",
        ),
    ] = None,
    anew: Annotated[
        bool,
        typer.Option(
            "--anew", help="Remove a deep fine-tune that is not finished, and begin anew."
        ),
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
    from napari_cellcls.learn.tune_recipe import read_tune_recipe
    from napari_cellcls.models import registry
    from napari_cellcls.project import versions

    changes = read_tune_recipe(recipe) if recipe is not None else {}
    with opened(folder, annotator=annotator) as project:
        package = registry.load(base or default_base(project))
        if export is not None:
            _export(project, package, export, seed, changes)
            return
        deeply = deep or anew or recipe is not None
        task = (
            _deep(project, package, seed, changes, anew)
            if deeply
            else _quick(project, package, seed)
        )
        found = console.follow(task, "Fine-tuning")
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


def _quick(project: Project, package: ModelPackage, seed: int) -> Task[Tuned]:
    from napari_cellcls.learn.finetune import finetune as quick

    console.say(f"From {package.manifest.label}", "bold")
    return quick(project, package, seed=seed)


def _deep(
    project: Project, package: ModelPackage, seed: int, changes: dict[str, Any], anew: bool
) -> Task[Tuned]:
    from napari_cellcls.learn import deep as room

    left = room.unfinished(project)
    if left is not None and anew:
        room.discard(left)
    elif left is not None and changes:
        raise DataError(
            "A deep fine-tune of this project is not finished, and follows another recipe.",
            code="DEEP-UNFINISHED",
            path=left,
            remedy="Go on with it by --deep alone, or remove it and begin anew with --anew.",
        )
    elif left is not None:
        console.warn(f"Going on with the training in {left}")
        return room.go_on(project, left, on_note=console.warn)
    console.say(f"From {package.manifest.label}, the whole network", "bold")
    return room.finetune_deep(project, package, seed=seed, changes=changes, on_note=console.warn)


def _export(
    project: Project, package: ModelPackage, folder: Path, seed: int, changes: dict[str, Any]
) -> None:
    from napari_cellcls.learn import deep_begin

    task = deep_begin.export(project, package, folder, seed=seed, changes=changes)
    sides = console.follow(task, "Cutting the cells")
    told = ", ".join(f"{n:,} {side}" for side, n in sides.items())
    console.say(f"Labeled cells: {told}. To train them, here or on another computer:")
    console.say(f"  cd {shlex.quote(str(folder))}")
    console.say("  cellcls train recipe.yaml --data data --out run")


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
