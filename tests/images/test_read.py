"""Pixels and metadata come back exactly as stored, from every format and type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellcls.images.gate import Budget, FileKind
from napari_cellcls.images.image import Image
from napari_cellcls.images.read import describe, image_from_array, open_image, stem
from napari_cellcls.vocabulary import ChannelRole, ImageError
from tests.images import bad_files as bad

RNG = np.random.default_rng(3)
RGB = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)


@pytest.fixture(params=["direct", "bioio"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read TIFF both ways: straight by tifffile, and through BioIO."""
    if request.param == "bioio":
        monkeypatch.setattr("napari_cellcls.images.readers.DIRECT_BYTES", 0)
    return str(request.param)


def values(image: Image) -> np.ndarray:
    return image.planes()


def code_of(path: Path, **options: object) -> str:
    with pytest.raises(ImageError) as caught:
        open_image(path, **options).planes()  # type: ignore[arg-type]
    assert caught.value.what
    return caught.value.code


@pytest.mark.usefixtures("way")
def test_ome_tiff_pixels_and_metadata(tmp_path: Path) -> None:
    path = bad.ome_tiff(
        tmp_path / "field.ome.tif",
        PhysicalSizeX=250.0,
        PhysicalSizeXUnit="nm",
        PhysicalSizeY=0.5,
        PhysicalSizeYUnit="µm",
        Channel={
            "Name": ["DAPI", "GFP"],
            "Color": [65535, 16711935],
            "EmissionWavelength": [461.0, 509.0],
        },
    )
    image = open_image(path)
    np.testing.assert_array_equal(values(image), bad.two_channels())
    assert image.name == "field"
    assert image.pixel_size_um == (0.5, 0.25)
    assert [c.name for c in image.channels] == ["DAPI", "GFP"]
    assert [c.role for c in image.channels] == [ChannelRole.NUCLEUS, ChannelRole.PROTEIN]
    assert [c.color for c in image.channels] == ["#0000ff", "#00ff00"]
    assert [c.emission_nm for c in image.channels] == [461.0, 509.0]
    assert image.value_range == (0.0, 4095.0)
    assert any("12-bit" in note for note in image.notes)
    info = describe(path)
    assert (info.kind, info.size_c, info.size_t, info.size_z) == (FileKind.OME_TIFF, 2, 1, 1)
    assert info.shape == (48, 56)
    assert info.channel_names == ("DAPI", "GFP")


@pytest.mark.parametrize("size", [0.0, -1.0])
@pytest.mark.usefixtures("way")
def test_bad_pixel_sizes_become_unknown(tmp_path: Path, size: float) -> None:
    path = bad.ome_tiff(tmp_path / "a.ome.tif", PhysicalSizeX=size, PhysicalSizeY=0.5)
    assert open_image(path).pixel_size_um is None


@pytest.mark.parametrize("axes", ["TCZYX", "ZCTYX", "CTZYX", "TZCYX"])
@pytest.mark.usefixtures("way")
def test_any_order_of_axes_gives_the_right_plane(tmp_path: Path, axes: str) -> None:
    sizes = {"T": 2, "C": 3, "Z": 4, "Y": 10, "X": 12}
    pixels = np.zeros([sizes[a] for a in axes], np.uint16)
    for index in np.ndindex(*pixels.shape[:3]):
        where = dict(zip(axes, index))
        pixels[index] = 100 * where["T"] + 10 * where["C"] + where["Z"] + 1
    path = bad.ome_tiff(tmp_path / "order.ome.tif", pixels, axes)
    image = open_image(path, t=1, z=3)
    assert values(image)[:, 0, 0].tolist() == [104, 114, 124]
    middle = open_image(path)
    assert values(middle)[:, 5, 5].tolist() == [3, 13, 23]
    assert middle.z == 2
    assert any("middle one of 4 Z planes" in note for note in middle.notes)
    brightest = open_image(path, z="max")
    assert values(brightest)[:, 0, 0].tolist() == [4, 14, 24]
    assert code_of(path, t=2) == "IMG-INDEX"
    assert code_of(path, z=4) == "IMG-INDEX"
    info = describe(path)
    assert (info.size_t, info.size_c, info.size_z) == (2, 3, 4)


