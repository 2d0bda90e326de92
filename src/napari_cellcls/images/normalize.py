"""From raw scenes to planes: axes chosen, samples resolved, values made finite, real and native.

Everything the rest of the program relies on (``(C, Y, X)``, native byte order, no alpha, no NaN)
is established here, and every change is told in a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from napari_cellcls.images.faults import as_numpy, damaged
from napari_cellcls.images.lazy import guard, windows
from napari_cellcls.images.readers import SMALL_BYTES, RawScene
from napari_cellcls.images.values import check_dtype, finite, measure_range, native
from napari_cellcls.vocabulary import ImageError

_SATURATED_FRACTION = 0.01


@dataclass(frozen=True)
class Planes:
    """Normalized planes of one scene, time and depth.

    Attributes
    ----------
    data : dask.array.Array or numpy.ndarray
        ``(C, Y, X)``.
    is_rgb : bool
    value_range : tuple of float
    notes : tuple of str
    """

    data: Any
    is_rgb: bool
    value_range: tuple[float, float]
    notes: tuple[str, ...]


def select(
    raw: RawScene, t: int, z: int | Literal["max"] | None, path: str
) -> tuple[Any, str, int, list[str]]:
    """Choose time and depth.

    Returns
    -------
    data : array
        Axes of ``dims``.
    dims : str
        ``CYX`` or ``CYXS``.
    z : int
        The plane chosen (0 for a projection).
    notes : list of str

    Raises
    ------
    ImageError
        ``IMG-CORRUPT`` when what was read does not have the axes it declares.
    """
    data, dims, notes = raw.data, raw.dims, list(raw.notes)
    if data.ndim != len(dims) or 0 in data.shape:
        # A reader may warn of damaged tags and return what is left, such as nothing.
        raise damaged(path, f"the reader gives an array of {tuple(data.shape)} for the axes {dims}")
    depth = raw.size("Z")
    data, dims = _take(data, dims, "T", _index(t, raw.size("T"), "time point", path))
    chosen = 0
    if z == "max":
        if "Z" in dims:
            data, dims = data.max(axis=dims.index("Z")), dims.replace("Z", "")
        if depth > 1:
            notes.append(f"The brightest value of {depth} Z planes was taken at each pixel.")
    else:
        chosen = depth // 2 if z is None else _index(z, depth, "Z plane", path)
        if z is None and depth > 1:
            notes.append(f"The middle one of {depth} Z planes is used (plane {chosen}).")
        data, dims = _take(data, dims, "Z", chosen)
    if "C" not in dims:
        data, dims = data[None], "C" + dims
    order = "CYXS" if "S" in dims else "CYX"
    return data.transpose([dims.index(a) for a in order]), order, chosen, notes


def _take(data: Any, dims: str, axis: str, index: int) -> tuple[Any, str]:
    if axis not in dims:
        return data, dims
    key = tuple(index if a == axis else slice(None) for a in dims)
    return data[key], dims.replace(axis, "")


def _index(index: int, size: int, what: str, path: str) -> int:
    if not -size <= index < size:
        raise ImageError(
            f"There is no {what} {index}.",
            code="IMG-INDEX",
            path=path,
            why=f"the image has {size}, counted from 0",
            remedy=f"Choose one of 0 to {size - 1}.",
        )
    return index % size


def normalize(
    raw: RawScene,
    t: int = 0,
    z: int | Literal["max"] | None = None,
    path: str = "",
) -> tuple[Planes, int]:
    """Turn a raw scene into planes and return them with the Z plane used.

    Raises
    ------
    ImageError
        ``IMG-INDEX``, ``IMG-DTYPE``, ``IMG-RANGE``, ``IMG-NODATA``, ``IMG-SMALL``, ``IMG-AXES``,
        ``IMG-CORRUPT``.
    """
    data, dims, chosen, notes = select(raw, t, z, path)
    check_dtype(np.dtype(data.dtype), path)
    data, is_rgb, alpha = resolve_samples(data, dims, path)
    if min(data.shape[1:]) < 4:
        raise ImageError(
            "The image is too small to hold a cell.",
            code="IMG-SMALL",
            path=path,
            why=f"it has {data.shape[2]} x {data.shape[1]} pixels, at least 4 x 4 are needed",
            remedy="Check that this is the image and not an icon or a line profile.",
        )
    if alpha is not None:
        notes += _alpha_note(alpha, path)
    bits = 1 if np.dtype(data.dtype).kind == "b" else raw.significant_bits
    nbytes = int(np.prod(data.shape)) * np.dtype(data.dtype).itemsize
    if nbytes <= SMALL_BYTES:
        planes = _now(as_numpy(data, path), is_rgb, bits, path)
    else:
        planes = _later(data, is_rgb, bits, path)
    pixels = planes.data
    if raw.white_is_zero and np.issubdtype(pixels.dtype, np.unsignedinteger) and not is_rgb:
        pixels = (planes.value_range[1] - pixels).astype(pixels.dtype)
        notes.append("The file stores white as 0; values were inverted so that bright is high.")
    return Planes(pixels, is_rgb, planes.value_range, (*notes, *planes.notes)), chosen


def whole_stack(raw: RawScene, planes: Planes, path: str) -> Any:
    """Return all times and depths of a scene, lazily, as ``(C, T, Z, Y, X)``.

    Parameters
    ----------
    raw : RawScene
    planes : Planes
        The normalized planes of one time and depth: they tell colors and range.
    path : str
        For messages.
    """
    data, dims = raw.data, raw.dims
    for axis in "CTZ":
        if axis not in dims:
            data, dims = data[None], axis + dims
    order = "CTZYXS" if "S" in dims else "CTZYX"
    data = data.transpose([dims.index(a) for a in order])
    if "S" in dims:
        count = planes.data.shape[0]
        data = data[0].transpose(4, 0, 1, 2, 3)[:count]
    low, high = planes.value_range
    return guard(data, low, high, path, inverted_at=high if raw.white_is_zero else None)


def resolve_samples(data: Any, dims: str, path: str) -> tuple[Any, bool, Any]:
    """Turn samples of a pixel into planes: ``CYX[S]`` to ``(data CYX, is_rgb, alpha or None)``."""
    if dims == "CYX":
        return data, False, None
    samples, channels = data.shape[3], data.shape[0]
    if samples == 1:
        return data[..., 0], False, None
    if channels > 1:
        raise ImageError(
            "The image mixes several channels with several colors per pixel.",
            code="IMG-AXES",
            path=path,
            why=f"it has {channels} channels of {samples} samples each",
            remedy="Export each channel as a gray image.",
        )
    planes = data[0].transpose(2, 0, 1)
    if samples == 2:
        return planes[:1], False, planes[1]
    if samples == 3:
        return planes, True, None
    if samples == 4:
        return planes[:3], True, planes[3]
    return planes, False, None


def _alpha_note(alpha: Any, path: str) -> list[str]:
    if int(np.prod(alpha.shape)) > SMALL_BYTES:
        return ["The transparency (alpha) of the file was dropped."]
    values = as_numpy(alpha, path)
    if values.min() == values.max():
        return []
    return [
        "The image has transparent parts; transparency (alpha) was dropped, colors kept as stored."
    ]


def _now(pixels: np.ndarray, is_rgb: bool, bits: int | None, path: str) -> Planes:
    """Verify and normalize planes that are in memory."""
    notes: list[str] = []
    if pixels.dtype.kind == "f":
        pixels, notes = finite(pixels, path)
    pixels = native(pixels, path)
    value_range, more = measure_range(
        pixels, is_rgb, bits, float(pixels.min()), float(pixels.max())
    )
    notes += more
    notes += _plane_doubts(pixels, is_rgb, value_range)
    return Planes(np.ascontiguousarray(pixels), is_rgb, value_range, tuple(notes))


def _plane_doubts(pixels: np.ndarray, is_rgb: bool, value_range: tuple[float, float]) -> list[str]:
    notes = []
    constant = []
    for i, plane in enumerate(pixels):
        low, high = plane.min(), plane.max()
        if low == high:
            constant.append(f"{i} is constant ({low:g})")
        elif not is_rgb and high >= value_range[1] and plane.dtype.kind in "iu" and high > 1:
            share = float(np.mean(plane >= value_range[1]))
            if share > _SATURATED_FRACTION and low >= 0:
                notes.append(f"Channel {i} is saturated in {share:.0%} of its pixels.")
    if constant:
        notes.append(f"Channel {', '.join(constant)}: no information.")
    return notes


def _later(data: Any, is_rgb: bool, bits: int | None, path: str) -> Planes:
    """Normalize planes that stay on disk: extremes come from windows in the corners and middle."""
    sample = as_numpy(windows(data), path)
    notes: list[str] = []
    if sample.dtype.kind == "f":
        sample, notes = finite(sample, path)
    sample = native(sample, path)
    low, high = float(sample.min()), float(sample.max())
    value_range, more = measure_range(sample, is_rgb, bits, low, high)
    lazy = guard(data, low, high, path)
    return Planes(lazy, is_rgb, value_range, (*notes, *more))
