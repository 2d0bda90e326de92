"""From raw scenes to planes: axes chosen, samples resolved, values made finite, real and native.

Everything the rest of the program relies on (``(C, Y, X)``, native byte order, no alpha, no NaN)
is established here, and every change is told in a note.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from napari_cellcls.images.readers import SMALL_BYTES, RawScene, as_numpy, reader_errors
from napari_cellcls.vocabulary import ImageError

_SAMPLE_EDGE = 512
_SATURATED_FRACTION = 0.01
_TWELVE_BITS = 4095


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
    """
    data, dims, notes = raw.data, raw.dims, list(raw.notes)
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


def check_dtype(dtype: np.dtype, path: str = "") -> None:
    """Refuse types without a brightness (``IMG-DTYPE``)."""
    if dtype.kind not in "biuf":
        raise ImageError(
            "The pixels are of a type that has no brightness.",
            code="IMG-DTYPE",
            path=path or None,
            why=f"the data type is {dtype}, expected integers, floating point or bool",
            remedy="Save the image as 8-bit, 16-bit or floating point.",
        )


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


def finite(pixels: np.ndarray, path: str) -> tuple[np.ndarray, list[str]]:
    """Replace NaN and infinite values: NaN and -inf by the lowest, +inf by the highest finite value.

    Raises
    ------
    ImageError
        ``IMG-NODATA`` when nothing is finite.
    """
    good = np.isfinite(pixels)
    bad = int(good.size - np.count_nonzero(good))
    if bad == 0:
        return pixels, []
    if bad == good.size:
        raise ImageError(
            "The image holds no data.",
            code="IMG-NODATA",
            path=path,
            why="every pixel is NaN or infinite",
            remedy="Export the image again; a processing step before has failed.",
        )
    low, high = pixels[good].min(), pixels[good].max()
    fixed = np.nan_to_num(pixels, nan=low, posinf=high, neginf=low)
    note = f"{bad} pixel values were NaN or infinite; they were replaced by the lowest or highest value."
    return fixed, [note]


def native(pixels: Any, path: str) -> Any:
    """Return native byte order and one of uint8/16/32, int8/16/32, float32.

    Raises
    ------
    ImageError
        ``IMG-RANGE`` when values do not fit.
    """
    dtype = np.dtype(pixels.dtype)
    if dtype.kind == "b":
        return pixels.astype(np.uint8)
    target = dtype.newbyteorder("=")
    if dtype.kind == "f":
        target = np.dtype(np.float32)
        limit = float(np.finfo(np.float32).max)
    elif dtype.itemsize == 8:
        target = np.dtype(np.uint32 if dtype.kind == "u" else np.int32)
        limit = float(np.iinfo(target).max)
    else:
        return pixels.astype(target, copy=False)
    if isinstance(pixels, np.ndarray) and pixels.size and dtype.itemsize == 8:
        low, high = float(pixels.min()), float(pixels.max())
        if max(abs(low), abs(high)) > limit:
            raise ImageError(
                "The pixel values are too large to be brightness.",
                code="IMG-RANGE",
                path=path or None,
                why=f"they run from {low:g} to {high:g}; the largest usable value is {limit:g}",
                remedy="Rescale the image, or save it as 16-bit.",
            )
    return pixels.astype(target, copy=False)


def measure_range(
    pixels: Any, is_rgb: bool, bits: int | None, low: float, high: float
) -> tuple[tuple[float, float], list[str]]:
    """Return the values that mean black and full scale, and notes on how they were found.

    Parameters
    ----------
    pixels : array
        Only its dtype is used.
    is_rgb : bool
    bits : int or None
        Significant bits as declared by the file.
    low, high : float
        Measured extremes.
    """
    dtype = np.dtype(pixels.dtype)
    if dtype.kind == "f":
        if low >= 0 and high <= 1:
            return (0.0, 1.0), []
        note = f"The values are floating point from {low:g} to {high:g}; that range was taken as full scale."
        return (low, high if high > low else low + 1.0), [note]
    if low < 0:
        note = (
            f"The image has negative values; its range {low:g} to {high:g} was taken as full scale."
        )
        return (low, high if high > low else low + 1.0), [note]
    stored = dtype.itemsize * 8
    if dtype == np.uint8:
        # Pictures of 1 bit arrive as 0 and 1.
        return (0.0, 1.0) if high <= 1 and bits == 1 else (0.0, 255.0), []
    if bits is not None and bits < stored and high < 2**bits:
        return (0.0, float(2**bits - 1)), []
    for limit, label in ((255, 8), (_TWELVE_BITS, 12), (65535, 16)):
        if high <= limit and stored > label and (label != 8 or is_rgb or stored > 16):
            return (0.0, float(limit)), [f"No value exceeds {limit}: treated as {label}-bit data."]
    return (0.0, float(np.iinfo(dtype).max)), []