@pytest.mark.usefixtures("way")
def test_scenes_of_different_shape(tmp_path: Path) -> None:
    import tifffile

    path = tmp_path / "scenes.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        for name, shape, fill in (("left", (2, 10, 12), 5), ("right", (1, 20, 9), 7)):
            writer.write(
                np.full(shape, fill, np.uint8),
                photometric="minisblack",
                metadata={"axes": "CYX", "Name": name},
            )
    assert describe(path).scenes == ("left", "right")
    first = open_image(path)
    assert first.data.shape == (2, 10, 12)
    assert any("2 scenes" in note for note in first.notes)
    for scene in ("right", 1):
        second = open_image(path, scene=scene)
        assert values(second).shape == (1, 20, 9)
        assert int(values(second).max()) == 7
        assert second.scene == "right"
    assert code_of(path, scene="middle") == "IMG-INDEX"


@pytest.mark.parametrize(
    "dtype", ["u1", "u2", ">u2", "i2", "u4", "f4", ">f4", "f2", "f8", "bool", "u8"]
)
@pytest.mark.usefixtures("way")
def test_tiff_types(tmp_path: Path, dtype: str) -> None:
    kind = np.dtype(dtype)
    pixels = (
        RNG.random((20, 24)).astype(kind)
        if kind.kind == "f"
        else RNG.integers(0, 200, (20, 24)).astype(kind)
    )
    path = bad.tiff(tmp_path / "a.tif", pixels, byteorder=">" if dtype.startswith(">") else "<")
    image = open_image(path)
    found = values(image)[0]
    np.testing.assert_array_equal(found, pixels.astype(np.float32) if kind.kind == "f" else pixels)
    assert found.dtype.isnative
    assert found.dtype in (np.uint8, np.uint16, np.int16, np.uint32, np.float32)


@pytest.mark.parametrize(
    "options",
    [
        {"bigtiff": True},
        {"tile": (16, 16)},
        {"compression": "zlib"},
        {"compression": "lzw"},
        {"compression": "zstd", "tile": (16, 32)},
        {"compression": "jpegxl", "compressionargs": {"lossless": True}, "tile": (16, 16)},
        {"rowsperstrip": 3},
        {"planarconfig": "separate"},
        {"byteorder": ">"},
    ],
)
@pytest.mark.usefixtures("way")
def test_tiff_layouts_of_rgb(tmp_path: Path, options: dict) -> None:
    pixels = RGB.transpose(2, 0, 1) if "planarconfig" in options else RGB
    path = bad.tiff(
        tmp_path / "rgb.tif", np.ascontiguousarray(pixels), **{"photometric": "rgb", **options}
    )
    image = open_image(path)
    assert image.is_rgb
    np.testing.assert_array_equal(values(image), RGB.transpose(2, 0, 1))
    assert [c.role.value for c in image.channels] == ["rgb_red", "rgb_green", "rgb_blue"]


@pytest.mark.usefixtures("way")
def test_ome_rgb(tmp_path: Path) -> None:
    image = open_image(bad.ome_tiff(tmp_path / "rgb.ome.tif", RGB, "YXS"))
    assert image.is_rgb
    np.testing.assert_array_equal(values(image), RGB.transpose(2, 0, 1))


def test_alpha_is_dropped_and_told(tmp_path: Path) -> None:
    alpha = RNG.integers(0, 256, (30, 40, 1), dtype=np.uint8)
    for name, pixels in (
        ("rgba", np.dstack([RGB, alpha])),
        ("la", np.dstack([RGB[..., :1], alpha])),
    ):
        image = open_image(bad.picture(tmp_path / f"{name}.png", pixels))
        np.testing.assert_array_equal(values(image), pixels[..., :-1].transpose(2, 0, 1))
        assert any("alpha" in note for note in image.notes)
    opaque = np.dstack([RGB, np.full((30, 40), 255, np.uint8)])
    assert open_image(bad.picture(tmp_path / "opaque.png", opaque)).notes == ()


