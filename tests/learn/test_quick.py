"""Which cells judge a quick fine-tune: those held out, and beside them those that cross-validation did not see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_cellcls.cells.identity import Anchor
from napari_cellcls.learn import quick
from napari_cellcls.learn.described import Described
from napari_cellcls.learn.fitted import Before
from napari_cellcls.learn.head import Head
from napari_cellcls.learn.holdout import learned_by, traces
from napari_cellcls.learn.labels import Labels
from napari_cellcls.learn.proof import Rival
from napari_cellcls.learn.roster import Roster
from napari_cellcls.models import registry
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.review.state import ClassState
from napari_cellcls.vocabulary import CellClass

GROUPS = np.repeat([f"patient {k}" for k in range(6)], 4)
HELD = np.isin(GROUPS, ["patient 0", "patient 1"])
CLASSES = tuple(CellClass(str(k), name, "#111111") for k, name in enumerate(("ring", "healthy")))


@pytest.fixture(scope="module")
def base() -> ModelPackage:
    return registry.load("blank")


def having_learned(package: ModelPackage, groups: tuple[str, ...]) -> ModelPackage:
    """Return the model as one that says from whom it has learned."""
    old = package.manifest
    provenance = old.provenance.model_copy(update={"extra": {"groups": list(groups)}})
    return replace(package, manifest=old.model_copy(update={"provenance": provenance}))


def labels() -> Labels:
    """Return a label for each of four cells of six patients."""
    count = len(GROUPS)
    ids = tuple(map(str, range(count)))
    anchors = tuple(Anchor(g, 1, (0, 0, 1, 1), 0.5, 0.5, 1, "0,1") for g in GROUPS)
    return Labels(
        ids, anchors, tuple(ClassState(c.id, c.name, c.color) for c in CLASSES),
        np.eye(2, dtype=np.float32)[np.arange(count) % 2], np.ones(count, np.float32),
        np.ones(count, bool), GROUPS, ids, ("ana",), {},
    )  # fmt: skip


def court(
    base: ModelPackage,
    *,
    held: np.ndarray = HELD,
    known: tuple[str, ...] = (),
    judging: np.ndarray | None = None,
    folds: int = 4,
    grouped: bool = True,
) -> quick.Court:
    """Return who judges; the numbers of a cell, and its cross-validated answers, tell its row."""
    told, count = labels(), len(GROUPS)
    targets = told.targets
    values = np.arange(count, dtype=np.float32)[:, None]
    found = Described(np.arange(count), values, (1, 0), (), 0, {}, ())
    plan = quick.Plan(
        Roster(CLASSES, (0, 1), ()), {}, targets, ~held, held,
        np.ones(count, bool) if judging is None else judging, (),
    )  # fmt: skip
    crossed = np.repeat(100 + values[~held], 2, axis=1)
    head = Head(
        np.ones((1, 2), np.float32), np.zeros(2, np.float32), 1.0, 1.0, folds, grouped, crossed
    )
    none, no_class = np.zeros((0, 1), np.float32), np.zeros((0, 2), np.float32)
    before = Before(None, None, none, no_class, none, no_class, np.zeros(2, bool))
    fit = quick.Fitted(head, before, targets[~held], None, None)
    rival = Rival(base, {0: 0, 1: 1}, values, frozenset(known))
    return quick.court(plan, fit, told, found, rival, base)


def hashes(*patients: int) -> tuple[str, ...]:
    """Return what a model keeps of patients it has learned from."""
    rows = np.flatnonzero(np.isin(GROUPS, [f"patient {k}" for k in patients]))
    return traces(labels(), rows)


def test_held_out_cells_judge_and_the_others_stand_beside_them(base: ModelPackage) -> None:
    found = court(base)
    assert found.held_out and found.rows.tolist() == list(range(8))
    assert found.logits[:, 0].tolist() == list(range(8))
    assert found.beside is not None and not found.beside.held_out
    assert found.beside.rows.tolist() == list(range(8, 24))
    assert found.beside.logits[:, 0].tolist() == list(range(108, 124))


def test_nobody_is_asked_about_what_it_has_learned(base: ModelPackage) -> None:
    found = court(base, known=hashes(1, 2))
    assert found.rows.tolist() == list(range(4))
    assert found.beside is not None and found.beside.rows.tolist() == list(range(12, 24))
    again = having_learned(base, hashes(4, 5))
    found = court(again)
    assert found.rows.tolist() == list(range(8))
    assert found.beside is not None and found.beside.rows.tolist() == list(range(8, 16))
    assert court(again, known=hashes(2, 3)).beside is None


def test_a_label_that_may_not_judge_stands_beside_nobody(base: ModelPackage) -> None:
    looked = np.arange(len(GROUPS)) % 2 == 0
    found = court(base, judging=looked)
    assert found.rows.tolist() == list(range(0, 8, 2))
    assert found.beside is not None and found.beside.rows.tolist() == list(range(8, 24, 2))


def test_folds_that_broke_groups_are_no_evidence(base: ModelPackage) -> None:
    assert court(base, grouped=False).beside is None
    assert court(base, folds=0).beside is None


def test_with_nothing_held_out_the_folds_judge(base: ModelPackage) -> None:
    found = court(base, held=np.zeros(len(GROUPS), bool))
    assert not found.held_out and found.beside is None
    assert found.logits[:, 0].tolist() == list(range(100, 124))


def test_a_model_says_from_whom_it_has_learned(base: ModelPackage) -> None:
    assert learned_by(base) == frozenset()
    assert learned_by(having_learned(base, ("a", "b"))) == {"a", "b"}
