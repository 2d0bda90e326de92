"""Folds events into a state: the same for every order of arrival, and undone by retractions.

Events are taken in one order everywhere, ``(lamport, event_id)``. A new event of this computer is
the last in that order and changes the state at once; an older one that arrives late (from another
annotator) makes the state fold anew. Both ways give the same state: a test says so.
"""

from __future__ import annotations

import functools
import operator
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from napari_cellcls.review import collector, resolve
from napari_cellcls.review.events import Event, Kind
from napari_cellcls.review.state import CellState, ClassState, ImageState, PredictionState

# Plain strings: comparing with members of an enumeration takes most of the time of a fold.
_LABEL, _RETRACT, _SET_ASIDE = str(Kind.LABEL), str(Kind.RETRACT), str(Kind.SET_ASIDE)
_DECIDING = frozenset((_LABEL, str(Kind.SKIP)))
_OF_CELLS = _DECIDING | frozenset(map(str, (Kind.FLAG, Kind.COMMENT, Kind.SET_ASIDE)))
_OF_CLASSES = frozenset(str(kind) for kind in Kind if kind.startswith("class_"))
_key: Callable[[Event], tuple[int, str]] = operator.attrgetter("lamport", "event_id")
_UNDOABLE = _OF_CELLS | _OF_CLASSES | {_RETRACT}