@pytest.mark.usefixtures("way")
def test_palettes(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    quantized = Pillow.fromarray(RGB).quantize(16)
    quantized.save(tmp_path / "palette.png")
    image = open_image(tmp_path / "palette.png")
    assert image.is_rgb
    np.testing.assert_array_equal(
        values(image), np.asarray(quantized.convert("RGB")).transpose(2, 0, 1)
    )
    quantized.save(tmp_path / "palette.tif")
    image = open_image(tmp_path / "palette.tif")
    assert image.is_rgb
    np.testing.assert_array_equal(
        values(image), np.asarray(quantized.convert("RGB")).transpose(2, 0, 1)
    )


def test_png_depths(tmp_path: Path) -> None:
    import imagecodecs

    deep = RNG.integers(0, 65536, (30, 40), dtype=np.uint16)
    deep[0, 0] = 65535
    image = open_image(bad.picture(tmp_path / "deep.png", deep))
    np.testing.assert_array_equal(values(image)[0], deep)
    assert image.value_range == (0.0, 65535.0)
    for samples in (2, 3, 4):
        color = RNG.integers(0, 65536, (30, 40, samples), dtype=np.uint16)
        path = tmp_path / f"deep{samples}.png"
        path.write_bytes(imagecodecs.png_encode(color))
        image = open_image(path)
        kept = {2: 1, 3: 3, 4: 3}[samples]
        np.testing.assert_array_equal(values(image), color[..., :kept].transpose(2, 0, 1))
    bits = RNG.random((30, 40)) > 0.5
    image = open_image(bad.picture(tmp_path / "bits.png", bits))
    np.testing.assert_array_equal(values(image)[0], bits.astype(np.uint8))
    assert image.value_range == (0.0, 1.0)


def test_png_and_jpeg_agree_with_bioio(tmp_path: Path) -> None:
    from bioio_imageio import Reader

    for name in ("a.png", "a.jpg"):
        path = bad.picture(tmp_path / name, RGB)
        theirs = Reader(path).data
        np.testing.assert_array_equal(values(open_image(path)), theirs.transpose(2, 0, 1))


def test_interlaced_png(tmp_path: Path) -> None:
    import zlib

    # Adam7 of a constant 8 x 8 picture: seven passes of rows, each with its filter byte.
    passes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]
    raw = b"".join((b"\0" + b"\x2a" * width) * height for width, height in passes)
    path = bad.png(tmp_path / "i.png", 8, 8, zlib.compress(raw))
    content = bytearray(path.read_bytes())
    content[28] = 1
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    path.write_bytes(content)
    assert np.all(values(open_image(path)) == 42)


def test_exif_rotation_is_kept_as_stored(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    picture = Pillow.fromarray(RGB)
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "turned.jpg", exif=exif)
    image = open_image(tmp_path / "turned.jpg")
    assert image.shape == (30, 40)
    assert "orientation 6" in image.notes[0]


def test_jpeg_named_tif_opens_with_a_note(tmp_path: Path) -> None:
    path = bad.picture(tmp_path / "a.jpg", RGB).rename(tmp_path / "a.tif")
    image = open_image(path)
    assert image.is_rgb
    assert "content is JPEG" in image.notes[0]


def test_large_honest_png_opens_lazily(tmp_path: Path) -> None:
    import zlib

    edge = 14_000
    path = bad.png(
        tmp_path / "large.png", edge, edge, zlib.compress(b"\0" + b"\x07" * edge, 1) and _rows(edge)
    )
    image = open_image(path)
    assert image.shape == (edge, edge)
    assert not isinstance(image.data, np.ndarray)
    assert np.all(image.planes(window=(slice(edge - 5, edge), slice(0, 5))) == 7)


