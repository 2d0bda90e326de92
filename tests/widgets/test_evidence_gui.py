"""The evidence of one cell, by a real click, in its place in the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from .test_gui import classify, press

pytestmark = pytest.mark.gui


def test_evidence_is_shown_in_its_place_and_goes_with_the_predictions(
    smear_viewer: Any, open_dock: Callable[[], Any], qtbot: Any
) -> None:
    picture = smear_viewer.layers[0]
    picture.translate, picture.rotate = (5.0, 3.0), 30
    widget = open_dock()
    assert not widget.input_card.evidence.isVisible()
    classify(widget, qtbot)
    qtbot.waitUntil(lambda: widget.input_card.evidence.isVisible(), timeout=5_000)
    label = widget.input_card.view.label
    active = smear_viewer.layers.selection.active

    press(widget.input_card.evidence)
    qtbot.waitUntil(lambda: not widget.evidence.busy, timeout=60_000)
    layer = widget.evidence.layer
    assert layer in smear_viewer.layers and f"cell {label}" in layer.name
    assert layer.name.startswith("smear: evidence for ")
    assert smear_viewer.layers.selection.active == active
    box = widget.session.cells.table.set_index("label").loc[label]
    corner = picture.data_to_world((box.bbox_y0, box.bbox_x0))
    end = picture.data_to_world((box.bbox_y1, box.bbox_x1))
    middle = (np.asarray(layer.data.shape) - 1) / 2
    assert layer.data_to_world(middle) == pytest.approx((np.add(corner, end)) / 2, abs=0.2)
    assert layer.contrast_limits[0] == -layer.contrast_limits[1]

    press(widget.input_card.evidence)
    qtbot.waitUntil(lambda: not widget.evidence.busy, timeout=60_000)
    assert sum("evidence" in one.name for one in smear_viewer.layers) == 1
    widget.session.set_thresholds((0.6, 0.6))
    assert not any("evidence" in one.name for one in smear_viewer.layers)