def _plane_doubts(pixels: np.ndarray, is_rgb: bool, value_range: tuple[float, float]) -> list[str]:
    notes = []
    for i, plane in enumerate(pixels):
        low, high = plane.min(), plane.max()
        if low == high:
            notes.append(f"Channel {i} is constant ({low:g}): it carries no information.")
        elif not is_rgb and high >= value_range[1] and plane.dtype.kind in "iu" and high > 1:
            share = float(np.mean(plane >= value_range[1]))
            if share > _SATURATED_FRACTION and low >= 0:
                notes.append(f"Channel {i} is saturated in {share:.0%} of its pixels.")
    return notes


def _later(data: Any, is_rgb: bool, bits: int | None, path: str) -> Planes:
    """Normalize planes that stay on disk: extremes come from windows in the corners and middle."""
    sample = as_numpy(_windows(data), path)
    notes: list[str] = []
    if sample.dtype.kind == "f":
        sample, notes = finite(sample, path)
    sample = native(sample, path)
    low, high = float(sample.min()), float(sample.max())
    value_range, more = measure_range(sample, is_rgb, bits, low, high)
    lazy = guard(data, low, high, path)
    return Planes(lazy, is_rgb, value_range, (*notes, *more))


def _windows(data: Any) -> Any:
    import dask.array as da

    height, width = data.shape[1:]
    edge_y, edge_x = min(_SAMPLE_EDGE, height), min(_SAMPLE_EDGE, width)
    starts = {
        (y, x)
        for y in (0, (height - edge_y) // 2, height - edge_y)
        for x in (0, (width - edge_x) // 2, width - edge_x)
        if (y == (height - edge_y) // 2) == (x == (width - edge_x) // 2)
    }
    parts = [data[:, y : y + edge_y, x : x + edge_x] for y, x in sorted(starts)]
    return da.concatenate([da.asarray(part) for part in parts], axis=2)


class _Guarded:
    """Array-like over lazy planes: reads a window, makes it finite and native, codes the errors."""

    def __init__(self, inner: Any, low: float, high: float, path: str) -> None:
        self.inner, self.low, self.high, self.path = inner, low, high, path
        self.shape: tuple[int, ...] = tuple(inner.shape)
        self.ndim = len(self.shape)
        self.dtype = native(np.empty(0, inner.dtype), path).dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return a window."""
        pixels = as_numpy(self.inner[key], self.path)
        if pixels.dtype.kind == "f":
            pixels = np.nan_to_num(pixels, nan=self.low, posinf=self.high, neginf=self.low)
        return np.asarray(native(pixels, self.path))


def guard(data: Any, low: float, high: float, path: str) -> Any:
    """Wrap lazy planes so that whatever fails later fails with a code, in chunks of useful size."""
    import dask.array as da

    with reader_errors(path):
        source = _Guarded(data, low, high, path)
        inner = getattr(data, "chunksize", data.shape)
        chunks = (1, *(_chunk(n, c) for n, c in zip(data.shape[1:], inner[1:])))
        return da.from_array(
            source, chunks=chunks, name=False, meta=np.empty((0, 0, 0), source.dtype)
        )


def _chunk(size: int, inner: int) -> int:
    # Whole multiples of what is stored, near 1024: no stored piece is then read for two chunks.
    return min(size, inner * max(1, round(1024 / inner)))
