"""The desk of one annotator: turns decisions about rows into events, and says what they amount to.

It knows no window. Every method returns at once: the journal saves beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from psygnal import Signal

from napari_cellcls.review.events import Draft, Event, Flag, Kind, Shown, Source, Value, clean
from napari_cellcls.review.journal import Journal
from napari_cellcls.review.masks import place
from napari_cellcls.review.sheet import FLAGS, Sheet

_LONGEST_MS = 600_000
_APART = (Kind.LINK, Kind.SET_ASIDE)


@dataclass(frozen=True)
class Step:
    """What an undo or redo did: rows of this sheet that changed, and one line about it."""

    rows: tuple[int, ...]
    text: str


class Desk:
    """Decisions of one annotator about the cells of one sheet.

    Signals (psygnal)
        ``decided(rows)``: something was decided about these rows (a sequence of int).
        ``renewed()``: everything may have changed: classes, other annotators, blind mode.

    Parameters
    ----------
    journal : Journal
    sheet : Sheet
        Its cells need not be known to the journal.
    multi_label : bool
        Whether a cell may have several classes.

    Raises
    ------
    JournalError
        By every decision, when the journal is open for reading only.
    """

    decided = Signal(object)
    renewed = Signal()

    def __init__(self, journal: Journal, sheet: Sheet, *, multi_label: bool = False) -> None:
        self.journal, self.sheet, self.multi_label = journal, sheet, multi_label
        self.strangers = sheet.link(journal.state)
        self._acting = False
        self._seen_row, self._seen_at = -1, 0.0
        sheet.refresh(journal.state, journal.annotator)
        journal.changed.connect(self._on_journal)

    def release(self) -> None:
        """React to nothing more."""
        self.journal.changed.disconnect(self._on_journal)

    @property
    def blind(self) -> bool:
        """Whether predictions and other people's labels are hidden."""
        return self.sheet.blind

    def set_blind(self, blind: bool) -> None:
        """Hide or show predictions and other people's labels."""
        if blind != self.sheet.blind:
            self.sheet.blind = blind
            self._renew()

    def look_at(self, row: int) -> None:
        """Start the clock: the next decision about this row stores how long it was looked at."""
        self._seen_row, self._seen_at = row, time.monotonic()

    def set_class(self, rows: Sequence[int], class_id: str) -> None:
        """Give cells a class; where cells may have several, judge it: none, yes, no in turn."""
        if self.multi_label:
            self.judge(rows, class_id, self._next_value(rows, class_id))
            return
        source = Source.HUMAN if len(rows) == 1 else Source.BULK
        self._label(rows, [((class_id, Value.ONLY),)] * len(rows), source)

    def judge(self, rows: Sequence[int], class_id: str, value: Value) -> None:
        """Say of one class that cells have it, do not have it, or that it is not judged."""
        source = Source.HUMAN if len(rows) == 1 else Source.BULK
        self._label(rows, [((class_id, value),)] * len(rows), source)

    def accept(self, rows: Sequence[int], *, bulk: bool = False) -> int:
        """Accept what is shown of cells I did not judge yet, or am to judge again; return of how many.

        With one class per cell that is the class shown. With several: yes for those shown, no for
        the others that the model knows. A cell without anything to accept is left alone.
        """
        sheet = self.sheet
        new = [row for row in rows if sheet.again[row] or not sheet.mine[row]]
        told = [(row, self._shown_judgment(row)) for row in new]
        told = [(row, judgment) for row, judgment in told if judgment]
        source = Source.BULK if bulk else Source.ACCEPTED
        self._label([row for row, _ in told], [judgment for _, judgment in told], source)
        return len(told)

    def clear(self, rows: Sequence[int]) -> None:
        """Take my labels of cells away."""
        mine = [row for row in rows if self.sheet.mine[row]]
        self._label(mine, [((None, Value.ONLY),)] * len(mine), Source.HUMAN)

    def skip(self, rows: Sequence[int]) -> None:
        """Pass cells over."""
        with self._deciding(rows) as ids:
            self.journal.record([Draft(Kind.SKIP, one) for one in ids])

    def settle(self, rows: Sequence[int]) -> int:
        """Make what is shown the last word on cells that people disagree about; return of how many."""
        disputed = [row for row in rows if self.sheet.disagreed[row]]
        told = [self._shown_judgment(row) for row in disputed]
        self._label(disputed, told, Source.ADJUDICATED)
        return len(disputed)

    def comment(self, rows: Sequence[int], text: str) -> None:
        """Add a remark about cells."""
        with self._deciding(rows) as ids:
            payload = {"text": clean(text)}
            self.journal.record([Draft(Kind.COMMENT, one, payload=payload) for one in ids])

    def set_aside(self, cell_id: str) -> None:
        """Say that a labeled cell of an older segmentation needs no cell here; its label stays."""
        with self._in_action():
            self.journal.record([Draft(Kind.SET_ASIDE, cell_id)])

    def toggle_flag(self, rows: Sequence[int], flag: Flag) -> bool:
        """Set a flag of cells, or clear it where all have it; return whether it is set now."""
        bit = 1 << FLAGS.index(str(flag))
        on = not all(self.sheet.flags[row] & bit for row in rows)
        payload = {"flag": str(flag), "on": on}
        with self._deciding(rows) as ids:
            self.journal.record([Draft(Kind.FLAG, one, payload=payload) for one in ids])
        return on

    def undo(self) -> Step:
        """Take back my last action, of this or an earlier session, in this or another image."""
        return self._stepped(self.journal.undo, "Undone", "There is nothing to undo.")

    def redo(self) -> Step:
        """Take back the last undo."""
        return self._stepped(self.journal.redo, "Done again", "There is nothing to redo.")

    def counts(self) -> dict[str, dict[str, int]]:
        """Return annotator -> class id -> labeled cells of the whole project; mine alone when blind."""
        counts = self.journal.state.counts()
        return {
            name: n
            for name, n in counts.items()
            if not self.blind or name == self.journal.annotator
        }

    def missing(self, goal: int) -> dict[str, int]:
        """Return class id -> how many cells are still wanted, of the classes short of ``goal``."""
        have = dict.fromkeys((one.id for one in self.sheet.classes), 0)
        for by_class in self.counts().values():
            for class_id, n in by_class.items():
                if class_id in have:
                    have[class_id] += n
        return {class_id: goal - n for class_id, n in have.items() if n < goal}

    def _shown_judgment(self, row: int) -> tuple[tuple[str | None, Value], ...]:
        sheet, classes = self.sheet, self.sheet.classes
        if not self.multi_label:
            column = int(sheet.shown[row])
            return ((classes[column].id, Value.ONLY),) if column >= 0 else ()
        if sheet.label[row] >= 0 or (sheet.judged[row] != 0).any():  # what somebody else said
            values = [int(v) for v in sheet.judged[row]]
        elif sheet.opinion is None or sheet.blind:
            return ()
        else:
            known = sheet.model_columns >= 0
            values = np.where(known, np.where(sheet.assigned[row], 1, -1), 0).tolist()
        return tuple(
            (one.id, Value.YES if value > 0 else Value.NO)
            for one, value in zip(classes, values, strict=True)
            if value
        )

    def _next_value(self, rows: Sequence[int], class_id: str) -> Value:
        column = [one.id for one in self.sheet.classes].index(class_id)
        values = {
            int(self.sheet.judged[row, column]) if self.sheet.mine[row] else 0 for row in rows
        }
        if values == {1}:
            return Value.NO
        return Value.UNJUDGED if values == {-1} else Value.YES

    def _label(
        self,
        rows: Sequence[int],
        judgments: Sequence[Sequence[tuple[str | None, Value]]],
        source: Source,
    ) -> None:
        column = {one.id: k for k, one in enumerate(self.sheet.classes)}
        spent = self._spent_on(rows)
        drafts = []
        with self._deciding(rows) as ids:
            for row, cell_id, judgment in zip(rows, ids, judgments, strict=True):
                for class_id, value in judgment:
                    drafts.append(
                        Draft(
                            Kind.LABEL, cell_id, class_id=class_id, value=value, source=source,
                            shown=self._shown(row, column, class_id, value), ms_spent=spent,
                        )
                    )  # fmt: skip
            self.journal.record(drafts)

    def _shown(
        self, row: int, column: Mapping[str, int], class_id: str | None, value: Value
    ) -> Shown | None:
        if value == Value.ONLY or class_id is None:
            return self.sheet.shown_to(row)
        return self.sheet.shown_to(row, column[class_id])

    def _spent_on(self, rows: Sequence[int]) -> int | None:
        if list(rows) != [self._seen_row]:
            return None
        return min(round(1000 * (time.monotonic() - self._seen_at)), _LONGEST_MS)

    @contextmanager
    def _deciding(self, rows: Sequence[int]) -> Iterator[list[str]]:
        """Give the ids of rows to decide about, and take in afterwards what was decided."""
        if not rows:
            yield []
            return
        state = self.journal.state
        with self._in_action():
            if self.journal.refusal is None:
                ids, new = self.sheet.meet(rows, state)
                place(self.journal, new)
            else:
                ids = [self.sheet.known_id(row) or "" for row in rows]
            yield ids
        self._take_in(rows)

    @contextmanager
    def _in_action(self) -> Iterator[None]:
        self._acting = True
        try:
            yield
        finally:
            self._acting = False

    def _stepped(self, act: object, done: str, nothing: str) -> Step:
        assert callable(act)
        with self._in_action():
            events: list[Event] = act()
        if not events:
            return Step((), nothing)
        text = f"{done}: {_told(events, {one.id: one.name for one in self.sheet.classes})}"
        if any(event.cell_id is None or event.kind in _APART for event in events):
            self._renew()
            return Step((), text)
        state = self.journal.state
        ids = {state.canonical(event.cell_id) for event in events if event.cell_id}
        rows = tuple(row for one in ids if (row := self.sheet.row_of(one)) is not None)
        if not rows:
            return Step((), f"{text} (in another image)")
        self._take_in(rows)
        return Step(tuple(sorted(rows)), text)

    def _take_in(self, rows: Sequence[int]) -> None:
        self.sheet.refresh(self.journal.state, self.journal.annotator, rows)
        self.decided.emit(tuple(rows))

    def _on_journal(self) -> None:
        if not self._acting:
            self._renew()

    def _renew(self) -> None:
        self.strangers = self.sheet.link(self.journal.state)
        self.sheet.refresh(self.journal.state, self.journal.annotator)
        self.renewed.emit()


