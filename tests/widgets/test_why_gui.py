"""*Why?* in the dock *Review cells*, by real keys and clicks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_cellcls.review.order import Show

from .fakes import predictions_of
from .test_gui import press
from .test_review_gui import canvas_key, settle

pytestmark = pytest.mark.gui


@pytest.fixture
def review(
    smear_viewer: Any, open_dock: Callable[[], Any], viewer: Any, qtbot: Any
) -> Iterator[Any]:
    """The dock with twelve classified cells, even and odd ones alike."""
    classify = open_dock()
    session = classify.session
    odd = np.arange(len(session.cells)) % 2
    chances = np.stack([0.9 - 0.8 * odd, 0.1 + 0.8 * odd], axis=1)
    seen = np.random.default_rng(0).normal(size=(len(odd), 8)) + 8 * odd[:, None]
    told = replace(
        predictions_of(session.cells, chances, session.scheme), embeddings=seen.astype(np.float32)
    )
    session.predictions = session._raw = told
    session.predictions_changed.emit()
    qtbot.waitUntil(lambda: not classify.controller.busy, timeout=30_000)
    _, dock = viewer.window.add_plugin_dock_widget("napari-cellcls", "Review cells")
    settle(dock, qtbot)
    yield dock
    if dock.parent() is not None:
        viewer.window.remove_dock_widget(dock)
        qtbot.wait(20)


def test_why_shows_labeled_cells_and_a_click_goes_there(
    viewer: Any, review: Any, qtbot: Any
) -> None:
    panel, sheet = review.why_panel, review.controller.subject.sheet
    review.decide.advance.setChecked(False)
    review.gallery.choose(0)
    review.look_at(0)
    assert panel.button.isEnabled() and "(W)" in panel.button.toolTip()
    press(panel.button)
    settle(review, qtbot)
    assert "no cell is labeled yet" in panel.head.text() and not panel.tiles
    assert review.controller.keeper.project is None  # asking decides nothing
    for row in (2, 4, 1, 3):
        review.set_class(sheet.classes[row % 2].id, [row])
    settle(review, qtbot)
    assert panel.head.text() == ""  # what was said is no longer so
    canvas_key(viewer, review, Qt.Key.Key_W, qtbot=qtbot)
    settle(review, qtbot)
    label = int(sheet.cells.ids[0])
    assert panel.head.text() == (
        f"Cell {label} is called Parasitized because it looks like these labeled cells: "
        "2 of 4 are Parasitized."
    )
    names = [tile.accessibleName().split(",")[0] for tile in panel.tiles]
    assert names == ["Parasitized", "Parasitized", "Uninfected", "Uninfected"]
    assert [one.row for one in review.why.answer.examples[:2]] in ([2, 4], [4, 2])
    seen = panel.visibleRegion().boundingRect()
    assert seen.height() > 0.9 * panel.height()  # it was below what is in sight
    review.view_bar.show_menu.select(Show.OPEN)
    review.view_bar.show_menu.picked.emit(Show.OPEN)  # labeled cells are filtered out
    settle(review, qtbot)
    nearest = review.why.answer.examples[0].row
    QTest.mouseClick(panel.tiles[0], Qt.MouseButton.LeftButton)
    settle(review, qtbot)
    assert review.gallery.current_row == nearest and review.gallery.selected_rows == [nearest]
    y0, x0, y1, x1 = sheet.boxes[nearest]
    center = np.array(viewer.scene.camera.center[-2:]) / 0.12
    assert np.allclose(center, [(y0 + y1) / 2, (x0 + x1) / 2], atol=3)
    assert len(panel.tiles) == 4  # the other examples can still be looked at
    review.gallery.choose(6)
    review.look_at(6)
    assert not panel.tiles and panel.head.text() == ""
    press(panel.button)
    settle(review, qtbot)
    assert len(panel.tiles) == 4
    press(panel.button)
    assert not panel.tiles and review.error.error is None
