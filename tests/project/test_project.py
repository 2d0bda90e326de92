"""Project folders: opening changes nothing, images are found again, labels survive new masks."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.cells.identity import anchors
from napari_cellcls.cells.table import cells_from_labels
from napari_cellcls.project import recent
from napari_cellcls.project.errors import ProjectError
from napari_cellcls.project.project import create_project, open_project
from napari_cellcls.review import folders
from napari_cellcls.review.masks import carry_over, place
from napari_cellcls.review.table import LABEL_COLUMNS, label_table
from napari_cellcls.vocabulary import CellClass


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "journal.lock"
    }


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "day1.tif"
    path.write_bytes(bytes(range(256)) * 20)
    return path


def test_opening_changes_nothing_but_the_lock(tmp_path: Path, image: Path):
    folder = tmp_path / "p.cellcls"
    with create_project(folder, classes=["RBC"], annotator="ana") as project:
        project.add_image(image)
        project.journal.label("c", "rbc")
    before = contents(folder)
    for read_only in (False, True, False):
        with open_project(folder, annotator="bo", read_only=read_only) as project:
            assert project.journal.is_writable is not read_only
            assert project.journal.state.counts() == {"ana": {"rbc": 1}}
    assert contents(folder) == before


def test_a_project_knows_its_classes_and_comes_back(tmp_path: Path):
    with create_project(
        tmp_path / "smears", classes=["RBC", CellClass("x", "WBC", "#ff0000")]
    ) as p:
        assert p.folder.name == "smears.cellcls"
        assert p.description.name == "smears"
    with open_project(tmp_path / "smears.cellcls") as p:
        found = [(c.id, c.name, c.color) for c in p.journal.state.classes.values()]
        assert found[1] == ("wbc", "WBC", "#ff0000")
        assert not p.description.multi_label
    (one,) = recent.recent_projects()
    assert (one.name, one.is_there) == ("smears", True)
    shutil.rmtree(tmp_path / "smears.cellcls")
    assert not recent.recent_projects()[0].is_there
    recent._file().write_text("{broken")
    assert recent.recent_projects() == []


def test_images_are_found_where_they_went(tmp_path: Path, image: Path):
    with create_project(tmp_path / "p.cellcls") as project:
        found = project.add_image(image)
        assert project.add_image(image) == found
        assert len(project.journal.state) == 1
        assert project.locate(found).status == "found"

        renamed = tmp_path / "archive" / "smear 1.tif"
        renamed.parent.mkdir()
        image.rename(renamed)
        where = project.locate(found)
        assert (where.status, where.path) == ("moved", renamed)
        project.relocate(found, renamed)
        assert project.locate(found).status == "found"

        renamed.write_bytes(b"other" + renamed.read_bytes()[5:])
        where = project.locate(found)
        assert (where.status, where.path) == ("changed", project.folder / "../archive/smear 1.tif")
        assert "other content" in where.text
        with pytest.raises(ProjectError, match="PROJECT-IMAGE"):
            project.relocate(found, renamed)
        renamed.unlink()
        assert project.locate(found).status == "missing"
        with pytest.raises(ProjectError, match="PROJECT-IMAGE"):
            project.locate("0" * 32)


def test_a_moved_project_keeps_everything(tmp_path: Path, image: Path):
    with create_project(tmp_path / "a" / "p.cellcls", classes=["RBC"]) as project:
        shutil.copy(image, tmp_path / "a")
        found = project.add_image(tmp_path / "a" / "day1.tif")
        project.journal.label("c", "rbc")
    (tmp_path / "a").rename(tmp_path / "b")
    with open_project(tmp_path / "b" / "p.cellcls") as project:
        assert project.locate(found).status == "found"
        assert project.journal.state.cells["c"]


def test_a_copy_made_while_open_is_whole(tmp_path: Path):
    with create_project(tmp_path / "p.cellcls", classes=["RBC"], annotator="ana") as project:
        project.journal.label_many([f"{i}" for i in range(50)], "rbc")
        assert project.journal.flush()
        shutil.copytree(project.folder, tmp_path / "q.cellcls")
        with open_project(tmp_path / "q.cellcls") as copy:
            assert copy.journal.is_writable
            assert copy.journal.state.counts() == {"ana": {"rbc": 50}}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "PROJECT-MISSING"),
        ("", "PROJECT-FORMAT"),
        ("[]", "PROJECT-FORMAT"),
        ("{}", "PROJECT-FORMAT"),
        ('{"format": 99}', "PROJECT-NEWER"),
        ('{"format": 1, "id": "../x", "name": "n", "created_utc": ""}', "PROJECT-FORMAT"),
    ],
)
def test_a_folder_that_is_no_project_says_why(tmp_path: Path, content, code):
    if content is not None:
        (tmp_path / "project.json").write_text(content)
    with pytest.raises(ProjectError, match=code):
        open_project(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} <= {"project.json"}


def test_a_new_project_takes_no_ones_place(tmp_path: Path):
    (tmp_path / "p.cellcls").mkdir()
    (tmp_path / "p.cellcls" / "notes.txt").write_text("mine")
    with pytest.raises(ProjectError, match="PROJECT-EXISTS"):
        create_project(tmp_path / "p")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ProjectError, match="PROJECT-WRITE"):
        create_project(tmp_path / "file" / "p")
    for database in ("sqlite:///x.db", "no url", "postgresql://a:secret@h/d"):
        with pytest.raises(ProjectError, match="PROJECT-DATABASE") as caught:
            create_project(tmp_path / "q", database=database)
        assert "secret" not in str(caught.value)
    assert not (tmp_path / "q.cellcls").exists()


def test_in_a_shared_folder_the_database_stays_at_home(tmp_path: Path, own_home: Path, monkeypatch):
    folder = tmp_path / "Dropbox" / "p.cellcls"
    assert folders.shared_because(folder)
    with create_project(folder, classes=["RBC"], annotator="ana") as project:
        project.journal.label("c", "rbc")
    assert sorted(p.name for p in folder.iterdir()) == ["events", "project.json"]
    (event_file,) = folder.glob("events/*/*.jsonl")
    assert len(event_file.read_text().splitlines()) == 2
    # Another person on another computer.
    monkeypatch.setenv("CELLCLS_HOME", str(tmp_path / "home2"))
    with open_project(folder, annotator="bob") as project:
        assert project.journal.state.counts() == {"ana": {"rbc": 1}}
        project.journal.label("c", "rbc")
    monkeypatch.setenv("CELLCLS_HOME", str(own_home))
    with open_project(folder, annotator="ana") as project:
        assert project.journal.state.counts() == {"ana": {"rbc": 1}, "bob": {"rbc": 1}}
        assert project.collect() == 0


def test_labels_survive_a_new_segmentation_and_are_exported(tmp_path: Path, image: Path):
    old = np.zeros((60, 60), np.int32)
    old[5:15, 5:15], old[5:15, 30:40], old[40:50, 40:50] = 1, 2, 3
    new = np.zeros_like(old)
    new[6:15, 5:15], new[5:15, 30:35], new[5:15, 35:40] = 9, 4, 5
    with create_project(tmp_path / "p.cellcls", classes=["RBC"], annotator="ana") as project:
        journal = project.journal
        image_id = project.add_image(image)
        ids = place(journal, anchors(cells_from_labels(old), image_id, pixel_size_um=(0.1, 0.1)))
        assert place(journal, anchors(cells_from_labels(old), image_id)) == ids
        journal.label_many(ids, "rbc")
        result = carry_over(journal, cells_from_labels(new), image_id)
        assert {ids.index(cell): c.label for cell, c in result.kept.items()} == {0: 9}
        kinds = {ids.index(item.cell_id): item.kind for item in result.review}
        assert kinds == {1: "split", 2: "lost"}
        carried = anchors(cells_from_labels(new), image_id, [9])[0]
        state = journal.state.cell(carried.cell_id)
        assert state is not None and state.decisions["ana"].classes == ("rbc",)
        table = label_table(journal.state)
    assert list(table.columns) == list(LABEL_COLUMNS)
    assert table["label"].tolist() == [2, 3, 9]
    assert table["class"].tolist() == ["RBC"] * 3
    assert table["image"].tolist() == ["day1.tif"] * 3
    assert table["bbox_y0"].tolist() == [5, 40, 6]
    assert table["area_um2"].tolist()[:2] == [pytest.approx(1.0)] * 2


def test_models_are_kept_once(tmp_path: Path):
    package = tmp_path / "m.cellpkg"
    package.write_bytes(b"weights")
    with create_project(tmp_path / "p.cellcls") as project:
        kept = project.keep_model(package)
        assert kept == project.keep_model(package)
        assert kept.read_bytes() == b"weights"
        assert [p.name for p in project.models_folder.iterdir()] == [kept.name]


def test_the_description_is_plain_json(tmp_path: Path):
    with create_project(tmp_path / "p.cellcls", multi_label=True, name="Blut ä") as project:
        values = json.loads((project.folder / "project.json").read_text(encoding="utf-8"))
    assert values["name"] == "Blut ä"
    assert values["format"] == 1
    assert values["multi_label"] is True
    assert values["database"] is None
