"""A class added later: a released model passes on what it knows to a network that can see the new class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_cellcls.cells.identity import anchors
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.embed import describe_cells
from napari_cellcls.images.read import open_image
from napari_cellcls.learn import fitted
from napari_cellcls.learn.finetune import finetune
from napari_cellcls.learn.labels import labeled_cells
from napari_cellcls.learn.network import network_for
from napari_cellcls.learn.relearn import network_of, relearn
from napari_cellcls.learn.roster import Roster
from napari_cellcls.models import places
from napari_cellcls.models.general import General, general_of
from napari_cellcls.models.package import ModelPackage, read_package
from napari_cellcls.predict import predict
from napari_cellcls.project.project import Project, create_project
from napari_cellcls.review.masks import place
from napari_cellcls.vocabulary import CellClass, finish
from tests.learn.corrected import CLASSES, SHAPE, field
from tests.models.make import package

VIEW: dict[str, Any] = {
    "crop": {"size": 24, "frame": "square", "margin": 0.1, "mask": True},
    "normalization": {"kind": "background"},
}
OLD = [
    {"id": "disk", "name": "Disk", "color": "#111111"},
    {"id": "square", "name": "Square", "color": "#222222"},
]


@pytest.fixture
def general(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelPackage:
    """Install a network without classes, as ``blank`` is one."""
    monkeypatch.setenv("CELLCLS_HOME", str(tmp_path / "home"))
    places.user_models().mkdir(parents=True)
    return package(
        places.user_models() / "any.cellpkg", name="any", classes=[], inputs=[], level="backbone",
        channel_policy="each", **VIEW,
    )  # fmt: skip


@pytest.fixture
def released(tmp_path: Path, general: ModelPackage) -> ModelPackage:
    """Return a model of disks and squares that brings cells described by that network."""
    values, labels = [], []
    for number in (500, 501, 502, 503):
        image, cells, truth = drawn(tmp_path, number)
        found = finish(describe_cells(image, cells, general)).values
        values.append(found[truth < 2])
        labels.append(truth[truth < 2])
    kinds = np.concatenate(labels)
    told = General(np.concatenate(values), kinds, np.eye(2)[kinds] * 9, general.weights_sha256)
    return package(
        tmp_path / "released.cellpkg", name="shapes", title="Shapes", classes=OLD, cells="blood",
        reference=told.arrays(), seed=5,
    )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project of disks and bars, in which nobody has labeled a square."""
    with create_project(tmp_path / "smears", classes=CLASSES, annotator="ana") as found:
        for number in range(8):
            image, cells, truth = drawn(tmp_path, number)
            assert image.path is not None
            every = anchors(cells, found.add_image(image.path))
            rows = np.flatnonzero(truth != 1)
            place(found.journal, [every[row] for row in rows])
            for row in rows:
                found.journal.label(every[row].cell_id, CLASSES[truth[row]].lower())
        yield found


def drawn(folder: Path, number: int) -> tuple[Any, Any, np.ndarray]:
    picture, labels, truth = field(number)
    path = folder / f"{number}.tif"
    tifffile.imwrite(path, picture, photometric="rgb")
    return open_image(path), cells_from_labels(labels, None, "test", SHAPE), truth


def test_the_network_that_can_see_is_taught_what_the_model_knows(
    tmp_path: Path, project: Project, released: ModelPackage, general: ModelPackage
) -> None:
    found = finish(finetune(project, released))
    made = read_package(found.package_path)
    assert made.weights_sha256 == general.weights_sha256
    assert (made.manifest.cells, made.manifest.provenance.parent) == ("blood", "shapes@1.0.0")
    assert made.manifest.description.startswith("Shapes, fine-tuned on 72 labels") or (
        found.labels_used < 72
    )
    assert [one.name for one in made.manifest.classes] == list(CLASSES)
    assert "Shapes does not know Bar" in found.notes[0] and "network of any" in found.notes[0]
    image, cells, truth = drawn(tmp_path, 77)
    said = np.array(finish(predict(image, cells, made)).predicted)
    # Squares too, though no label says what one is.
    assert (said == np.array(CLASSES)[truth]).mean() > 0.9 and (said[truth == 1] == "Square").all()
    falls = {one.name: one for one in found.verdict.forgotten}
    assert not falls


