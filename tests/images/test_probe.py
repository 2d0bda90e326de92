"""A crashing vendor reader ends its own process, not this one; missing readers name the pip command."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.images import probe, readers
from napari_cellcls.images.read import open_image
from napari_cellcls.vocabulary import ImageError
from tests.images import bad_files as bad

MAGIC = {"czi": b"ZISRAWFILE", "nd2": b"\xda\xce\xbe\x0a", "lif": b"\x70\0\0\0\x10\0\0\0\x2a"}


def test_verdicts() -> None:
    python = sys.executable
    assert probe.run([python, "-c", "print('{\"shape\": [1]}')"]) is None
    crashed = probe.run([python, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"])
    assert crashed is not None
    assert crashed[0]
    if os.name == "posix":
        assert crashed[1] == "its process ended with signal SIGKILL"
    assert probe.run([python, "-c", 'print(\'{"error": "no planes"}\')']) == (False, "no planes")
    assert probe.run([python, "-c", "raise SystemExit(3)"]) == (
        True,
        "its process ended with exit code 3",
    )
    hung = probe.run([python, "-c", "import time; time.sleep(60)"], timeout_s=1)
    assert hung == (True, "no answer within 1 seconds")


def test_crash_becomes_a_coded_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "aborted.czi"
    path.write_bytes(MAGIC["czi"] + b"\0" * 600)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(
        probe, "run", lambda command: (True, "its process ended with signal SIGSEGV")
    )
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert caught.value.code == "IMG-READER-CRASH"
    assert caught.value.what == "The CZI reader crashed on this file."
    assert "SIGSEGV" in caught.value.why


@pytest.mark.parametrize("kind", ["czi", "nd2", "lif"])
def test_missing_extra_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    path = tmp_path / f"a.{kind}"
    path.write_bytes(MAGIC[kind] + b"\0" * 600)
    monkeypatch.setattr(readers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert caught.value.code == "IMG-EXTRA"
    assert caught.value.remedy == f'pip install "napari-cellcls[{kind}]"'


@pytest.mark.parametrize("kind", ["czi", "nd2", "lif"])
def test_damaged_vendor_files_with_the_real_readers(tmp_path: Path, kind: str) -> None:
    pytest.importorskip(f"bioio_{kind}", reason=f"the {kind} extra is not installed")
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(MAGIC[kind] + b"\0" * 4000)
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert caught.value.code in ("IMG-CORRUPT", "IMG-READER-CRASH")
    assert caught.value.remedy


def test_czi_with_the_real_reader(tmp_path: Path) -> None:
    pytest.importorskip("bioio_czi", reason="the czi extra is not installed")
    czi = pytest.importorskip("pylibCZIrw.czi", reason="pylibCZIrw is not installed")
    path = tmp_path / "field.czi"
    pixels = bad.two_channels()
    with czi.create_czi(str(path)) as document:
        for channel, plane in enumerate(pixels):
            document.write(plane[..., None], plane={"C": channel, "T": 0, "Z": 0})
        document.write_metadata(
            "field", channel_names={0: "DAPI", 1: "EGFP"}, scale_x=0.25e-6, scale_y=0.5e-6
        )
    image = open_image(path)
    np.testing.assert_array_equal(image.planes(), pixels)
    assert image.pixel_size_um == pytest.approx((0.5, 0.25))
    assert [c.role.value for c in image.channels] == ["nucleus", "protein"]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert caught.value.code in ("IMG-CORRUPT", "IMG-READER-CRASH")