def next_open(is_open: np.ndarray, order: np.ndarray, after: int | None) -> int | None:
    """Return the next row of ``order`` that waits for a decision, beginning behind ``after``.

    At the end it starts from the beginning; None when nothing is left.

    Parameters
    ----------
    is_open : numpy.ndarray
        ``(N,)`` bool, see :meth:`Sheet.is_open`.
    order : numpy.ndarray
        Rows.
    after : int or None
    """
    at = np.flatnonzero(order == (-1 if after is None else after))
    begin = int(at[0]) + 1 if len(at) else 0
    waiting = is_open[order]
    for part in (slice(begin, None), slice(0, begin)):
        found = np.flatnonzero(waiting[part])
        if len(found) and int(order[part][found[0]]) != after:
            return int(order[part][found[0]])
    return None


def _told(events: Sequence[Event], names: Mapping[str, str]) -> str:
    first, count = events[0], len({event.cell_id for event in events})
    cells = "1 cell" if count == 1 else f"{count:,} cells"
    name = names.get(first.class_id or "", first.class_id or "")
    if first.kind == Kind.LABEL:
        verb = {Value.NO: "not ", Value.UNJUDGED: "not judged "}.get(
            Value(first.value or "only"), ""
        )
        return f"{cells} {verb}{name}" if name else f"{cells} cleared"
    if first.kind == Kind.SKIP:
        return f"{cells} skipped"
    if first.kind == Kind.FLAG:
        return f"{cells} flagged {str(first.details.get('flag', '')).replace('_', ' ')}"
    if first.kind == Kind.SET_ASIDE:
        return f"{cells} set aside"
    if first.kind == Kind.COMMENT:
        return f"remark about {cells}"
    return f"change of class {name}".rstrip()