def _rows(edge: int) -> bytes:
    import zlib

    packer = zlib.compressobj(1)
    row = b"\0" + b"\x07" * edge
    return b"".join(packer.compress(row * 100) for _ in range(edge // 100)) + packer.flush()


def test_nonfinite_values_are_replaced_and_counted(tmp_path: Path) -> None:
    pixels = RNG.random((20, 24)).astype(np.float32)
    pixels[0, 0], pixels[1, 1], pixels[2, 2] = np.nan, np.inf, -np.inf
    image = open_image(bad.tiff(tmp_path / "n.tif", pixels))
    found = values(image)
    assert np.isfinite(found).all()
    assert any(note.startswith("3 pixel values were NaN or infinite") for note in image.notes)
    np.testing.assert_array_equal(found[0][5:], pixels[5:])
    assert found[0, 1, 1] == pixels[np.isfinite(pixels)].max()
    assert (
        code_of(bad.tiff(tmp_path / "all.tif", np.full((8, 8), np.nan, np.float32))) == "IMG-NODATA"
    )


def test_ranges(tmp_path: Path) -> None:
    def value_range(pixels: np.ndarray) -> tuple[float, float]:
        return open_image(bad.tiff(tmp_path / "r.tif", pixels)).value_range

    base = np.arange(400).reshape(20, 20)
    assert value_range(base.astype(np.uint16)) == (0.0, 4095.0)
    assert value_range((base * 100).astype(np.uint16)) == (0.0, 65535.0)
    assert value_range((base - 100).astype(np.int16)) == (-100.0, 299.0)
    assert value_range((base % 200).astype(np.uint32)) == (0.0, 255.0)
    assert value_range((base / 400).astype(np.float32)) == (0.0, 1.0)
    assert value_range((base * 2.0).astype(np.float32)) == (0.0, 798.0)
    assert value_range((base % 200).astype(np.uint8)) == (0.0, 255.0)
    assert code_of(bad.tiff(tmp_path / "h.tif", np.full((8, 8), 1e300))) == "IMG-RANGE"
    assert code_of(bad.tiff(tmp_path / "i.tif", np.full((8, 8), 2**40, np.int64))) == "IMG-RANGE"


def test_doubtful_channels_get_notes(tmp_path: Path) -> None:
    constant = open_image(bad.tiff(tmp_path / "c.tif", np.full((20, 20), 7, np.uint16)))
    assert "Channel 0 is constant (7): no information." in constant.notes
    bright = np.where(RNG.random((50, 50)) < 0.3, 65535, 1000).astype(np.uint16)
    assert any(
        "saturated in 3" in n or "saturated in 2" in n
        for n in open_image(bad.tiff(tmp_path / "s.tif", bright)).notes
    )


def test_too_small(tmp_path: Path) -> None:
    assert code_of(bad.tiff(tmp_path / "a.tif", np.array([[5]], np.uint8))) == "IMG-SMALL"
    assert code_of(bad.picture(tmp_path / "a.png", np.zeros((1, 50), np.uint8))) == "IMG-SMALL"


def test_white_is_zero_is_inverted(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (20, 24), dtype=np.uint8)
    image = open_image(bad.tiff(tmp_path / "w.tif", pixels, photometric="miniswhite"))
    np.testing.assert_array_equal(values(image)[0], 255 - pixels)
    assert any("inverted" in note for note in image.notes)


@pytest.mark.usefixtures("way")
def test_plain_stacks_say_what_was_guessed(tmp_path: Path) -> None:
    four = RNG.integers(0, 255, (4, 20, 24), dtype=np.uint8)
    image = open_image(bad.tiff(tmp_path / "four.tif", four))
    np.testing.assert_array_equal(values(image), four)
    assert "taken as channels" in image.notes[0]
    deep = RNG.integers(0, 255, (30, 20, 24), dtype=np.uint8)
    image = open_image(bad.tiff(tmp_path / "deep.tif", deep), z=7)
    np.testing.assert_array_equal(values(image)[0], deep[7])
    assert "taken as depth" in image.notes[0]


@pytest.mark.usefixtures("way")
def test_imagej_metadata(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 4000, (2, 20, 24), dtype=np.uint16)
    path = bad.tiff(
        tmp_path / "ij.tif", pixels, imagej=True, resolution=(4.0, 4.0),
        metadata={"axes": "CYX", "unit": "um", "Labels": ["DAPI", "Phalloidin"]},
    )  # fmt: skip
    image = open_image(path)
    np.testing.assert_array_equal(values(image), pixels)
    assert image.pixel_size_um == pytest.approx((0.25, 0.25))
    assert [c.role for c in image.channels] == [ChannelRole.NUCLEUS, ChannelRole.ACTIN]


def test_dots_per_inch_are_no_pixel_size(tmp_path: Path) -> None:
    path = bad.tiff(
        tmp_path / "dpi.tif", RGB, photometric="rgb", resolution=(72, 72), resolutionunit="INCH"
    )
    assert open_image(path).pixel_size_um is None
    path = bad.tiff(
        tmp_path / "cm.tif",
        RGB,
        photometric="rgb",
        resolution=(40_000, 40_000),
        resolutionunit="CENTIMETER",
    )
    assert open_image(path).pixel_size_um == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path: Path, version: str) -> None:
    path = bad.ome_zarr(
        tmp_path / "field.ome.zarr", version=version, levels=2, labels=("DAPI", "GFP")
    )
    image = open_image(path)
    np.testing.assert_array_equal(values(image), bad.two_channels())
    assert image.name == "field"
    assert image.pixel_size_um == (0.5, 0.5)
    assert [c.name for c in image.channels] == ["DAPI", "GFP"]
    assert [c.color for c in image.channels] == ["#0000ff", "#00ff00"]
    info = describe(path)
    assert info.kind is FileKind.OME_ZARR
    assert info.shape == (48, 56)


def test_ome_zarr_without_units_and_axes_order(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 255, (2, 3, 4, 10, 12), dtype=np.uint8)
    path = bad.ome_zarr(tmp_path / "a.zarr", pixels, axes="tczyx", pixel_size=None)
    image = open_image(path, t=1, z=2)
    np.testing.assert_array_equal(values(image), pixels[1, :, 2])
    assert image.pixel_size_um is None


def test_ome_zarr_damage(tmp_path: Path) -> None:
    path = bad.ome_zarr(tmp_path / "holes.zarr")
    chunks = sorted(
        p for p in (path / "0").rglob("*") if p.is_file() and not p.name.startswith(".")
    )
    chunks[0].unlink()
    image = open_image(path)
    assert any("1 of 8 chunk files are missing" in note for note in image.notes)
    chunks[1].write_bytes(b"\x02\x01" + bytes(range(200)))
    assert code_of(path) == "IMG-CORRUPT"


def test_unknown_codec(tmp_path: Path) -> None:
    path = bad.ome_zarr(tmp_path / "codec.zarr")
    bad.edit_json(path / "0" / ".zarray", lambda j: j.update(compressor={"id": "no-such-codec"}))
    assert code_of(path) == "IMG-CORRUPT"


def test_damaged_tile_in_the_middle(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 255, (64, 64), dtype=np.uint8)
    path = bad.tiff(tmp_path / "a.tif", pixels, tile=(16, 16), compression="zlib")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle - 200 : middle + 200] = b"\xaa" * 400
    path.write_bytes(content)
    assert code_of(path) == "IMG-CORRUPT"