class State:
    """What a set of events amounts to.

    Attributes
    ----------
    cells : mapping of str to CellState
        Cells anybody decided something about, by canonical id (see :meth:`canonical`).
    classes : mapping of str to ClassState
        In the order in which they were added, merged ones included.
    images : mapping of str to ImageState
    predictions : mapping of (image id, model) to PredictionState
    grouping : str
        Rule that tells from the path of an image added later what it belongs to; "" for none.
    """

    def __init__(self) -> None:
        self._events: dict[str, Event] = {}
        self._last: tuple[int, str] = (-1, "")
        self._reset()

    def _reset(self) -> None:
        self.cells: dict[str, CellState] = {}
        self.classes: dict[str, ClassState] = {}
        self.images: dict[str, ImageState] = {}
        self.predictions: dict[tuple[str, str], PredictionState] = {}
        self.grouping = ""
        self._inactive: set[str] = set()
        self._retracters: dict[str, list[Event]] = {}
        self._by_cell: defaultdict[str, list[Event]] = defaultdict(list)
        self._parents: dict[str, str] = {}
        self._anchors: dict[str, Event] = {}
        self._mine: defaultdict[str, list[Event]] = defaultdict(list)
        self._counts: Counter[tuple[str, str]] = Counter()

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self._events)

    def __contains__(self, event_id: object) -> bool:
        """Return whether the event is known."""
        return event_id in self._events

    @property
    def events(self) -> Iterable[Event]:
        """All events, in no particular order."""
        return self._events.values()

    def add(self, events: Iterable[Event]) -> int:
        """Take events in, known ones once; return how many were new."""
        with collector.still():
            return self._add(events)

    def _add(self, events: Iterable[Event]) -> int:
        known = self._events
        fresh = {e.event_id: e for e in events if e.event_id not in known}
        if not fresh:
            return 0
        new = sorted(fresh.values(), key=_key)
        known.update(fresh)
        many = len(fresh) > max(len(known) // 2, 100)
        if many or _key(new[0]) <= self._last or any(map(self._upsets, new)):
            self._fold()
        else:
            for event in new:
                self._append(event)
        self._last = max(self._last, _key(new[-1]))
        return len(fresh)

    def canonical(self, cell_id: str) -> str:
        """Return the one id of a cell that links gave several."""
        while (parent := self._parents.get(cell_id)) is not None:
            cell_id = parent
        return cell_id

    def cell(self, cell_id: str) -> CellState | None:
        """Return what was decided about a cell, None when nothing was."""
        return self.cells.get(self.canonical(cell_id))

    def anchor(self, cell_id: str) -> Mapping[str, Any]:
        """Return where a cell is (``cells.identity.Anchor`` as a mapping), empty when not known."""
        event = self._anchors.get(self.canonical(cell_id))
        return {} if event is None else event.details

    def image_of(self, cell_id: str) -> str | None:
        """Return the id of the image a cell is in, without reading where; None when not known."""
        event = self._anchors.get(self.canonical(cell_id))
        return None if event is None else event.image_id

    def is_set_aside(self, cell_id: str) -> bool:
        """Return whether somebody said that an old mask needs no cell in a new segmentation."""
        events = self._by_cell.get(self.canonical(cell_id), ())
        return any(e.kind == _SET_ASIDE and e.event_id not in self._inactive for e in events)

    def is_decided_here(self, cell_id: str) -> bool:
        """Return whether somebody labeled or skipped a cell since its present mask was stored."""
        cell_id = self.canonical(cell_id)
        cell, placed = self.cells.get(cell_id), self._anchors.get(cell_id)
        if cell is None or placed is None:
            return False
        if cell.final is None and not any(d.judged or d.skipped for d in cell.decisions.values()):
            return False
        return any(
            e.kind in _DECIDING and e.key > placed.key and e.event_id not in self._inactive
            for e in self._by_cell.get(cell_id, ())
        )

    def class_of(self, class_id: str) -> str:
        """Return the class that a class was merged into, itself when it was not."""
        return resolve.merged(self.classes, class_id)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return annotator -> class id -> number of cells labeled with it."""
        result: dict[str, dict[str, int]] = {}
        for (annotator, class_id), n in sorted(self._counts.items()):
            if n:
                result.setdefault(annotator, {})[class_id] = n
        return result

    def is_active(self, event_id: str) -> bool:
        """Return whether an event is known and not retracted."""
        return event_id in self._events and event_id not in self._inactive

    def to_undo(self, annotator: str) -> list[Event]:
        """Return the events of the annotator's last action that counts, newest first."""
        for event in reversed(self._mine.get(annotator, ())):
            if event.kind != _RETRACT and event.event_id not in self._inactive:
                return self._batch(annotator, event)
        return []

    def to_redo(self, annotator: str) -> list[Event]:
        """Return the retractions that a redo takes back; empty after a new action."""
        for event in reversed(self._mine.get(annotator, ())):
            if event.kind != _RETRACT:
                return []
            target = self._events.get(event.replaces or "")
            undo = target is not None and target.kind != _RETRACT
            if undo and event.event_id not in self._inactive:
                return self._batch(annotator, event)
        return []

    def snapshot(self) -> dict[str, Any]:
        """Return everything that can be seen, as values that compare equal for equal states."""
        return {
            "cells": dict(self.cells),
            "classes": list(self.classes.values()),
            "images": dict(self.images),
            "predictions": dict(self.predictions),
            "grouping": self.grouping,
            "counts": self.counts(),
            "anchors": {cell: event.event_id for cell, event in self._anchors.items()},
        }

    def _batch(self, annotator: str, last: Event) -> list[Event]:
        if last.batch is None:
            return [last]
        return [
            event
            for event in reversed(self._mine[annotator])
            if event.batch == last.batch
            and event.kind == last.kind
            and event.event_id not in self._inactive
        ]

    def _upsets(self, event: Event) -> bool:
        # Links join histories, and what happens to classes or links may concern every cell.
        if event.kind == _RETRACT:
            target = self._events.get(event.replaces or "")
            while target is not None and target.kind == _RETRACT:
                target = self._events.get(target.replaces or "")
            return target is not None and target.kind not in _OF_CELLS
        return event.kind == Kind.LINK or event.kind in _OF_CLASSES

    def _fold(self) -> None:
        self._reset()
        ordered = sorted(self._events.values(), key=_key)
        for event in reversed(ordered):
            if event.kind == _RETRACT and event.event_id not in self._inactive:
                target = self._target(event)
                if target is not None:
                    self._inactive.add(target.event_id)
        active = [e for e in ordered if e.event_id not in self._inactive]
        self._parents = resolve.links(e for e in active if e.kind == Kind.LINK)
        self.classes = resolve.classes(e for e in active if e.kind in _OF_CLASSES)
        mine, by_cell = self._mine, self._by_cell
        for event in ordered:
            if event.kind == _LABEL and event.cell_id and not self._parents:  # nearly all
                mine[event.annotator].append(event)
                by_cell[event.cell_id].append(event)
            else:
                self._file(event)
        class_of = functools.cache(self.class_of)
        resolved = (self._resolved(cell_id, e, class_of) for cell_id, e in by_cell.items())
        self.cells.update((cell.cell_id, cell) for cell in resolved if cell is not None)
        self._counts.update(_labels(self.cells.values()))

    def _append(self, event: Event) -> None:
        self._file(event)
        if event.kind in _OF_CELLS and event.cell_id:
            self._refresh(self.canonical(event.cell_id))
        elif event.kind == _RETRACT:
            changed = self._flip(event)
            if changed is not None and changed.cell_id:
                self._refresh(self.canonical(changed.cell_id))

    def _file(self, event: Event) -> None:
        """Put an event where it belongs; cells are resolved later."""
        kind = event.kind
        if kind in _UNDOABLE:
            self._mine[event.annotator].append(event)
        if kind in _OF_CELLS:
            if event.cell_id:
                self._by_cell[self.canonical(event.cell_id)].append(event)
        elif kind == _RETRACT:
            self._retracters.setdefault(event.replaces or "", []).append(event)
        elif event.event_id in self._inactive:
            return
        elif kind in (Kind.CELL, Kind.MASK_REPLACED) and event.cell_id:
            cell_id = self.canonical(event.cell_id)
            if kind == Kind.MASK_REPLACED or cell_id not in self._anchors:
                self._anchors[cell_id] = event
        elif kind == Kind.IMAGE and event.image_id:
            self.images[event.image_id] = resolve.image(event, self.images.get(event.image_id))
        elif kind == Kind.GROUPING:
            self.grouping = str(event.details.get("pattern", ""))
        elif kind == Kind.PREDICTION and event.image_id:
            found = resolve.prediction(event)
            self.predictions[found.image_id, found.model] = found

    def _flip(self, retraction: Event) -> Event | None:
        """Take back the target; return the event of a cell that changed by it, if one did."""
        target = self._target(retraction)
        while target is not None:
            was = target.event_id in self._inactive
            found = any(
                r.event_id not in self._inactive and self._target(r) is target
                for r in self._retracters.get(target.event_id, ())
            )
            if found == was:
                return None
            (self._inactive.add if found else self._inactive.discard)(target.event_id)
            if target.kind != _RETRACT:
                return target
            target = self._target(target)
        return None

    def _target(self, retraction: Event) -> Event | None:
        """Return what a retraction takes back: only an earlier event of the same person."""
        target = self._events.get(retraction.replaces or "")
        if target is None or target.annotator != retraction.annotator:
            return None
        return target if target.key < retraction.key else None

    def _refresh(self, cell_id: str) -> None:
        before = self.cells.pop(cell_id, None)
        if before is not None:
            self._counts.subtract(_labels([before]))
        after = self._resolved(cell_id, self._by_cell[cell_id], self.class_of)
        if after is not None:
            self.cells[cell_id] = after
            self._counts.update(_labels([after]))

    def _resolved(
        self, cell_id: str, events: list[Event], class_of: Callable[[str], str]
    ) -> CellState | None:
        if self._inactive:
            inactive = self._inactive
            events = [event for event in events if event.event_id not in inactive]
        return resolve.cell(cell_id, events, class_of)


def _labels(cells: Iterable[CellState]) -> Iterator[tuple[str, str]]:
    """Yield annotator and class of every label given."""
    for cell in cells:
        for annotator, decision in cell.decisions.items():
            for class_id, value in decision.judged.items():
                if value == "yes":
                    yield annotator, class_id


def fold(events: Iterable[Event]) -> State:
    """Return the state that a set of events amounts to, whatever their order."""
    state = State()
    state.add(events)
    return state
