"""Every bad file gets its own code and words before a decoder sees it."""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.images.gate import Budget, FileKind, check, inspect
from napari_cellcls.vocabulary import ImageError
from tests.images import bad_files as bad


def refusal(path: Path, budget: Budget | None = None) -> ImageError:
    with pytest.raises(ImageError) as caught:
        check(path, budget)
    error = caught.value
    assert error.what
    assert error.why
    assert error.remedy
    assert error.path == str(path)
    assert bad.SECRET not in str(error)
    return error


@pytest.mark.parametrize("suffix", ["tif", "ome.tif", "png", "jpg", "czi", "nd2", "lif"])
def test_empty(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.touch()
    error = refusal(path)
    assert error.code == "IMG-EMPTY"
    assert error.what == "The file is empty."


def test_missing_and_dangling_link(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.tif").code == "IMG-MISSING"
    link = tmp_path / "link.tif"
    link.symlink_to("nowhere.tif")
    error = refusal(link)
    assert error.code == "IMG-MISSING"
    assert "link to 'nowhere.tif'" in error.why


@pytest.mark.parametrize("name", ["x" * 300 + ".tif", "a\0b.tif"])
def test_impossible_names(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path / name).code == "IMG-MISSING"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_pipe_and_device_do_not_hang(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.tif"
    os.mkfifo(pipe)
    device = tmp_path / "zero.tif"
    device.symlink_to("/dev/zero")
    start = time.monotonic()
    for path in (pipe, device):
        error = refusal(path)
        assert error.code == "IMG-NOTFILE"
        assert "device, pipe or socket" in error.what
    assert time.monotonic() - start < 5


def test_folder_is_not_an_image(tmp_path: Path) -> None:
    folder = tmp_path / "folder.tif"
    folder.mkdir()
    error = refusal(folder)
    assert error.code == "IMG-DIR"
    assert "folder" in error.what


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user without all rights")
def test_no_permission(tmp_path: Path) -> None:
    path = bad.tiff(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))
    path.chmod(0)
    assert refusal(path).code == "IMG-PERM"


def test_no_permission_as_reported_by_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bad.tiff(tmp_path / "a.tif", np.zeros((8, 8), np.uint8))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    error = refusal(path)
    assert error.code == "IMG-PERM"
    assert "Permission denied" in error.why


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", "IMG-MAGIC", "web page"),
        (b"\n  <HTML>log in</HTML>", "IMG-MAGIC", "web page"),
        (b"<?xml version='1.0'?><a/>", "IMG-MAGIC", "XML text"),
        (b"just some words\n", "IMG-MAGIC", "text file"),
        (b"\x00\x01\x02\x03" * 9, "IMG-MAGIC", "no image format"),
        (b"PK\x03\x04" + b"\0" * 30, "IMG-MAGIC", "zip archive"),
        (b"GIF89a" + b"\0" * 30, "IMG-MAGIC", "GIF, BMP and WebP"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n",
            "IMG-LFS",
            "Git-LFS pointer",
        ),
    ],
)
def test_content_is_no_image(tmp_path: Path, content: bytes, code: str, words: str) -> None:
    path = tmp_path / "image.ome.tif"
    path.write_bytes(content)
    error = refusal(path)
    assert error.code == code
    assert words in error.what


def test_kind_follows_content_and_the_name_gets_a_note(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    bad.picture(path, np.zeros((9, 9, 3), np.uint8))
    renamed = path.rename(tmp_path / "photo.tif")
    found = inspect(renamed)
    assert found.kind is FileKind.JPEG
    assert found.notes == ("The name ends in .tif, but the content is JPEG; it was read as that.",)


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"ZISRAWFILE" + b"\0" * 40, "a.czi", FileKind.CZI),
        (b"\xda\xce\xbe\x0a" + b"\0" * 40, "a.nd2", FileKind.ND2),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "old.nd2", FileKind.ND2),
        (b"\x70\0\0\0\x10\0\0\0\x2a" + b"\0" * 40, "a.lif", FileKind.LIF),
    ],
)
def test_vendor_magic(tmp_path: Path, head: bytes, name: str, kind: FileKind) -> None:
    path = tmp_path / name
    path.write_bytes(head)
    assert check(path) is kind


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_ome_tiff_cut_anywhere_is_refused(tmp_path: Path, keep: float) -> None:
    whole = bad.ome_tiff(tmp_path / "whole.ome.tif")
    assert check(whole) is FileKind.OME_TIFF
    size = whole.stat().st_size
    error = refusal(bad.cut(whole, tmp_path / "cut.ome.tif", int(size * keep)))
    assert error.code == "IMG-TRUNC-OME"
    assert "damaged or cut off" in error.what


