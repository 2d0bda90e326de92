"""``cellcls train``: a recipe and labelled cells in, network weights and held-out numbers out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_cellcls.commands import console
from napari_cellcls.vocabulary import DataError, Progress, Task, TaskError


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe (.yaml).", show_default=False)],
    data: Annotated[
        Path,
        typer.Option(
            help="Labelled cells: a folder of class folders, or a parquet file.", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder of the run.", show_default=False)
    ],
    fold: Annotated[
        int | None, typer.Option(min=0, help="Fold to hold out.", show_default="none: all data")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a run stopped.")] = False,
) -> None:
    """Train a network by a recipe, in a process of its own; Ctrl+C keeps the last checkpoint."""
    arguments = [str(recipe), "--data", str(data), "--out", str(out)]
    arguments += [] if fold is None else ["--fold", str(fold)]
    arguments += ["--resume"] if resume else []
    done = console.follow(training(arguments), "Training")
    for name, value in done.get("metrics", {}).items():
        console.say(
            f"  {name:<14}{value:.4f}" if isinstance(value, float) else f"  {name:<14}{value}"
        )
    console.say(f"Weights in {done['weights']} (sha256 {done['sha256'][:8]})")


def training(arguments: list[str]) -> Task[dict[str, Any]]:
    """Run the trainer; return its last event.

    Raises
    ------
    DataError
        What the trainer refuses, with its own code.
    TaskError
        ``TASK-CHILD`` when the process ends without a result.
    """
    command = [sys.executable, "-P", "-m", "napari_cellcls.learn.trainer", *arguments]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    last: dict[str, Any] = {}
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True
        ) as child,
    ):
        try:
            assert child.stdout is not None
            for line in child.stdout:
                last = json.loads(line)
                for note in last.get("notes", ()):
                    console.warn(note)
                if last["event"] == "progress":
                    yield Progress(last["done"], last["total"], last["message"])
        finally:
            if child.poll() is None and last.get("event") not in ("done", "error"):
                child.terminate()
        if child.wait() == 0 and last.get("event") == "done":
            return last
        errors.seek(0)
        tail = errors.read()[-400:].strip()
    if last.get("event") == "error":
        said = {key: last[key] for key in ("code", "path", "why", "remedy")}
        raise DataError(last["what"], **said)
    raise TaskError(
        "The training process ended without a result.",
        code="TASK-CHILD",
        why=f"it ended with {child.returncode}: {tail}",
        remedy="Run `cellcls doctor` to see whether TensorFlow works; --resume goes on from the last checkpoint.",
    )
