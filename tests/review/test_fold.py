"""The fold: order does not matter, nothing counts twice, undo and redo are what people expect."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_cellcls.review.events import Draft, Kind, Pen, Value
from napari_cellcls.review.fold import State, fold
from tests.review.make import CELLS, CLASSES, Member, author, label, play, teamwork


@given(work=teamwork, data=st.data())
def test_state_is_the_same_for_every_order_and_every_cut(work, data):
    team = play(work)
    every = [e for member in team for e in member.state.events]
    expected = fold(every).snapshot()
    mixed = data.draw(st.permutations(every)) if len(every) < 60 else every[::-1]
    state = State()
    while mixed:
        size = data.draw(st.integers(1, 7))
        state.add(mixed[:size])
        mixed = mixed[size:]
    assert state.snapshot() == expected


@given(work=teamwork)
def test_what_grew_event_by_event_is_what_folds_at_once(work):
    for member in play(work):
        assert member.state.snapshot() == fold(member.state.events).snapshot()


@given(work=teamwork)
def test_union_is_commutative_associative_idempotent(work):
    a, b, c = (list(member.state.events) for member in play(work))
    whole = fold([*a, *b, *c]).snapshot()
    assert fold([*c, *b, *a]).snapshot() == whole
    left, right = fold([*a, *b]), fold([*b, *c])
    left.add(c)
    right.add(a)
    assert left.snapshot() == right.snapshot() == whole
    assert left.add([*a, *b, *c]) == 0
    assert left.snapshot() == whole


@given(work=teamwork)
def test_nobody_changes_what_another_decided(work):
    team = play(work)
    whole = fold(e for member in team for e in member.state.events)
    shared = {Kind.LINK, Kind.CLASS_MERGED}
    if any(e.kind in shared for e in whole.events):
        return  # these concern everybody, on purpose
    for member in team:
        alone = fold(e for e in whole.events if e.annotator == member.name)
        for cell_id, cell in whole.cells.items():
            mine = alone.cells.get(cell_id)
            expected = mine.decisions.get(member.name) if mine else None
            assert cell.decisions.get(member.name) == expected


_steps = st.lists(
    st.tuples(st.sampled_from(CELLS), st.sampled_from(CLASSES)) | st.sampled_from(["undo", "redo"]),
    max_size=40,
)


@given(steps=_steps)
def test_undo_and_redo_are_those_of_an_editor(steps):
    member = Member("ana")
    done: list[tuple[str, str]] = []
    undone: list[tuple[str, str]] = []
    for step in steps:
        if step == "undo":
            member.undo()
            if done:
                undone.append(done.pop())
        elif step == "redo":
            member.redo()
            if undone:
                done.append(undone.pop())
        else:
            member.write(Draft(Kind.LABEL, step[0], class_id=step[1], value=Value.ONLY))
            done.append(step)
            undone.clear()
        labels = {
            cell: state.decisions["ana"].classes for cell, state in member.state.cells.items()
        }
        assert labels == {cell: (class_id,) for cell, class_id in dict(done).items()}


def test_a_batch_is_undone_and_redone_as_one():
    member = Member("ana")
    member.write(*(Draft(Kind.LABEL, c, class_id="rbc", batch="b") for c in CELLS))
    assert member.state.counts() == {"ana": {"rbc": 4}}
    member.undo()
    assert member.state.cells == {}
    member.redo()
    assert member.state.counts() == {"ana": {"rbc": 4}}


def test_undo_takes_back_only_what_is_mine():
    ana, bo = Member("ana"), Member("bo")
    ana.write(Draft(Kind.LABEL, CELLS[0], class_id="rbc"))
    bo.receive(ana.state.events)
    assert bo.state.to_undo("bo") == []
    (event,) = ana.state.events
    bo.write(Draft(Kind.RETRACT, replaces=event.event_id))
    assert bo.state.is_active(event.event_id)
    assert bo.state.counts() == {"ana": {"rbc": 1}}


def test_several_labels_are_yes_no_or_not_judged():
    pen = Pen(author())
    judge = [("rbc", Value.YES), ("wbc", Value.NO), ("plt", Value.YES), ("plt", Value.UNJUDGED)]
    state = fold(pen.write(Draft(Kind.LABEL, "c", class_id=c, value=value)) for c, value in judge)
    decision = state.cells["c"].decisions["ana"]
    assert decision.judged == {"rbc": "yes", "wbc": "no"}
    assert (decision.classes, decision.ruled_out) == (("rbc",), ("wbc",))
    state.add([label(pen, "c", "plt")])
    assert state.cells["c"].decisions["ana"].judged == {"plt": "yes"}
    state.add([label(pen, "c", None)])
    assert "c" not in state.cells


def test_merged_classes_count_together_and_rings_are_void():
    pen = Pen(author())
    added = [
        pen.write(Draft(Kind.CLASS_ADDED, class_id=c, payload={"name": c.upper()})) for c in CLASSES
    ]
    events = [
        *added,
        label(pen, "1", "rbc"),
        label(pen, "2", "wbc"),
        pen.write(Draft(Kind.CLASS_MERGED, class_id="rbc", payload={"into": "wbc"})),
        pen.write(Draft(Kind.CLASS_MERGED, class_id="wbc", payload={"into": "rbc"})),
    ]
    state = fold(events)
    assert state.counts() == {"ana": {"wbc": 2}}
    assert state.class_of("rbc") == "wbc"
    assert state.classes["wbc"].merged_into is None
    state.add([pen.write(Draft(Kind.RETRACT, replaces=events[5].event_id))])
    # Without the first merge, the second is no ring any more.
    assert state.counts() == {"ana": {"rbc": 2}}


def test_disagreement_is_seen_and_hides_nothing():
    pens = [Pen(author(name)) for name in ("ana", "bo")]
    state = fold([label(pens[0], "c", "rbc"), label(pens[1], "c", "wbc")])
    cell = state.cells["c"]
    assert cell.disagreed
    assert {who: d.classes for who, d in cell.decisions.items()} == {
        "ana": ("rbc",),
        "bo": ("wbc",),
    }
    state.add([label(pens[1], "c", "rbc")])
    assert not state.cells["c"].disagreed


def test_unknown_kinds_and_odd_payloads_do_no_harm():
    pen = Pen(author())
    odd = [
        pen.write(Draft("hologram", "c", class_id="rbc")),
        pen.write(Draft(Kind.LINK, "c", payload={"same_as": 3})),
        pen.write(Draft(Kind.FLAG, "c", payload={"flag": ["x"]})),
        pen.write(Draft(Kind.RETRACT, replaces="nothing")),
        pen.write(Draft(Kind.LABEL)),
        pen.write(Draft(Kind.COMMENT, "c"))._replace(payload="[" * 9999),
    ]
    state = fold(odd)
    assert len(state) == 6
    assert state.cells == {}


def test_a_long_chain_of_retractions_needs_no_deep_stack():
    pen = Pen(author())
    events = [label(pen, "c")]
    for _ in range(5000):
        events.append(pen.write(Draft(Kind.RETRACT, replaces=events[-1].event_id)))
    assert fold(events).counts() == {"ana": {"rbc": 1}}
    state = State()
    for event in events[:1001]:
        state.add([event])
    assert state.counts() == {"ana": {"rbc": 1}}


def test_links_make_two_ids_one_cell():
    ana, bo = Member("ana"), Member("bo")
    ana.write(Draft(Kind.LABEL, CELLS[0], class_id="rbc"))
    bo.write(Draft(Kind.LABEL, CELLS[1], class_id="wbc"))
    bo.write(Draft(Kind.LINK, CELLS[1], payload={"same_as": CELLS[0]}))
    state = fold([*ana.state.events, *bo.state.events])
    assert list(state.cells) == [CELLS[0]]
    assert state.cell(CELLS[1]) == state.cell(CELLS[0])
    assert sorted(state.cells[CELLS[0]].decisions) == ["ana", "bo"]
