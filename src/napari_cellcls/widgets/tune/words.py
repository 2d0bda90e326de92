"""What the dock *Fine-tune* says: how many labels there are and are missing, verdicts, versions. No Qt here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_cellcls.learn.gate import FALL
from napari_cellcls.learn.holdout import FEWEST
from napari_cellcls.review.state import ImageState

if TYPE_CHECKING:
    from napari_cellcls.learn.gate import Fall, Verdict
    from napari_cellcls.project.versions import History, Version
    from napari_cellcls.review.fold import State

ENOUGH = 10
"""Labeled cells of each class from which on a quick fine-tune is worth a try."""
ENOUGH_DEEP = 50
QUICK = "Quick: a new last layer on what the network sees already. Seconds, and old classes stay."
DEEP = (
    "Deep: the whole network learns. Minutes to hours. Try Quick first: Deep may add some points."
)
SIGNS = {
    "better": ("▲", "#009e73"),
    "no worse": ("●", "#56b4e9"),
    "worse": ("▼", "#d55e00"),
    "not enough data to tell": ("○", "#999999"),
}
"""Sign and color of each verdict; the color is never the only sign."""


@dataclass(frozen=True)
class ClassLine:
    """One class and its labels.

    Attributes
    ----------
    name, color : str
    labeled : int
    """

    name: str
    color: str
    labeled: int


@dataclass(frozen=True)
class Stock:
    """The labels of a project, counted.

    Attributes
    ----------
    classes : tuple of ClassLine
    images, groups : int
        With labels; the groups are what is held out as a whole: patients, slides, else images.
    """

    classes: tuple[ClassLine, ...]
    images: int
    groups: int

    @property
    def labels(self) -> int:
        """Return the labels of all classes."""
        return sum(one.labeled for one in self.classes)

    @property
    def why_not(self) -> str:
        """Return why nothing can be learned yet, "" when something can."""
        if sum(one.labeled > 0 for one in self.classes) >= 2:
            return ""
        return "Label at least one cell of each of two classes first, in Review cells."


def stock_of(state: State) -> Stock:
    """Count the labels of a project; cells that several people labeled count for each of them once."""
    counts: dict[str, int] = {}
    for by_class in state.counts().values():
        for class_id, n in by_class.items():
            counts[class_id] = max(counts.get(class_id, 0), n)
    lines = tuple(
        ClassLine(one.name, one.color, counts.get(one.id, 0))
        for one in state.classes.values()
        if one.merged_into is None
    )
    images = {
        state.image_of(cell.cell_id) for cell in tuple(state.cells.values()) if cell.decisions
    }
    known = [state.images.get(one, ImageState(one, "")) for one in images if one is not None]
    return Stock(lines, len(known), len({one.group for one in known}))


def missing_words(line: ClassLine, deep: bool) -> str:
    """Return "12 · 3 more", or "12 ✓"."""
    wanted = ENOUGH_DEEP if deep else ENOUGH
    more = wanted - line.labeled
    return f"{line.labeled:,} ✓" if more <= 0 else f"{line.labeled:,} · {more:,} more"


def stock_words(stock: Stock, deep: bool) -> str:
    """Return in a sentence or two what would make the result better or provable."""
    wanted = ENOUGH_DEEP if deep else ENOUGH
    scarce = sorted(
        (one for one in stock.classes if one.labeled < wanted), key=lambda one: -one.labeled
    )
    parts = []
    if scarce:
        told = [f"{wanted - one.labeled:,} more of {one.name}" for one in scarce[:3]]
        rest = len(scarce) - len(told)
        parts.append(
            "Would help: " + ", ".join(told) + (f" and {rest} other classes" if rest else "") + "."
        )
    if stock.images < 2:
        parts.append("With labels of one image nothing can be said about other images.")
    elif stock.groups < 2:
        parts.append(
            "All images are of one patient, slide or plate: nothing can be said about others."
        )
    elif stock.groups < FEWEST:
        more = FEWEST - stock.groups
        one, several = ("image", "images")
        if stock.groups < stock.images:
            one, several = ("patient, slide or plate", "patients, slides or plates")
        parts.append(
            f"{more} more {one if more == 1 else several} with labels would allow a proof on images "
            "never learned from."
        )
    return " ".join(parts)


def headline(verdict: Verdict) -> str:
    """Return the verdict in a few words."""
    word = f"{verdict.word[0].upper()}{verdict.word[1:]}"
    if math.isnan(verdict.after) or math.isnan(verdict.before):
        return word
    return f"{word}: macro F1 {verdict.before:.2f} → {verdict.after:.2f}"


def evidence(verdict: Verdict) -> str:
    """Return what the verdict rests on, and how often these cells were asked."""
    lines = []
    if verdict.difference is not None:
        low, high = verdict.difference
        lines.append(
            f"Difference {verdict.after - verdict.before:+.3f}, {verdict.level:.0%} interval {low:+.3f} to {high:+.3f}."
        )
    if verdict.cells:
        lines.append(
            f"Judged by {verdict.cells:,} cells of {verdict.groups:,} group{'s' if verdict.groups != 1 else ''} "
            "(patients, slides or images)."
        )
    if verdict.attempts > 1:
        lines.append(
            f"Attempt {verdict.attempts} on these cells: each further one asks for a clearer gain."
        )
    return " ".join([*lines, *verdict.reasons])


def class_row(one: Fall) -> tuple[str, str, str, str]:
    """Return name, F1 before and after, and cells of a class; a clear fall is marked."""
    fell = one.before - one.after > FALL
    return one.name, _f1(one.before), _f1(one.after) + (" ▼" if fell else ""), f"{one.cells:,}"


def _f1(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def version_lines(found: History) -> list[tuple[str, str]]:
    """Return a line and a tooltip for each version, newest first, and for the released model at the end."""
    words = {one.version: one.word for one in found.attempts}
    lines = []
    for version in found.versions:
        lines.append((_line(version, words.get(version.label, "")), _tip(version, found)))
    nothing = not any(one.in_use for one in found.versions)
    lines.append(
        (f"{'●' if nothing else '   '} the released model", "What the project started from")
    )
    return lines


def _line(version: Version, word: str) -> str:
    mark = "●" if version.in_use else "   "
    if version.error is not None or version.manifest is None:
        return f"{mark} {version.label}  (cannot be read)"
    made, learned = version.manifest.provenance, version.manifest.provenance.n_labels
    return " · ".join(
        part
        for part in (f"{mark} {version.label}", made.created[:10], f"{learned:,} labels", word)
        if part
    )


def _tip(version: Version, found: History) -> str:
    if version.error is not None:
        return f"{version.error.what} {version.error.why}"
    told = [f"{version.path.name}, {version.bytes / 1e6:.1f} MB"]
    told += [
        f"{change.when[:16].replace('T', ' ')}: {change.before or 'the released model'} → "
        f"{change.after or 'the released model'} by {change.who} ({change.why})"
        for change in found.changes
        if version.label in (change.before, change.after)
    ]
    return "\n".join(told)


def notes_words(notes: Sequence[str], left_out: dict[str, int]) -> str:
    """Return what a person should know besides the verdict."""
    lines = list(notes)
    if left_out:
        told = ", ".join(f"{n:,} {why}" for why, n in sorted(left_out.items()))
        lines.append(f"Not used: {told}.")
    return "\n".join(lines)
