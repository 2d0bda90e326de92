"""One decision as an event: its fields, its kinds, and the hash chain that shows tampering.

An event never changes once written. Everything people see is folded from events (see ``fold``).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """What an event says. Unknown kinds (of newer releases) are kept and skipped."""

    LABEL = "label"
    RETRACT = "retract"
    SKIP = "skip"
    FLAG = "flag"
    COMMENT = "comment"
    CLASS_ADDED = "class_added"
    CLASS_RENAMED = "class_renamed"
    CLASS_MERGED = "class_merged"
    CLASS_RECOLORED = "class_recolored"
    CLASS_KEY = "class_key"
    IMAGE = "image"
    GROUPING = "grouping"
    CELL = "cell"
    MASK_REPLACED = "mask_replaced"
    LINK = "link"
    SET_ASIDE = "set_aside"
    PREDICTION = "prediction"


class Source(StrEnum):
    """How a label came about: decided, accepted as shown or with many others, imported, or the last word."""

    HUMAN = "human"
    ACCEPTED = "accepted"
    BULK = "bulk"
    IMPORTED = "imported"
    ADJUDICATED = "adjudicated"


class Value(StrEnum):
    """What a label says of its class: the only class, or yes, no, or no longer judged."""

    ONLY = "only"
    YES = "yes"
    NO = "no"
    UNJUDGED = "unjudged"


class Flag(StrEnum):
    """Remarks about a cell beside its class."""

    BAD_SEGMENTATION = "bad_segmentation"
    AMBIGUOUS = "ambiguous"
    BORDER = "border"


class Event(NamedTuple):
    """One row of the journal.

    ``class_id`` is stable; names live in the class events. ``shown_*`` is what the person saw.
    ``batch`` joins events of one action, which are undone together. ``replaces`` names the event
    a retraction takes back. ``lamport`` is larger than that of every event seen before;
    ``(lamport, event_id)`` orders all events the same way everywhere. ``session_n`` counts the
    events of a session from 1; ``prev_hash`` is the hash of the one before (for the first: of
    the last event in the journal, empty in a new one).
    """

    event_id: str
    kind: str
    cell_id: str | None
    image_id: str | None
    class_id: str | None
    value: str | None
    annotator: str
    source: str
    batch: str | None
    replaces: str | None
    shown_model: str | None
    shown_sha: str | None
    shown_class: str | None
    shown_prob: float | None
    ms_spent: int | None
    payload: str | None
    session_id: str
    session_n: int
    device_id: str
    created_utc: str
    lamport: int
    app_version: str
    prev_hash: str
    hash: str

    @property
    def key(self) -> tuple[int, str]:
        """Its place in the one order of all events."""
        return self.lamport, self.event_id

    @property
    def details(self) -> Mapping[str, Any]:
        """The payload as a mapping, empty when there is none or it is not one."""
        if not self.payload:
            return {}
        try:
            found = json.loads(self.payload)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}


_INTEGERS = {"session_n": 1, "lamport": 0, "ms_spent": 0}
_OPTIONAL = frozenset(
    {
        "cell_id", "image_id", "class_id", "value", "batch", "replaces", "shown_model", "shown_sha",
        "shown_class", "shown_prob", "ms_spent", "payload",
    }
)  # fmt: skip
_MAX_INTEGER = 2**62


@dataclass(frozen=True)
class Shown:
    """What the person saw when deciding: model ``name@version``, its SHA-256, class and probability."""

    model: str
    sha: str = ""
    class_id: str | None = None
    probability: float | None = None


@dataclass(frozen=True)
class Draft:
    """A decision before it is signed and chained: the fields of :class:`Event` a caller sets."""

    kind: Kind
    cell_id: str | None = None
    image_id: str | None = None
    class_id: str | None = None
    value: Value | None = None
    source: Source = Source.HUMAN
    batch: str | None = None
    replaces: str | None = None
    shown: Shown | None = None
    ms_spent: int | None = None
    payload: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Author:
    """Who writes: person, session of the program, computer, release."""

    annotator: str
    session_id: str
    device_id: str
    app_version: str


class Pen:
    """Turns drafts into events: signs, numbers and chains them.

    Parameters
    ----------
    author : Author
    prev_hash : str
        Hash of the last event of the journal, empty in a new one.
    lamport : int
        The largest seen.
    """

    def __init__(self, author: Author, prev_hash: str = "", lamport: int = 0) -> None:
        self.author = author
        self._prev, self._lamport, self._n = prev_hash, lamport, 0

    def saw(self, lamport: int) -> None:
        """Let later events come after one that was received."""
        self._lamport = max(self._lamport, lamport)

    def write(self, draft: Draft) -> Event:
        """Return the event of a draft; the next one is chained to it."""
        self._n += 1
        self._lamport += 1
        shown, author = draft.shown, self.author
        fields = (
            new_id(), str(draft.kind), draft.cell_id, draft.image_id, draft.class_id,
            None if draft.value is None else str(draft.value), clean(author.annotator),
            str(draft.source), draft.batch, draft.replaces,
            clean(shown.model) if shown else None, shown.sha if shown else None,
            shown.class_id if shown else None, _probability(shown), draft.ms_spent,
            _json(draft.payload), author.session_id, self._n, author.device_id, now(),
            self._lamport, author.app_version, self._prev,
        )  # fmt: skip
        event = Event(*fields, hash=digest(fields))
        self._prev = event.hash
        return event


def digest(fields: Iterable[Any]) -> str:
    """Return the hash of all fields of an event but the hash itself."""
    text = json.dumps(list(fields), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def is_genuine(event: Event) -> bool:
    """Return whether the content of an event is what was hashed."""
    try:
        return digest(event[:-1]) == event.hash
    except (TypeError, ValueError):
        return False


def chain_faults(events: Iterable[Event], *, complete: bool = True) -> Iterator[str]:
    """Yield what shows that events were changed or removed, one sentence each.

    Parameters
    ----------
    events : iterable of Event
        Of any number of sessions, in any order.
    complete : bool
        Whether everything any session has seen should be here. False for exchanged events, where
        the file of another person may still be on its way.
    """
    sessions: dict[str, dict[int, Event]] = {}
    hashes = {""}
    for event in events:
        sessions.setdefault(event.session_id, {})[event.session_n] = event
        hashes.add(event.hash)
        if not is_genuine(event):
            yield f"event {event.event_id} of {event.annotator} was changed"
    for session in sessions.values():
        for n, event in session.items():
            before = session.get(n - 1)
            who = f"event {n} of {event.annotator} on {event.created_utc[:10]}"
            if n == 1:
                if complete and event.prev_hash not in hashes:
                    yield f"what came before {who} is missing"
            elif before is None:
                yield f"what came before {who} is missing"
            elif event.prev_hash != before.hash:
                yield f"{who} does not follow the event before it"


def to_line(event: Event) -> str:
    """Return an event as one line of JSON, without the fields that are empty."""
    fields = {name: value for name, value in event._asdict().items() if value is not None}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def from_line(line: str) -> Event:
    """Read one line of JSON.

    Raises
    ------
    ValueError
        When it is no event, a field has the wrong type, or the content does not match its hash.
    """
    try:
        fields = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(fields, dict):
        raise ValueError("not an event")
    values = [_checked(name, fields.get(name)) for name in Event._fields]
    event = Event(*values)
    if not is_genuine(event):
        raise ValueError(f"the content of event {event.event_id} does not match its hash")
    return event


def new_id() -> str:
    """Return a new id that sorts by time: UUID version 7 as 32 hexadecimal digits."""
    stamp = time.time_ns() // 1_000_000
    bits = int.from_bytes(os.urandom(10), "big")
    high = (stamp << 16) | 0x7000 | (bits >> 64 & 0xFFF)
    return f"{(high << 64) | (0b10 << 62) | (bits & (2**62 - 1)):032x}"


def now() -> str:
    """Return the time now, UTC, to the millisecond: ``2026-11-21T18:44:05.123Z``."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clean(text: str) -> str:
    """Return text that every database and file can hold: no NUL, no lone surrogates."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _checked(name: str, value: Any) -> Any:
    if value is None:
        if name in _OPTIONAL:
            return None
        raise ValueError(f"'{name}' is missing")
    if name == "shown_prob":
        if isinstance(value, float) and 0 <= value <= 1:
            return value
    elif name in _INTEGERS:
        if type(value) is int and _INTEGERS[name] <= value < _MAX_INTEGER:
            return value
    elif isinstance(value, str) and clean(value) == value:
        return value
    raise ValueError(f"'{name}' is {value!r:.60}")


def _probability(shown: Shown | None) -> float | None:
    if shown is None or shown.probability is None:
        return None
    value = float(shown.probability)
    if not math.isfinite(value):
        return None
    return min(max(value, 0.0), 1.0)


def _json(payload: Mapping[str, Any] | None) -> str | None:
    if not payload:
        return None
    return clean(
        json.dumps(
            payload, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False
        )
    )
