"""Exports opened by the libraries they are made for.

anndata and ome-zarr need another release of pandas than napari here, so they get an environment of their
own from the package index, for this session; skipped where no index can be reached. A Python that has
them can be named in ``CELLCLS_READERS_PYTHON``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from napari_cellcls.export.project import export_project
from napari_cellcls.images.read import open_image
from napari_cellcls.project.project import open_project
from napari_cellcls.vocabulary import finish
from tests.export import projects, readers


@pytest.fixture(scope="session")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    named = os.environ.get("CELLCLS_READERS_PYTHON")
    if named:
        yield named
        return
    folder = tmp_path_factory.mktemp("readers") / "venv"
    python, why = readers.made(folder, ("anndata>=0.12", "ome-zarr>=0.11"))
    if not python:
        pytest.skip(f"anndata and ome-zarr cannot be installed from a package index here: {why}")
    yield python
    shutil.rmtree(folder)  # pytest would keep the 400 MB of three sessions


@pytest.fixture
def exported(tmp_path: Path):
    folder = projects.made(tmp_path)

    def export(kind: str) -> Path:
        with open_project(folder, read_only=True) as project:
            return finish(export_project(project, kind)).paths[0]

    return export


def run(python: str, program: str, path: Path) -> dict:
    done = subprocess.run(
        [python, "-c", program, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_pycocotools_sees_the_same_masks(exported):
    coco = pytest.importorskip("pycocotools.coco").COCO(str(exported("coco")))
    areas = {a["attributes"]["label"]: a["area"] for a in coco.anns.values() if a["image_id"] == 1}
    assert areas == {4: 170, 5: 384, 9: 150, 11: 2}
    assert all(int(coco.annToMask(a).sum()) == a["area"] for a in coco.anns.values())
    assert {c["name"] for c in coco.loadCats(coco.getCatIds())} == {
        "RBC",
        "WBC, large",
        "not labeled",
    }


def test_geojson_calls_it_valid(exported):
    geojson = pytest.importorskip("geojson")
    content = geojson.loads(exported("geojson").read_text(encoding="utf-8"))
    assert content.is_valid, content.errors()
    assert len(content["features"]) == 4


def test_anndata_reads_the_table(exported, other_python: str):
    program = (
        "import sys, json, anndata; a = anndata.read_zarr(sys.argv[1] + '/tables/cells'); "
        "print(json.dumps({'class': dict(zip(a.obs['label'].tolist(), a.obs['class'].tolist())), "
        "'n': a.n_obs, 'region': a.uns['spatialdata_attrs']['region']}))"
    )
    assert run(other_python, program, exported("zarr")) == {
        "class": {"4": "RBC", "5": "RBC", "9": "", "11": "WBC, large"},
        "n": 4,
        "region": "cells",
    }


def test_ome_zarr_reads_image_and_labels(exported, other_python: str):
    program = (
        "import sys, json; from ome_zarr.io import parse_url; from ome_zarr.reader import Reader; "
        "print(json.dumps([list(n.data[0].shape) for n in Reader(parse_url(sys.argv[1]))() if n.data]))"
    )
    assert run(other_python, program, exported("zarr")) == [[3, 60, 80], [60, 80]]


def test_our_own_reader_opens_the_image_again(exported):
    image = open_image(exported("zarr"))
    assert image.shape == (60, 80) and len(image.channels) == 3
