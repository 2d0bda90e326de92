"""A real fluorescence field in a real window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .conftest import dock_of
from .test_gui import classify, our_layers

pytestmark = [pytest.mark.gui, pytest.mark.real]

CHANNELS = {"microtubules": "red", "protein": "green", "nucleus": "blue", "er": "yellow"}


def test_an_hpa_field_is_one_image_with_named_and_colored_channels(
    viewer: Any, qtbot: Any, shared_data: Path
) -> None:
    files = sorted((shared_data / "hpa" / "field").glob("57_F11_1_*.png"))
    assert len(files) == 4
    viewer.open([str(path) for path in files], plugin="napari-cellcls")
    colors = {layer.name.split(": ")[1]: layer.colormap.name for layer in viewer.layers}
    assert colors == CHANNELS
    assert {layer.blending for layer in viewer.layers} == {"additive"}

    widget = dock_of(viewer, qtbot)
    assert [option.text for option in widget.inputs.image.options] == ["57_F11_1"]
    session = widget.session
    assert [channel.name for channel in session.image.channels] == list(CHANNELS)
    assert widget.inputs.model.currentText().startswith("hpa-localization")
    cells = session.cells
    assert 8 <= len(cells) <= 30
    nucleus = np.asarray(session.image.data[list(CHANNELS).index("nucleus")])
    inside, outside = nucleus[cells.labels > 0].mean(), nucleus[cells.labels == 0].mean()
    assert inside > 3 * outside

    classify(widget, qtbot)
    assert widget.error.error is None
    assert len(session.predictions) == len(cells)
    assert widget.input_card.view.planes.shape[-1] == 4
    assert len(our_layers(viewer)) == 2
    assert any(text.startswith("Starter model") for text in widget.notices.texts)
    embeddings = blank_embeddings(widget, qtbot)
    assert embeddings.shape == (len(cells), 4 * 1280)
    per_channel = embeddings.reshape(len(cells), 4, 1280)
    assert np.isfinite(per_channel).all()
    assert (per_channel.std(axis=0).max(axis=1) > 0).all(), "no channel looks alike in all cells"


def blank_embeddings(widget: Any, qtbot: Any) -> np.ndarray:
    """Choose the blank model in the window and embed the cells that the window found."""
    from napari_cellcls.models import registry
    from napari_cellcls.predict import predict_embeddings

    blank = next(o for o in widget.inputs.model.options if o.text.startswith("blank"))
    cells, image = widget.session.cells, widget.session.image
    widget.inputs.model_picked.emit(blank.value)
    qtbot.wait(50)
    assert not widget.run.classify_button.isEnabled()
    assert "has no classes yet" in widget.run.classify_button.toolTip()
    task = predict_embeddings(
        image, cells, registry.load(blank.value), mapping=widget.session.mapping
    )
    while True:
        try:
            next(task)
        except StopIteration as end:
            return np.asarray(end.value)
