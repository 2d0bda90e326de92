"""Random damage: whatever happens to the bytes, the answer is an image or a coded error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_cellcls.images.omexml import parse
from napari_cellcls.images.read import open_image
from napari_cellcls.vocabulary import ImageError
from tests.images import bad_files as bad

RGB = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
MAKERS: dict[str, Callable[[Path], Path]] = {
    "a.ome.tif": bad.ome_tiff,
    "b.tif": lambda p: bad.tiff(p, RGB, photometric="rgb", compression="zlib"),
    "c.tif": lambda p: bad.tiff(p, bad.two_channels(), tile=(16, 16)),
    "d.png": lambda p: bad.picture(p, RGB),
    "e.jpg": lambda p: bad.picture(p, RGB),
}


@pytest.mark.parametrize("name", list(MAKERS))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_an_image_or_a_coded_error(
    tmp_path: Path, name: str, data: st.DataObject
) -> None:
    content = bytearray(MAKERS[name](tmp_path / name).read_bytes())
    keep = data.draw(st.one_of(st.just(len(content)), st.integers(1, len(content))))
    places = data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6))
    for place in places:
        content[place] = data.draw(st.integers(0, 255))
    target = tmp_path / f"damaged_{name}"
    target.write_bytes(content[:keep])
    try:
        image = open_image(target)
        pixels = image.planes()
    except ImageError as error:
        assert error.code.startswith("IMG-")
        assert error.remedy
    else:
        assert pixels.shape[0] == len(image.channels)
        assert np.isfinite(pixels.astype(np.float64)).all()


def test_a_tag_that_loses_the_planes_is_a_coded_error(tmp_path: Path) -> None:
    content = bytearray(MAKERS["b.tif"](tmp_path / "b.tif").read_bytes())
    content[194] = 0
    target = tmp_path / "damaged.tif"
    target.write_bytes(content)
    with pytest.raises(ImageError, match="IMG-"):
        open_image(target)


@given(st.text(max_size=200))
def test_any_text_as_ome_header_is_refused_or_parsed(text: str) -> None:
    for candidate in (text, f"<OME>{text}</OME>", f"<OME><Image><Pixels {text}/></Image></OME>"):
        try:
            header = parse(candidate, "x.ome.tif")
        except ImageError as error:
            assert error.code in ("IMG-TRUNC-OME", "IMG-XML-UNSAFE")
        else:
            assert header.images or header.companion is not None
