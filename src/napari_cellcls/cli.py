"""The program ``cellcls``: wires the commands together and decides exit codes.

Exit codes: 0 done, 2 wrong usage, 3 some images failed, 4 nothing could be used, 130 stopped with
Ctrl+C, 141 nobody reads the output any more, 143 told to end (SIGTERM). A user never sees a
traceback unless asking for it with ``--debug``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from napari_cellcls import __version__
from napari_cellcls.commands import (
    audit,
    classify,
    console,
    demo,
    doctor,
    evaluate,
    finetune,
    models,
    project,
    signals,
    train,
)
from napari_cellcls.commands.failures import USAGE_CODES
from napari_cellcls.vocabulary import CellClsError

UNFORESEEN, USAGE, NOTHING = 1, 2, 4
STOPPED, UNREAD, TERMINATED = 130, 141, 143
"""128 and the number of the signal, as shells count: SIGINT, SIGPIPE, SIGTERM."""

# typer brings its own copy of click or uses the installed one, depending on its version; the base
# of its usage errors is found without asking which.
_UsageProblem: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


class _Ended(Exception):
    """Carries Ctrl+C, or a reader who has gone, past typer, which would make its own exit of it."""

    def __init__(self, reason: KeyboardInterrupt | BrokenPipeError) -> None:
        super().__init__()
        self.reason = reason


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, BrokenPipeError) as reason:
            raise _Ended(reason) from reason


app = typer.Typer(
    name="cellcls",
    cls=_Commands,
    help="Classify the cells of microscopy images: tables, label images and pictures.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(classify.classify)
app.add_typer(models.app, name="models")
app.add_typer(project.app, name="project")
app.command()(doctor.doctor)
app.command()(evaluate.evaluate)
app.command()(audit.audit)
app.command()(train.train)
app.command()(finetune.finetune)


def _version(asked: bool) -> None:
    if asked:
        console.say(f"napari-cellcls {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Classify the cells of microscopy images: tables, label images and pictures."""


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    with console.log_file() as log, warnings.catch_warnings(), signals.heeded():
        if "--debug" not in arguments:
            # Warnings of libraries are for developers; our own doubts travel as notes.
            warnings.simplefilter("ignore")
        return _run(list(arguments), log)


def _run(arguments: list[str], log: Path | None) -> int:
    try:
        code = _command(_debug_first(arguments))
        sys.stdout.flush()  # so that a reader who has gone is met here and not at exit
        return code
    except _UsageProblem as error:
        error.message = error.message.replace("Value error, ", "")
        error.show()
        return USAGE
    except (KeyboardInterrupt, typer.Abort) as stop:
        console.warn("Stopped.")
        return TERMINATED if isinstance(stop, signals.Terminated) else STOPPED
    except BrokenPipeError:
        _say_no_more()
        return UNREAD
    except CellClsError as error:
        console.show_error(error)
        return USAGE if error.code in USAGE_CODES else NOTHING
    # The last net: a fault of ours must reach the user as a sentence, with a log to send us.
    except Exception as error:  # noqa: BLE001
        console.show_unexpected(error, log, "--debug" in arguments)
        return UNFORESEEN


def _command(arguments: list[str]) -> int:
    if "" in arguments:  # as a path it would mean the current folder
        raise typer.BadParameter("an argument is empty; is a variable of the shell not set?")
    try:
        return int(app(args=arguments, standalone_mode=False) or 0)
    except typer.Exit as leave:
        return leave.exit_code
    except _Ended as end:
        raise end.reason from None
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # while typer wrote its help
            raise end.__context__ from None
        raise


def _say_no_more() -> None:
    """Send what is still to be written nowhere: Python would complain at its exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())


def _debug_first(arguments: list[str]) -> list[str]:
    # `cellcls classify ... --debug` is where people type it.
    if "--debug" not in arguments:
        return list(arguments)
    return ["--debug", *(a for a in arguments if a != "--debug")]
