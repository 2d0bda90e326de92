"""How numbers and what they rest on are said: in tables of text, in sentences, on pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from napari_cellcls.learn import metrics
from napari_cellcls.learn.heldout import SHARED, HeldOut


def rounded(value: float | None) -> float | None:
    """Return a number with five decimals, None when it is not defined."""
    return None if value is None or not math.isfinite(value) else round(float(value), 5)


def number(value: float | None, digits: int = 4) -> str:
    """Return a number for people; "not defined" where there is none."""
    return "not defined" if value is None else f"{value:.{digits}f}"


def in_words(entry: Mapping[str, Any], name: str) -> str:
    """Return a number of a row with its interval and its spread over folds."""
    if name not in entry:
        return "-"
    text = number(entry[name])
    if entry.get(f"{name}_low") is not None:
        text += f" [{entry[f'{name}_low']:.4f}, {entry[f'{name}_high']:.4f}]"
    if entry.get(f"{name}_sd") is not None:
        text += f" ± {entry[f'{name}_sd']:.4f}"
    return text


def text_table(
    rows: Mapping[str, Mapping[str, Any]],
    columns: Sequence[str] = metrics.BINARY,
    *,
    turned: bool = False,
) -> str:
    """Return a plain text table, intervals in brackets where known.

    Parameters
    ----------
    rows : mapping of str to mapping
        Title and numbers of each entry.
    columns : sequence of str
        The numbers to show.
    turned : bool
        One line per number instead of one per entry: long cells then fit a terminal.
    """
    head = ["", *(name.replace("_", " ") for name in columns), "n"]
    body = [
        [title, *(in_words(entry, name) for name in columns), f"{int(entry.get('n', 0)):,}"]
        for title, entry in rows.items()
    ]
    grid = [head, *body]
    if turned:
        grid = [list(line) for line in zip(*grid)]
    widths = [max(map(len, column)) for column in zip(*grid)]
    lines = ["  ".join(text.ljust(w) for text, w in zip(line, widths)).rstrip() for line in grid]
    return "\n".join([lines[0], "-" * sum(widths, 2 * (len(widths) - 1)), *lines[1:]])


def value_in_words(value: Any) -> str:
    """Return a published value: a number, a range, or words."""
    if isinstance(value, list | tuple):
        return " to ".join(f"{v:g}" for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def measured_as(metric: str) -> str | None:
    """Return which of our numbers a published one is, None when there is none like it."""
    words = metric.lower().replace("-", " ")
    if "train" in words or "batch" in words:
        return None
    if "f1" in words:
        kinds = [k for k in ("macro", "micro", "sample") if k in words]
        return f"{kinds[0]}_f1" if kinds else None
    return next((name for name in ("accuracy", "auc", "sensitivity", "specificity") if name in words), None)  # fmt: skip


def interval_words(held: HeldOut) -> str | None:
    """Return how the intervals were made, None where there are none."""
    drawn = len(np.unique(held.group_names))
    if drawn < 2:
        return None
    if held.group_words:
        kind = "" if held.group_words == "group" else f" ({held.group_words})"
        return f"95 %, bootstrap over {drawn:,} groups{kind}"
    return f"95 %, bootstrap over {drawn:,} single images, as no groups are known"


def statement(held: HeldOut) -> str:
    """Return what the numbers rest on, in sentences."""
    words = interval_words(held)
    told = [f"In brackets: {words}." if words else "There are no intervals: all images are of one group."]  # fmt: skip
    if not held.group_words and words:
        told.append("They are too narrow where several images are of one patient or one antibody.")
    if held.groups == SHARED and held.group_words:
        told.append(f"Images of one {held.group_words} are on both sides: expect less of new ones.")
    if held.data.multi_label:
        empty = float((~held.truth).mean())
        told.append(f"Accuracy is that of single labels: no label at all, for every image, gets {empty:.4f}.")  # fmt: skip
    return " ".join(told)
