"""Versions of a project: one pointer, changed in one step, never taken for empty, gone back step by step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from napari_cellcls import files
from napari_cellcls.project import versions
from napari_cellcls.project.errors import ProjectError
from napari_cellcls.project.project import Project, create_project
from napari_cellcls.project.versions import Attempt
from napari_cellcls.review.events import Shown
from napari_cellcls.review.lock import Lock
from tests.models.make import package


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return packages of three versions of one project, and one of a released model."""
    folder = tmp_path_factory.mktemp("made")
    found = []
    for number in (1, 2, 3):
        path = folder / f"smears-0.{number}.0.cellpkg"
        package(path, seed=number, name="smears", version=f"0.{number}.0", level="tuned")
        found.append(path)
    package(folder / "other.cellpkg", seed=9)
    return [*found, folder / "other.cellpkg"]


@pytest.fixture
def project(tmp_path: Path, made: list[Path]) -> Iterator[Project]:
    with create_project(tmp_path / "smears", classes=["A", "B"], annotator="ana") as found:
        found.models_folder.mkdir()
        for path in made:
            shutil.copy(path, found.models_folder)
        yield found


def attempt(number: int, *, promoted: bool, trial: str = "", groups: Any = ()) -> Attempt:
    label = f"smears@0.{number}.0"
    return Attempt("2026-11-21", label, trial or label, tuple(groups), "better", promoted)


def take(project: Project, number: int, *, promoted: bool = True) -> None:
    path = project.models_folder / f"smears-0.{number}.0.cellpkg"
    versions.record(project, attempt(number, promoted=promoted), path, why="better")


def using(project: Project) -> str:
    found = versions.in_use(project)
    return "" if found is None else found.label


def test_a_new_project_uses_the_released_model(tmp_path: Path) -> None:
    with create_project(tmp_path / "new") as project:
        assert versions.in_use(project) is None
        assert versions.history(project) == versions.History((), (), ())
        with pytest.raises(ProjectError, match="no version to go back to") as caught:
            versions.roll_back(project)
        assert caught.value.code == "PROJECT-VERSION"
        assert not (project.models_folder / "current.json").exists()


def test_only_what_is_promoted_is_used_and_all_is_written_down(project: Project) -> None:
    take(project, 1)
    take(project, 2, promoted=False)
    assert using(project) == "smears@0.1.0"
    found = versions.history(project)
    labels = [(one.label, one.in_use) for one in found.versions]
    assert labels == [("smears@0.3.0", False), ("smears@0.2.0", False), ("smears@0.1.0", True)]
    assert [(c.who, c.before, c.after, c.why) for c in found.changes] == [
        ("ana", "", "smears@0.1.0", "better")
    ]
    assert [(a.version, a.promoted) for a in found.attempts] == [
        ("smears@0.1.0", True),
        ("smears@0.2.0", False),
    ]


def test_going_back_goes_back_step_by_step_to_the_released_model(project: Project) -> None:
    for number in (1, 2, 3):
        take(project, number)
    backward = [versions.roll_back(project) for _ in range(3)]
    assert [one.label if one else "" for one in backward] == ["smears@0.2.0", "smears@0.1.0", ""]
    assert versions.in_use(project) is None
    with pytest.raises(ProjectError, match="the released model it started from"):
        versions.roll_back(project)
    assert versions.roll_back(project, "0.3.0") is not None
    assert using(project) == "smears@0.3.0"


def test_a_version_is_named_by_label_number_or_hash(project: Project) -> None:
    sha = versions.history(project).versions[1].sha256
    for name in ("smears@0.2.0", "0.2.0", sha[:8], sha):
        assert versions.use(project, name) is not None
        assert using(project) == "smears@0.2.0"
    assert versions.use(project, None) is None
    assert using(project) == ""
    for wrong in ("0.9.0", sha[:3], "small@1.0.0"):
        with pytest.raises(ProjectError, match=r"no version .* smears@0.3.0, smears@0.2.0"):
            versions.use(project, wrong)


def test_a_damaged_list_is_never_an_empty_one(project: Project) -> None:
    take(project, 1)
    path = project.models_folder / "current.json"
    good = path.read_bytes()
    for bad in (
        b"", b"{}", b"[]", good[:-40], good.replace(b'"format": 1', b'"format": 7'),
        good.replace(b'"smears-0.1.0.cellpkg"', b'"../smears-0.1.0.cellpkg"'),
        good.replace(b'"promoted": true', b'"promoted": "yes"'),
    ):  # fmt: skip
        assert bad != good
        path.write_bytes(bad)
        for asked in (versions.in_use, versions.history, versions.roll_back):
            with pytest.raises(ProjectError) as caught:
                asked(project)
            assert caught.value.code == "PROJECT-VERSIONS"
        assert path.read_bytes() == bad