def test_large_tiff_is_read_by_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_cellcls.images.readers.SMALL_BYTES", 10_000)
    monkeypatch.setattr("napari_cellcls.images.readers.DIRECT_BYTES", 10_000)
    monkeypatch.setattr("napari_cellcls.images.normalize.SMALL_BYTES", 10_000)
    pixels = RNG.integers(0, 60_000, (2, 300, 260), dtype=np.uint16)
    plain = bad.tiff(tmp_path / "a.tif", pixels, tile=(64, 64), metadata={"axes": "CYX"})
    named = tmp_path / "a.ome.tif"
    import tifffile

    tifffile.imwrite(
        named, pixels, ome=True, photometric="minisblack", tile=(64, 64), metadata={"axes": "CYX"}
    )
    for path in (plain, named, bad.ome_zarr(tmp_path / "a.zarr", pixels)):
        image = open_image(path)
        assert not isinstance(image.data, np.ndarray)
        np.testing.assert_array_equal(values(image), pixels)
        np.testing.assert_array_equal(
            image.planes((1,), (slice(50, 90), slice(200, 260)))[0], pixels[1, 50:90, 200:260]
        )


def test_late_damage_is_a_coded_error_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_cellcls.images.normalize.SMALL_BYTES", 10)
    path = bad.ome_zarr(tmp_path / "a.zarr", RNG.integers(0, 60_000, (1, 64, 64), dtype=np.uint16))
    image = open_image(path)
    for chunk in (path / "0").rglob("*"):
        if chunk.is_file() and not chunk.name.startswith("."):
            chunk.write_bytes(b"\x02\x01" + bytes(range(200)))
    with pytest.raises(ImageError) as caught:
        image.planes()
    assert caught.value.code == "IMG-CORRUPT"
    assert caught.value.__cause__ is not None


