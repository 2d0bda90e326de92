"""A fine-tune that is killed at any moment: the model in use is whole, and nothing half-written is listed."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from napari_cellcls.models.package import read_package
from napari_cellcls.project import versions
from napari_cellcls.project.project import open_project
from tests.learn.corrected import make_project
from tests.models.make import package

CHILD = Path(__file__).with_name("tuning.py")
KILLS = 3
VIEW: dict[str, Any] = {
    "crop": {"size": 24, "frame": "square", "margin": 0.1, "mask": True},
    "normalization": {"kind": "background"},
}


def test_killed_at_any_moment(tmp_path: Path) -> None:
    package(
        tmp_path / "base.cellpkg",
        classes=[], inputs=[], level="backbone", channel_policy="each", **VIEW,
    )  # fmt: skip
    with make_project(tmp_path, 7) as project:
        folder = project.folder
    rng, known = random.Random(3), 0
    for _ in range(KILLS):
        child = subprocess.Popen(
            [sys.executable, str(CHILD), str(folder), str(tmp_path / "base.cellpkg")],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert child.stdout is not None
        assert child.stdout.readline().startswith(b"smears@")  # it has begun
        time.sleep(rng.uniform(0, 0.4))
        child.kill()
        child.wait()
        child.stdout.close()
        with open_project(folder, read_only=True) as project:
            found = versions.history(project)
            used = versions.in_use(project)
        assert all(one.error is None for one in found.versions)
        assert len(found.attempts) > known
        known = len(found.attempts)
        # A version may be there that was not judged yet; none is in use that was not.
        assert used is not None and used.label in {one.version for one in found.attempts}
        assert read_package(used.path).sha256 == used.sha256
    listed = {one.path.name for one in found.versions}
    there = {path.name for path in (folder / "models").iterdir()}
    left = {name for name in there - listed if not name.startswith(".part-")}
    assert left <= {"current.json", "current.lock"}