def test_its_own_network_stays_without_a_new_class(
    project: Project, released: ModelPackage, general: ModelPackage
) -> None:
    labels = labeled_cells(project.journal.state)
    assert network_for(released, labels, {0: 0, 1: 1, 2: 2}) == (released, ())
    found, notes = network_for(released, labels, {0: 0, 1: 1})
    assert found.weights_sha256 == general.weights_sha256 and "Classifying takes longer" in notes[0]
    assert network_for(general, labels, {}) == (general, ())


@pytest.mark.parametrize("missing", ["cells", "network"])
def test_without_cells_or_network_the_choice_is_the_users(
    project: Project, released: ModelPackage, general: ModelPackage, missing: str
) -> None:
    if missing == "cells":
        released = replace(released, reference=None)
    else:
        assert general.path is not None
        general.path.unlink()
    found, notes = network_for(released, labeled_cells(project.journal.state), {0: 0, 1: 1})
    assert found is released
    assert notes[0].endswith("label some cells of every class and start from blank.")


def test_cells_are_told_in_the_classes_of_the_project(released: ModelPackage) -> None:
    told = general_of(released)
    assert told is not None
    names = ("Bar", "Any shape")
    roster = Roster(tuple(CellClass(n.lower(), n, "#111111") for n in names), (2, 0), ())
    before = fitted.before_of(
        released, {0: 0, 1: 0}, roster, told.values, (0, 0), multi_label=False, general=told
    )
    assert before.kernel is None and before.said is not None
    assert len(before.targets) + len(before.truth) == len(told.labels)
    assert (before.targets[:, 1] == 1).all() and before.known.tolist() == [False, True]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("general_labels", np.full(32, 2)),
        ("general_labels", np.zeros(3, int)),
        ("general_values", np.full((32, 47), np.nan, np.float16)),
        ("general_own", np.zeros((32, 3), np.float32)),
        ("general_network", np.zeros(31, np.uint8)),
    ],
)
def test_cells_that_do_not_fit_are_none(
    released: ModelPackage, name: str, value: np.ndarray
) -> None:
    assert released.reference is not None and len(released.reference["general_labels"]) == 32
    assert general_of(replace(released, reference=released.reference | {name: value})) is None


def test_measured_numbers_from_elsewhere_are_half_trusted(released: ModelPackage) -> None:
    told = general_of(released)
    assert told is not None
    roster = Roster((CellClass("disk", "Disk", "#111111"), CellClass("square", "Square", "#222222")), (0, 1), ())  # fmt: skip
    blocks = (16, told.values.shape[1] - 16)
    before = fitted.before_of(
        released, {0: 0, 1: 1}, roster, told.values, blocks, multi_label=False, general=told
    )
    y, groups = np.eye(2)[told.labels], (np.arange(len(told.labels)) % 8).astype(str)
    bare = told.values.copy()
    bare[:, 16:] = 0
    heads = []
    for x, old in (
        (told.values, before),
        (told.values, replace(before, elsewhere=False)),
        (bare, replace(before, exemplars=fitted._unmeasured(before.exemplars, blocks), elsewhere=False)),
    ):  # fmt: skip
        heads.append(
            fitted.fit(x, y, np.ones(len(y)), groups, old, blocks, multi_label=False, seed=1)
        )
    mean = np.mean([one.logits(told.values) / one.temperature for one in heads[1:]], axis=0)
    assert heads[0].logits(told.values) == pytest.approx(mean, abs=1e-3)
    assert not heads[2].kernel[16:].any() and heads[0].kernel[16:].any()
    assert heads[0].folds == 4 and heads[0].temperature != heads[1].temperature


def test_learning_as_one_labels_chooses_the_network_alike(
    tmp_path: Path, project: Project, released: ModelPackage, general: ModelPackage
) -> None:
    image, cells, truth = drawn(tmp_path, 0)
    assert image.path is not None
    state = project.journal.state
    ids = [one.cell_id for one in anchors(cells, project.add_image(image.path))]
    assert network_of(state, [None] * len(ids), released) is released
    disks = [one if kind == 0 else None for one, kind in zip(ids, truth, strict=True)]
    assert network_of(state, disks, released) is released  # nobody labeled what is new here
    network = network_of(state, ids, released)
    assert network.weights_sha256 == general.weights_sha256
    described = finish(describe_cells(image, cells, network))
    found = relearn(state, described, ids, released)
    assert found is not None and found.scheme.names == CLASSES
    said = found.probabilities.argmax(axis=1)
    # Squares too: the released model tells what they look like to the network that sees bars.
    assert (said[truth == 1] == 1).all() and (said == truth).mean() > 0.9
