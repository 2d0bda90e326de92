"""Events: hashes, lines, chains."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls.review.events import (
    Draft,
    Kind,
    Pen,
    Shown,
    chain_faults,
    from_line,
    is_genuine,
    new_id,
    to_line,
)
from tests.review.make import author, label, play, teamwork


def chain(n: int = 6):
    pen = Pen(author())
    return [label(pen, f"{i:032x}") for i in range(n)]


def test_ids_are_uuid7_and_sort_by_time():
    ids = [new_id() for _ in range(100)]
    assert len(set(ids)) == 100
    assert all(len(i) == 32 and i[12] == "7" and i[16] in "89ab" for i in ids)
    assert [i[:12] for i in ids] == sorted(i[:12] for i in ids)


def test_a_chain_is_whole():
    events = chain()
    assert list(chain_faults(events)) == []
    assert [e.session_n for e in events] == [1, 2, 3, 4, 5, 6]
    assert [e.prev_hash for e in events] == ["", *(e.hash for e in events[:-1])]
    assert [e.lamport for e in events] == [1, 2, 3, 4, 5, 6]


@given(work=teamwork, data=st.data())
def test_any_changed_field_and_any_missing_event_but_the_last_shows(work, data):
    events = sorted(play(work)[0].state.events, key=lambda e: e.key)
    mine = [e for e in events if e.annotator == "ana"]
    assert list(chain_faults(events, complete=False)) == []
    if len(mine) < 2:
        return
    index = data.draw(st.integers(0, len(mine) - 2))
    assert list(chain_faults(mine[:index] + mine[index + 1 :]))
    field = data.draw(st.sampled_from(["class_id", "annotator", "created_utc", "prev_hash"]))
    changed = mine[index]._replace(**{field: "x"})
    assert list(chain_faults([*mine[:index], changed, *mine[index + 1 :]]))


def test_a_forged_event_with_a_fresh_hash_breaks_the_next_link():
    events = chain(3)
    forged = label(Pen(author()), "f" * 32)._replace(session_id=events[1].session_id, session_n=2)
    faults = list(chain_faults([events[0], forged, events[2]]))
    assert any("does not follow" in fault for fault in faults)


@given(text=st.text(), probability=st.floats(allow_nan=True, allow_infinity=True) | st.none())
def test_lines_bring_events_back(text, probability):
    pen = Pen(author(text or "ana"))
    shown = Shown(text, "ab" * 32, "rbc", probability)
    event = pen.write(Draft(Kind.COMMENT, "c", shown=shown, payload={"text": text}))
    line = to_line(event)
    assert "\n" not in line
    assert from_line(line) == event
    assert is_genuine(event)
    if probability is not None and 0 <= probability <= 1:
        assert event.shown_prob == probability


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_id": "wbc"}, "does not match its hash"),
        ({"lamport": -1}, "'lamport' is -1"),
        ({"lamport": 2**70}, "'lamport' is"),
        ({"session_n": True}, "'session_n' is True"),
        ({"shown_prob": 1.5}, "'shown_prob' is 1.5"),
        ({"annotator": None}, "'annotator' is missing"),
        ({"annotator": 3}, "'annotator' is 3"),
        ({"cell_id": "a\x00b"}, "'cell_id' is"),
    ],
)
def test_a_line_that_is_no_event_says_why(change, message):
    fields = json.loads(to_line(chain(1)[0])) | change
    with pytest.raises(ValueError, match=message):
        from_line(json.dumps(fields))


@pytest.mark.parametrize("line", ["", "{", "[]", "3", "null", "[" * 100_000])
def test_other_lines_are_refused(line):
    with pytest.raises(ValueError):
        from_line(line)
