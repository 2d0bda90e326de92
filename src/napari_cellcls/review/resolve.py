"""What the active events of one cell, of the classes and of the links amount to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from napari_cellcls.review.events import Event, Flag, Kind, Source, Value
from napari_cellcls.review.state import (
    CellState,
    ClassState,
    Comment,
    Decision,
    ImageState,
    PredictionState,
)

_GRAY = "#999999"
# Plain strings: comparing with members of an enumeration takes most of the time of a fold.
_LABEL, _SKIP, _FLAG, _COMMENT = (str(k) for k in (Kind.LABEL, Kind.SKIP, Kind.FLAG, Kind.COMMENT))
_ONLY, _YES, _NO, _UNJUDGED = (str(v) for v in (Value.ONLY, Value.YES, Value.NO, Value.UNJUDGED))
_FLAGS = frozenset(str(flag) for flag in Flag)
_ADJUDICATED = str(Source.ADJUDICATED)


def cell(cell_id: str, events: Sequence[Event], class_of: Callable[[str], str]) -> CellState | None:
    """Return the state of a cell from its active events in order; None when nothing is left."""
    if (
        len(events) == 1
        and (one := events[0]).kind == _LABEL
        and one.value == _ONLY
        and one.source != _ADJUDICATED
    ):
        if one.class_id is None:
            return None
        judged = {class_of(one.class_id): _YES}
        return CellState(cell_id, {one.annotator: Decision(one.annotator, judged, one)})
    by_annotator: dict[str, list[Event]] = {}
    comments = []
    last_words = []
    for event in events:
        if event.source == _ADJUDICATED and event.kind == _LABEL:
            last_words.append(event)
        elif event.kind == _COMMENT:
            text = str(event.details.get("text", ""))
            if text:
                comments.append(Comment(event.annotator, event.created_utc, text, event.event_id))
        elif event.annotator in by_annotator:
            by_annotator[event.annotator].append(event)
        else:
            by_annotator[event.annotator] = [event]
    decisions = {}
    for annotator in sorted(by_annotator):
        decision = _decision(annotator, by_annotator[annotator], class_of)
        if decision is not None:
            decisions[annotator] = decision
    final = _decision(last_words[-1].annotator, last_words, class_of) if last_words else None
    if not decisions and not comments and final is None:
        return None
    return CellState(cell_id, decisions, tuple(comments), final)


def _decision(
    annotator: str, events: Sequence[Event], class_of: Callable[[str], str]
) -> Decision | None:
    judged: dict[str, str] = {}
    flags: frozenset[str] = frozenset()
    label: Event | None = None
    skipped = False
    for event in events:
        kind = event.kind
        if kind == _LABEL:
            label, skipped = event, False
            _judge(judged, event.class_id, event.value)
        elif kind == _SKIP:
            skipped = True
        elif kind == _FLAG:
            flags = _marked(flags, event)
    if not judged:
        return Decision(annotator, {}, None, skipped, flags) if skipped or flags else None
    merged: dict[str, str] = {}
    for class_id, value in judged.items():
        target = class_of(class_id)
        if merged.get(target) != _YES:
            merged[target] = value
    return Decision(annotator, merged, label, skipped, flags)


def _judge(judged: dict[str, str], class_id: str | None, value: str | None) -> None:
    if class_id is None:
        judged.clear()
    elif value in (_YES, _NO):
        judged[class_id] = value
    elif value == _UNJUDGED:
        judged.pop(class_id, None)
    else:
        judged.clear()
        judged[class_id] = _YES


def _marked(flags: frozenset[str], event: Event) -> frozenset[str]:
    name = event.details.get("flag")
    if not isinstance(name, str) or name not in _FLAGS:
        return flags
    return flags | {name} if event.details.get("on", True) else flags - {name}


def classes(events: Iterable[Event]) -> dict[str, ClassState]:
    """Return the classes from their active events in order."""
    found: dict[str, ClassState] = {}
    for event in events:
        class_id, details = event.class_id, event.details
        if not class_id:
            continue
        known = found.get(class_id)
        name, color, key = (_text(details.get(k)) for k in ("name", "color", "key"))
        if event.kind == Kind.CLASS_ADDED:
            if known is None:
                found[class_id] = ClassState(class_id, name or class_id, color or _GRAY, key or "")
        elif known is None:
            continue
        elif event.kind == Kind.CLASS_RENAMED and name:
            found[class_id] = replace(known, name=name)
        elif event.kind == Kind.CLASS_RECOLORED and color:
            found[class_id] = replace(known, color=color)
        elif event.kind == Kind.CLASS_KEY and key is not None:
            found[class_id] = replace(known, key=key)
        elif event.kind == Kind.CLASS_MERGED:
            into = _text(details.get("into"))
            # The later of two merges that point at each other is void, so there is no ring.
            if into and into in found and merged(found, into) != class_id:
                found[class_id] = replace(known, merged_into=into)
    return found


def merged(found: Mapping[str, ClassState], class_id: str) -> str:
    """Return where a class ends up after all merges."""
    while (known := found.get(class_id)) is not None and known.merged_into is not None:
        class_id = known.merged_into
    return class_id


def links(events: Iterable[Event]) -> dict[str, str]:
    """Return cell id -> smaller id of the same cell, from active link events."""
    parents: dict[str, str] = {}

    def root(cell_id: str) -> str:
        while cell_id in parents:
            cell_id = parents[cell_id]
        return cell_id

    for event in events:
        other = _text(event.details.get("same_as"))
        if event.cell_id and other:
            one, two = sorted((root(event.cell_id), root(other)))
            if one != two:
                parents[two] = one
    return parents


def image(event: Event, known: ImageState | None) -> ImageState:
    """Return what is known of an image after one more event about it."""
    assert event.image_id is not None
    hints = {**(known.hints if known else {}), **event.details}
    name = _text(hints.get("name")) or event.image_id[:8]
    return ImageState(event.image_id, name, hints)


def prediction(event: Event) -> PredictionState:
    """Return a batch of predictions as a value."""
    return PredictionState(
        event.image_id or "",
        event.shown_model or "",
        event.shown_sha or "",
        event.created_utc,
        event.details,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
