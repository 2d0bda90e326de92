"""What napari gets: layers with names, colors, scale and enough metadata to find the image again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_cellcls._reader import get_reader
from napari_cellcls.vocabulary import ImageError
from tests.images import bad_files as bad
from tests.images.test_collections import quartet

RNG = np.random.default_rng(5)
RGB = RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)


def read(path: Path | list[str]) -> list:
    paths = path if isinstance(path, list) else str(path)
    reader = get_reader(paths)
    assert reader is not None
    return reader(paths)


def test_channels_become_layers(tmp_path: Path) -> None:
    path = bad.ome_tiff(
        tmp_path / "field.ome.tif",
        PhysicalSizeX=0.25,
        PhysicalSizeY=0.5,
        Channel={"Name": ["DAPI", "WGA"]},
    )
    layers = read(path)
    assert [options["name"] for _, options, _ in layers] == ["field: DAPI", "field: WGA"]
    for i, (data, options, kind) in enumerate(layers):
        assert kind == "image"
        np.testing.assert_array_equal(np.asarray(data), bad.two_channels()[i])
        assert options["scale"] == (0.5, 0.25)
        assert options["units"] == ("um", "um")
        assert options["axis_labels"] == ("y", "x")
        assert options["blending"] == "additive"
        assert options["contrast_limits"][0] < options["contrast_limits"][1]
        known = options["metadata"]["cellcls"]
        assert known["path"] == str(path)
        assert known["channel"] == ("DAPI", "WGA")[i]
        assert known["index"] == i
        assert known["roles"] == ["nucleus", "membrane"]
        assert known["value_range"] == [0.0, 4095.0]
    assert [options["colormap"] for _, options, _ in layers] == ["blue", "magenta"]


def test_photograph_is_one_rgb_layer(tmp_path: Path) -> None:
    layers = read(bad.picture(tmp_path / "smear.png", RGB))
    assert len(layers) == 1
    data, options, _ = layers[0]
    np.testing.assert_array_equal(data, RGB)
    assert options["rgb"] is True
    assert options["units"] == ("pixel", "pixel")


def test_deep_photograph_is_shown_as_float(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 65536, (20, 24, 3), dtype=np.uint16)
    data, options, _ = read(bad.tiff(tmp_path / "deep.tif", pixels, photometric="rgb"))[0]
    assert options["rgb"] is True
    np.testing.assert_allclose(data, pixels / 65535, atol=1e-6)


def test_time_and_depth_stay_axes(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 4000, (3, 2, 4, 20, 24), dtype=np.uint16)
    layers = read(bad.ome_tiff(tmp_path / "s.ome.tif", pixels, "TCZYX"))
    assert len(layers) == 2
    data, options, _ = layers[1]
    assert data.shape == (3, 4, 20, 24)
    assert options["axis_labels"] == ("t", "z", "y", "x")
    assert len(options["scale"]) == len(options["units"]) == 4
    np.testing.assert_array_equal(np.asarray(data), pixels[:, 1])


def test_stack_of_photographs(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (3, 20, 24, 3), dtype=np.uint8)
    path = bad.tiff(tmp_path / "t.tif", pixels, photometric="rgb", metadata={"axes": "TYXS"})
    data, options, _ = read(path)[0]
    np.testing.assert_array_equal(np.asarray(data), pixels)
    assert options["axis_labels"] == ("t", "y", "x")


def test_quartets_by_file_list_and_folder(tmp_path: Path) -> None:
    quartet(tmp_path)
    files = sorted(str(p) for p in tmp_path.iterdir())
    for paths in (tmp_path, files, tmp_path / "57_F11_1_red.png"):
        layers = read(paths)
        assert [o["name"] for _, o, _ in layers] == [
            "57_F11_1: microtubules",
            "57_F11_1: protein",
            "57_F11_1: nucleus",
            "57_F11_1: er",
        ]
        assert [o["colormap"] for _, o, _ in layers] == ["red", "green", "blue", "yellow"]
        assert len(layers[0][1]["metadata"]["cellcls"]["paths"]) == 4


def test_zarr_directory(tmp_path: Path) -> None:
    layers = read(bad.ome_zarr(tmp_path / "a.zarr", labels=("DAPI", "GFP")))
    assert [o["metadata"]["cellcls"]["channel"] for _, o, _ in layers] == ["DAPI", "GFP"]


def test_foreign_paths_are_declined(tmp_path: Path) -> None:
    text = tmp_path / "a.txt"
    text.write_text("words")
    empty = tmp_path / "empty"
    empty.mkdir()
    for path in (text, empty, tmp_path / "missing.xyz"):
        assert get_reader(str(path)) is None
    assert get_reader([]) is None
    image = bad.picture(tmp_path / "a.png", RGB)
    assert get_reader([str(image), str(text)]) is None
    nameless = image.rename(tmp_path / "nameless")
    assert get_reader(str(nameless)) is not None


def test_damaged_files_raise_our_errors(tmp_path: Path) -> None:
    path = tmp_path / "empty.tif"
    path.touch()
    with pytest.raises(ImageError) as caught:
        read(path)
    assert caught.value.code == "IMG-EMPTY"


def test_layers_are_accepted_by_napari(tmp_path: Path) -> None:
    layers_module = pytest.importorskip("napari.layers", reason="napari is not installed")
    path = bad.ome_tiff(
        tmp_path / "f.ome.tif", PhysicalSizeX=0.5, PhysicalSizeY=0.5,
        Channel={"Name": ["DAPI", "odd"], "Color": [65535, 0x12345600]},
    )  # fmt: skip
    for data, options, kind in read(path):
        layer = layers_module.Layer.create(data, options, kind)
        assert tuple(layer.scale) == (0.5, 0.5)
        assert str(layer.units[0]) == "micrometer"
        assert layer.axis_labels == ("y", "x")


def test_a_quartet_dropped_as_four_files_opens_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import napari
    from napari.components import ViewerModel
    from napari.layers import Layer

    viewer = ViewerModel()
    monkeypatch.setattr(napari, "current_viewer", lambda: viewer)
    quartet(tmp_path, "7_A1_1")

    def drop() -> None:  # napari asks file by file
        for path in sorted(tmp_path.iterdir()):
            layers = read(path)
            if layers != [(None,)]:
                for layer in layers:
                    viewer.add_layer(Layer.create(*layer))

    drop()
    assert len(viewer.layers) == 4
    drop()
    assert len(viewer.layers) == 8, "asked for again, opened again, once"
