import os
import time

from napari_cellcls.files import sweep


def test_only_old_unfinished_files_are_removed(tmp_path):
    old, new, other = (tmp_path / name for name in (".part-old.csv", ".part-new.csv", "cells.csv"))
    for path in (old, new, other):
        path.write_text("x")
    hours_ago = time.time() - 2 * 3600
    os.utime(old, (hours_ago, hours_ago))
    os.utime(other, (hours_ago, hours_ago))
    sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".part-new.csv", "cells.csv"]
