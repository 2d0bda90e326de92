"""What a newcomer may feed the window or do to it: always a plain notice, never a frozen window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellcls.vocabulary import ImageError
from tests.models.make import SMALL

from .conftest import dock_of
from .fakes import install_model, smear_picture
from .test_gui import classify, our_layers, press

pytestmark = pytest.mark.gui

ROLES = ("microtubules", "protein", "nucleus", "er")


def fluorescence_model(home: Path) -> Path:
    """Install a model with two classes for four-channel images."""
    return install_model(
        home,
        name="four-channels",
        title="Four channels",
        package_id="22222222-2222-4222-8222-222222222222",
        architecture={"id": "cell_resnet", "params": {**SMALL, "channels": 4}},
        crop={"size": SMALL["size"], "frame": "square"},
        inputs=[{"role": role, "name": role} for role in ROLES],
        cells="fluorescence",
    )


def settled(widget: Any, qtbot: Any) -> None:
    qtbot.waitUntil(lambda: not widget.controller.busy, timeout=60_000)
    qtbot.wait(50)


def test_both_samples_in_one_window(viewer: Any, qtbot: Any) -> None:
    viewer.open_sample("napari-cellcls", "thin-smear")
    widget = dock_of(viewer, qtbot)
    classify(widget, qtbot)
    smear_cells = len(widget.session.cells)
    viewer.open_sample("napari-cellcls", "rgby-field")
    qtbot.wait(50)
    assert widget.inputs.image.currentText() == "thin smear", "work goes on where it was"
    field = widget.inputs.image.options[-1]
    widget.inputs.image_picked.emit(field.value)
    settled(widget, qtbot)
    assert widget.inputs.model.currentText().startswith("hpa-localization")
    assert [c.role.value for c in widget.session.image.channels] == list(ROLES)
    classify(widget, qtbot)
    assert widget.error.error is None
    assert 0 < len(widget.session.predictions) != smear_cells
    assert len(our_layers(viewer)) == 4, "the smear keeps its outlines"


def test_another_model_in_the_middle_of_a_run(
    smear_viewer: Any, own_home: Path, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    other = install_model(
        own_home, name="another", title="Another", package_id="33333333-3333-4333-8333-333333333333"
    )
    widget = open_dock()
    press(widget.run.classify_button)
    widget.inputs.model_picked.emit(str(other))
    settled(widget, qtbot)
    assert widget.session.manifest.name == "another"
    found = widget.session.predictions
    assert found is None or found.model.startswith("another"), "never the classes of another model"
    classify(widget, qtbot)
    assert widget.error.error is None
    assert widget.session.predictions.model.startswith("another")


def test_canceling_again_and_again_leaves_a_working_window(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    widget = open_dock()
    for _ in range(3):
        press(widget.run.classify_button)
        press(widget.run.cancel_button)
    assert widget.run.status.text() == "Canceled."
    assert widget.session.predictions is None
    classify(widget, qtbot)
    assert widget.error.error is None
    assert len(widget.session.predictions) == len(widget.session.cells) == 12


def test_closing_the_window_while_it_classifies(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    widget = open_dock()
    ended = []
    press(widget.run.classify_button)
    widget.controller.runner._run.worker.finished.connect(lambda: ended.append(True))
    smear_viewer.close()
    qtbot.waitUntil(lambda: bool(ended), timeout=30_000)


def test_a_broken_file_is_refused_in_words(
    viewer: Any, open_dock: Callable[[], Any], tmp_path: Path
) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50)
    widget = open_dock()
    with pytest.raises(ImageError) as caught:
        viewer.open(str(path), plugin="napari-cellcls")
    assert caught.value.code == "IMG-CORRUPT"
    assert "What to do" in str(caught.value)
    assert not viewer.layers
    assert "no image" in widget.run.classify_button.toolTip()


def test_a_photograph_for_a_model_of_four_channels(
    smear_viewer: Any, own_home: Path, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    path = fluorescence_model(own_home)
    widget = open_dock()
    widget.inputs.model_picked.emit(str(path))
    qtbot.wait(50)
    assert not widget.run.classify_button.isEnabled()
    assert "color photograph" in widget.run.classify_button.toolTip()
    assert widget.input_card.view is None
    assert "channel" in widget.input_card.verdict.text()


def test_floats_are_no_labels(smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any) -> None:
    shape = smear_viewer.layers["smear"].data.shape[:2]
    smear_viewer.add_image(np.zeros(shape, np.float32), name="float mask")
    widget = open_dock()
    assert "float mask" not in [o.text for o in widget.inputs.cells.options]
    with pytest.raises(TypeError, match="integer"):
        smear_viewer.add_labels(np.zeros(shape, np.float32))
    qtbot.wait(20)
    assert widget.error.error is None


def test_negative_labels_are_refused_with_a_code(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    labels = np.full(smear_viewer.layers["smear"].data.shape[:2], -1, np.int32)
    labels[20:70, 20:70] = 3
    layer = smear_viewer.add_labels(labels, name="negative")
    widget = open_dock()
    widget.controller.use_cells(layer)
    settled(widget, qtbot)
    assert widget.error.error.code == "CELLS-NEGATIVE"
    assert layer.visible, "nothing was drawn over it"
    assert not our_layers(smear_viewer)


@pytest.mark.parametrize("planes", [1, 4])
def test_a_black_image_has_no_cells_and_says_so(
    viewer: Any, own_home: Path, open_dock: Callable[[], Any], planes: int, qtbot: Any
) -> None:
    fluorescence_model(own_home)
    if planes == 1:
        viewer.add_image(np.zeros((120, 160, 3), np.uint8), rgb=True, name="black")
    else:
        for role in ROLES:
            viewer.add_image(np.zeros((120, 160), np.uint16), name=role)
    widget = open_dock()
    assert any(text.startswith("no cells found") for text in widget.notices.texts)
    assert not widget.run.classify_button.isEnabled()
    assert "no cells" in widget.run.classify_button.toolTip()
    press(widget.inputs.find_button)
    settled(widget, qtbot)
    assert widget.error.error is None
    assert not our_layers(viewer)


def test_a_stack_says_which_plane_is_used_and_follows_on_request(
    viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    empty = np.full_like(smear_picture(), 230)
    viewer.add_image(np.stack([smear_picture(), empty, empty]), rgb=True, name="stack")
    viewer.dims.set_current_step(0, 0)
    widget = open_dock()
    assert "One plane of the stack is used: 1 of 3." in widget.notices.texts
    classify(widget, qtbot)
    assert len(widget.session.predictions) == 12
    viewer.dims.set_current_step(0, 2)
    qtbot.wait(50)
    warning = next(text for text in widget.notices.texts if "is shown" in text)
    assert warning.startswith("The cells are those of plane 1 of 3; plane 3 of 3 is shown.")
    assert len(widget.session.predictions) == 12, "moving the slider loses nothing"
    press(widget.inputs.find_button)
    settled(widget, qtbot)
    assert "One plane of the stack is used: 3 of 3." in widget.notices.texts
    assert len(widget.session.cells) == 0


def test_a_labels_layer_taken_as_cells_is_hidden_and_comes_back(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    labels = np.zeros(smear_viewer.layers["smear"].data.shape[:2], np.int32)
    labels[20:70, 20:70] = 4
    layer = smear_viewer.add_labels(labels, name="mine", scale=(0.12, 0.12), units=("um", "um"))
    widget = open_dock()
    assert layer.visible
    widget.controller.use_cells(layer)
    settled(widget, qtbot)
    assert not layer.visible
    assert any("“mine” is hidden" in text for text in widget.notices.texts)
    layer.visible = True  # the user clicks its eye
    classify(widget, qtbot)
    assert layer.visible, "hidden once, not against the user's will"
    assert not any("is hidden" in text for text in widget.notices.texts)
    layer.visible = False
    widget.controller.use_cells("smear")
    settled(widget, qtbot)
    assert not layer.visible, "what the user hid stays hidden"
    widget.controller.use_cells(layer)
    layer.visible = True
    settled(widget, qtbot)
    assert not layer.visible
    widget.controller.use_cells("smear")
    settled(widget, qtbot)
    assert layer.visible, "given back"


def test_picking_a_model_of_all_blood_cells_finds_them_all(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = open_dock()
    controller = widget.controller
    entry = controller.catalog.entries[0]
    assert entry.manifest is not None and widget.session.method == "smear"
    blood = replace(entry, manifest=entry.manifest.model_copy(update={"cells": "blood"}))
    with monkeypatch.context() as patched:
        patched.setattr(type(controller.catalog), "entry", lambda self, path: blood)
        controller.pick_model(str(entry.path))
    settled(widget, qtbot)
    assert widget.session.method == "blood"
    assert widget.inputs.cells.currentText() == "Find: all blood cells"
    controller.pick_model(str(entry.path))
    settled(widget, qtbot)
    assert widget.inputs.cells.currentText() == "Find: blood smear"
