"""A new window takes the model in use of the project that is opened, and says so, unless the person chose another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_cellcls.learn.finetune import finetune
from napari_cellcls.models.package import read_package
from napari_cellcls.project import versions
from napari_cellcls.vocabulary import finish
from tests.learn import smears

from .conftest import dock_of
from .test_gui import press

pytestmark = pytest.mark.gui


@pytest.fixture
def released(own_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Install one small model for smears, and no others."""
    from napari_cellcls.models import places

    monkeypatch.setattr(places, "BUNDLED", tmp_path / "no-bundled-models")
    path = own_home / "models" / "small-smear-1.0.0.cellpkg"
    smears.base_model(path)
    return path


@pytest.fixture
def tuned(tmp_path: Path, released: Path) -> tuple[Path, list[Path], str]:
    """A project with a version in use: folder, images, label of the version."""
    project, paths = smears.project_of(tmp_path / "work", images=3)
    with project:
        made = finish(finetune(project, read_package(released)))
        versions.use(project, made.label)
        return project.folder, paths, made.label


@pytest.fixture
def ready(qtbot: Any) -> Callable[[Any], None]:
    def wait(*docks: Any) -> None:
        qtbot.wait(30)
        for dock in docks:
            busy = dock.controller if hasattr(dock, "inputs") else dock
            qtbot.waitUntil(lambda busy=busy: not busy.busy, timeout=60_000)
        qtbot.wait(30)

    return wait


def opened_dock(viewer: Any, name: str) -> Any:
    return viewer.window.add_plugin_dock_widget("napari-cellcls", name)[1]


def test_the_version_in_use_is_taken_and_told(
    viewer: Any, tuned: tuple[Path, list[Path], str], qtbot: Any, ready: Any
) -> None:
    folder, paths, label = tuned
    viewer.open(str(paths[0]), plugin="napari-cellcls")
    classify = dock_of(viewer, qtbot)
    assert classify.session.manifest.label == "small-smear@1.0.0"
    press(classify.run.classify_button)
    ready(classify)
    review = opened_dock(viewer, "Review cells")
    ready(review)
    review.open_project(str(folder))
    ready(review, classify)
    # What was classified is classified with it, and the dock says what it is.
    assert classify.session.manifest.label == label == classify.session.predictions.model
    assert classify.inputs.model.currentText() == "p 0.1.0 (tuned)"
    assert "Model of the project “p”: p 0.1.0, tuned on 24 labels." in classify.notices.texts

    viewer.open(str(paths[1]), plugin="napari-cellcls")
    ready(classify, review)
    assert classify.session.manifest.label == label

    other = next(o for o in classify.inputs.model.options if o.text == "small-smear")
    classify.inputs.model.select(other.value)
    classify.inputs.model_picked.emit(other.value)
    ready(classify)
    wanted = (
        "The project “p” uses p 0.1.0, tuned on 24 labels; you chose another one in this window."
    )
    assert wanted in classify.notices.texts
    viewer.open(str(paths[2]), plugin="napari-cellcls")
    ready(classify, review)
    assert classify.session.manifest.label == "small-smear@1.0.0"
    review.controller.keeper.close()
    ready(classify, review)
    assert not any("project" in text for text in classify.notices.texts)
    review.open_project(str(folder))
    ready(classify, review)
    assert classify.session.manifest.label == "small-smear@1.0.0"  # the person's choice stays
    viewer.window.remove_dock_widget(review)


def test_classify_opened_last_takes_it_and_fine_tune_takes_it_back(
    viewer: Any, tuned: tuple[Path, list[Path], str], qtbot: Any, ready: Any
) -> None:
    folder, paths, label = tuned
    viewer.open(str(paths[0]), plugin="napari-cellcls")
    tune = opened_dock(viewer, "Fine-tune")
    ready(tune)
    tune.teach.open_asked.emit(str(folder))
    ready(tune)
    classify = dock_of(viewer, qtbot)
    ready(classify)
    assert classify.session.manifest.label == label and classify.session.predictions is None
    tune.versions_section.set_open(True)
    press(tune.versions.back_button)
    ready(tune, classify)
    assert classify.session.manifest.label == "small-smear@1.0.0"
    assert not any("project" in text for text in classify.notices.texts)
    viewer.open(str(paths[1]), plugin="napari-cellcls")
    ready(classify)
    assert classify.session.manifest.label == "small-smear@1.0.0"
    viewer.window.remove_dock_widget(tune)


def test_a_version_that_is_gone_is_told(
    viewer: Any, tuned: tuple[Path, list[Path], str], qtbot: Any, ready: Any
) -> None:
    folder, paths, _ = tuned
    for path in (folder / "models").glob("p-0.1.0-*.cellpkg"):
        path.unlink()
    viewer.open(str(paths[0]), plugin="napari-cellcls")
    classify = dock_of(viewer, qtbot)
    review = opened_dock(viewer, "Review cells")
    ready(review)
    review.open_project(str(folder))
    ready(review, classify)
    assert classify.error.error.code == "PROJECT-VERSIONS"
    assert classify.session.manifest.label == "small-smear@1.0.0"
    viewer.window.remove_dock_widget(review)
