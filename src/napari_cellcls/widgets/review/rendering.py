"""What the panels say about a cell and about what is possible now, as words and values. No Qt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_cellcls.review.events import Kind
from napari_cellcls.review.sheet import FLAGS

if TYPE_CHECKING:
    from napari_cellcls.cells.carry import Carried
    from napari_cellcls.project.project import Project
    from napari_cellcls.review.events import Author, Event
    from napari_cellcls.review.fold import State
    from napari_cellcls.review.leftovers import Leftover
    from napari_cellcls.review.sheet import Opinion, Sheet
    from napari_cellcls.widgets.review.subject import Subject


@dataclass(frozen=True)
class Chance:
    """One line on a class of the cell at hand: probability (None: not known), and my judgment."""

    class_id: str
    probability: float | None
    judged: int = 0
    is_shown: bool = False


def cell_words(subject: Subject | None, state: State | None, row: int | None = None) -> str:
    """Return what is known of the cell at hand, or what to do to get one."""
    if subject is None:
        return (
            "Nothing to review yet. Find and classify the cells with Classify cells, "
            "or open a project that has images."
        )
    if row is None:
        return "No cell is selected." if len(subject.sheet) else "There are no cells."
    sheet = subject.sheet
    lines = [f"<b>Cell {int(sheet.cells.ids[row])}</b>"]
    predicted = int(sheet.predicted[row])
    if sheet.blind:
        lines.append("predictions are hidden")
    elif predicted >= 0:
        names = [one.name for one, is_so in zip(sheet.classes, sheet.assigned[row]) if is_so]
        lines.append(f"predicted {_escaped(', '.join(names))} {sheet.confidence[row]:.2f}")
    elif sheet.opinion is not None:
        lines.append(_unmapped(sheet.opinion, row))
    note = subject.ranker.found.notes.get(row)
    if note is not None and sheet.again[row] and not sheet.blind:
        lines.append(f"<b>may be wrong:</b> {_escaped(note)}")
    cell_id = sheet.known_id(row)
    cell = state.cell(cell_id) if state is not None and cell_id is not None else None
    if cell is not None and cell.final is not None and not sheet.blind:
        lines.append(f"<b>last word</b> by {_escaped(cell.final.annotator)}")
    if cell is not None:
        by_id = {one.id: one.name for one in sheet.classes}
        for who, decision in cell.decisions.items():
            if sheet.blind and not sheet.by.get(who, _NOTHING)[row]:
                continue
            told = [by_id.get(c, c) for c in decision.classes]
            told += [f"not {by_id.get(c, c)}" for c in decision.ruled_out]
            source = f" ({decision.event.source})" if decision.event is not None else ""
            if told:
                lines.append(f"{_escaped(who)}: {_escaped(', '.join(told))}{source}")
            elif decision.skipped:
                lines.append(f"{_escaped(who)}: skipped")
        lines += [
            _escaped(f"“{one.text}” {one.annotator}")
            for one in cell.comments
            if not sheet.blind or one.annotator == sheet.annotator
        ]
    flags = [name.replace("_", " ") for k, name in enumerate(FLAGS) if sheet.flags[row] >> k & 1]
    if flags:
        lines.append("flags: " + ", ".join(flags))
    if sheet.disagreed[row]:
        lines.append("<b>people disagree</b>")
    return "<br>".join(lines)


def chances(sheet: Sheet, row: int) -> list[Chance]:
    """Return one line per class."""
    shown = int(sheet.shown[row])
    return [
        Chance(
            one.id,
            None if sheet.blind else sheet.probability(row, column),
            int(sheet.judged[row, column]),
            column == shown,
        )
        for column, one in enumerate(sheet.classes)
    ]


def impossible(
    subject: Subject | None, project: Project | None, row: int | None
) -> tuple[str, dict[str, str]]:
    """Return why nothing can be decided (empty: it can), and why single actions cannot be taken."""
    if subject is None or not len(subject.sheet):
        return "There is nothing to review.", {"next": "There is nothing to review."}
    if project is not None and project.journal.refusal is not None:
        return project.journal.refusal.what, {}
    some: dict[str, str] = {}
    if row is None:
        some = dict.fromkeys(
            ("accept", "accept_all", "clear", "skip", "bad_segmentation", "ambiguous", "settle"),
            "Select a cell first.",
        )
    elif not subject.sheet.disagreed[row]:
        some["settle"] = "People agree about this cell, or nobody else has labeled it."
    if row is not None and subject.sheet.shown[row] < 0 and not subject.sheet.judged[row].any():
        some["accept"] = "Nothing is shown that could be accepted."
    state = project.journal.state if project is not None else None
    who = project.journal.annotator if project is not None else ""
    if state is None or not state.to_undo(who):
        some["undo"] = "There is nothing to undo."
    if state is None or not state.to_redo(who):
        some["redo"] = "There is nothing to redo."
    return "", some


def _unmapped(opinion: Opinion, row: int) -> str:
    names = [
        n for n, is_so in zip(opinion.scheme.names, opinion.assigned[row], strict=True) if is_so
    ]
    if not names:
        return "no class predicted"
    return f"predicted {_escaped(', '.join(names))}, which is no class of the project"


@dataclass(frozen=True)
class LeftoverLine:
    """One entry of the list of labels not taken over: text, tooltip, color of the class (may be empty)."""

    cell_id: str
    text: str
    tip: str
    color: str


_DECISIONS = frozenset(map(str, (Kind.LABEL, Kind.SKIP, Kind.FLAG, Kind.COMMENT)))
_LEFTOVERS = {
    "split": ("split", "The old cell is several new ones. Decide about them: they are selected."),
    "merge": ("merged", "Several old cells are one new one. Decide about it."),
    "moved": ("moved", "Something is there, but its outline agrees too little to be sure."),
    "lost": ("lost", "Nothing is there now. Draw the cell, or set the entry aside."),
}


def leftover_line(
    item: Leftover, state: State, sheet: Sheet, who: str | None = None
) -> LeftoverLine:
    """Return the words for a label that was not taken over; ``who``: of this annotator's label only."""
    kind, tip = _LEFTOVERS[item.kind]
    name, color = _old_label(item, state, who)
    old = f"cell {item.label} ({name})" if name else f"cell {item.label}"
    numbers = sorted(int(sheet.cells.ids[row]) for row in item.rows)
    if not numbers:
        text = f"{kind}: {old}"
    else:
        cells = "cell" if len(numbers) == 1 else "cells"
        text = f"{kind}: {old} → {cells} {', '.join(map(str, numbers))}"
    if item.kind == "moved":
        text += f", {item.iou:.0%} shared"
    return LeftoverLine(item.cell_id, text, tip, color)


