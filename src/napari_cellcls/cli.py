"""The program ``cellcls``: wires the commands together and decides exit codes.

Exit codes: 0 done, 2 wrong usage, 3 some images failed, 4 nothing could be used, 130 stopped with
Ctrl+C. A user never sees a traceback unless asking for it with ``--debug``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_cellcls import __version__
from napari_cellcls.commands import classify, console, demo, doctor, evaluate, models, train
from napari_cellcls.vocabulary import CellClsError

OK, UNFORESEEN, USAGE, SOME_FAILED, NOTHING, STOPPED = 0, 1, 2, 3, 4, 130

_USAGE_CODES = frozenset({"MODEL-UNKNOWN", "MODEL-MISSING", "CHANNEL-UNKNOWN", "CHANNEL-SYNTAX"})

# typer brings its own copy of click or uses the installed one, depending on its version; the base
# of its usage errors is found without asking which.
_UsageProblem: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = typer.Typer(
    name="cellcls",
    help="Classify the cells of microscopy images: tables, label images and pictures.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(classify.classify)
app.add_typer(models.app, name="models")
app.command()(doctor.doctor)
app.command()(evaluate.evaluate)
app.command()(train.train)


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
    with console.log_file() as log, warnings.catch_warnings():
        if "--debug" not in arguments:
            # Warnings of libraries are for developers; our own doubts travel as notes.
            warnings.simplefilter("ignore")
        return _run(list(arguments), log)


def _run(arguments: list[str], log: Path | None) -> int:
    try:
        code = app(args=_debug_first(arguments), standalone_mode=False)
        return int(code or 0)
    except typer.Exit as leave:
        return leave.exit_code
    except _UsageProblem as error:
        error.show()
        return USAGE
    except (KeyboardInterrupt, typer.Abort):
        console.warn("Stopped.")
        return STOPPED
    except BrokenPipeError:
        # `cellcls ... | head`: the reader has gone; nothing more to say, and not at exit either.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except CellClsError as error:
        console.show_error(error)
        return USAGE if error.code in _USAGE_CODES else NOTHING
    # The last net: a fault of ours must reach the user as a sentence, with a log to send us.
    except Exception as error:  # noqa: BLE001
        console.show_unexpected(error, log, "--debug" in arguments)
        return UNFORESEEN


def _debug_first(arguments: list[str]) -> list[str]:
    # `cellcls classify ... --debug` is where people type it.
    if "--debug" not in arguments:
        return list(arguments)
    return ["--debug", *(a for a in arguments if a != "--debug")]
