"""What counts as forgotten by a network, and that the verdict of a deep fine-tune names it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.learn import deep, forgetting
from napari_cellcls.learn.datasets.cellset import TRAINING_ONLY, CellSet
from napari_cellcls.learn.deep_begin import begin
from napari_cellcls.learn.gate import Fall, no_claim
from napari_cellcls.models.package import read_package
from napari_cellcls.vocabulary import finish
from tests.learn import smears
from tests.models import make

NAMES = ("Alpha", "Beta", "Gamma")


def cells(
    labeled: int, free: int, corrected: int, *, sure_of: int = 1, p: float = 0.98
) -> tuple[CellSet, np.ndarray]:
    """Return labeled and unlabeled cells of one group held out, all of which the model before was sure of."""
    n = labeled + free
    known = np.full((n, 3), (1 - p) / 2, np.float32)
    known[:, sure_of] = p
    soft = known.copy()
    soft[:labeled] = np.eye(3)[[0] * corrected + [sure_of] * (labeled - corrected)]
    data = CellSet(
        images=np.zeros((n, 8, 8, 3), np.uint8), labels=soft.argmax(axis=1), classes=NAMES,
        groups=np.array(["held"] * n), names=np.arange(n).astype(str), soft=soft, sides={"held": "test"},
        extra={TRAINING_ONLY: np.array([""] * labeled + ["1"] * free)},
    )  # fmt: skip
    return data, known


def found(data: CellSet, known: np.ndarray, kept: int) -> tuple[Fall, ...]:
    rows = forgetting.watched(data, known)
    said = np.zeros((len(rows), 3), bool)
    said[:kept, 1] = True
    said[kept:, 0] = True
    return forgetting.forgotten(NAMES, data, known, rows, said)


def test_a_class_that_is_lost_is_named_with_its_shares() -> None:
    (fall,) = found(*cells(10, 60, 0), kept=20)
    assert (fall.name, fall.cells) == ("Beta", 60)
    assert fall.before == pytest.approx(0.98) and fall.after == pytest.approx(1 / 3)
    assert str(fall) == "Beta 98 → 33"
    assert found(*cells(10, 60, 0), kept=58) == ()
    assert found(*cells(10, 4, 0), kept=0) == ()  # too few to say so
    assert found(*cells(0, 5, 0), kept=4) == ()  # one of five may be chance


def test_what_people_corrected_is_learned_and_not_forgotten() -> None:
    assert found(*cells(20, 60, 12), kept=20) == ()
    (fall,) = found(*cells(20, 60, 12), kept=2)
    assert str(fall) == "Beta 40 → 3"


def test_only_sure_unlabeled_cells_of_groups_held_out_are_watched() -> None:
    data, known = cells(3, 9, 0)
    assert forgetting.watched(data, known).tolist() == list(range(3, 12))
    known[5] = 1 / 3
    assert 5 not in forgetting.watched(data, known)
    assert len(forgetting.watched(replace(data, sides={"held": "training"}), known)) == 0
    known[:] = np.nan  # the model before knows none of the classes
    assert len(forgetting.watched(data, known)) == 0


def test_a_new_class_takes_nothing_from_the_old_ones(tmp_path: Path) -> None:
    package = smears.base_model(tmp_path / "base.cellpkg")
    old = np.array([True, True, False])
    logits = np.array([[1, 2, 9], [3, 1, 9]], np.float32)
    assert forgetting.answers(package, logits, old).argmax(axis=1).tolist() == [1, 0]
    several = replace(package, manifest=make.manifest(multi_label=True, thresholds=[0.9, 0.2]))
    assert forgetting.answers(several, logits[:, :2], old[:2]).tolist() == [
        [False, True],
        [True, True],
    ]


def test_a_verdict_tells_what_is_forgotten() -> None:
    verdict = no_claim("Nothing can judge.", 0, 0)
    assert forgetting.named(verdict, ()) is verdict
    told = forgetting.named(verdict, (Fall("Beta", 0.98, 0.31, 60),))
    assert told.local and told.forgotten[0].name == "Beta" and not told.promote
    assert "Beta 98 → 31 (60 cells)" in told.text() and "for this project only" in told.text()


def test_the_proof_of_a_deep_fine_tune_names_it(tmp_path: Path) -> None:
    zero = np.zeros((8, 2), np.float32)
    base = smears.base_model(tmp_path / "base.cellpkg", head=(zero, np.array([0, 9], np.float32)))
    project, _ = smears.project_of(tmp_path / "work", labeled=4)
    with project:
        folder = finish(begin(project, base))
        smears.end_training(folder, base, head=(zero, np.array([9, 0], np.float32)))
        steps = []
        task = deep.go_on(project, folder)
        while True:
            try:
                steps.append(next(task).message)
            except StopIteration as end:
                made = end.value
                break
        assert "Looking for what was forgotten" in steps
        (fall,) = made.verdict.forgotten
        assert fall.name == "Beta" and fall.after == 0 and fall.cells == 16
        assert made.verdict.local and "Beta 50 → 0 (16 cells)" in made.verdict.text()
        assert "Beta 50 → 0" in read_package(made.package_path).manifest.metrics.notes
        assert not any("could show what is forgotten" in note for note in made.notes)


def test_without_unlabeled_cells_nothing_is_claimed(tmp_path: Path) -> None:
    base = smears.base_model(tmp_path / "base.cellpkg")
    project, _ = smears.project_of(tmp_path / "work", labeled=12)
    with project:
        folder = finish(begin(project, base))
        smears.end_training(folder, base)
        made = finish(deep.go_on(project, folder))
        assert made.verdict.forgotten == ()
        assert any("No unlabeled cells of images held out" in note for note in made.notes)
