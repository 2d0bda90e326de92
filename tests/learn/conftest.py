"""Fixtures of the tests of learning: a project with labeled smears and the model it learns from; modules may have their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_cellcls.models.package import ModelPackage
from napari_cellcls.project.project import Project
from tests.learn import smears


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    made, _ = smears.project_of(tmp_path / "work")
    with made:
        yield made


@pytest.fixture
def base(tmp_path: Path) -> ModelPackage:
    return smears.base_model(tmp_path / "base.cellpkg")
