"""Who judges: the same groups everywhere and always, two at least, a third at most, no class held out wholly."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellcls.cells.identity import Anchor
from napari_cellcls.learn.holdout import (
    FEWEST,
    Sides,
    hashes,
    held_out,
    known,
    past_sides,
    traces,
)
from napari_cellcls.learn.labels import Labels, shares
from napari_cellcls.review.state import ClassState


def labels_of(groups: list[str], classes: list[int], testable: list[bool] | None = None) -> Labels:
    count, kinds = len(groups), max(classes, default=0) + 1
    return Labels(
        ids=tuple(map(str, range(count))),
        anchors=(),
        classes=tuple(ClassState(str(k), str(k), "#111111") for k in range(kinds)),
        targets=np.eye(kinds, dtype=np.float32)[classes],
        weights=np.ones(count, np.float32),
        testable=np.ones(count, bool) if testable is None else np.array(testable),
        groups=np.array(groups, dtype=str),
        events=tuple(map(str, range(count))),
        annotators=("ana",),
        left_out={},
    )


def of_images(groups: list[str], images: list[str]) -> Labels:
    """Return labels of one cell per image."""
    anchors = tuple(Anchor(one, 1, (0, 0, 1, 1), 0.5, 0.5, 1, "0,1") for one in images)
    return replace(labels_of(groups, [0] * len(groups)), anchors=anchors)


def judges(names: list[str], per: int = 4) -> set[str]:
    groups = [name for name in names for _ in range(per)]
    found = labels_of(groups, [k % 2 for k in range(len(groups))])
    return set(found.groups[held_out(found, np.arange(len(groups)))].tolist())


def test_with_few_groups_none_is_held_out() -> None:
    assert judges(list("abcd")) == set()
    assert len(judges(list("abcde"))) == 2 and FEWEST == 5


@settings(max_examples=30)
@given(st.sets(st.text("abcdefgh", min_size=1, max_size=3), min_size=5, max_size=40))
def test_two_to_a_third_of_the_groups_judge(names: set[str]) -> None:
    found = judges(sorted(names))
    assert 2 <= len(found) <= max(2, len(names) // 3)
    assert found == judges(sorted(names, reverse=True))


def test_about_a_quarter_judges_and_it_stays_so() -> None:
    names = [f"image {k}" for k in range(200)]
    share, last = shares(names), set()
    for count in (20, 40, 80, 160, 200):
        found = judges(names[:count])
        assert 0.1 * count <= len(found) <= count / 3
        # Who judged goes on to judge, unless it only filled up; who did not, does so only when there is room now.
        assert all(share[name] < 0.25 for name in found)
        assert last <= found
        last = found


def test_what_may_not_judge_is_learned_from() -> None:
    groups = [f"image {k}" for k in range(12) for _ in range(3)]
    seen = [name in ("image 1", "image 2", "image 3") for name in groups]
    found = labels_of(groups, [k % 2 for k in range(36)], seen)
    held = set(found.groups[held_out(found, np.arange(36))].tolist())
    assert held and held <= {"image 1", "image 2", "image 3"}


def test_no_class_is_held_out_wholly() -> None:
    names = [f"image {k}" for k in range(30)]
    usual = judges(names)
    rare = sorted(usual)[0]
    groups = [name for name in names for _ in range(4)]
    found = labels_of(groups, [2 if name == rare else k % 2 for k, name in enumerate(groups)])
    held = set(found.groups[held_out(found, np.arange(len(groups)))].tolist())
    assert held == usual - {rare}


def test_groups_are_stored_as_hashes() -> None:
    found = hashes(np.array(["patient Smith", "patient Smith", "image 2"]))
    assert len(found) == 2 and not any("Smith" in one for one in found)
    assert found == hashes(np.array(["image 2", "patient Smith"]))
    assert found[0] == pytest.approx(found[0])


def test_what_a_model_learned_is_known_under_every_grouping() -> None:
    images = ["a", "b", "c", "d"]
    before = of_images([f"image {one}" for one in images], images)
    learned = set(traces(before, np.array([0, 1])))
    assert learned == set(hashes(np.array(["image a", "image b"])))  # as earlier releases wrote it
    assert known(before, learned).tolist() == [True, True, False, False]
    # c is of the patient of b, whom the model knows; what is of d alone is new.
    after = of_images(["patient 1", "patient 2", "patient 2", "patient 3"], images)
    assert known(after, learned).tolist() == [True, True, True, False]
    learned = set(traces(after, np.array([1])))
    assert learned == set(hashes(np.array(["image b", "patient 2"])))
    assert known(after, learned).tolist() == [False, True, True, False]
    assert known(before, learned).tolist() == [False, True, False, False]
    assert known(of_images([], []), learned).tolist() == []


def sides(labels: Labels, held: np.ndarray) -> Sides:
    rows = np.arange(len(labels))
    return Sides(frozenset(traces(labels, rows[~held])), frozenset(traces(labels, rows[held])))


def of_groups(names: list[str]) -> Labels:
    return of_images(names, [f"photograph of {one}" for one in names])


def test_undoing_labels_and_giving_them_again_changes_no_side() -> None:
    """Five groups, of which two judge by their rank; with more, the rank is another."""
    moved = 0
    for k in range(0, 120, 12):
        every = of_groups([f"image {n}" for n in range(k, k + 12)])
        first = of_groups(every.groups[:5].tolist())
        early = held_out(first, np.arange(5))
        past = (sides(first, early),)
        free, kept = (held_out(every, np.arange(12), before) for before in ((), past))
        moved += (free[:5] != early).any()
        assert kept[:5].tolist() == early.tolist()
        assert 2 <= kept.sum() <= 4
        assert held_out(first, np.arange(5), (sides(every, kept), *past)).tolist() == early.tolist()
    assert moved


def test_the_newest_version_decides_the_side() -> None:
    labels = of_groups([f"image {n}" for n in range(9)])
    rows, one = np.arange(9), np.arange(9) < 3
    older, newer = sides(labels, one), sides(labels, np.roll(one, 3))
    assert held_out(labels, rows, (newer, older)).tolist() == np.roll(one, 3).tolist()
    assert held_out(labels, rows, (older,)).tolist() == one.tolist()


def test_enough_judge_whatever_was_before() -> None:
    labels = of_groups([f"image {n}" for n in range(9)])
    rows = np.arange(9)
    assert held_out(labels, rows, (sides(labels, np.zeros(9, bool)),)).sum() == 2
    assert held_out(labels, rows, (sides(labels, np.ones(9, bool)),)).sum() == 3


def test_versions_tell_their_sides() -> None:
    def version(extra: dict[str, object] | None) -> SimpleNamespace:
        about = None if extra is None else SimpleNamespace(provenance=SimpleNamespace(extra=extra))
        return SimpleNamespace(manifest=about)

    found = [version({"groups": ["a"], "held_out": ["b"]}), version(None), version({"groups": 3})]
    assert past_sides(found) == (  # type: ignore[arg-type]
        Sides(frozenset("a"), frozenset("b")),
        Sides(frozenset(), frozenset()),
    )
