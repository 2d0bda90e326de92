"""Overlay pictures: right color in the right place, legend text, sizes from tiny to huge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import PIL.Image

from napari_cellcls.export.overlay import View, composite, render_overlay, rgb_of, write_overlay
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.vocabulary import ClassScheme
from tests.export import fakes

RED, BLUE = (rgb_of(c.color) for c in fakes.SCHEME.classes)


def test_outlines_have_the_color_of_the_class_and_two_pixels(tmp_path: Path) -> None:
    image, cells = fakes.rgb_image((500, 500)), fakes.cells((500, 500))
    write_overlay(image, cells, fakes.predictions(), tmp_path / "o.png")
    pixels = np.asarray(PIL.Image.open(tmp_path / "o.png").convert("RGB"))
    assert pixels.shape[1] == 500 and pixels.shape[0] > 500
    np.testing.assert_array_equal(pixels[25, 10:13], [RED, RED, (230, 230, 230)])
    np.testing.assert_array_equal(pixels[60:63, 20], [BLUE, BLUE, (230, 230, 230)])
    np.testing.assert_array_equal(pixels[450, 450], (230, 230, 230))


def test_a_cell_without_class_is_black_and_rejected_objects_are_dotted() -> None:
    image, cells = fakes.rgb_image((500, 500)), fakes.cells((500, 500))
    guess = fakes.predictions()
    guess.assigned[0] = False
    pixels = np.asarray(render_overlay(image, cells, guess))
    np.testing.assert_array_equal(pixels[25, 10], rgb_of("#202020"))
    dots = (pixels[10, 95:115] == 150).all(axis=1)
    assert 0 < dots.sum() < 20


def test_letters_stand_inside_the_cells() -> None:
    image, cells = fakes.rgb_image((500, 500)), fakes.cells((500, 500))
    inside = np.asarray(render_overlay(image, cells, fakes.predictions()))[16:34, 16:34]
    assert (inside == RED).all(axis=2).any()


def test_small_images_are_enlarged_and_large_ones_reduced() -> None:
    assert View.of((50, 40)).scale == 10
    assert View.of((1, 1)).scale == 16
    assert View.of((640, 480)).scale == 1
    assert View.of((4096, 100)).scale == 1
    assert View.of((20_000, 9_000)).step == 5


def test_a_large_lazy_image_is_reduced() -> None:
    image, cells = fakes.rgb_image(), fakes.cells()
    large = replace(image, data=da.zeros((3, 9000, 300), np.uint8, chunks=(3, 512, 300)))
    labels = da.zeros((9000, 300), np.int32, chunks=512)
    picture = render_overlay(
        large, replace(cells, labels=labels, rejected=None), fakes.predictions()
    )
    assert picture.height > 3000


def test_channels_are_merged_in_their_colors() -> None:
    data = np.zeros((2, 10, 10), np.uint16)
    data[0, :5], data[1, :, :5] = 1000, 40
    image = Image(data, (Channel("a", color="#ff0000"), Channel("b", color="#0000ff")), "f")
    pixels = composite(image, View(1, 1))
    np.testing.assert_array_equal(pixels[0, 0], (255, 0, 255))
    np.testing.assert_array_equal(pixels[0, 9], (255, 0, 0))
    np.testing.assert_array_equal(pixels[9, 9], (0, 0, 0))


def test_a_constant_or_empty_channel_is_black() -> None:
    image = Image(np.full((1, 4, 4), np.nan, np.float32), (Channel("a"),), "f")
    assert composite(image, View(1, 1)).max() == 0


def test_no_cells_and_no_classes_still_give_a_picture() -> None:
    empty = fakes.cells(rejected=False)
    empty = replace(empty, labels=np.zeros_like(empty.labels), table=empty.table.iloc[:0])
    assert render_overlay(fakes.rgb_image(), empty, fakes.predictions(())).width == 480
    bare = fakes.predictions(
        scheme=ClassScheme(()), assigned=np.zeros((4, 0), bool), probabilities=np.zeros((4, 0))
    )
    assert render_overlay(fakes.rgb_image(), fakes.cells(), bare).width == 480
