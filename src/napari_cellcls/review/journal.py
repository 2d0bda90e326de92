"""The journal: every decision of every annotator, saved the moment it is made, undone without limit.

:func:`~napari_cellcls.review.opening.open_journal` makes one. Methods return at once: the state has
changed, a thread saves. ``save_state`` says whether everything is on the disk.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psygnal import Signal

from napari_cellcls.review import errors
from napari_cellcls.review.backups import Backup
from napari_cellcls.review.events import (
    Author,
    Draft,
    Event,
    Flag,
    Kind,
    Pen,
    Shown,
    Source,
    Value,
    clean,
    new_id,
)
from napari_cellcls.review.fold import State
from napari_cellcls.review.state import new_class_id
from napari_cellcls.review.store import Store
from napari_cellcls.review.writer import SaveState, Sink, Writer
from napari_cellcls.vocabulary import CLASS_COLORS


class Journal:
    """Decisions about the cells of one project.

    Signals (psygnal, without arguments)
        ``changed`` fires in the thread that called, after the state changed. ``save_changed``
        fires in the thread that saves: connect with ``thread="main"``, read :attr:`save_state`.

    Attributes
    ----------
    state : State
        What all events amount to.
    refusal : JournalError or None
        Why nothing can be written (in use elsewhere, damaged, no write access); None when all is well.
    backup : Backup or None
        The newest good backup, offered when the journal is damaged.
    notes : tuple of str
        What happened at opening, in words ("12 decisions of a session that could not save ...").
    """

    changed = Signal()
    save_changed = Signal()

    def __init__(
        self,
        state: State,
        author: Author,
        *,
        store: Store | None = None,
        sink: Sink | None = None,
        pen: Pen | None = None,
        seq: int = 0,
        refusal: errors.JournalError | None = None,
        backup: Backup | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.state, self.author, self.refusal = state, author, refusal
        self.backup, self.notes = backup, tuple(notes)
        self._store, self._seq = store, seq
        self._pen = pen or Pen(author)
        self._guard = threading.RLock()
        self._closers: list[Any] = []
        self._writer: Writer | None = None
        if sink is not None and refusal is None:
            self._writer = Writer(sink, len(state), self.save_changed.emit)
            atexit.register(self.close)

    @property
    def annotator(self) -> str:
        """Who decides here."""
        return self.author.annotator

    @property
    def is_writable(self) -> bool:
        """Whether decisions can be made."""
        return self._writer is not None

    @property
    def save_state(self) -> SaveState:
        """Whether everything decided is on the disk."""
        if self._writer is None:
            return SaveState("saved", len(self.state))
        return self._writer.state

    # Decisions about cells

    def label(
        self,
        cell_id: str,
        class_id: str | None,
        *,
        value: Value = Value.ONLY,
        source: Source = Source.HUMAN,
        shown: Shown | None = None,
        ms_spent: int | None = None,
    ) -> Event:
        """Give a cell its class (None takes all labels away), or judge one class of several.

        Parameters
        ----------
        cell_id : str
        class_id : str or None
        value : Value
            ``only``: this class and no other. ``yes``, ``no``, ``unjudged``: this class, the
            others stay as they are.
        source : Source
        shown : Shown, optional
            What the person saw.
        ms_spent : int, optional
            Milliseconds the cell was looked at.

        Raises
        ------
        JournalError
            ``JOURNAL-CLASS`` for a class that is not there, or the :attr:`refusal`.
        """
        self._known(class_id)
        draft = Draft(
            Kind.LABEL, cell_id, class_id=class_id, value=value, source=source, shown=shown,
            ms_spent=ms_spent,
        )  # fmt: skip
        return self.record([draft])[0]

    def label_many(
        self,
        cell_ids: Iterable[str],
        class_id: str | None,
        *,
        source: Source = Source.BULK,
        shown: Mapping[str, Shown] | None = None,
    ) -> list[Event]:
        """Give many cells one class in one action, which one undo takes back."""
        self._known(class_id)
        seen = shown or {}
        return self.record(
            Draft(
                Kind.LABEL, cell, class_id=class_id, value=Value.ONLY, source=source,
                shown=seen.get(cell),
            )
            for cell in cell_ids
        )  # fmt: skip

    def judge(
        self,
        cell_id: str,
        judged: Mapping[str, Value],
        *,
        source: Source = Source.HUMAN,
        shown: Mapping[str, Shown] | None = None,
    ) -> list[Event]:
        """Judge several classes of one cell in one action: class id -> yes, no or unjudged."""
        for class_id in judged:
            self._known(class_id)
        seen = shown or {}
        return self.record(
            Draft(
                Kind.LABEL, cell_id, class_id=class_id, value=value, source=source,
                shown=seen.get(class_id),
            )
            for class_id, value in judged.items()
        )  # fmt: skip

    def skip(self, cell_id: str) -> Event:
        """Pass a cell over; a later label ends that."""
        return self.record([Draft(Kind.SKIP, cell_id)])[0]

    def flag(self, cell_id: str, flag: Flag, on: bool = True) -> Event:
        """Set or clear a flag of a cell."""
        return self.record([Draft(Kind.FLAG, cell_id, payload={"flag": str(flag), "on": on})])[0]

    def comment(self, cell_id: str, text: str) -> Event:
        """Add a remark about a cell."""
        return self.record([Draft(Kind.COMMENT, cell_id, payload={"text": clean(text)})])[0]

    # Classes

    def add_class(self, name: str, *, color: str | None = None, key: str = "") -> str:
        """Add a class and return its id, made from the name, so that two annotators get the same.

        A class of that name that is there already is not added again.
        """
        for known in self.state.classes.values():
            if known.name == name and known.merged_into is None:
                return known.id
        class_id = new_class_id(name, self.state.classes)
        color = color or CLASS_COLORS[len(self.state.classes) % len(CLASS_COLORS)]
        self._about(Kind.CLASS_ADDED, class_id, name=clean(name), color=color, key=key)
        return class_id

    def rename_class(self, class_id: str, name: str) -> Event:
        """Give a class another name; its labels stay."""
        self._known(class_id)
        return self._about(Kind.CLASS_RENAMED, class_id, name=clean(name))

    def recolor_class(self, class_id: str, color: str) -> Event:
        """Give a class another color ``#rrggbb``."""
        self._known(class_id)
        return self._about(Kind.CLASS_RECOLORED, class_id, color=color)

    def set_key(self, class_id: str, key: str) -> Event:
        """Give a class another key, or none."""
        self._known(class_id)
        return self._about(Kind.CLASS_KEY, class_id, key=key)

    def merge_class(self, class_id: str, into: str) -> Event:
        """Count the cells of one class as another from now on; can be undone."""
        self._known(class_id)
        self._known(into)
        return self._about(Kind.CLASS_MERGED, class_id, into=into)

    # Undo

    def undo(self) -> list[Event]:
        """Take back the last action of this annotator that counts, of any session; say which events."""
        with self._guard:
            return self._retract(self.state.to_undo(self.annotator))

    def redo(self) -> list[Event]:
        """Take back the last undo, unless something was decided since; return the revived events."""
        with self._guard:
            undone = self._retract(self.state.to_redo(self.annotator))
            wanted = {event.replaces for event in undone}
            return [event for event in self.state.events if event.event_id in wanted]

    def _retract(self, targets: list[Event]) -> list[Event]:
        self.record(Draft(Kind.RETRACT, t.cell_id, replaces=t.event_id) for t in targets)
        return targets

    # The way in

    def record(self, drafts: Iterable[Draft]) -> list[Event]:
        """Sign drafts and take them in as one action.

        Raises
        ------
        JournalError
            The :attr:`refusal`, when the journal is open for reading only.
        """
        with self._guard:
            self._need_writer()
            wanted = list(drafts)
            batch = new_id() if len(wanted) > 1 else None
            events = [self._pen.write(_joined(draft, batch)) for draft in wanted]
            self._take(events)
        if events:
            self.changed.emit()
        return events

    def merge(self, events: Iterable[Event]) -> int:
        """Take in events of others, those already here once; return how many were new."""
        with self._guard:
            self._need_writer()
            fresh = [event for event in events if event.event_id not in self.state]
            self._take(fresh)
        if fresh:
            self.changed.emit()
        return len(fresh)

    def refresh(self) -> int:
        """Take in what others committed to the same database; return how many events were new."""
        return self.receive(self.fetch())

    def fetch(self) -> list[Event]:
        """Return what was committed to the same database since the last look; for any thread."""
        if self._store is None:
            return []
        with self._store.connect() as connection:
            events, self._seq = self._store.load(connection, self._seq)
        return events

    def receive(self, events: Sequence[Event]) -> int:
        """Take in events that the database has already; return how many were new."""
        with self._guard:
            found = self.state.add(events)
            for event in events:
                self._pen.saw(event.lamport)
        if found:
            self.changed.emit()
        return found

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until everything is saved; return False when that failed."""
        return self._writer is None or self._writer.flush(timeout)

    def on_close(self, closer: Any) -> None:
        """Call ``closer`` without arguments once the journal is closed."""
        self._closers.append(closer)

    def close(self) -> bool:
        """Save what is left and let the file go; return whether everything is saved."""
        writer, self._writer = self._writer, None
        saved = True
        if writer is not None:
            atexit.unregister(self.close)
            saved = writer.close()
        elif self._store is not None:
            self._store.close()
        for closer in self._closers:
            closer()
        self._closers.clear()
        return saved

    def _take(self, events: list[Event]) -> None:
        assert self._writer is not None
        self.state.add(events)
        for event in events:
            self._pen.saw(event.lamport)
        if events:
            self._writer.put(events)

    def _about(self, kind: Kind, class_id: str, **payload: str) -> Event:
        return self.record([Draft(kind, class_id=class_id, payload=payload)])[0]

    def _need_writer(self) -> None:
        if self._writer is None:
            raise self.refusal or errors.read_only("it was closed.")

    def _known(self, class_id: str | None) -> None:
        # A reader may lack a class that is being saved: that it only reads is the better answer.
        self._need_writer()
        if class_id is not None and class_id not in self.state.classes:
            there = ", ".join(self.state.classes) or "none yet"
            raise errors.JournalError(
                f"There is no class '{class_id}' in this project.",
                code="JOURNAL-CLASS",
                why=f"its classes are: {there}.",
                remedy="Add the class first.",
            )


def _joined(draft: Draft, batch: str | None) -> Draft:
    if batch is None or draft.batch is not None:
        return draft
    return Draft(**{**draft.__dict__, "batch": batch})
