"""Journals, authors and simulated teams for the tests of the journal."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from napari_cellcls.review import opening, store
from napari_cellcls.review.events import Author, Draft, Event, Kind, Pen, Value, new_id
from napari_cellcls.review.fold import State
from napari_cellcls.review.journal import Journal
from napari_cellcls.review.opening import Places

PROJECT = "0" * 32
CELLS = [f"{i:032x}" for i in range(4)]
CLASSES = ["rbc", "wbc", "plt"]


def author(name: str = "ana", device: str = "d" * 32) -> Author:
    return Author(name, new_id(), device, "1.0")


def places(folder: Path, **changes: Any) -> Places:
    given = {
        "journal": folder / "journal.db",
        "rescue": folder.parent / f"{folder.name}-rescue",
        "lock": folder / "journal.lock",
        "backups": folder / "backups",
    }
    return Places(**{**given, **changes})


def new_journal(folder: Path, name: str = "ana", **changes: Any) -> Journal:
    folder.mkdir(parents=True, exist_ok=True)
    at = places(folder, **changes)
    store.create(at.journal, PROJECT)
    return opening.open_journal(at, PROJECT, author(name))


def reopen(folder: Path, name: str = "ana", **changes: Any) -> Journal:
    return opening.open_journal(places(folder, **changes), PROJECT, author(name))


def labeled(folder: Path, count: int = 5) -> None:
    """Make a journal with one class and ``count`` labels, closed."""
    journal = new_journal(folder)
    class_id = journal.add_class("RBC")
    for i in range(count):
        journal.label(f"{i:032x}", class_id)
    assert journal.close()


def label(pen: Pen, cell: str = CELLS[0], class_id: str | None = "rbc") -> Event:
    return pen.write(Draft(Kind.LABEL, cell, class_id=class_id, value=Value.ONLY))


class Member:
    """One annotator offline: a state of its own, and a pen."""

    def __init__(self, name: str) -> None:
        self.name, self.state = name, State()
        self.pen = Pen(author(name, name * 8))

    def write(self, *drafts: Draft) -> None:
        self.state.add([self.pen.write(draft) for draft in drafts])

    def receive(self, events: Iterable[Event]) -> None:
        events = list(events)
        self.state.add(events)
        for event in events:
            self.pen.saw(event.lamport)

    def undo(self) -> None:
        self._retract(self.state.to_undo(self.name))

    def redo(self) -> None:
        self._retract(self.state.to_redo(self.name))

    def _retract(self, targets: list[Event]) -> None:
        batch = new_id()
        self.write(*(Draft(Kind.RETRACT, replaces=e.event_id, batch=batch) for e in targets))


_cell = st.sampled_from(CELLS)
_class = st.sampled_from(CLASSES)
_drafts = st.one_of(
    st.builds(
        Draft, st.just(Kind.LABEL), _cell, class_id=st.none() | _class, value=st.sampled_from(Value)
    ),
    st.builds(Draft, st.just(Kind.SKIP), _cell),
    st.builds(
        Draft,
        st.just(Kind.FLAG),
        _cell,
        payload=st.fixed_dictionaries(
            {"flag": st.sampled_from(["border", "ambiguous", "nonsense"]), "on": st.booleans()}
        ),
    ),
    st.builds(
        Draft, st.just(Kind.COMMENT), _cell, payload=st.fixed_dictionaries({"text": st.text()})
    ),
    st.builds(
        Draft,
        st.sampled_from(
            [Kind.CLASS_ADDED, Kind.CLASS_RENAMED, Kind.CLASS_RECOLORED, Kind.CLASS_KEY]
        ),
        class_id=_class,
        payload=st.fixed_dictionaries({"name": st.text(), "color": st.just("#112233")}),
    ),
    st.builds(
        Draft,
        st.just(Kind.CLASS_MERGED),
        class_id=_class,
        payload=st.fixed_dictionaries({"into": _class}),
    ),
    st.builds(Draft, st.just(Kind.LINK), _cell, payload=st.fixed_dictionaries({"same_as": _cell})),
    st.builds(
        Draft,
        st.sampled_from([Kind.CELL, Kind.MASK_REPLACED]),
        _cell,
        payload=st.fixed_dictionaries({"label": st.integers(1, 9)}),
    ),
    st.builds(Draft, st.just(Kind.IMAGE), image_id=_cell, payload=st.just({"name": "a.tif"})),
    st.builds(Draft, st.just(Kind.PREDICTION), image_id=_cell),
)
_acts = st.one_of(_drafts, st.sampled_from(["undo", "redo", "undo", "receive"]))
teamwork = st.lists(st.tuples(st.integers(0, 2), _acts), max_size=40)
"""What three annotators do offline: who, and a draft, ``undo``, ``redo``, or receiving from the next."""


def play(work: list[tuple[int, Any]]) -> list[Member]:
    """Let three annotators work and return them."""
    team = [Member(name) for name in ("ana", "bo", "cy")]
    for who, act in work:
        member = team[who]
        if act == "receive":
            member.receive(team[(who + 1) % 3].state.events)
        elif isinstance(act, str):
            getattr(member, act)()
        else:
            member.write(act)
    return team
