"""The dock *Fine-tune* in a real window: quick and deep, verdict, roll back, cancel, a killed child, a closed window."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellcls.learn import deep
from napari_cellcls.learn.relearn import Relearned
from napari_cellcls.models.package import read_package
from napari_cellcls.project import versions
from napari_cellcls.project.project import open_project as open_project_at
from napari_cellcls.review.lock import read_holder
from napari_cellcls.vocabulary import ClassScheme, EngineError, Progress, finish
from napari_cellcls.widgets.tune import relearner
from napari_cellcls.widgets.tune.run_panel import TuneRunPanel
from tests.learn import smears
from tests.models.make import package

from .conftest import dock_of
from .test_gui import press
from .test_review_gui import settle

pytestmark = pytest.mark.gui
SHORT = {
    "phases": [{"epochs": 2, "learning_rate": 0.003, "steps_per_epoch": 4}], "early_stopping": None,
}  # fmt: skip

LONG = {**SHORT, "phases": [{"epochs": 5000, "learning_rate": 0.001, "steps_per_epoch": 8}]}


@pytest.fixture
def only_small_model(own_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Install one small model for smears with random weights, and no others."""
    from napari_cellcls.models import places

    monkeypatch.setattr(places, "BUNDLED", tmp_path / "no-bundled-models")
    path = own_home / "models" / "small-smear-1.0.0.cellpkg"
    smears.base_model(path)
    return path


@pytest.fixture
def labeled(tmp_path: Path) -> tuple[Path, list[Path]]:
    """A project on disk with six labeled images."""
    project, paths = smears.project_of(tmp_path / "work")
    folder = project.folder
    assert project.close()
    return folder, paths


@pytest.fixture
def open_tune(viewer: Any, qtbot: Any) -> Iterator[Callable[[], Any]]:
    """Return a function that opens the dock; it is taken away at the end, which frees the project."""
    opened: list[Any] = []

    def make() -> Any:
        _, tune = viewer.window.add_plugin_dock_widget("napari-cellcls", "Fine-tune")
        opened.append(tune)
        wait(tune, qtbot)
        return tune

    yield make
    for tune in opened:
        if tune.parent() is not None:
            viewer.window.remove_dock_widget(tune)
            qtbot.wait(20)


@pytest.fixture
def on_smears(
    viewer: Any,
    labeled: tuple[Path, list[Path]],
    only_small_model: Path,
    open_tune: Callable[[], Any],
    qtbot: Any,
) -> Iterator[tuple[Any, Any, Any]]:
    """The docks *Classify cells* and *Review cells* on the first image, classified, and *Fine-tune* on the project."""
    folder, paths = labeled
    viewer.open(str(paths[0]), plugin="napari-cellcls")
    classify = dock_of(viewer, qtbot)
    press(classify.run.classify_button)
    qtbot.waitUntil(lambda: not classify.controller.busy, timeout=60_000)
    _, review = viewer.window.add_plugin_dock_widget("napari-cellcls", "Review cells")
    settle(review, qtbot)
    tune = open_tune()
    assert not tune.run.start_button.isEnabled() and tune.run.start_button.toolTip()
    open_project(tune, folder, qtbot)
    settle(review, qtbot)
    yield classify, review, tune
    viewer.window.remove_dock_widget(review)


@pytest.fixture
def on_project(
    labeled: tuple[Path, list[Path]],
    only_small_model: Path,
    open_tune: Callable[[], Any],
    qtbot: Any,
) -> Any:
    """The dock *Fine-tune* alone, set to deep, on the project."""
    tune = open_tune()
    open_project(tune, labeled[0], qtbot)
    tune.run.deep.setChecked(True)
    return tune


def wait(tune: Any, qtbot: Any, seconds: int = 120) -> None:
    qtbot.wait(20)
    qtbot.waitUntil(lambda: not tune.busy, timeout=seconds * 1000)
    qtbot.wait(20)


def open_project(tune: Any, folder: Path, qtbot: Any) -> None:
    tune.teach.open_asked.emit(str(folder))
    wait(tune, qtbot)
    assert tune.error.error is None


