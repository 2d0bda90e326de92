"""Learn as I label: an order from a handful of labels of one image, and nothing that is shown or kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.cells.identity import anchors
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.embed import Descriptors, describe_cells
from napari_cellcls.images.read import open_image
from napari_cellcls.learn.relearn import relearn
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.project.project import Project
from napari_cellcls.vocabulary import finish
from tests.learn.corrected import SHAPE, field, make_project
from tests.models.make import package


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    return package(
        tmp_path_factory.mktemp("base") / "base.cellpkg",
        classes=[], inputs=[], level="backbone", channel_policy="each",
        crop={"size": 24, "frame": "square", "margin": 0.1, "mask": True},
        normalization={"kind": "background"},
    )  # fmt: skip


def window(project: Project, folder: Path, base: ModelPackage) -> tuple[Descriptors, list[str]]:
    """Return what a window knows: all cells described, and their ids."""
    _, labels, _ = field(0)
    image = open_image(folder / "field-0.tif")
    cells = cells_from_labels(labels, None, "test", SHAPE)
    found = finish(describe_cells(image, cells, base))
    return found, [one.cell_id for one in anchors(cells, project.add_image(image.path or ""))]


def test_a_few_labels_say_what_the_others_could_be(tmp_path: Path, base: ModelPackage) -> None:
    with make_project(tmp_path, 1, per_image=8) as project:
        described, ids = window(project, tmp_path, base)
        state = project.journal.state
        events = len(state)
        found = relearn(state, described, [*ids[:10], None, None], base)
        assert found is not None and found.labels == 8
        assert found.probabilities.shape == (12, 3) and found.scheme.ids == (
            "disk",
            "square",
            "bar",
        )
        assert found.probabilities.sum(axis=1) == pytest.approx(np.ones(12), abs=1e-5)
        _, _, truth = field(0)
        assert (found.probabilities.argmax(axis=1) == truth).mean() > 0.8
        assert len(state) == events and not project.models_folder.exists()


def test_nothing_to_tell_apart_is_no_order(tmp_path: Path, base: ModelPackage) -> None:
    with make_project(tmp_path, 1, per_image=1) as project:
        described, ids = window(project, tmp_path, base)
        assert relearn(project.journal.state, described, ids, base) is None
        assert relearn(project.journal.state, described, [None] * 12, base) is None
        journal = project.journal
        journal.undo()
        assert relearn(journal.state, described, ids, base) is None
