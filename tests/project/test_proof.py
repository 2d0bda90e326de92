"""Large images are known by all of their content, once there was time to read it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from napari_cellcls import cli
from napari_cellcls.cells.identity import SAMPLED_ABOVE, image_id
from napari_cellcls.project import proof
from napari_cellcls.project.project import Project, create_project
from napari_cellcls.vocabulary import finish

SIZE = SAMPLED_ABOVE + (3 << 20)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large.tif"
    path.write_bytes(os.urandom(1 << 20) * (SIZE >> 20))
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def change_between_the_samples(path: Path) -> None:
    """Change bytes that the quick id does not look at."""
    before = image_id(path)
    for at in range(1 << 20, SIZE - (1 << 20), 1 << 12):
        content = bytearray(path.read_bytes())
        content[at : at + 16] = bytes(16)
        whole = path.read_bytes()
        path.write_bytes(content)
        if image_id(path) == before:
            return
        path.write_bytes(whole)
    raise AssertionError("no such place")


def proven(project: Project, path: Path, **options: bool) -> proof.Proof | None:
    [image] = project.journal.state.images.values()
    return finish(proof.prove(image, path, **options))


def test_the_hash_is_taken_once_and_compared_when_the_file_was_written(tmp_path: Path, large: Path):
    with create_project(tmp_path / "p") as project:
        project.add_image(large)
        found = proven(project, large)
        assert found is not None and not found.is_other
        assert found.sha == hashlib.sha256(large.read_bytes()).hexdigest()
        proof.keep(project.journal, found)
        [image] = project.journal.state.images.values()
        assert image.name == "large.tif" and image.hints["sha256"] == found.sha
        assert proven(project, large) is None  # not written since
        again = proven(project, large, again=True)
        assert again is not None and not again.is_other
        change_between_the_samples(large)
        other = proven(project, large)
        assert other is not None and other.is_other
        error = proof.other_content(other)
        assert error.code == "PROJECT-CHANGED" and found.sha[:8] in error.why
        proof.keep(project.journal, other)  # is no reason to forget what was labeled
        assert project.journal.state.images[image.id].hints["sha256"] == found.sha


def test_small_files_and_files_that_are_gone_have_nothing_to_prove(tmp_path: Path):
    small = tmp_path / "small.tif"
    small.write_bytes(b"x" * 1000)
    with create_project(tmp_path / "p") as project:
        project.add_image(small)
        assert proven(project, small) is None
        assert proven(project, tmp_path / "gone.tif") is None


def test_folders_are_hashed_with_the_names_inside(tmp_path: Path):
    folder = tmp_path / "a.zarr"
    (folder / "0").mkdir(parents=True)
    (folder / "zarr.json").write_text("{}")
    (folder / "0" / "1").write_text("one")
    with create_project(tmp_path / "p") as project:
        project.add_image(folder)
        first = proven(project, folder)
        (folder / "0" / "1").rename(folder / "0" / "2")
        second = proven(project, folder)
        assert first is not None and second is not None and first.sha != second.sha


def test_verify_compares_it(tmp_path: Path, large: Path, capsys: pytest.CaptureFixture[str]):
    with create_project(tmp_path / "p") as project:
        project.add_image(large)
        found = proven(project, large)
        assert found is not None
        proof.keep(project.journal, found)
    assert cli.main(["project", "verify", str(tmp_path / "p.cellcls")]) == 0
    assert "1 of 1 have the content" in capsys.readouterr().out
    change_between_the_samples(large)
    assert cli.main(["project", "verify", str(tmp_path / "p.cellcls")]) == 3
    assert "other content than when its cells were labeled" in " ".join(
        capsys.readouterr().out.split()
    )
