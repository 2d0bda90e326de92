from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_cellcls.widgets import choices
from napari_cellcls.widgets.choices import META, OURS

PLANE = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30)
MICRONS = {"scale": (0.2, 0.2), "units": ("um", "um")}


def test_channels_of_one_file_are_one_image_and_rgb_stands_alone() -> None:
    one = [
        Image(PLANE, name=f"a: {n}", metadata={META: {"path": "a.tif", "name": "a"}})
        for n in ("x", "y")
    ]
    two = Image(PLANE, name="b", metadata={META: {"path": "b.tif"}})
    rgb = Image(np.zeros((20, 30, 3), np.uint8), rgb=True, name="photo")
    found = choices.image_choices([one[0], two, rgb, one[1]])
    assert [(c.name, len(c.layers), c.is_rgb) for c in found] == [
        ("a", 2, False),
        ("b", 1, False),
        ("photo", 1, True),
    ]


def test_layers_without_metadata_belong_together_by_shape_and_scale() -> None:
    same = [Image(PLANE, name=n, **MICRONS) for n in ("DAPI", "GFP")]
    other = Image(PLANE, name="other", scale=(0.4, 0.4))
    found = choices.image_choices([*same, other])
    assert [c.name for c in found] == ["DAPI + GFP", "other"]
    assert found[0].detail == "2 channel(s), 30 × 20 pixels: DAPI, GFP"


def test_our_own_layers_are_never_offered() -> None:
    ours = Labels(PLANE.astype(int), metadata={META: {OURS: True}})
    mine = Labels(PLANE.astype(int))
    assert choices.labels_choices([ours, mine]) == [mine]


@pytest.mark.parametrize(
    ("units", "expected"),
    [(("um", "um"), (0.2, 0.2)), (("nm", "nm"), (0.0002, 0.0002)), (("pixel", "pixel"), None)],
)
def test_pixel_size_comes_from_scale_and_units(
    units: tuple[str, str], expected: tuple[float, float] | None
) -> None:
    found = choices.pixel_size_um(Image(PLANE, scale=(0.2, 0.2), units=units))
    assert found == (pytest.approx(expected) if expected is not None else None)


def test_the_displayed_plane_is_taken() -> None:
    stack = np.stack([PLANE, PLANE + 1, PLANE + 2])
    np.testing.assert_array_equal(choices.plane(Image(stack), (1, 0, 0)), PLANE + 1)
    np.testing.assert_array_equal(choices.plane(Image(stack), (99, 0, 0)), PLANE + 2)


def test_to_image_keeps_names_pixel_size_and_what_the_reader_knew() -> None:
    told = {
        "path": "a.tif",
        "scene": "S1",
        "notes": ["12 bit"],
        "value_range": [0, 4095],
        "channel": "DAPI",
    }
    layer = Image(PLANE, name="a: DAPI", colormap="blue", metadata={META: told}, **MICRONS)
    image = choices.to_image(choices.image_choices([layer])[0], (0, 0))
    assert image.channels[0].name == "DAPI"
    assert image.channels[0].color == "#0000ff"
    assert image.pixel_size_um == pytest.approx((0.2, 0.2))
    assert (image.path, image.scene, image.value_range) == ("a.tif", "S1", (0.0, 4095.0))
    assert "12 bit" in image.notes


def test_a_file_opened_twice_is_two_images() -> None:
    def layers() -> list[Image]:
        return [
            Image(
                PLANE, name=f"a: {n}", metadata={META: {"path": "a.tif", "name": "a", "index": i}}
            )
            for i, n in enumerate("xy")
        ]

    first, again = layers(), layers()
    found = choices.image_choices([*first, *again])
    assert [c.layers for c in found] == [tuple(first), tuple(again)]


def test_only_small_images_in_memory_are_read_at_once() -> None:
    import dask.array as da

    def quick(data: object, **options: object) -> bool:
        return choices.is_quick(choices.image_choices([Image(data, **options)])[0])

    assert quick(PLANE)
    assert quick(np.zeros((500, 600, 3), np.uint8), rgb=True)
    assert not quick(np.zeros((1500, 1500), np.uint16))
    assert not quick(da.from_array(PLANE))


def test_the_place_in_a_stack() -> None:
    stack = Image(np.zeros((4, 5, 20, 30), np.uint8))
    assert choices.stack_sizes(stack) == (4, 5)
    assert choices.plane_index(stack, (2, 9, 0, 0)) == (2, 4)
    assert choices.plane_index(Image(PLANE), (3, 0, 0)) == ()


def test_the_plane_of_a_stack_is_told_as_time_and_depth() -> None:
    stack = Image(np.zeros((3, 4, 8, 8)))
    assert choices.time_and_depth(stack, (2, 1, 0, 0)) == {"t": 2, "z": 1}
    movie = Image(np.zeros((5, 8, 8)), axis_labels=("t", "y", "x"))
    assert choices.time_and_depth(movie, (4, 0, 0)) == {"t": 4, "z": 0}
    assert choices.time_and_depth(Image(np.zeros((5, 8, 8))), (3, 0, 0))["z"] == 3
    assert choices.time_and_depth(Image(np.zeros((8, 8))), (0, 0)) == {"t": 0, "z": 0}
