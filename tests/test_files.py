import os
import time

import pytest

from napari_cellcls.files import reason, sweep


def test_only_old_unfinished_files_are_removed(tmp_path):
    old, new, other = (tmp_path / name for name in (".part-old.csv", ".part-new.csv", "cells.csv"))
    for path in (old, new, other):
        path.write_text("x")
    hours_ago = time.time() - 2 * 3600
    os.utime(old, (hours_ago, hours_ago))
    os.utime(other, (hours_ago, hours_ago))
    sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".part-new.csv", "cells.csv"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "x"), "there is no such file or folder"),
        (PermissionError(13, "Permission denied", "x"), "the system says 'Permission denied'"),
        (KeyError("folds"), "'folds' is missing in it"),
        (ValueError("bad\n  number"), "bad number"),
        (OSError("the copy differs"), "the copy differs"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_reasons_are_words(error: Exception, words: str) -> None:
    assert reason(error) == words