@pytest.mark.parametrize("missing", [1, 100, 400])
def test_ome_tiff_without_its_tail_is_refused(tmp_path: Path, missing: int) -> None:
    whole = bad.ome_tiff(tmp_path / "whole.ome.tif")
    assert refusal(bad.cut(whole, tmp_path / "cut.ome.tif", -missing)).code in (
        "IMG-TRUNC-OME",
        "IMG-TRUNC",
    )


def test_malformed_ome_header(tmp_path: Path) -> None:
    text = bad.ome_xml(tmp_path)
    error = refusal(bad.with_header(tmp_path / "half.ome.tif", text[: len(text) // 2]))
    assert error.code == "IMG-TRUNC-OME"
    assert "XML cannot be parsed" in error.why


def test_ome_header_by_content_not_by_name(tmp_path: Path) -> None:
    text = bad.ome_xml(tmp_path)
    path = bad.with_header(tmp_path / "plain_name.tif", text[: len(text) // 2])
    assert refusal(path).code == "IMG-TRUNC-OME"


def test_name_says_ome_but_no_header(tmp_path: Path) -> None:
    error = refusal(bad.tiff(tmp_path / "a.ome.tif", np.zeros((8, 8), np.uint8), ome=False))
    assert error.code == "IMG-TRUNC-OME"
    assert "rename it to .tif" in error.why


def test_ome_header_promises_more_planes(tmp_path: Path) -> None:
    text = bad.ome_xml(tmp_path).replace('SizeC="2"', 'SizeC="9"')
    error = refusal(bad.with_header(tmp_path / "lie.ome.tif", text))
    assert error.code == "IMG-OME-MISMATCH"
    assert "9 planes" in error.why
    assert "the file has 2" in error.why


def test_ome_header_contradicts_the_pixels(tmp_path: Path) -> None:
    text = bad.ome_xml(tmp_path).replace('SizeX="56"', 'SizeX="65"')
    error = refusal(bad.with_header(tmp_path / "size.ome.tif", text))
    assert error.code == "IMG-OME-MISMATCH"
    assert "65 x 48" in error.why


def test_ome_header_asks_for_a_billion_planes(tmp_path: Path) -> None:
    text = bad.ome_xml(tmp_path).replace('SizeZ="1"', 'SizeZ="1000000000"')
    error = refusal(bad.with_header(tmp_path / "huge.ome.tif", text))
    assert error.code == "IMG-BUDGET"
    assert "GiB" in error.why


@pytest.mark.parametrize("name", ["../../../etc/passwd", "other.companion.ome"])
def test_ome_header_points_to_another_file(tmp_path: Path, name: str) -> None:
    text = bad.ome_xml(tmp_path).replace(
        '<TiffData IFD="0" PlaneCount="2"/>',
        f'<TiffData IFD="0"><UUID FileName="{name}">urn:uuid:1</UUID></TiffData>',
    )
    assert name in text
    error = refusal(bad.with_header(tmp_path / "part.ome.tif", text))
    assert error.code == "IMG-OME-COMPANION"
    assert repr(name) in error.why


def test_xml_attacks_are_refused_at_once(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text(bad.SECRET)
    body = bad.ome_xml(tmp_path).split("?>", 1)[1]
    external = f'<!DOCTYPE OME [<!ENTITY x SYSTEM "file://{secret}">]>'
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "lol"}">' for i in range(9))
    for number, doctype in enumerate((external, f"<!DOCTYPE OME [{laughs}]>")):
        text = '<?xml version="1.0"?>' + doctype + body.replace("<Pixels", "<Pixels ID='&x;'", 1)
        error = refusal(bad.with_header(tmp_path / f"attack{number}.ome.tif", text))
        assert error.code == "IMG-XML-UNSAFE"


def test_tiff_with_impossible_sizes(tmp_path: Path) -> None:
    pixels = np.ones((64, 64), np.uint8)
    huge = bad.patch_tag(
        bad.tiff(tmp_path / "huge.tif", pixels, rowsperstrip=64),
        width=10**6,
        height=10**6,
        rows=10**6,
    )
    assert refusal(huge).code == "IMG-BUDGET"
    short = bad.patch_tag(
        bad.tiff(tmp_path / "short.tif", pixels, rowsperstrip=64),
        width=60_000,
        height=60_000,
        rows=60_000,
    )
    error = refusal(short)
    assert error.code == "IMG-TRUNC"
    assert "4096 bytes of pixels are stored" in error.why
    flat = bad.patch_tag(bad.tiff(tmp_path / "flat.tif", pixels), width=0)
    error = refusal(flat)
    assert error.code == "IMG-ZEROSIZE"
    assert "0 x 64" in error.why


def test_tiff_cut_off(tmp_path: Path) -> None:
    whole = bad.tiff(tmp_path / "whole.tif", np.ones((64, 64), np.uint8))
    for keep in (12, 200, whole.stat().st_size - 10):
        error = refusal(bad.cut(whole, tmp_path / f"cut{keep}.tif", keep))
        assert error.code == "IMG-TRUNC"
        assert error.what == "The file is cut off."


def test_page_chain_in_a_circle_or_beyond_the_end(tmp_path: Path) -> None:
    pixels = np.ones((64, 64), np.uint8)
    circle = bad.set_next_page(bad.tiff(tmp_path / "circle.tif", pixels), None)
    found = inspect(circle)
    assert len(found.pages) == 1
    assert "runs in a circle" in found.notes[0]
    beyond = bad.set_next_page(bad.tiff(tmp_path / "beyond.tif", pixels), 0x7FFFFFFF)
    found = inspect(beyond)
    assert len(found.pages) == 1
    assert "IMG-TRUNC" in found.notes[0]
    assert "page 2 is missing" in found.notes[0]


def test_complex_tiff(tmp_path: Path) -> None:
    error = refusal(bad.tiff(tmp_path / "c.tif", np.zeros((8, 8), np.complex64)))
    assert error.code == "IMG-DTYPE"
    assert "complex" in error.what


def test_deflate_bomb_within_and_over_budget(tmp_path: Path) -> None:
    path = bad.tiff(
        tmp_path / "bomb.tif",
        np.zeros((4000, 4000), np.uint8),
        compression="zlib",
        rowsperstrip=4000,
    )
    assert check(path) is FileKind.TIFF
    error = refusal(path, Budget(piece_bytes=1 << 20))
    assert error.code == "IMG-BUDGET"


def test_png_that_lies_about_its_size(tmp_path: Path) -> None:
    for edge in (60_000, 2**31 - 1):
        error = refusal(bad.png(tmp_path / f"{edge}.png", edge, edge, zlib.compress(b"\0" * 1000)))
        assert error.code == "IMG-BUDGET"
        assert f"{edge} x {edge}" in error.why
    error = refusal(bad.png(tmp_path / "zero.png", 0, 5, zlib.compress(b"\0")))
    assert error.code == "IMG-ZEROSIZE"
    error = refusal(bad.png(tmp_path / "odd.png", 5, 5, zlib.compress(b"\0"), bits=7, color=5))
    assert error.code == "IMG-CORRUPT"


def test_png_damage(tmp_path: Path) -> None:
    whole = bad.picture(
        tmp_path / "whole.png", np.random.default_rng(0).integers(0, 255, (30, 40), dtype=np.uint8)
    )
    size = whole.stat().st_size
    for keep in (20, size // 2, size - 12):
        error = refusal(bad.cut(whole, tmp_path / f"cut{keep}.png", keep))
        assert error.code in ("IMG-TRUNC", "IMG-CORRUPT")
    content = bytearray(whole.read_bytes())
    content[80] ^= 0xFF
    damaged = tmp_path / "crc.png"
    damaged.write_bytes(content)
    error = refusal(damaged)
    assert error.code == "IMG-CORRUPT"
    assert "checksum" in error.why


def test_jpeg_damage(tmp_path: Path) -> None:
    whole = bad.picture(
        tmp_path / "whole.jpg",
        np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8),
    )
    for keep in (10, 200, whole.stat().st_size - 2):
        error = refusal(bad.cut(whole, tmp_path / f"cut{keep}.jpg", keep))
        assert error.code == "IMG-TRUNC"
    inks = bad.picture(tmp_path / "inks.jpg", np.zeros((8, 8, 4), np.uint8), mode="CMYK")
    error = refusal(inks)
    assert error.code == "IMG-DTYPE"
    assert "CMYK" in error.what


def test_zarr_metadata_problems(tmp_path: Path) -> None:
    empty = tmp_path / "empty.zarr"
    empty.mkdir()
    assert refusal(empty).code == "IMG-ZARR-META"
    damaged = bad.ome_zarr(tmp_path / "damaged.zarr")
    (damaged / ".zattrs").write_text('{"multiscales": [')
    assert "cannot be read as JSON" in refusal(damaged).why
    plain = bad.ome_zarr(tmp_path / "plain.zarr")
    (plain / ".zattrs").write_text("{}")
    assert "no 'multiscales'" in refusal(plain).why
    gone = bad.ome_zarr(tmp_path / "gone.zarr")
    (gone / "0" / ".zarray").unlink()
    assert "array '0' it lists is not there" in refusal(gone).why
    for way_out in ("../../etc", "/etc", "a\\..\\b"):
        leaving = bad.ome_zarr(tmp_path / "leaving.zarr")
        bad.edit_json(
            leaving / ".zattrs",
            lambda j, p=way_out: j["multiscales"][0]["datasets"][0].update(path=p),
        )
        error = refusal(leaving)
        assert error.code == "IMG-ZARR-META"
        assert "out of the image's folder" in error.why
    plate = bad.ome_zarr(tmp_path / "plate.zarr")
    (plate / ".zattrs").write_text(json.dumps({"plate": {"wells": []}}))
    assert "multi-well plate" in refusal(plate).why


def test_zarr_python_objects_are_refused(tmp_path: Path) -> None:
    path = bad.ome_zarr(tmp_path / "objects.zarr")
    bad.edit_json(
        path / "0" / ".zarray", lambda j: j.update(dtype="|O", filters=[{"id": "pickle"}])
    )
    error = refusal(path)
    assert error.code == "IMG-ZARR-META"
    assert "Python objects" in error.why


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [2, 10**9, 10**9]},
        {"shape": [2, 10**6, 10**5], "chunks": [1, 10**6, 10**5]},
        {"shape": [2, 60_000, 60_000], "chunks": [1, 1, 1]},
    ],
)
def test_zarr_over_budget(tmp_path: Path, change: dict[str, list[int]]) -> None:
    path = bad.ome_zarr(tmp_path / "huge.zarr")
    bad.edit_json(path / "0" / ".zarray", lambda j: j.update(change))
    error = refusal(path)
    assert error.code == "IMG-BUDGET"
    assert "chunks" in error.why


def test_zarr_missing_chunks(tmp_path: Path) -> None:
    path = bad.ome_zarr(tmp_path / "holes.zarr")
    chunks = [p for p in (path / "0").rglob("*") if p.is_file() and not p.name.startswith(".")]
    assert len(chunks) == 8
    for chunk in chunks[:3]:
        chunk.unlink()
    assert inspect(path).notes[0].startswith("3 of 8 chunk files are missing")
    for chunk in chunks[3:]:
        chunk.unlink()
    assert refusal(path).code == "IMG-NODATA"


def test_zarr_zero_size_and_complex(tmp_path: Path) -> None:
    path = bad.ome_zarr(tmp_path / "a.zarr")
    bad.edit_json(path / "0" / ".zarray", lambda j: j.update(shape=[2, 0, 56]))
    assert refusal(path).code == "IMG-ZEROSIZE"
    bad.edit_json(path / "0" / ".zarray", lambda j: j.update(shape=[2, 48, 56], dtype="<c8"))
    assert refusal(path).code == "IMG-DTYPE"


def test_names_that_trip_programs(tmp_path: Path) -> None:
    for name in ("unié空 name.tif", "CON.tif", "trailing .tif", "a;b'c\"d.tif"):
        if sys.platform != "win32":
            assert check(bad.tiff(tmp_path / name, np.ones((8, 8), np.uint8))) is FileKind.TIFF
