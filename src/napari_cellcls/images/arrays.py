"""Arrays that are images already: napari layers, test data, results of other programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from napari_cellcls.images.channels import from_metadata, rgb_channels
from napari_cellcls.images.faults import as_numpy
from napari_cellcls.images.image import Image
from napari_cellcls.images.lazy import guard, windows
from napari_cellcls.images.omexml import OmeChannel, positive
from napari_cellcls.images.values import check_dtype, finite, measure_range, native
from napari_cellcls.vocabulary import ImageError


def image_from_array(
    array: Any,
    *,
    axes: str | None = None,
    rgb: bool | None = None,
    name: str,
    channel_names: Sequence[str] = (),
    channel_colors: Sequence[str] = (),
    pixel_size_um: tuple[float, float] | float | None = None,
    value_range: tuple[float, float] | None = None,
) -> Image:
    """Wrap an array (a napari layer, a test image) as an :class:`Image`.

    Parameters
    ----------
    array : numpy.ndarray or dask.array.Array
        Two or three axes.
    axes : str, optional
        Order of ``C``, ``Y``, ``X`` (``S`` for the samples of RGB), for example ``"YX"``,
        ``"CYX"``, ``"YXS"``. By default ``YX`` or ``CYX``, and ``YXS`` with ``rgb=True``.
    rgb : bool, optional
        Whether the array is one color photograph; by default whether ``axes`` has an ``S``.
    name : str
    channel_names, channel_colors : sequence of str
        One per channel; colors ``#rrggbb``.
    pixel_size_um : float or (y, x), optional
    value_range : tuple of float, optional
        Black and full scale; measured by default (from windows in the corners and the middle of a lazy array).

    Raises
    ------
    ImageError
        ``IMG-AXES``, ``IMG-ZEROSIZE``, ``IMG-DTYPE``, ``IMG-RANGE``, ``IMG-NODATA``.
    """
    data, is_rgb = _arrange(array, axes, rgb, name)
    check_dtype(np.dtype(data.dtype))
    notes: list[str] = []
    if isinstance(data, np.ndarray):
        if data.dtype.kind == "f":
            data, notes = finite(data, name)
        data = native(data, name)
        extremes = (float(data.min()), float(data.max()))
    else:
        sample = as_numpy(windows(data), name)
        if sample.dtype.kind == "f":
            sample, notes = finite(sample, name)
        extremes = (float(sample.min()), float(sample.max()))
        data = guard(data, *extremes, name)
    if value_range is None:
        value_range, more = measure_range(data, is_rgb, None, *extremes)
        notes += more
    if is_rgb:
        channels = rgb_channels()
    else:
        given = [
            OmeChannel(
                channel_names[i] if i < len(channel_names) else "",
                channel_colors[i] if i < len(channel_colors) else None,
            )
            for i in range(data.shape[0])
        ]
        channels = from_metadata(tuple(given), data.shape[0])
    return Image(
        data,
        channels,
        name,
        is_rgb=is_rgb,
        pixel_size_um=_pixel_pair(pixel_size_um),
        value_range=(float(value_range[0]), float(value_range[1])),
        notes=tuple(notes),
    )


def _arrange(array: Any, axes: str | None, rgb: bool | None, name: str) -> tuple[Any, bool]:
    if not hasattr(array, "ndim"):
        array = np.asarray(array)
    if axes is None:
        axes = "YXS" if rgb else "CYX"[3 - array.ndim :] if array.ndim in (2, 3) else ""
    axes = axes.upper()
    is_rgb = "S" in axes or bool(rgb)
    if len(axes) != array.ndim or sorted(axes.replace("S", "C")) not in (
        ["X", "Y"],
        ["C", "X", "Y"],
    ):
        raise ImageError(
            "The array does not have the axes of an image.",
            code="IMG-AXES",
            path=name,
            why=f"its shape is {tuple(array.shape)}, its axes {axes!r}; expected YX, CYX or YXS",
            remedy="Choose one time point and one plane first.",
        )
    if 0 in array.shape:
        raise ImageError(
            "The image has no pixels.",
            code="IMG-ZEROSIZE",
            path=name,
            why=f"its shape is {tuple(array.shape)}",
            remedy="Choose another layer or file.",
        )
    axes = axes.replace("S", "C")
    data = array[None] if "C" not in axes else array
    axes = axes if "C" in axes else "C" + axes
    data = data.transpose([axes.index(a) for a in "CYX"])
    if is_rgb and data.shape[0] == 4:
        data = data[:3]
    if is_rgb and data.shape[0] != 3:
        raise ImageError(
            "A color photograph needs three planes.",
            code="IMG-AXES",
            path=name,
            why=f"the array has {data.shape[0]}",
            remedy="Open it as a multichannel image instead.",
        )
    return data, is_rgb


def _pixel_pair(size: tuple[float, float] | float | None) -> tuple[float, float] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int | float) else (size[0], size[1])
    y, x = positive(pair[0]), positive(pair[1])
    return None if y is None or x is None else (y, x)
