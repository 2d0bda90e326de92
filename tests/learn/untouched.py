"""What must not change when something fails, and a disk that fills up at the n-th file."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from napari_cellcls import files
from napari_cellcls.learn.finetune import finetune
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.project import versions
from napari_cellcls.project.project import Project
from napari_cellcls.vocabulary import finish


def with_version(project: Project, base: ModelPackage) -> dict[str, bytes]:
    """Put a quickly made version in use; return the content of the folder of models."""
    made = finish(finetune(project, base))
    versions.use(project, made.label)
    return models_of(project)


def models_of(project: Project) -> dict[str, bytes]:
    """Return name and content of every file in the folder of models, but for the lock."""
    found = project.models_folder.iterdir()
    return {path.name: path.read_bytes() for path in found if path.suffix != ".lock"}


class FullDisk:
    """A disk with room for so many more files; ``hit`` tells whether it was full."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room, self.hit = room, False
        self._patch = monkeypatch
        self._plain = files._replace
        monkeypatch.setattr(files, "_replace", self._replace)

    def end(self) -> None:
        """Make room again."""
        self._patch.setattr(files, "_replace", self._plain)

    def _replace(self, source: Path, target: Path) -> None:
        self.room -= 1
        if self.room < 0:
            self.hit = True
            raise OSError(errno.ENOSPC, "No space left on device")
        self._plain(source, target)
