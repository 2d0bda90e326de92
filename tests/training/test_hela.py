"""The ten HeLa stains: size, class names, and where the light is."""

from __future__ import annotations

import numpy as np
import pytest
from training.simulate import hela

from napari_cellcls.learn.datasets.known import HELA_CLASSES


def test_classes_are_those_of_the_set_in_its_order() -> None:
    assert list(hela.STAINS) == list(HELA_CLASSES)


@pytest.mark.parametrize("name", list(hela.STAINS))
def test_images_are_gray_single_cells_on_black(name: str) -> None:
    image = hela.simulate(4, name)
    assert image.shape == (382, 382)
    assert image.dtype == np.uint16
    assert image.max() > 20_000
    assert (image == 0).mean() > 0.4
    assert image.tobytes() == hela.simulate(4, name).tobytes()
    assert not np.array_equal(image, hela.simulate(5, name))


@pytest.mark.parametrize(("bits", "top"), [(8, 255), (12, 4095)])
def test_other_bit_depths(bits: int, top: int) -> None:
    image = hela.simulate(1, "er", bits)
    assert image.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert 0.4 * top < image.max() <= top


def test_stains_differ_in_how_far_the_light_is_spread() -> None:
    def lit(name: str) -> float:
        images = [hela.simulate(s, name, 8).astype(float) for s in range(2)]
        return float(np.median([(i > 0.35 * i.max()).sum() for i in images]))

    assert lit("golgia") < 0.5 * lit("dna") < 0.5 * lit("er") + lit("dna")
    assert lit("nucleolus") < lit("dna")
    assert lit("microtubules") > lit("golgpp")


def test_unknown_words_are_refused() -> None:
    with pytest.raises(ValueError, match="Unknown class 'golgi'"):
        hela.simulate(0, "golgi")
    with pytest.raises(ValueError, match="bits must be 8, 12 or 16; received 10"):
        hela.simulate(0, "er", 10)