def follow(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    """Let deep trainings follow another recipe."""
    plain = deep.begin
    monkeypatch.setattr(
        deep,
        "begin",
        lambda project, base, **more: plain(project, base, **more | {"changes": changes}),
    )


def test_quick_from_labels_to_the_window_and_back(
    on_smears: tuple[Any, Any, Any], qtbot: Any
) -> None:
    classify, review, tune = on_smears
    before = classify.session.predictions
    assert review.controller.keeper.project is tune.controller.project  # one window, one project
    assert tune.teach.base.currentText() == "small-smear"
    assert set(tune.teach.counts) == {"Alpha", "Beta"}
    counts = tune.controller.project.journal.state.counts()["ana"]
    assert tune.teach.counts["Alpha"].text() == f"{counts['alpha']} ✓"

    press(tune.run.start_button)
    assert not tune.run.start_button.isEnabled() and tune.run.cancel_button.isEnabled()
    wait(tune, qtbot)
    assert tune.error.error is None, tune.error.error
    result = tune.controller.result
    assert result.labels_used == 32 and tune.verdict.isVisible()
    assert result.verdict.word in tune.verdict.headline.text().lower()
    assert "16 cells of 2 groups" in tune.verdict.evidence.text()
    assert "F1 of each class" in [w.text() for w in tune.verdict._rows]
    assert classify.session.predictions is before  # nothing shown changes without being asked

    press(tune.verdict.use_button)
    qtbot.waitUntil(lambda: not classify.controller.busy, timeout=60_000)
    assert classify.session.manifest.label == result.label
    assert classify.session.predictions is not before
    assert classify.session.predictions.model == result.label
    assert versions.in_use(tune.controller.project).label == result.label
    assert tune.versions.labels == (result.label, "") and not tune.verdict.use_button.isEnabled()

    tune.versions_section.set_open(True)
    press(tune.versions.back_button)
    qtbot.waitUntil(lambda: not classify.controller.busy, timeout=60_000)
    assert versions.in_use(tune.controller.project) is None
    assert classify.session.manifest.label == "small-smear@1.0.0"
    assert not tune.versions.back_button.isEnabled()


def test_a_label_changes_the_counts_and_too_few_say_why(
    tmp_path: Path, only_small_model: Path, open_tune: Callable[[], Any], qtbot: Any
) -> None:
    project, _ = smears.project_of(tmp_path / "few", images=1, labeled=1)
    folder = project.folder
    project.close()
    tune = open_tune()
    open_project(tune, folder, qtbot)
    assert "one cell of each of two classes" in tune.run.start_button.toolTip()
    assert "9 more" in tune.teach.counts["Alpha"].text()
    assert "9 more of Alpha, 10 more of Beta" in tune.teach.hint.text()
    assert "one image nothing can be said" in tune.teach.hint.text()
    tune.run.deep.setChecked(True)
    wait(tune, qtbot)
    assert "49 more" in tune.teach.counts["Alpha"].text()
    assert tune.run.keep_going.isVisible() and "whole network" in tune.run.about.text()


def test_deep_in_the_real_child_two_epochs(
    on_project: Any, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    follow(monkeypatch, SHORT)
    tune = on_project
    press(tune.run.start_button)
    wait(tune, qtbot, 180)
    assert tune.error.error is None, tune.error.error
    assert [point.epoch for point in tune.run.curve.points] == [1, 2]
    assert tune.run.curve.isVisible() and tune.run.curve.epochs == 2
    assert tune.controller.result.verdict.cells == 16 and tune.verdict.isVisible()
    assert deep.unfinished(tune.controller.project) is None
    assert tune.run.start_button.text() == "&Fine-tune"


def test_learn_as_i_label_changes_the_order_and_nothing_that_is_shown(
    on_smears: tuple[Any, Any, Any], qtbot: Any
) -> None:
    classify, review, tune = on_smears
    for row in range(8):
        review.set_class(("alpha", "beta")[row % 2], [row])
    shown = review.controller.subject.sheet.shown.copy()
    seen: list[str] = []
    tune.controller.relearner.told.connect(seen.append)
    tune.teach.learn_box.setChecked(True)
    wait(tune, qtbot)
    assert tune.error.error is None, tune.error.error
    assert seen == ["The order follows 8 labels of this image."]
    assert review.controller.subject.ranker.suggestions.scheme.names == ("Alpha", "Beta")
    assert (review.controller.subject.sheet.shown == shown).all()
    assert classify.session.predictions.model == "small-smear@1.0.0"


def test_a_network_that_sees_more_takes_over_once_it_has_seen_the_cells(
    on_smears: tuple[Any, Any, Any], monkeypatch: pytest.MonkeyPatch, qtbot: Any, tmp_path: Path
) -> None:
    _, review, tune = on_smears
    general = package(
        tmp_path / "any.cellpkg", name="any", title="Shapes", classes=[], inputs=[], level="backbone",
        channel_policy="each", normalization={"kind": "background"},
        crop={"size": 24, "frame": "square", "margin": 0.1, "mask": True},
    )  # fmt: skip
    base = read_package(tune.controller.base_entry.path)
    learned: list[str] = []
    count = len(review.controller.subject.sheet)

    def relearn(_state: Any, described: Any, ids: Any, _package: Any, **_more: Any) -> Relearned:
        learned.append(described.weights_sha256)
        chances = np.full((len(ids), 2), 0.5, np.float32)
        return Relearned(ClassScheme.from_names(("Alpha", "Beta")), chances, 8)

    monkeypatch.setattr(relearner, "network_of", lambda *_some, **_more: general)
    monkeypatch.setattr(relearner, "relearn", relearn)
    told: list[str] = []
    tune.controller.relearner.told.connect(told.append)
    tune.teach.learn_box.setChecked(True)
    wait(tune, qtbot)
    assert tune.error.error is None, tune.error.error
    assert learned == [base.weights_sha256, general.weights_sha256]
    assert "Shapes does not know every class" in told[0] and "follows 8 labels" in told[0]
    assert told[1:] == ["The order follows 8 labels of this image."]
    assert len(review.controller.order) == count

    def refuse(*_some: Any, **_more: Any) -> Any:
        raise EngineError("No engine.", code="ENGINE-OPEN")

    tune.teach.learn_box.setChecked(False)
    tune.controller.relearner._seen.values.pop(general.weights_sha256)
    monkeypatch.setattr(relearner, "describe_cells", refuse)
    for _ in range(2):  # it is asked once, and its own network goes on
        tune.teach.learn_box.setChecked(True)
        wait(tune, qtbot)
        tune.teach.learn_box.setChecked(False)
    assert tune.error.error.code == "ENGINE-OPEN"
    assert learned[2:] == [base.weights_sha256] * 2
    assert "another network" in told[2] and "another network" not in told[3] and len(told) == 4


def at_work(tune: Any) -> bool:
    folder = tune.controller.folder
    return folder is not None and deep.is_at_work(folder)


def test_cancel_and_a_killed_child_leave_the_model_in_use(
    on_project: Any, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    follow(monkeypatch, LONG)
    tune = on_project
    project = tune.controller.project
    press(tune.run.start_button)
    qtbot.waitUntil(lambda: at_work(tune), timeout=60_000)
    folder = tune.controller.folder
    press(tune.run.cancel_button)
    assert not tune.controller.runner.running and "Canceled" in tune.message.text()
    qtbot.waitUntil(lambda: not folder.exists(), timeout=10_000)
    assert not deep.is_at_work(folder) and versions.history(project).versions == ()

    press(tune.run.start_button)
    qtbot.waitUntil(lambda: at_work(tune), timeout=60_000)
    os.kill(read_holder(tune.controller.folder / "alive").pid, signal.SIGKILL)
    wait(tune, qtbot)
    assert tune.error.error.code == "TASK-CHILD"
    assert versions.in_use(project) is None and not tune.verdict.isVisible()
    assert tune.run.start_button.text() == "&Go on with the training"
    deep.discard(tune.controller.folder)


def test_cancel_while_it_is_judged_keeps_the_training(
    labeled: tuple[Path, list[Path]],
    only_small_model: Path,
    open_tune: Callable[[], Any],
    qtbot: Any,
) -> None:
    base = read_package(only_small_model)
    with open_project_at(labeled[0], annotator="ana") as project:
        folder = finish(deep.begin(project, base))
    smears.end_training(folder, base)
    tune = open_tune()
    open_project(tune, labeled[0], qtbot)
    assert tune.run.is_deep and tune.run.start_button.text() == "&Go on with the training"
    press(tune.run.start_button)
    press(tune.run.cancel_button)
    assert not tune.controller.runner.running and "kept" in tune.message.text()
    wait(tune, qtbot)
    assert deep.is_finished(folder) and tune.controller.result is None
    assert tune.run.start_button.text() == "&Go on with the training"
    press(tune.run.start_button)
    wait(tune, qtbot)
    assert tune.error.error is None and tune.verdict.isVisible()
    assert tune.run.start_button.text() == "&Fine-tune"


def test_progress_is_drawn_some_times_a_second_and_never_by_itself(qtbot: Any) -> None:
    panel = TuneRunPanel()
    qtbot.addWidget(panel)
    panel.set_running("Learning")
    for done, text in enumerate(("Describing", "Fitting", "Judging")):
        panel.show_progress(Progress(done, 0, text))
    assert panel.status.text() == "Describing" and panel.bar.maximum() == 1
    qtbot.waitUntil(lambda: panel.status.text() == "Judging", timeout=2_000)
    panel.show_progress(Progress(3, 6, "epoch 1"))
    panel.set_idle("Done.")
    qtbot.wait(400)
    assert panel.status.text() == "Done."  # what came too late is not shown any more


def test_a_training_outlives_its_window_when_asked(
    viewer: Any,
    labeled: tuple[Path, list[Path]],
    on_project: Any,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    follow(monkeypatch, LONG)
    tune = on_project
    tune.run.keep_going.setChecked(True)
    press(tune.run.start_button)
    qtbot.waitUntil(lambda: at_work(tune), timeout=60_000)
    folder = tune.controller.folder
    viewer.window.remove_dock_widget(tune)
    qtbot.wait(300)
    assert deep.is_at_work(folder)
    pid = read_holder(folder / "alive").pid
    again = open_tune_now(viewer, qtbot)
    again.teach.open_asked.emit(str(labeled[0]))
    qtbot.waitUntil(lambda: again.controller.runner.running, timeout=10_000)
    assert again.controller.folder == folder and read_holder(folder / "alive").pid == pid
    # Without being asked to go on, the training ends with the window.
    viewer.window.remove_dock_widget(again)
    qtbot.waitUntil(lambda: not folder.exists(), timeout=15_000)


def open_tune_now(viewer: Any, qtbot: Any) -> Any:
    _, tune = viewer.window.add_plugin_dock_widget("napari-cellcls", "Fine-tune")
    wait(tune, qtbot)
    return tune
