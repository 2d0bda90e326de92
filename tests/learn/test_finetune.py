"""Fine-tuning on a project: what is learned, what may judge, what is kept, and what never changes by accident."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.embed import describe_cells
from napari_cellcls.images.read import open_image
from napari_cellcls.learn import finetune as room
from napari_cellcls.learn.finetune import Tuned, finetune
from napari_cellcls.models.package import ModelPackage, read_package
from napari_cellcls.predict import answer, predict
from napari_cellcls.project import groups, versions
from napari_cellcls.project.errors import ProjectError
from napari_cellcls.project.project import Project
from napari_cellcls.review.events import Shown, Source
from napari_cellcls.vocabulary import DataError, finish
from tests.learn.corrected import CLASSES, SHAPE, add_labeled, field, make_project
from tests.models.make import package

VIEW: dict[str, Any] = {
    "crop": {"size": 24, "frame": "square", "margin": 0.1, "mask": True},
    "normalization": {"kind": "background"},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> ModelPackage:
    """Return a network without classes, as ``blank`` is one."""
    return package(
        tmp_path_factory.mktemp("base") / "base.cellpkg",
        classes=[], inputs=[], level="backbone", channel_policy="each", **VIEW,
    )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with make_project(tmp_path, 8) as found:
        yield found


def using(project: Project) -> str:
    found = versions.in_use(project)
    return "" if found is None else found.label


def right(tuned: ModelPackage, folder: Path, number: int = 77) -> float:
    """Return the share of right answers of a package on an image nobody labeled."""
    import tifffile

    picture, labels, truth = field(number)
    tifffile.imwrite(folder / "new.tif", picture, photometric="rgb")
    image, cells = open_image(folder / "new.tif"), cells_from_labels(labels, None, "test", SHAPE)
    said = finish(predict(image, cells, tuned))
    described = finish(describe_cells(image, cells, tuned))
    assert np.allclose(said.logits, answer(cells.ids, described, tuned).logits, atol=0.05)
    return float((np.array(said.predicted) == np.array(CLASSES)[truth]).mean())


def test_from_corrections_to_a_proven_model(
    project: Project, base: ModelPackage, tmp_path: Path
) -> None:
    found = finish(finetune(project, base))
    assert found.promoted and found.label == "smears@0.1.0" == using(project)
    assert found.verdict.word == "better" and found.after is not None and found.after > 0.9
    assert (found.labels_used, found.held_out, found.left_out) == (72, 24, {})
    assert found.notes == ()
    made = read_package(found.package_path)
    manifest = made.manifest
    assert (manifest.level, manifest.descriptor) == ("tuned", "embedding+cell/1")
    assert made.weights_sha256 == base.weights_sha256
    assert [one.name for one in manifest.classes] == list(CLASSES)
    assert [one.id for one in manifest.classes] == ["disk", "square", "bar"]
    assert manifest.in_color and manifest.passes == 1
    facts = manifest.provenance
    assert facts.parent == base.manifest.label and facts.n_labels == 72 and facts.annotators == 1
    assert facts.extra["annotators"] == ["ana"] and len(facts.extra["groups"]) == 6
    assert manifest.metrics.independent and manifest.metrics.n == 24
    assert "held out" in manifest.metrics.protocol
    assert manifest.metrics.values["macro_f1"].value == pytest.approx(found.after)
    assert set(manifest.metrics.per_class) == {"disk", "square", "bar"}
    assert made.reference is not None and len(made.reference["labels"]) == 72
    assert right(made, tmp_path) > 0.9


def test_the_same_labels_give_the_same_model_and_are_no_further_attempt(
    project: Project, base: ModelPackage
) -> None:
    first, second = finish(finetune(project, base)), finish(finetune(project, base))
    heads = [read_package(one.package_path).head for one in (first, second)]
    assert heads[0] is not None and heads[1] is not None
    assert np.allclose(heads[0][0], heads[1][0], atol=1e-5)
    assert second.label == "smears@0.2.0" and second.verdict.attempts == 1
    assert second.verdict.word == "not enough data to tell" and using(project) == first.label
    versions.use(project, second.label)
    project.journal.undo()
    third = finish(finetune(project, base))
    assert third.verdict.attempts == 2
    versions.roll_back(project)
    versions.roll_back(project)
    assert using(project) == first.label
    assert [one.word for one in versions.history(project).attempts] == [
        one.verdict.word for one in (first, second, third)
    ]


def test_one_image_is_no_claim_and_a_few_are_a_weak_one(tmp_path: Path, base: ModelPackage) -> None:
    with make_project(tmp_path, 1) as project:
        one = finish(finetune(project, base))
        assert (one.before, one.after, one.held_out, one.promoted) == (None, None, 0, False)
        text = one.verdict.text()
        assert text.startswith(
            "Not enough data to tell. All cells that could judge are of one image"
        )
        assert using(project) == "" and one.package_path.is_file()
        made = read_package(one.package_path)
        assert made.manifest.metrics.values == {} and made.manifest.sets is None
        for number in (1, 2):
            add_labeled(project, tmp_path, number)
        few = finish(finetune(project, base))
        assert few.after is not None and few.after > 0.8 and not few.promoted
        assert "Only 3 images or patients have labels" in few.verdict.text()
        assert "cross-validated" in read_package(few.package_path).manifest.metrics.protocol


def test_what_was_accepted_unseen_never_judges(tmp_path: Path, base: ModelPackage) -> None:
    with make_project(tmp_path, 6, source=Source.BULK) as project:
        found = finish(finetune(project, base))
        assert found.after is None and not found.promoted and found.labels_used > 0
        assert "decided by looking" in found.verdict.text()


def test_shuffled_labels_are_not_promoted(tmp_path: Path, base: ModelPackage) -> None:
    with make_project(tmp_path, 8, wrong=1.0) as project:
        found = finish(finetune(project, base))
        assert not found.promoted and using(project) == ""
        assert "no better than guessing" in found.verdict.text() or found.verdict.difference


def test_images_that_are_gone_are_named(project: Project, base: ModelPackage) -> None:
    folder = project.folder.parent
    (folder / "field-3.tif").unlink()
    (folder / "field-4.tif").write_bytes(b"something else")
    (folder / "elsewhere").mkdir()
    shutil.move(folder / "field-5.tif", folder / "elsewhere" / "renamed.tif")
    found = finish(finetune(project, base))
    assert found.left_out == {"image not found": 24} and found.labels_used + found.held_out == 72
    notes = "\n".join(found.notes)
    assert "field-3.tif: its 12 labels were not used. field-3.tif: not found." in notes
    assert "field-4.tif has other content than when it was labeled" in notes
    assert "field-5" not in notes


def test_too_few_labels_are_said_in_plain_words(tmp_path: Path, base: ModelPackage) -> None:
    with make_project(tmp_path, 0) as empty, pytest.raises(DataError) as caught:
        finish(finetune(empty, base))
    assert caught.value.code == "LEARN-FEW" and "nobody has given a cell a class" in str(
        caught.value
    )
    with make_project(tmp_path / "one", 2, per_image=1) as project:
        image = next(iter(project.journal.state.images))
        for cell in tuple(project.journal.state.cells):
            project.journal.label(cell, "disk")
        assert image
        with pytest.raises(DataError, match="Label at least one cell of each of two classes"):
            finish(finetune(project, base))
        for path in (tmp_path / "one").glob("field-*"):
            path.unlink()
        with pytest.raises(DataError, match=r"2 left out: image not found.*field-0.tif"):
            finish(finetune(project, base))
        assert versions.history(project).versions == ()


def test_a_released_model_is_where_learning_starts(
    tmp_path: Path, project: Project, base: ModelPackage
) -> None:
    """A class is renamed, one is removed, one is new; the released head and its exemplars hold the rest."""
    tuned = read_package(finish(finetune(project, base)).package_path)
    # As released: its own classes, the head on the embedding alone.
    assert tuned.head is not None and tuned.reference is not None
    size = tuned.embedding_size
    released = package(
        tmp_path / "released.cellpkg", reference=dict(tuned.reference) | {
            "embeddings": tuned.reference["embeddings"][:, :size]
        },
        name="shapes", channel_policy="joint",
        classes=[
            {"id": "disk", "name": "Disk", "color": "#111111"},
            {"id": "quad", "name": "square", "color": "#222222"},
            {"id": "other", "name": "Other", "color": "#333333"},
        ], **VIEW,
    )  # fmt: skip
    with make_project(tmp_path / "next", 6, classes=(*CLASSES, "Dot"), per_image=8) as other:
        other.journal.rename_class("disk", "Round")
        found = finish(finetune(other, released))
        made = read_package(found.package_path)
        assert [one.name for one in made.manifest.classes] == ["Round", "Square", "Bar", "Dot"]
        assert made.manifest.classes[0].id == "disk"
        assert any("leaves out: Other" in note for note in found.notes)
        assert found.verdict.before < found.verdict.after
        assert made.manifest.inputs == released.manifest.inputs


def test_classes_without_labels_are_named(tmp_path: Path, base: ModelPackage) -> None:
    with make_project(tmp_path, 2, classes=(*CLASSES, "Dot")) as project:
        project.journal.add_class("Star")
        found = finish(finetune(project, base))
        assert "No cell is labeled Star: the model does not know it yet." in found.notes
        made = read_package(found.package_path)
        assert [one.name for one in made.manifest.classes] == [*CLASSES, "Dot"]


def test_several_labels_per_cell(tmp_path: Path, base: ModelPackage) -> None:
    with make_project(tmp_path, 6, multi_label=True) as project:
        found = finish(finetune(project, base))
        made = read_package(found.package_path)
        assert made.manifest.multi_label and made.manifest.thresholds is not None
        assert found.after is not None and found.after > 0.8
        assert made.reference is not None and made.reference["labels"].shape[1] == 3


def test_cancelling_leaves_everything_as_it_was(project: Project, base: ModelPackage) -> None:
    finish(finetune(project, base))
    before = using(project), (project.models_folder / "current.json").read_bytes()
    listed = sorted(project.models_folder.iterdir())
    steps = 0
    while True:
        task = finetune(project, base, seed=1)
        for _ in range(steps):
            if next(task, None) is None:
                break
        else:
            task.close()
            steps += 3
            assert (using(project), (project.models_folder / "current.json").read_bytes()) == before
            assert sorted(project.models_folder.iterdir()) == listed
            continue
        break
    assert steps > 9


@pytest.mark.parametrize("where", ["kept.write_package", "versions.record"])
def test_a_full_disk_leaves_everything_as_it_was(
    project: Project, base: ModelPackage, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    finish(finetune(project, base))
    before, listed = using(project), sorted(project.models_folder.iterdir())

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"napari_cellcls.learn.{where}" if "kept" in where else room.versions, *(
        (full,) if "kept" in where else ("record", full)
    ))  # fmt: skip
    with pytest.raises(ProjectError, match="No space left") as caught:
        finish(finetune(project, base, seed=1))
    assert caught.value.code == "PROJECT-WRITE"
    assert using(project) == before and sorted(project.models_folder.iterdir()) == listed


def test_patients_keep_images_together_and_do_not_hide_what_a_model_knows(
    project: Project, base: ModelPackage
) -> None:
    first = finish(finetune(project, base))
    assert first.promoted
    images = list(project.journal.state.images)
    # Four patients now, of each of whom the model in use has seen something, or may have.
    groups.write(project, {one: {"patient": f"P{k // 2}"} for k, one in enumerate(images)})
    second = finish(finetune(project, base))
    facts = read_package(second.package_path).manifest.provenance.extra
    assert set(facts["groups"]).isdisjoint(facts["held_out"])
    assert second.held_out == 0 and len(facts["groups"]) == 4 + 8
    assert any("in use and has learned from the images that judge now" in n for n in second.notes)


def test_the_default_is_the_model_shown_most(project: Project) -> None:
    assert room.default_base(project) == "blank"
    cell = next(iter(project.journal.state.cells))
    project.journal.label(cell, "disk", shown=Shown("blood-cells@1.1.0", "0" * 64))
    assert room.default_base(project) == "blood-cells@1.1.0"
    project.journal.label(cell, "disk", shown=Shown("gone@1.0.0", "1" * 64))
    project.journal.label(cell, "disk", shown=Shown("gone@1.0.0", "1" * 64))
    assert room.default_base(project) == "blood-cells@1.1.0"


def test_a_worse_model_is_kept_and_not_used(project: Project, base: ModelPackage) -> None:
    good = finish(finetune(project, base))
    rng = np.random.default_rng(0)
    held = set(read_package(good.package_path).manifest.provenance.extra["held_out"])
    assert held
    from napari_cellcls.learn.holdout import hashes
    from napari_cellcls.learn.labels import labeled_cells

    labels = labeled_cells(project.journal.state)
    for cell, group in zip(labels.ids, labels.groups.tolist()):
        if not held & set(hashes(np.array([group]))):
            project.journal.label(cell, str(rng.choice(["disk", "square", "bar"])))
    worse: Tuned = finish(finetune(project, base))
    assert not worse.promoted and worse.verdict.word in ("worse", "not enough data to tell")
    assert using(project) == good.label and worse.package_path.is_file()
    assert worse.verdict.before == pytest.approx(good.after)
    assert versions.use(project, worse.label) is not None
    assert using(project) == worse.label
    assert replace(good, seconds=0) != worse
