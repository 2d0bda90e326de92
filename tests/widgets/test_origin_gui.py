"""A file opened by napari's own reader, and later by ours: one image, and decisions about its cells meet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import napari_builtins
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cellcls.cells.identity import image_id
from tests.learn import smears

from .conftest import dock_of

pytestmark = pytest.mark.gui


@pytest.fixture
def builtins(npe2pm: Any) -> Iterator[None]:
    """Let the viewer of the test know napari's own readers too."""
    with npe2pm.tmp_plugin(manifest=str(Path(napari_builtins.__file__).with_name("builtins.yaml"))):
        yield


@pytest.mark.usefixtures("builtins")
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_decisions_meet_whichever_reader_opened_the_file(
    viewer: Any, only_small_model: Path, tmp_path: Path, qtbot: Any, suffix: str
) -> None:
    picture, _, _ = smears.smear(3)
    path = tmp_path / f"field{suffix}"
    if suffix == ".png":
        Image.fromarray(picture).save(path)
    else:
        tifffile.imwrite(path, picture, photometric="rgb")

    (layer,) = viewer.open(str(path), plugin="napari")
    assert "cellcls" not in layer.metadata
    classify = dock_of(viewer, qtbot)
    assert classify.session.image.path == str(path)
    _, review = viewer.window.add_plugin_dock_widget("napari-cellcls", "Review cells")
    qtbot.waitUntil(lambda: not review.busy, timeout=60_000)
    classify.run.classify_button.click()
    qtbot.waitUntil(lambda: not classify.controller.busy, timeout=60_000)
    qtbot.wait(50)
    qtbot.waitUntil(lambda: not review.busy, timeout=60_000)
    sheet = review.controller.subject.sheet
    assert sheet.plane.image_id == image_id(path)
    chosen = sheet.classes[0].id
    for row in (0, 2):
        review.set_class(chosen, [row])
    project = review.controller.keeper.project
    assert list(project.journal.state.images) == [image_id(path)]
    assert project.locate(image_id(path)).status == "found"

    # The image of the project is the one on screen: nothing is opened twice.
    before = len(viewer.layers)
    review.controller.pick_image(image_id(path))
    assert len(viewer.layers) == before
    review.controller.pick_image(None)

    viewer.layers.clear()
    qtbot.waitUntil(lambda: not review.busy and not classify.controller.busy, timeout=60_000)
    viewer.open(str(path), plugin="napari-cellcls")
    qtbot.wait(50)
    qtbot.waitUntil(lambda: not classify.controller.busy, timeout=60_000)
    qtbot.wait(50)
    qtbot.waitUntil(lambda: not review.busy, timeout=60_000)
    again = review.controller.subject.sheet
    assert again is not sheet and again.plane.image_id == sheet.plane.image_id
    assert np.flatnonzero(again.mine).tolist() == [0, 2]
    viewer.window.remove_dock_widget(review)
