"""What the disk refuses becomes a coded error with a remedy."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from napari_cellcls.export.errors import ExportError, make_folder, write_error, writing


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.EROFS, "EXPORT-PERM", "write access"),
        (errno.EACCES, "EXPORT-PERM", "Choose an output folder"),
        (errno.ENOSPC, "EXPORT-SPACE", "Free some space"),
        (errno.ENAMETOOLONG, "EXPORT-NAME", "shorter"),
        (errno.EIO, "EXPORT-IO", "still connected"),
    ],
)
def test_codes(number: int, code: str, words: str) -> None:
    error = write_error("out/a.csv", OSError(number, "as the system puts it"))
    assert (error.code, error.path) == (code, "out/a.csv")
    assert error.why == "the system says 'as the system puts it'."
    assert words in error.remedy


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.csv"
    target.write_text("old")
    with pytest.raises(ExportError, match="EXPORT-SPACE"), writing(target) as temporary:
        temporary.write_text("half of the new one")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
    assert target.read_text() == "old"


def test_an_output_folder_in_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ExportError, match=r"EXPORT-NAME"):
        make_folder(tmp_path / "out")
    with pytest.raises(ExportError, match=r"EXPORT-NAME"):
        make_folder(tmp_path / "out" / "below")


def test_make_folder_leaves_nothing_behind(tmp_path: Path) -> None:
    assert list(make_folder(tmp_path / "a" / "b").iterdir()) == []