def test_a_version_in_use_that_is_gone_or_changed_is_said(project: Project) -> None:
    take(project, 1)
    take(project, 2)
    path = project.models_folder / "smears-0.2.0.cellpkg"
    shutil.copy(project.models_folder / "smears-0.3.0.cellpkg", path)
    with pytest.raises(ProjectError, match="not the one that was used"):
        versions.in_use(project)
    path.write_bytes(b"half")
    with pytest.raises(ProjectError, match=r"smears@0.2.0, is not there as it was"):
        versions.in_use(project)
    path.unlink()
    with pytest.raises(ProjectError, match="the file is gone"):
        versions.in_use(project)
    assert [one.label for one in versions.history(project).versions][-1] == "smears@0.1.0"
    versions.roll_back(project)
    assert using(project) == "smears@0.1.0"


def test_a_damaged_version_is_listed_and_refused(project: Project) -> None:
    take(project, 1)
    (project.models_folder / "smears-0.2.0.cellpkg").write_bytes(b"half")
    found = {one.path.name: one.error for one in versions.history(project).versions}
    assert found["smears-0.2.0.cellpkg"] is not None
    with pytest.raises(ProjectError) as caught:
        versions.use(project, "smears-0.2.0")
    assert caught.value.code == "PROJECT-VERSION" and using(project) == "smears@0.1.0"


def test_a_full_disk_leaves_the_version_in_use(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(project, 1)
    before = (project.models_folder / "current.json").read_bytes()

    def full(target: Any, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_cellcls.project.ledger.write_bytes", full)
    with pytest.raises(ProjectError, match="No space left") as caught:
        take(project, 2)
    assert caught.value.code == "PROJECT-WRITE"
    assert (project.models_folder / "current.json").read_bytes() == before
    monkeypatch.undo()
    assert using(project) == "smears@0.1.0"


def test_two_programs_do_not_change_it_at_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions, "_PATIENCE_S", 0.05)
    other = Lock(project.models_folder / "current.lock")
    assert other.acquire("bo") is None
    with pytest.raises(ProjectError, match=r"bo.* has it"):
        take(project, 1)
    other.release()
    take(project, 1)
    assert using(project) == "smears@0.1.0"


def test_only_what_nobody_used_or_saw_is_deleted(project: Project) -> None:
    take(project, 1)
    sha = files.sha256(project.models_folder / "smears-0.2.0.cellpkg")
    project.journal.label("cell", "a", shown=Shown("smears@0.2.0", sha))
    assert versions.delete_unused(project, keep=["smears@0.3.0"]) == []
    gone = versions.delete_unused(project)
    assert [path.name for path in gone] == ["smears-0.3.0.cellpkg"]
    kept = sorted(path.name for path in project.models_folder.glob("*.cellpkg"))
    assert kept == ["other.cellpkg", "smears-0.1.0.cellpkg", "smears-0.2.0.cellpkg"]


def test_the_next_version_was_never_there(project: Project) -> None:
    name, version, path = versions.new_place(project)
    assert (name, version) == ("smears", "0.4.0") and path.name.startswith("smears-0.4.0-")
    for old in project.models_folder.glob("smears*"):
        old.unlink()
    versions.record(project, attempt(6, promoted=False), path)
    assert versions.new_place(project)[1] == "0.7.0"


def test_the_same_question_asked_again_is_counted() -> None:
    before = [
        attempt(1, promoted=False, trial="x", groups="abcd"),
        attempt(2, promoted=False, trial="x", groups="abcd"),
        attempt(3, promoted=False, trial="y", groups="abef"),
        attempt(4, promoted=False, trial="z", groups="a"),
        attempt(5, promoted=False, trial="w"),
    ]
    assert versions.asked(before, "x", "abcd") == 2
    assert versions.asked(before, "new", "abcd") == 3
    assert versions.asked(before, "new", "vw") == 1


def test_the_list_is_readable_text(project: Project) -> None:
    take(project, 1)
    found = json.loads((project.models_folder / "current.json").read_text())
    assert found["format"] == 1 and found["file"] == "smears-0.1.0.cellpkg"
    assert found["changes"][0]["after"] == found["label"] == "smears@0.1.0"
