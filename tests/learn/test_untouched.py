"""A full disk and a cancel, at every file and every step, leave the model in use as it was, byte by byte."""

from __future__ import annotations

import sys
from functools import partial

import pytest

from napari_cellcls.learn import deep
from napari_cellcls.learn.deep_begin import begin, runs_folder
from napari_cellcls.learn.finetune import finetune
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.project import versions
from napari_cellcls.project.errors import ProjectError
from napari_cellcls.project.project import Project
from napari_cellcls.vocabulary import DataError, finish
from tests.learn import smears
from tests.learn.untouched import FullDisk, models_of, with_version

_MOST = 40
CHILD = """
import errno, sys
from napari_cellcls import files
from napari_cellcls.learn import runs
def full(source, target):
    raise OSError(errno.ENOSPC, "No space left on device", str(target))
files._replace = full
raise SystemExit(runs.main(sys.argv[1:]))
"""


def test_quick_on_a_full_disk(
    project: Project, base: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, refused = with_version(project, base), 0
    for room in range(_MOST):
        disk = FullDisk(monkeypatch, room)
        try:
            finish(finetune(project, base, seed=1))
        except ProjectError as error:
            assert error.code == "PROJECT-WRITE" and "No space left" in error.why
            assert models_of(project) == before
            refused += 1
        disk.end()
        if not disk.hit:
            break
    assert refused == 2  # the package, and what says so; caches may fail unheard


def test_deep_on_a_full_disk_at_the_beginning(
    project: Project, base: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = with_version(project, base)
    for room in range(8):  # crops, targets, sides, cells, base, recipe, answers, and what says so
        disk = FullDisk(monkeypatch, room)
        task = deep.finetune_deep(project, base, on_folder=lambda _: pytest.fail("it began"))
        with pytest.raises(ProjectError, match="No space left"):
            finish(task)
        disk.end()
        assert models_of(project) == before
        assert deep.unfinished(project) is None and not any(runs_folder(project).iterdir())


def test_deep_on_a_full_disk_when_it_is_judged(
    project: Project, base: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, refused = with_version(project, base), 0
    used = versions.in_use(project).label
    folder = finish(begin(project, base))
    smears.end_training(folder, base)
    for room in range(_MOST):
        disk = FullDisk(monkeypatch, room)
        try:
            made = finish(deep.go_on(project, folder))
        except ProjectError as error:
            assert error.code == "PROJECT-WRITE" and models_of(project) == before
            assert deep.unfinished(project) == folder and deep.is_finished(folder)
            refused += 1
        else:
            # That the folder says it is done may fail: it is judged again then, and nothing is lost.
            assert versions.in_use(project).label == (made.label if made.promoted else used)
            before = models_of(project)
        disk.end()
        if not disk.hit:
            break
    assert refused == 2 and deep.unfinished(project) is None


def test_cancel_while_it_is_judged_keeps_the_training(project: Project, base: ModelPackage) -> None:
    with_version(project, base)
    folder = finish(begin(project, base))
    smears.end_training(folder, base)
    steps = len(list(deep.go_on(project, folder)))
    assert steps > 3
    (folder / deep.TUNED).unlink()
    before = models_of(project)
    for stop in range(1, steps, 3):
        task = deep.go_on(project, folder)
        for _ in range(stop):
            next(task)
        task.close()
        assert models_of(project) == before
        assert deep.unfinished(project) == folder and deep.is_finished(folder)
    made = finish(deep.go_on(project, folder))  # the next start takes it up
    assert made.labels_used == 32 and deep.unfinished(project) is None


@pytest.mark.tensorflow
def test_deep_on_a_full_disk_in_the_child(
    project: Project, base: ModelPackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = with_version(project, base)
    short = {"epochs": 1, "steps_per_epoch": 2}
    plain, folders = deep.train, []
    command = (sys.executable, "-P", "-c", CHILD, "train")
    monkeypatch.setattr(deep, "train", partial(plain, command=command))
    with pytest.raises(DataError) as full:
        finish(deep.finetune_deep(project, base, changes=short, on_folder=folders.append))
    assert full.value.code == "RUN-WRITE" and "No space left" in full.value.why
    assert models_of(project) == before and deep.unfinished(project) == folders[0]
    monkeypatch.setattr(deep, "train", plain)
    assert finish(deep.go_on(project, folders[0])).labels_used == 32
