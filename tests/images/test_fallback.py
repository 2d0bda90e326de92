"""Reading through AICSImageIO where BioIO is absent: the adapter, and for real in its own environment."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_cellcls.images.read import open_image
from napari_cellcls.vocabulary import ChannelRole, ImageError
from tests.images import bad_files as bad

SOURCE = Path(__file__).resolve().parents[2] / "src"
REAL_FIND = importlib.util.find_spec


class FakeAICSImage:
    """The part of ``aicsimageio.AICSImage`` that is used."""

    def __init__(self, path: str, **options: Any) -> None:
        self.path, self.options = path, options
        self.scenes = ("Image:0",)

    def set_scene(self, index: int) -> None:
        self.index = index

    @property
    def xarray_dask_data(self) -> Any:
        import dask.array as da

        data = da.from_array(bad.two_channels()[None, :, None], chunks=(1, 1, 1, 48, 56))
        return types.SimpleNamespace(data=data, dims=("T", "C", "Z", "Y", "X"))


@pytest.fixture
def without_bioio(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str, package: str | None = None) -> Any:
        if name.startswith("bioio"):
            return None
        return object() if name == "aicsimageio" else REAL_FIND(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    monkeypatch.setattr("napari_cellcls.images.readers.DIRECT_BYTES", 0)
    fake = types.ModuleType("aicsimageio")
    fake.AICSImage = FakeAICSImage  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "aicsimageio", fake)


@pytest.mark.usefixtures("without_bioio")
def test_same_image_through_the_adapter(tmp_path: Path) -> None:
    named = bad.ome_tiff(
        tmp_path / "a.ome.tif",
        PhysicalSizeX=0.5,
        PhysicalSizeY=0.5,
        Channel={"Name": ["DAPI", "GFP"]},
    )
    plain = bad.tiff(tmp_path / "a.tif", bad.two_channels(), metadata={"axes": "CYX"})
    image = open_image(named)
    np.testing.assert_array_equal(image.planes(), bad.two_channels())
    assert [c.role for c in image.channels] == [ChannelRole.NUCLEUS, ChannelRole.PROTEIN]
    assert image.pixel_size_um == (0.5, 0.5)
    np.testing.assert_array_equal(open_image(plain).planes(), bad.two_channels())


def test_neither_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bad.ome_tiff(tmp_path / "a.ome.tif")
    monkeypatch.setattr("napari_cellcls.images.readers.DIRECT_BYTES", 0)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert caught.value.code == "IMG-EXTRA"
    assert caught.value.remedy == 'pip install "bioio-ome-tiff"'


_SCRIPT = """
import json, sys
from napari_cellcls.images import readers
from napari_cellcls.images.read import open_image
readers.DIRECT_BYTES = 0
found = {}
for path in sys.argv[1:]:
    image = open_image(path)
    found[path] = {"sums": [int(p.sum()) for p in image.planes()], "names": [c.name for c in image.channels]}
found["modules"] = sorted(m for m in sys.modules if m in ("bioio", "bioio_base", "aicsimageio"))
print(json.dumps(found))
"""


@pytest.mark.skipif(
    not os.environ.get("CELLCLS_TEST_AICSIMAGEIO"),
    reason="set CELLCLS_TEST_AICSIMAGEIO=1 to build an environment with AICSImageIO (needs a package index)",
)
def test_for_real_in_its_own_environment(tmp_path: Path) -> None:
    """AICSImageIO pins old tifffile, zarr and numcodecs, so it never shares our environment."""
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    packages = [
        "aicsimageio>=4.14",
        "numcodecs<0.16",
        "imagecodecs<2024",
        "pandas",
        "scipy",
        "pillow",
    ]
    subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
    named = bad.ome_tiff(tmp_path / "a.ome.tif", Channel={"Name": ["DAPI", "GFP"]})
    plain = bad.tiff(tmp_path / "a.tif", bad.two_channels(), metadata={"axes": "CYX"})
    color = bad.picture(tmp_path / "a.png", np.full((20, 20, 3), 7, np.uint8))
    result = subprocess.run(
        [str(python), "-c", _SCRIPT, str(named), str(plain), str(color)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    sums = [int(p.sum()) for p in bad.two_channels()]
    assert found[str(named)] == {"sums": sums, "names": ["DAPI", "GFP"]}
    assert found[str(plain)]["sums"] == sums
    assert found[str(color)]["sums"] == [2800, 2800, 2800]
    assert found["modules"] == ["aicsimageio"]
