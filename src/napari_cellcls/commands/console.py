"""Everything the terminal shows: results on stdout; progress, doubts and errors on stderr.

Without a terminal (a pipe, a log file, a cluster) there are no bars and no colors: progress is a
plain line now and then, and lines are never wrapped, so that other programs can read them.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table

from napari_cellcls.vocabulary import CellClsError, Progress, Task, sentence

Result = TypeVar("Result")

_PLAIN_EVERY = 10.0


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave the end of the program to ``cli`` (rich would end it here, with code 1)."""
        raise  # rich calls this while it handles the BrokenPipeError


def out() -> Console:
    """Return the console of results (stdout as it is now, so that tests may replace it)."""
    return _Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())


def err() -> Console:
    """Return the console of progress and errors (stderr)."""
    return _Console(file=sys.stderr, highlight=False, soft_wrap=not sys.stderr.isatty())


def say(text: str = "", style: str | None = None) -> None:
    """Write one line of results; the text is shown as it is (no markup)."""
    out().print(escape(text), style=style)


def warn(text: str) -> None:
    """Write one line of doubts."""
    err().print(escape(text), style="yellow")


def show_error(error: CellClsError) -> None:
    """Show what happened, where, why, and what to do, a line each."""
    console = err()
    console.print(f"[bold red]{escape(error.what)}[/] [dim]{escape('[' + error.code + ']')}[/]")
    why = sentence(error.why)
    for name, text in (("file", error.path), ("why", why), ("what to do", error.remedy)):
        if text:
            console.print(f"  [dim]{name}:[/] {escape(str(text))}")


def show_table(headings: list[str], rows: list[list[str]], title: str | None = None) -> None:
    """Show a table: drawn in a terminal, tab-separated in a pipe."""
    console = out()
    if not console.is_terminal:
        # Straight to the stream: rich would turn the tabs into spaces.
        console.file.writelines("\t".join(row) + "\n" for row in [headings, *rows])
        return
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)


def follow(task: Task[Result], title: str) -> Result:
    """Run a task to its end with a progress bar and the time left; close it if stopped."""
    console = err()
    show = _bar if console.is_terminal else _plain
    try:
        with show(console, title) as step:
            while True:
                try:
                    step(next(task))
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
    finally:
        task.close()


@contextmanager
def _bar(console: Console, title: str) -> Iterator[Callable[[Progress], None]]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[message]}", markup=False),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        bar = bars.add_task(escape(title), total=None, message="")

        def step(at: Progress) -> None:
            bars.update(bar, total=at.total or None, completed=at.done, message=at.message[:60])

        yield step


@contextmanager
def _plain(console: Console, title: str) -> Iterator[Callable[[Progress], None]]:
    begin = last = time.monotonic()

    def step(at: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _PLAIN_EVERY:
            return
        last = now
        share = f"{100 * at.done / at.total:.0f} %" if at.total else "..."
        left = (now - begin) * (at.total - at.done) / at.done if at.done and at.total else None
        rest = "" if left is None else f", about {left:.0f} s left"
        console.print(escape(f"{title}: {share}, {at.message}{rest}"))

    yield step


def log_folder() -> Path:
    """Return the folder of log files (may not exist)."""
    from napari_cellcls.models.places import home

    return home() / "logs"


@contextmanager
def log_file() -> Iterator[Path | None]:
    """Keep warnings and tracebacks of the block in a log file, made when there is something.

    Yields None when no folder can be written.
    """
    path = log_folder() / f"cellcls-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    except (OSError, RuntimeError):
        yield None
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("napari_cellcls")
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield path
    finally:
        logger.removeHandler(handler)
        logger.propagate = before
        handler.close()


def show_unexpected(error: BaseException, log: Path | None, debug: bool) -> None:
    """Say in one paragraph that we failed, and where the details are."""
    logging.getLogger("napari_cellcls").error("unforeseen failure", exc_info=error)
    if debug:
        traceback.print_exception(error)
    where = f" The details are in {log}." if log and log.exists() else ""
    err().print(
        escape(
            "Something went wrong that should not have, and the command stopped: "
            f"{type(error).__name__}: {error}.{where} Files already written are whole. "
            "Please report this with the details; --debug shows them here."
        ),
        style="red",
    )
