"""The main path by real clicks and keys in a real window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers._source import layer_source
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QEnterEvent, QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QPushButton, QWidget

from napari_cellcls.widgets.choices import META, OURS
from napari_cellcls.widgets.hover import typical_row

from .conftest import dock_of
from .fakes import squares

pytestmark = pytest.mark.gui


def press(button: QPushButton) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def classify(widget: Any, qtbot: Any) -> None:
    press(widget.run.classify_button)
    qtbot.waitUntil(lambda: not widget.controller.busy, timeout=60_000)
    qtbot.wait(50)


def our_layers(viewer: Any) -> list[Any]:
    return [layer for layer in viewer.layers if layer.metadata.get(META, {}).get(OURS)]


def canvas_of(viewer: Any, widget: Any) -> QWidget:
    canvases = [
        w for w in widget.window().findChildren(QWidget) if "CanvasBackend" in type(w).__name__
    ]
    assert canvases
    return canvases[0]


def on_canvas(viewer: Any, canvas: QWidget, position: tuple[float, float]) -> QPoint:
    """Return the canvas point of a world position."""
    camera = viewer.scene.camera
    y, x = (np.asarray(position) - np.asarray(camera.center[-2:])) * camera.zoom
    return QPoint(round(canvas.width() / 2 + x), round(canvas.height() / 2 + y))


def hover(canvas: QWidget, point: QPoint, qtbot: Any) -> None:
    """Move the mouse onto the canvas; napari follows it only once it entered the window."""
    at = QPointF(canvas.window().mapFromGlobal(canvas.mapToGlobal(point)))
    QApplication.sendEvent(canvas.window(), QEnterEvent(at, at, at))
    for offset in (QPoint(3, 3), QPoint(0, 0)):
        QTest.mouseMove(canvas, point + offset)
        qtbot.wait(50)


def test_main_path_from_the_sample_to_the_tooltip(plain_viewer: Any, qtbot: Any) -> None:
    viewer = plain_viewer
    viewer.open_sample("napari-cellcls", "thin-smear")
    widget = dock_of(viewer, qtbot)
    assert widget.inputs.image.currentText() == "thin smear"
    assert widget.inputs.cells.currentText() == "Find: blood smear"
    assert widget.inputs.model.currentText() == "malaria-thin-smear"
    assert widget.run.classify_button.isEnabled(), widget.run.classify_button.toolTip()
    assert widget.input_card.view is not None
    assert not viewer.tooltip.visible

    press(widget.run.classify_button)
    assert widget.run.cancel_button.isEnabled()
    press(widget.run.cancel_button)
    assert not widget.controller.runner.running
    assert widget.run.status.text() == "Canceled."
    assert widget.session.predictions is None

    classify(widget, qtbot)
    assert widget.error.error is None
    session = widget.session
    assert session.predictions is not None
    counts = session.counts()
    assert counts.total == len(session.cells) > 150
    parasitized = next(row.count for row in counts.classes if row.cell_class.name == "Parasitized")
    assert 0.02 < parasitized / counts.total < 0.15
    assert f"{counts.total:,} cells classified" == widget.results.headline.text()
    assert "Parasitemia" in widget.results.parasitemia.text()

    layers = widget.controller.layers
    assert viewer.layers.selection.active == layers.cells_layer
    assert layers.classes_layer.data.dtype == np.uint8
    assert set(np.unique(layers.classes_layer.data)) <= {0, 1, 2, 3, 5}
    assert layers.cells_layer.visible and layers.cells_layer.opacity == 0

    row = typical_row(session.cells.table, session.cells.labels.shape)
    cell = session.cells.table.iloc[row]
    world = layers.cells_layer.data_to_world((cell.y, cell.x))
    canvas = canvas_of(viewer, widget)
    point = on_canvas(viewer, canvas, world)
    hover(canvas, point, qtbot)
    predicted = session.predictions.predicted[row]
    # Nobody calls anything here: napari's status thread follows the mouse.
    qtbot.waitUntil(lambda: f"class: {predicted}" in viewer.tooltip.text, timeout=10_000)
    assert viewer.tooltip.text.startswith(f"{int(cell.label)}\n")
    assert "confidence: " in viewer.tooltip.text
    qtbot.waitUntil(lambda: widget.input_card.view.label == int(cell.label), timeout=5_000)
    assert predicted in widget.input_card.verdict.text()


def test_keys_alone_classify_and_toggle_the_outlines(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    widget = open_dock()
    window = widget.window()
    window.activateWindow()
    widget.run.classify_button.setFocus()
    QTest.keyClick(widget.run.classify_button, Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: widget.session.predictions is not None, timeout=60_000)
    qtbot.waitUntil(lambda: not widget.controller.busy, timeout=10_000)
    layer = widget.controller.layers.classes_layer
    canvas = canvas_of(smear_viewer, widget)
    canvas.setFocus()
    QTest.keyClick(canvas, Qt.Key.Key_O)
    qtbot.waitUntil(lambda: not layer.visible, timeout=5_000)
    QTest.keyClick(canvas, Qt.Key.Key_O)
    qtbot.waitUntil(lambda: layer.visible, timeout=5_000)


def test_users_may_delete_our_layers_and_classify_again(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    widget = open_dock()
    classify(widget, qtbot)
    for layer in our_layers(smear_viewer):
        smear_viewer.layers.remove(layer)
    classify(widget, qtbot)
    assert widget.error.error is None
    assert len(our_layers(smear_viewer)) == 2


def test_deleting_our_layers_in_the_middle_of_a_run(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    widget = open_dock()
    press(widget.run.classify_button)
    for layer in our_layers(smear_viewer):
        smear_viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: widget.session.predictions is not None, timeout=60_000)
    qtbot.waitUntil(lambda: not widget.controller.busy, timeout=10_000)
    assert widget.error.error is None
    assert len(our_layers(smear_viewer)) >= 2


def test_deleting_the_image_in_the_middle_of_a_run_stops_it(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    widget = open_dock()
    press(widget.run.classify_button)
    smear_viewer.layers.remove(smear_viewer.layers["smear"])
    qtbot.waitUntil(lambda: widget.session.image is None, timeout=10_000)
    assert not widget.controller.runner.running
    assert not our_layers(smear_viewer)
    qtbot.waitUntil(lambda: not widget.run.classify_button.isEnabled(), timeout=5_000)
    assert "no image" in widget.run.classify_button.toolTip()


def test_labels_of_another_size_are_refused_with_a_code(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    with layer_source(path="/data/foreign.tif"):
        labels = smear_viewer.add_labels(squares((1, 2)), name="foreign")
    widget = open_dock()
    widget.controller.use_cells(labels)
    qtbot.waitUntil(lambda: widget.error.error is not None, timeout=10_000)
    assert widget.error.error.code.startswith("CELLS-")
    assert widget.error.error.path == "/data/foreign.tif"
    assert widget.error.isVisible()
    press(widget.error.copy_button)
    assert widget.error.error.code in QGuiApplication.clipboard().text()


@pytest.mark.parametrize("dtype", [np.int64, np.uint16])
def test_an_existing_labels_layer_with_large_ids_is_classified(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any, dtype: type
) -> None:
    labels = np.zeros(smear_viewer.layers["smear"].data.shape[:2], dtype)
    labels[20:70, 20:70], labels[20:70, 110:160] = 700, 60_000
    layer = smear_viewer.add_labels(labels, name="mine", scale=(0.12, 0.12), units=("um", "um"))
    widget = open_dock()
    widget.inputs.cells.setCurrentText("mine")
    widget.inputs.cells.activated.emit(widget.inputs.cells.currentIndex())
    qtbot.waitUntil(lambda: widget.session.cells is not None, timeout=10_000)
    classify(widget, qtbot)
    assert widget.error.error is None
    assert widget.session.predictions.ids.tolist() == [700, 60_000]
    assert np.array_equal(layer.data, labels)
    raster = widget.controller.layers.classes_layer.data
    assert raster[20, 30] in (1, 2)
    assert raster[45, 45] == 0


def test_a_constant_image_says_that_there_are_no_cells_and_why(
    viewer: Any, open_dock: Callable[[], Any], qtbot: Any, constant_image: np.ndarray
) -> None:
    viewer.add_image(constant_image, rgb=True, name="constant")
    widget = open_dock()
    codes = [widget.error.error.code] if widget.error.error is not None else []
    assert codes or any("No cells" in text or "no cells" in text for text in widget.notices.texts)
    assert not widget.run.classify_button.isEnabled() or codes
    assert widget.run.classify_button.toolTip()


def test_a_missing_channel_is_refused_in_words(viewer: Any, open_dock: Callable[[], Any]) -> None:
    viewer.add_image(
        np.random.default_rng(0).integers(0, 4000, (80, 90), dtype=np.uint16), name="DAPI"
    )
    widget = open_dock()
    assert widget.session.mapping_error.code == "CHANNEL-MISSING"
    assert not widget.run.classify_button.isEnabled()
    assert widget.session.mapping_error.what in widget.run.classify_button.toolTip()
    assert widget.channels_section.button.isChecked()


def test_closing_the_dock_leaves_nothing_behind(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    widget = open_dock()
    dock = next(iter(smear_viewer.window.dock_widgets.values()))
    assert dock is not None
    press(widget.run.classify_button)
    smear_viewer.window.remove_dock_widget(widget)
    assert not widget.controller.runner.running
    smear_viewer.add_image(np.zeros((20, 20)), name="later")
    smear_viewer.layers.remove(smear_viewer.layers["smear"])
    qtbot.wait(200)
    assert widget.session.image.name == "smear"
    assert widget.session.predictions is None
    assert len(our_layers(smear_viewer)) == 2


def test_closing_the_window_in_the_middle_of_a_run(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    widget = open_dock()
    ended = []
    press(widget.run.classify_button)
    run = widget.controller.runner._run
    run.worker.finished.connect(lambda: ended.append(True))
    widget.controller.cancel()
    smear_viewer.close()
    qtbot.waitUntil(lambda: bool(ended), timeout=30_000)


def test_features_table_shows_the_selected_cell(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    widget = open_dock()
    classify(widget, qtbot)
    layer = widget.controller.layers.cells_layer
    label = int(widget.session.cells.ids[-1])
    assert layer.features.loc[label, "class"] == widget.session.predictions.predicted[-1]
    assert int(layer.features.loc[label, "index"]) == label


def test_the_model_card_opens(smear_viewer: Any, open_dock: Callable[[], Any]) -> None:
    widget = open_dock()
    press(widget.inputs.card_button)
    assert widget.card_dialog.isVisible()
    assert "Two classes" in widget.card_dialog.text.toPlainText()
    widget.card_dialog.close()


def test_a_damaged_model_is_listed_with_its_reason_and_stops_nothing(
    smear_viewer: Any, own_home: Path, open_dock: Callable[[], Any]
) -> None:
    (own_home / "models" / "broken.cellpkg").write_bytes(b"PK\x03\x04 no archive")
    widget = open_dock()
    model = widget.inputs.model
    row = model.findText("broken")
    assert row >= 0
    assert not model.model().item(row).isEnabled()
    assert "[MODEL-" in model.itemData(row, Qt.ItemDataRole.ToolTipRole)
    assert model.currentText() == "two-classes"
    assert widget.error.error is None


def test_a_model_damaged_after_it_was_listed_is_refused_with_a_code(
    smear_viewer: Any, open_dock: Callable[[], Any], only_small_model: Path, qtbot: Any
) -> None:
    widget = open_dock()
    only_small_model.write_bytes(only_small_model.read_bytes()[:2000])
    press(widget.run.classify_button)
    qtbot.waitUntil(lambda: widget.error.error is not None, timeout=20_000)
    assert widget.error.error.code.startswith("MODEL-")
    assert widget.session.predictions is None
    assert not widget.controller.runner.running