def test_budget_is_passed_on(tmp_path: Path) -> None:
    path = bad.picture(tmp_path / "a.png", RGB)
    assert code_of(path, budget=Budget(piece_bytes=100)) == "IMG-BUDGET"


def test_image_from_array() -> None:
    gray = image_from_array(RGB[..., 0], name="g")
    assert gray.data.shape == (1, 30, 40)
    assert gray.channels[0].role is ChannelRole.GRAY
    color = image_from_array(RGB, rgb=True, name="c", pixel_size_um=0.1)
    assert color.is_rgb
    np.testing.assert_array_equal(values(color), RGB.transpose(2, 0, 1))
    assert color.pixel_size_um == (0.1, 0.1)
    stack = image_from_array(
        bad.two_channels(),
        name="s",
        channel_names=["DAPI", "GFP"],
        channel_colors=["#112233", "#445566"],
    )
    assert [c.color for c in stack.channels] == ["#112233", "#445566"]
    assert stack.value_range == (0.0, 4095.0)
    import dask.array as da

    lazy = image_from_array(
        da.from_array(bad.two_channels(), chunks=(1, 16, 16)), axes="CYX", name="d"
    )
    np.testing.assert_array_equal(values(lazy), bad.two_channels())
    assert lazy.value_range == (0.0, 4095.0)
    holes = np.full((8, 8), 0.5, np.float32)
    holes[0, 0] = np.nan
    assert np.isfinite(values(image_from_array(da.from_array(holes), name="h"))).all()


@pytest.mark.parametrize(
    ("array", "options", "code"),
    [
        (np.zeros((2, 3, 4, 5)), {}, "IMG-AXES"),
        (np.zeros((2, 8, 8)), {"axes": "ZYX"}, "IMG-AXES"),
        (np.zeros((8, 8, 2), np.uint8), {"rgb": True}, "IMG-AXES"),
        (np.zeros((0, 8)), {}, "IMG-ZEROSIZE"),
        (np.zeros((8, 8), np.complex64), {}, "IMG-DTYPE"),
        (np.full((8, 8), "a"), {}, "IMG-DTYPE"),
        (np.full((8, 8), np.nan), {}, "IMG-NODATA"),
    ],
)
def test_image_from_bad_array(array: np.ndarray, options: dict, code: str) -> None:
    with pytest.raises(ImageError) as caught:
        image_from_array(array, name="x", **options)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("a/b.ome.tif", "b"),
        ("b.OME.TIFF", "b"),
        ("b.ome.zarr", "b"),
        ("b.c.png", "b.c"),
        (".tif", ".tif"),
    ],
)
def test_stem(name: str, short: str) -> None:
    assert stem(name) == short
