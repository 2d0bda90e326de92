"""Pixel values: types accepted, made finite and native, and the range that means black to full scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cellcls.vocabulary import ImageError

_TWELVE_BITS = 4095


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
        if is_rgb and low >= 0 and high <= 65535:
            full = 255.0 if high <= 255 else 65535.0
            note = f"The colors are floating point up to {high:g}; 0 to {full:g} was taken as full scale."
            return (0.0, full), [note]
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
