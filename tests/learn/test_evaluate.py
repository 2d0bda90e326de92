"""Held-out numbers: what is refused, and values worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls import cli
from napari_cellcls.commands.evaluate import by_folds
from napari_cellcls.learn import evaluate
from napari_cellcls.learn.datasets import CellSet
from napari_cellcls.learn.evaluate import evaluate_folds, summarize
from napari_cellcls.learn.recipe import parse_recipe
from napari_cellcls.vocabulary import DataError, Progress, finish
from tests.learn import toy
from tests.models import make

# One wrong call in fold 0 (C1, parasitized) and one in fold 1 (C2, uninfected, of eight each).
LABELS = np.tile([0, 0, 1, 1], 4)
GROUPS = np.repeat(["C1", "C2", "C3", "C4"], 4)
LOGITS = np.where(LABELS == 0, 2.0, -2.0)
LOGITS[0], LOGITS[6] = -1.0, 1.0


@pytest.fixture
def folds(tmp_path: Path) -> Path:
    toy.write_folds(tmp_path / "folds", parse_recipe(toy.recipe_content()))
    return tmp_path / "folds"


@pytest.fixture
def cells() -> CellSet:
    rng = np.random.default_rng(0)
    return CellSet(
        images=rng.integers(0, 255, (16, toy.SIZE, toy.SIZE, 3)).astype(np.uint8),
        labels=LABELS,
        classes=toy.CLASSES,
        groups=GROUPS,
        names=np.array([f"{i}.png" for i in range(16)]),
        extra={"fuhad2020": np.array(["false", *["confirmed"] * 15])},
    )


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Let the networks answer as ``LOGITS``; returns the folds that were asked."""
    asked: list[np.ndarray] = []

    def answer(data: CellSet, folder: Path, about: dict, fold: np.ndarray) -> Iterator[Progress]:
        asked.append(fold)
        yield Progress(1, 1, "scored")
        score = np.where(data.labels == 0, 2.0, -2.0)
        score[np.flatnonzero(data.labels == 0)[0]] = -1
        score[np.flatnonzero(data.labels == 1)[2]] = 1
        return np.stack([score, -score], 1)

    monkeypatch.setattr(evaluate, "_child_logits", answer)
    return asked


def refused(cells: CellSet, folder: Path) -> DataError:
    with pytest.raises(DataError) as error:
        finish(evaluate_folds(cells, folder, resamples=10))
    return error.value


def test_report_against_values_by_hand(folds: Path, cells: CellSet, networks: list) -> None:
    report = finish(evaluate_folds(cells, folds, resamples=200))
    found = report.metrics
    assert networks[0].tolist() == [0] * 4 + [1] * 4 + [0] * 4 + [1] * 4
    assert found["protocol"] == "patient-disjoint 2-fold" and found["n"] == 16
    assert found["accuracy"] == 14 / 16
    assert found["sensitivity"] == found["specificity"] == 7 / 8
    # Seven parasitized cells score above all eight uninfected ones, the missed one above seven.
    assert found["auc"] == pytest.approx((7 * 8 + 7) / 64, abs=0.002)
    assert found["accuracy_fold_mean"] == 14 / 16 and found["accuracy_fold_sd"] == 0
    assert found["sensitivity_fold_mean"] == 7 / 8
    assert found["sensitivity_fold_sd"] == pytest.approx(np.std([0.75, 1], ddof=1), abs=1e-5)
    assert found["accuracy_clean"] == pytest.approx(14 / 15, abs=1e-5)
    assert found["accuracy_low"] <= found["accuracy"] <= found["accuracy_high"]
    assert found["accuracy_fold_mean_low"] <= 14 / 16 <= found["accuracy_fold_mean_high"]
    assert report.logits.shape == (16, 2)


def test_text_of_the_report(folds: Path, cells: CellSet, networks: list) -> None:
    text = finish(evaluate_folds(cells, folds, resamples=200)).text()
    lines = text.splitlines()
    assert lines[0] == "Protocol: patient-disjoint 2-fold"
    assert max(map(len, lines)) <= 110
    assert all(t in text for t in ("all cells", "mean ± SD of folds", "confirmed labels only"))
    accuracy, trivial = [line for line in lines if line.startswith("accuracy ")]
    assert trivial.split()[1] == "0.5000" and "most frequent class" in text
    assert accuracy.split()[1] == "0.8750" and accuracy.count("[") == 3 and "± 0.0000" in accuracy
    assert [line.split()[2] for line in lines if line.startswith("fold ")] == ["0.8750", "0.8750"]


