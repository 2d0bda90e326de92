"""The same picture is the same image, whichever reader opened it; another picture never takes its labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import tifffile
from napari.layers import Image
from napari.layers._source import layer_source

from napari_cellcls.cells.identity import image_id
from napari_cellcls.widgets import choices, origin
from napari_cellcls.widgets.review.subject import _plane

RNG = np.random.default_rng(0)
COLOR = RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 4000, (40, 50), dtype=np.uint16)


def opened(data: np.ndarray, path: Path | str, **options: Any) -> choices.ImageChoice:
    """Return what napari's own reader makes of a file."""
    with layer_source(path=str(path), reader_plugin="napari"):
        layer = Image(data, name=Path(path).stem, **options)
    return choices.image_choices([layer])[0]


def known_by(choice: choices.ImageChoice, step: tuple[int, ...] = (0, 0)) -> str:
    return _plane(choices.to_image(choice, step)).image_id


@pytest.mark.parametrize("alpha", [False, True])
def test_a_photograph_is_that_of_its_file(tmp_path: Path, alpha: bool) -> None:
    pixels = np.dstack([COLOR, np.full(COLOR.shape[:2], 255, np.uint8)]) if alpha else COLOR
    path = tmp_path / "field.png"
    PIL.Image.fromarray(pixels).save(path)
    choice = opened(pixels, path, rgb=True)
    assert not choices.is_quick(choice)  # the file is read beside the window
    image = choices.to_image(choice, (0, 0))
    assert (image.path, image.name, image.is_rgb) == (str(path), "field", True)
    assert known_by(choice) == image_id(path)
    np.testing.assert_array_equal(image.planes(), np.moveaxis(COLOR, -1, 0))


def test_channels_and_pixel_size_come_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "field.ome.tif"
    told = {"axes": "YX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2, "Channel": {"Name": "DAPI"}}
    tifffile.imwrite(path, DEEP, metadata=told)
    image = choices.to_image(opened(DEEP, path), (0, 0))
    assert image.path == str(path) and image.channels[0].name == "DAPI"
    assert image.pixel_size_um == pytest.approx((0.2, 0.2)) and image.value_range == (0.0, 4095.0)
    scaled = opened(DEEP, path, scale=(0.5, 0.5), units=("um", "um"))
    assert choices.to_image(scaled, (0, 0)).pixel_size_um == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(("axes", "place"), [("ZYX", (0, 2)), ("TYX", (2, 0))])
def test_a_plane_of_a_stack_is_that_of_the_file(
    tmp_path: Path, axes: str, place: tuple[int, int]
) -> None:
    stack = RNG.integers(0, 4000, (4, 40, 50), dtype=np.uint16)
    path = tmp_path / "stack.ome.tif"
    tifffile.imwrite(path, stack, metadata={"axes": axes})
    image = choices.to_image(opened(stack, path), (2, 0, 0))
    assert image.path == str(path) and (image.t, image.z) == place
    np.testing.assert_array_equal(image.planes()[0], stack[2])


def test_what_is_not_the_picture_of_the_file_is_known_by_its_pixels(tmp_path: Path) -> None:
    path = tmp_path / "field.png"
    PIL.Image.fromarray(COLOR).save(path)
    changed = COLOR.copy()
    changed[3, 4, 1] ^= 1
    others = (
        opened(changed, path, rgb=True),
        opened(COLOR[:-1], path, rgb=True),
        opened(COLOR / np.float32(255), path, rgb=True),
        opened(COLOR[..., 0], path),
        opened(COLOR, tmp_path / "gone.png", rgb=True),
    )
    for choice in others:
        assert choices.to_image(choice, (0, 0)).path is None
        assert known_by(choice) != image_id(path)
    (tmp_path / "text.png").write_text("no image")
    assert choices.to_image(opened(COLOR, tmp_path / "text.png", rgb=True), (0, 0)).path is None


def test_two_channels_of_two_files_have_no_one_file(tmp_path: Path) -> None:
    layers = []
    for name in ("DAPI", "GFP"):
        tifffile.imwrite(tmp_path / f"{name}.tif", DEEP)
        layers += opened(DEEP, tmp_path / f"{name}.tif").layers
    (choice,) = choices.image_choices(layers)
    assert choices.file_of_another_reader(choice) is None
    assert choices.to_image(choice, (0, 0)).path is None


def test_of_a_huge_plane_only_windows_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(origin, "_WHOLE_BYTES", 1000)
    monkeypatch.setattr(origin, "_EDGE", 4)
    at = list(origin._windows((40, 50), 4000))
    assert len(at) == 64
    assert at[0] == (slice(0, 4), slice(0, 4)) and at[-1] == (slice(36, 40), slice(46, 50))
    path = tmp_path / "field.png"
    PIL.Image.fromarray(COLOR).save(path)
    assert choices.to_image(opened(COLOR, path, rgb=True), (0, 0)).path == str(path)
    changed = COLOR.copy()
    changed[38, 48] ^= 255
    assert choices.to_image(opened(changed, path, rgb=True), (0, 0)).path is None
