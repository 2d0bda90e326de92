"""``cellcls train``: a recipe and labelled images in, a model and held-out numbers out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_cellcls.commands import console
from napari_cellcls.vocabulary import Task

_EPOCH = re.compile(r"epoch \d+/\d+: ")


def train(
    recipe: Annotated[
        str,
        typer.Argument(help="Recipe (.yaml), or the name of a shipped one.", show_default=False),
    ],
    data: Annotated[
        Path,
        typer.Option(
            help="Labelled images: class folders, a folder with train.csv and HPA images, or a parquet file.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the run.", show_default=False)
    ],
    fold: Annotated[
        int | None, typer.Option(min=0, help="Fold to hold out.", show_default="none: all data")
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another value for a key of the recipe, with dots: phases.0.epochs=2. Repeatable.",
        ),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of a finished run to learn from beside the labels; with --fold, its same fold. Repeatable.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
) -> None:
    """Train a network by a recipe, in a process of its own; Ctrl+C keeps a checkpoint."""
    from napari_cellcls.learn.process import TrainingRequest, training
    from napari_cellcls.learn.recipe import read_recipe

    changes = tuple(change or ())
    read_recipe(recipe, changes).job()  # mistakes are told before TensorFlow is loaded
    request = TrainingRequest(recipe, data, out, fold, resume, changes, tuple(teacher or ()))
    try:
        done = console.follow(told(training(request, console.warn)), "Training")
    except KeyboardInterrupt:
        console.warn(f"What was trained is kept. Go on with: {again(request)}")
        raise
    show(done)


def told(task: Task[dict[str, Any]]) -> Task[dict[str, Any]]:
    """Pass a training on, and leave a line in the terminal for every epoch."""
    try:
        while True:
            try:
                step = next(task)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if _EPOCH.match(step.message):
                console.err().print(step.message, style="dim", markup=False)
            yield step
    finally:
        task.close()


def again(request: Any) -> str:
    """Return the command that goes on with a training."""
    arguments = request.arguments(resume=True, micro_batch=None)
    return shlex.join(["cellcls", "train", *arguments])


def show(done: dict[str, Any]) -> None:
    """Say what came out of a training."""
    for name, value in done["metrics"].items():
        text = f"{value:,.0f}" if name == "n" else f"{value:.4f}"
        console.say(f"  {name:<18}{text}")
    console.say(f"Weights in {done['weights']} (sha256 {done['sha256'][:8]})")
    console.say(f"Model in {done['model']}")