def leftover_head(items: Sequence[Leftover]) -> str:
    """Return how many labels were not taken over, by kind."""
    kinds = Counter(item.kind for item in items)
    told = ", ".join(f"{n:,} {_LEFTOVERS[kind][0]}" for kind, n in sorted(kinds.items()))
    labels = "1 label is" if len(items) == 1 else f"{len(items):,} labels are"
    return f"<b>{labels} left on the old outlines</b>: {told}" if items else ""


def _old_label(item: Leftover, state: State, who: str | None) -> tuple[str, str]:
    cell = state.cell(item.cell_id)
    if cell is None:
        return "", ""
    told = cell.settled if who is None else cell.decisions.get(who)
    if told is None and who is None:
        return "people disagree", ""
    known = [state.classes[c] for c in told.classes if c in state.classes] if told else []
    return ", ".join(one.name for one in known), known[0].color if known else ""


def carry_words(result: Carried) -> str:
    """Return how taking labels over to a new segmentation went."""
    kinds = Counter(item.kind for item in result.review)
    rest = ", ".join(f"{n} {_LEFTOVERS[kind][0]}" for kind, n in sorted(kinds.items()))
    kept = len(result.kept)
    cells = "1 cell keeps its label" if kept == 1 else f"{kept:,} cells keep their labels"
    return f"{cells}; not taken over: {rest}" if rest else cells


def news_words(events: Sequence[Event], me: Author) -> str:
    """Return how many decisions came, and from whom; empty when there are none."""
    own = sum(e.kind in _DECISIONS and e.annotator == me.annotator for e in events)
    others = Counter(
        e.annotator for e in events if e.kind in _DECISIONS and e.annotator != me.annotator
    )
    told = []
    if others:
        names = [name for name, _ in others.most_common()]
        if len(names) > 3:
            names[2:] = [f"{len(names) - 2} others"]
        people = " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
        told.append(f"{_new(others.total())} from {people}")
    if own:
        told.append(f"{_new(own)} of yours from another computer")
    if not told and any(e.kind.startswith("class_") for e in events):
        told.append("The classes were changed by others")
    return ", ".join(told)


def _new(count: int) -> str:
    return "1 new decision" if count == 1 else f"{count:,} new decisions"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


class _Nothing:
    def __getitem__(self, row: int) -> bool:
        return False


_NOTHING = _Nothing()