def test_each_fold_is_calibrated_on_the_others() -> None:
    logits, fold = np.stack([LOGITS, -LOGITS], 1), np.repeat([0, 1], 8)
    changed = LABELS.copy()
    changed[:8] = 1 - changed[:8]
    before, after = (
        summarize(logits, labels, GROUPS, fold, protocol="p", resamples=5).answers.scored.probabilities
        for labels in (LABELS, changed)
    )  # fmt: skip
    assert np.array_equal(before[:8], after[:8])
    assert not np.allclose(before[8:], after[8:])


def test_one_side_has_no_mean_over_folds() -> None:
    logits = np.stack([LOGITS, -LOGITS], 1)
    report = summarize(logits, LABELS, GROUPS, np.zeros(16, int), protocol="p", resamples=20)
    assert list(report.rows) == ["all cells"]
    assert "Lowest accuracy" not in report.text() and report.worst == ()


def test_groups_with_the_lowest_accuracy_come_first() -> None:
    groups, labels = np.repeat(["a", "b", "few"], [20, 20, 5]), np.zeros(45, int)
    logits = np.tile([1.0, -1.0], (45, 1))
    logits[20:25] *= -1
    labels[::4] = 1
    labels[20:25] = 0
    report = summarize(logits, labels, groups, np.zeros(45, int), protocol="p", resamples=5)
    assert [name for name, _, _ in report.worst] == ["b", "a"]
    assert report.worst[0][2] < report.worst[1][2] == 0.75


def test_a_changed_weights_file_is_refused(folds: Path, cells: CellSet, networks: list) -> None:
    (folds / "fold1.safetensors").write_bytes(b"other")
    error = refused(cells, folds)
    assert error.code == "FOLDS-CHANGED" and "changed: fold1.safetensors" in error.why
    assert networks == []


def test_a_missing_weights_file_is_refused(folds: Path, cells: CellSet) -> None:
    (folds / "fold0.safetensors").unlink()
    error = refused(cells, folds)
    assert error.code == "FOLDS-MISSING" and "missing: fold0.safetensors" in error.why


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", '{"folds": [{"file": "x"}]}'])
def test_no_usable_list_of_folds(folds: Path, cells: CellSet, content: str | None) -> None:
    (folds / "folds.json").unlink()
    if content is not None:
        (folds / "folds.json").write_text(content)
    assert refused(cells, folds).code == "FOLDS-MISSING"


def test_a_group_held_out_twice_is_a_leak(folds: Path, cells: CellSet) -> None:
    about = json.loads((folds / "folds.json").read_text())
    about["folds"][1]["groups"].append("C1")
    (folds / "folds.json").write_text(json.dumps(about))
    error = refused(cells, folds)
    assert error.code == "DATA-LEAK" and error.why == "C1"


def test_an_identical_image_in_two_folds_is_a_leak(
    folds: Path, cells: CellSet, networks: list
) -> None:
    cells.images[5] = cells.images[1]
    error = refused(cells, folds)
    assert error.code == "DATA-LEAK" and "5.png = 1.png" in error.why
    assert networks == []


def test_patients_of_no_fold_are_refused(folds: Path, cells: CellSet) -> None:
    cells.groups[:] = np.where(cells.groups == "C3", "C9", cells.groups)
    error = refused(cells, folds)
    assert error.code == "DATA-GROUPS" and error.why == "1 groups: C9"


def test_from_folders_as_published(folds: Path, tmp_path: Path, networks: list) -> None:
    data = toy.write_malaria(tmp_path / "cell_images")
    report = finish(evaluate.evaluate(finish(by_folds(folds, data)), resamples=20))
    assert report.metrics["n"] == 32 and "confirmed labels only" not in report.rows


def test_the_command_prints_and_writes_the_report(
    folds: Path, tmp_path: Path, networks: list, capsys: pytest.CaptureFixture[str]
) -> None:
    data = toy.write_malaria(tmp_path / "cell_images")
    model, out = tmp_path / "small.cellpkg", tmp_path / "numbers.json"
    make.package(model)
    arguments = ["evaluate", str(model), "--data", str(data), "--protocol", "patient-5fold"]
    assert cli.main([*arguments, "--folds", str(folds), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "Protocol: patient-disjoint 2-fold" in said and "mean ± SD of folds" in said
    assert json.loads(out.read_text())["accuracy_fold_mean"] == 15 / 16


def test_the_module_alone(
    folds: Path, tmp_path: Path, networks: list, capsys: pytest.CaptureFixture[str]
) -> None:
    data = toy.write_malaria(tmp_path / "cell_images")
    out = tmp_path / "metrics.json"
    assert evaluate.main([str(folds), "--data", str(data), "--out", str(out)]) == 0
    assert "patient-disjoint" in capsys.readouterr().out and json.loads(out.read_text())["n"] == 32
    assert evaluate.main([str(tmp_path), "--data", str(data)]) == 4
    assert "[FOLDS-MISSING]" in capsys.readouterr().err
