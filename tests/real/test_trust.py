"""Foreign cells on real photographs: white cells are strange to a model of red cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from training.found_blood import WELL_CUT, annotated, matched

from napari_cellcls.cells.segment import find_cells
from napari_cellcls.images.read import open_image
from napari_cellcls.learn.datasets import BLOOD_CLASSES
from napari_cellcls.learn.metrics import auc
from napari_cellcls.models import registry, runtime
from napari_cellcls.predict import predict
from napari_cellcls.vocabulary import finish

pytestmark = pytest.mark.real


def test_white_cells_are_strange_to_the_malaria_model(shared_data: Path) -> None:
    package = registry.load("malaria-thin-smear")
    boxes, files = annotated(shared_data / "bccd", list(BLOOD_CLASSES))
    strange, kinds = [], []
    with runtime.open_engine(package) as engine:
        for name, path in list(files.items())[2::12]:
            image = open_image(path)
            cells = finish(find_cells(image, "blood"))
            if not len(cells):
                continue
            made = finish(predict(image, cells, package, engine=engine))
            truth, overlap = matched(cells.table, boxes[name])
            assert made.strangeness is not None
            strange.append(made.strangeness)
            kinds.append(np.where(overlap > WELL_CUT, truth, -1))
    found, kind = np.concatenate(strange), np.concatenate(kinds)
    rows = np.isin(kind, (0, 1))
    assert (kind == 1).sum() >= 15
    assert auc(found[rows], kind[rows] == 1) > 0.93
    assert (found[kind == 0] > 1.25).mean() < 0.05
