"""What becomes of a trained network: its own head where its base had classes, a head fitted anew where it had none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.cells.descriptor import size_of
from napari_cellcls.learn import deep
from napari_cellcls.learn.deep_begin import begin
from napari_cellcls.learn.described import describe_labels
from napari_cellcls.learn.head import fit_head
from napari_cellcls.learn.holdout import held_out
from napari_cellcls.learn.labels import labeled_cells
from napari_cellcls.models.package import ModelPackage, read_package, write_package
from napari_cellcls.project.project import Project
from napari_cellcls.vocabulary import finish
from tests.learn import smears
from tests.models import make


@pytest.fixture
def nameless(tmp_path: Path) -> ModelPackage:
    """Return the network of the small model without its classes, as ``blank`` is one."""
    made = make.manifest(
        architecture={"id": "malaria_cnn", "params": {"size": 24, "channels": 3, "embedding": 8}},
        crop={"size": 24, "frame": "square", "mask": True},
        classes=[], level="backbone", cells="smear", name="small-nameless",
    )  # fmt: skip
    return write_package(tmp_path / "nameless.cellpkg", made, **make.parts(made))


def test_the_network_keeps_its_own_head_where_its_base_had_classes(
    project: Project, base: ModelPackage
) -> None:
    folder = finish(begin(project, base))
    smears.end_training(folder, base)
    made = read_package(finish(deep.go_on(project, folder)).package_path)
    size = base.embedding_size
    assert np.array_equal(made.head[0][:size], base.head[0].astype(np.float32))
    assert made.head[0].shape == (size + size_of(3), 2) and not made.head[0][size:].any()


def test_a_head_is_fitted_on_what_the_network_sees_and_what_is_measured(
    project: Project, base: ModelPackage, nameless: ModelPackage
) -> None:
    folder = finish(begin(project, nameless))
    smears.end_training(folder, base)
    tuned = finish(deep.go_on(project, folder))
    made, size = read_package(tuned.package_path), base.embedding_size
    labels = labeled_cells(project.journal.state)
    found = finish(describe_labels(project, labels, made))
    own = ~held_out(labels, found.rows)
    assert tuned.labels_used == own.sum() == 32 and tuned.held_out == 16
    rows = found.rows[own]
    head = fit_head(
        found.values[own], labels.targets[rows], groups=labels.groups[rows],
        blocks=found.blocks, multi_label=False, seed=42,
    )  # fmt: skip
    assert np.allclose(made.head[0], head.kernel, atol=1e-4)
    assert np.abs(made.head[0][size:]).max() > 0.01  # how large a cell is counts
    assert made.manifest.temperature == pytest.approx(head.temperature, abs=1e-3)


def test_no_claim_from_cells_that_the_network_has_learned(
    tmp_path: Path, base: ModelPackage, nameless: ModelPackage
) -> None:
    # In two images nothing is held out; folds of the head are no proof, as the network saw all cells.
    project, _ = smears.project_of(tmp_path / "two", images=2)
    with project:
        folder = finish(begin(project, nameless))
        smears.end_training(folder, base)
        made = finish(deep.go_on(project, folder))
        assert made.held_out == 0 and made.before is None and made.after is None
        assert read_package(made.package_path).manifest.sets is None
