"""From real blood smears to a proven three-class model: labels from the published boxes, ``blank`` as the base."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.cells.identity import anchors
from napari_cellcls.learn.datasets import BLOOD_CLASSES
from napari_cellcls.learn.finetune import finetune
from napari_cellcls.models import registry
from napari_cellcls.models.package import read_package
from napari_cellcls.predict import predict
from napari_cellcls.project import versions
from napari_cellcls.project.project import create_project
from napari_cellcls.review.events import Draft, Kind, Value
from napari_cellcls.review.masks import place
from napari_cellcls.vocabulary import finish

pytestmark = pytest.mark.real
PHOTOGRAPHS, NEW, PER_CLASS = 10, 3, 7


def test_a_few_labels_per_class_make_a_model_of_blood_cells(
    shared_data: Path, tmp_path: Path
) -> None:
    from benchmarks.described_cells import blood

    seen = []
    for image, cells, truth, _ in blood(shared_data / "bccd"):
        if len(set(truth.tolist()) - {-1}) == 3:
            seen.append((image, cells, truth))
        if len(seen) == PHOTOGRAPHS + NEW:
            break
    with create_project(tmp_path / "blood", classes=BLOOD_CLASSES, annotator="ana") as project:
        ids = list(project.journal.state.classes)
        for image, cells, truth in seen[:PHOTOGRAPHS]:
            found = project.add_image(str(image.path))
            for k, class_id in enumerate(ids):
                rows = np.flatnonzero(truth == k)[:PER_CLASS]
                labels = cells.ids[rows].tolist()
                where = place(project.journal, anchors(cells, found, labels))
                project.journal.record(
                    Draft(Kind.LABEL, one, class_id=class_id, value=Value.ONLY) for one in where
                )
        made = finish(finetune(project, registry.load("blank")))
        assert made.promoted, made.verdict.text()
        assert versions.in_use(project) is not None
        assert made.after is not None and made.after > 0.9 and made.notes == ()
        tuned = read_package(made.package_path)
    assert tuned.manifest.in_color and tuned.manifest.level == "tuned"
    right = np.zeros(0, bool)
    for image, cells, truth in seen[PHOTOGRAPHS:]:
        said = finish(predict(image, cells, tuned))
        names = np.array(said.predicted)[truth >= 0]
        right = np.append(right, names == np.array(BLOOD_CLASSES)[truth[truth >= 0]])
    assert len(right) > 20 and right.mean() > 0.9
