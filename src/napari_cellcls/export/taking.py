"""The way of imported labels into the journal: signed by whom the file names, once, and marked as imported."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from napari_cellcls.cells.identity import Anchor
from napari_cellcls.export.imported import Found
from napari_cellcls.export.matching import Matched
from napari_cellcls.review.events import (
    Author,
    Draft,
    Event,
    Flag,
    Kind,
    Pen,
    Source,
    Value,
    new_id,
)
from napari_cellcls.review.journal import Journal


@dataclass(frozen=True)
class Taken:
    """What an import did: labels written, those that were there already, classes added, rows lost."""

    labels: int
    known: int
    classes: tuple[str, ...]
    lost: Mapping[str, int]


def take_in(
    journal: Journal, matched: Matched, *, keep_names: bool = True, multi_label: bool = False
) -> Taken:
    """Write matched rows into the journal as imported labels; what it has already is not written again.

    Parameters
    ----------
    journal : Journal
    matched : Matched
    keep_names : bool
        Whether the annotators that the file names are kept as such, each with a session of
        its own that names who imported; else all labels are of this annotator.
    multi_label : bool
        Whether classes are judged one by one (yes and no).

    Raises
    ------
    JournalError
        When the journal is open for reading only.
    """
    there = {known.name for known in journal.state.classes.values()}
    meant = [(_told_apart(one, there, multi_label), anchor) for one, anchor in matched.pairs]
    names = [name for one, _ in meant for name in (*one.classes, *one.ruled_out)]
    before = set(journal.state.classes)
    class_ids = {name: journal.add_class(name) for name in dict.fromkeys(names)}
    by_person: dict[str, list[tuple[Found, Anchor]]] = {}
    for one, anchor in meant:
        # A file may name several who agreed, joined: each said it.
        people = one.annotator.split("|") if keep_names and one.annotator else [journal.annotator]
        for person in people:
            by_person.setdefault(person, []).append((one, anchor))
    drafts: dict[str, list[Draft]] = {}
    placed: set[str] = set()
    known = 0
    for person, pairs in by_person.items():
        written = drafts.setdefault(person, [])
        for one, anchor in pairs:
            wanted = _decisions(journal, person, one, anchor, class_ids, multi_label)
            known += bool(one.classes or one.ruled_out) and not any(
                d.kind == Kind.LABEL for d in wanted
            )
            if wanted and anchor.cell_id not in placed and not journal.state.anchor(anchor.cell_id):
                placed.add(anchor.cell_id)
                payload = anchor.to_json()
                written.append(
                    Draft(Kind.CELL, anchor.cell_id, image_id=anchor.image_id, payload=payload)
                )
            written += wanted
    for person, wanted in drafts.items():
        if person == journal.annotator:
            journal.record(wanted)
        elif wanted:
            journal.merge(_signed(journal, person, wanted))
    labels = sum(d.kind == Kind.LABEL for wanted in drafts.values() for d in wanted)
    added = tuple(n for n, class_id in class_ids.items() if class_id not in before)
    return Taken(labels, known, added, matched.lost)


def _decisions(
    journal: Journal,
    person: str,
    one: Found,
    anchor: Anchor,
    class_ids: Mapping[str, str],
    multi_label: bool,
) -> list[Draft]:
    """Return what a row adds to what this person decided about the cell."""
    cell = journal.state.cell(anchor.cell_id)
    last_word = one.source == Source.ADJUDICATED
    source = Source.ADJUDICATED if last_word else Source.IMPORTED
    mine = cell.decisions.get(person) if cell else None
    if last_word:
        mine = cell.final if cell else None
    judged = mine.judged if mine else {}
    wanted = {class_ids[n]: "no" for n in one.ruled_out} | {
        class_ids[n]: "yes" for n in one.classes
    }
    wanted = {journal.state.class_of(class_id): value for class_id, value in wanted.items()}
    drafts: list[Draft] = []
    if wanted != dict(judged):
        single = not multi_label and len(wanted) == 1 and "no" not in wanted.values()
        for class_id, value in wanted.items():
            said = Value.ONLY if single else Value(value)
            drafts.append(
                Draft(Kind.LABEL, anchor.cell_id, class_id=class_id, value=said, source=source)
            )
    if one.skipped and (drafts or not (mine and mine.skipped)):
        drafts.append(Draft(Kind.SKIP, anchor.cell_id, source=Source.IMPORTED))
    have = mine.flags if mine else frozenset()
    for flag in one.flags:
        if flag in set(map(str, Flag)) and flag not in have:
            payload = {"flag": flag, "on": True}
            drafts.append(Draft(Kind.FLAG, anchor.cell_id, source=Source.IMPORTED, payload=payload))
    said_before = {c.text for c in cell.comments if c.annotator == person} if cell else set()
    for text in one.comments:
        if text and text not in said_before:
            payload = {"text": text}
            drafts.append(
                Draft(Kind.COMMENT, anchor.cell_id, source=Source.IMPORTED, payload=payload)
            )
    return drafts


def _told_apart(one: Found, there: Collection[str], multi_label: bool) -> Found:
    """Return a row whose name with ": " is several classes, or one: as the project has it.

    QuPath writes several classes so, but also one class that derives from another ("Tumor: Positive").
    """
    if not one.joined or not multi_label or one.classes[0] in there:
        return replace(one, joined=False)
    parts = tuple(part.strip() for part in one.classes[0].split(": ") if part.strip())
    return replace(one, classes=parts, joined=False)


def _signed(journal: Journal, person: str, drafts: Iterable[Draft]) -> list[Event]:
    """Return events in the name of somebody whose labels a file holds, chained like any session."""
    journal.flush()
    events = sorted(journal.state.events, key=lambda e: e.key)
    last = events[-1] if events else None
    author = Author(person, new_id(), journal.author.device_id, journal.author.app_version)
    pen = Pen(author, last.hash if last else "", last.lamport if last else 0)
    batch = new_id()
    by = {"imported_by": journal.annotator}
    return [pen.write(replace(d, batch=batch, payload={**(d.payload or {}), **by})) for d in drafts]
