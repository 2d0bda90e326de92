"""Which file a layer of another reader shows: what napari noted is believed only when the pixels agree. No Qt in here.

An image is known by its file. Napari's own reader leaves no word of ours in a layer, and without the file
the same picture would be another image, whose labels nobody finds again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellcls.vocabulary import ImageError

if TYPE_CHECKING:
    from napari_cellcls.images.image import Image

_WHOLE_BYTES = 1 << 28
_WINDOWS, _EDGE = 8, 256


def noted_path(layers: Sequence[Any]) -> str | None:
    """Return the one file that napari says all these layers come from; None when there is none now.

    Parameters
    ----------
    layers : sequence of napari layers
    """
    noted = {getattr(getattr(layer, "source", None), "path", None) for layer in layers}
    path = noted.pop() if len(noted) == 1 else None
    if not isinstance(path, str | os.PathLike) or not Path(path).exists():
        return None
    return os.fspath(path)


def of_file(image: Image, path: str) -> Image | None:
    """Return an image as our reader knows it, when the file at ``path`` shows the same pixels.

    Parameters
    ----------
    image : Image
        Made from layers; ``t`` and ``z`` are its place in the stack, as far as the layers tell.
    path : str

    Returns
    -------
    Image or None
        With path, scene, place, channels and value range of the file; a pixel size that the layers have
        comes first. None when the file shows something else, or cannot be read.
    """
    from napari_cellcls.images.read import open_image

    # Which of two axes is time and which is depth, a layer without names of axes does not say.
    for t, z in dict.fromkeys(((image.t, image.z), (image.z, image.t))):
        try:
            found = open_image(path, t=t, z=z)
        except ImageError:
            continue
        if _same(found, image):
            size = image.pixel_size_um or found.pixel_size_um
            notes = tuple(dict.fromkeys((*found.notes, *image.notes)))
            return replace(found, data=image.data, name=image.name, pixel_size_um=size, notes=notes)
    return None


def _same(one: Image, other: Image) -> bool:
    if one.is_rgb != other.is_rgb or one.data.shape != other.data.shape:
        return False
    if one.data.dtype != other.data.dtype:
        return False
    windows = _windows(one.shape, one.data.nbytes)
    equal_nan = one.data.dtype.kind == "f"
    return all(
        np.array_equal(one.planes(None, at), other.planes(None, at), equal_nan=equal_nan)
        for at in windows
    )


def _windows(shape: tuple[int, int], size: int) -> Iterator[tuple[slice, slice]]:
    """Yield the whole plane, or an even grid of windows of one that is too large to be read for this."""
    if size <= _WHOLE_BYTES:
        yield slice(None), slice(None)
        return
    starts = [np.linspace(0, max(n - _EDGE, 0), _WINDOWS).astype(int).tolist() for n in shape]
    for y in starts[0]:
        for x in starts[1]:
            yield slice(y, y + _EDGE), slice(x, x + _EDGE)
