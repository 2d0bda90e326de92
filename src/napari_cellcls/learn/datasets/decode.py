"""One labeled image from disk as a crop: read, planes chosen, values to 0..255, resized.

A picture that cannot be used raises :class:`Unusable` with the reason; callers collect these.
"""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.learn.datasets.cellset import InputSpec
from napari_cellcls.learn.datasets.known import HPA_PLANES
from napari_cellcls.learn.datasets.listing import Entry

_MAX_PIXELS = 1 << 28
_NEEDED = {
    "rgb": ("red", "green", "blue"),
    "gray": ("green",),
    "rgby": HPA_PLANES,
    "rgb_merge": HPA_PLANES,
}


class Unusable(Exception):
    """A picture that cannot become a crop: ``code`` and the reason."""

    def __init__(self, code: str, why: str) -> None:
        self.code, self.why = code, why
        super().__init__(why)


def crop(
    entry: Entry, spec: InputSpec, encoded: bytes | None = None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the crop of an entry and the size it had on disk.

    Parameters
    ----------
    entry : Entry
    spec : InputSpec
    encoded : bytes, optional
        The picture itself, for entries of a table.

    Returns
    -------
    image : numpy.ndarray
        ``spec.shape`` uint8.
    size : tuple of int
        Height and width before resizing.

    Raises
    ------
    Unusable
        ``DATA-UNREADABLE`` or ``DATA-CHANNEL``.
    """
    picture = planes(entry, spec, encoded)
    if picture.dtype != np.uint8 or spec.normalization.kind != "full_scale":
        picture = _scaled(picture, spec)
    if entry.box is not None:
        return _boxed(picture, entry.box, spec)
    return _resized(picture, spec, None), (picture.shape[0], picture.shape[1])


def planes(entry: Entry, spec: InputSpec, encoded: bytes | None = None) -> np.ndarray:
    """Return the planes a network takes at the size on disk, ``(Y, X, C)`` of the stored type."""
    if entry.planes:
        return _from_files(entry, spec)
    if encoded is not None:
        picture = read(encoded)
    elif entry.box is not None:
        # A photograph serves all its boxes, which follow each other.
        picture = _photograph(entry.files[0], entry.files[0].stat().st_mtime_ns)
    else:
        picture = read(entry.files[0])
    many = picture.ndim == 3
    if spec.channels in ("rgby", "rgb_merge"):
        if not many or picture.shape[2] != 4:
            found = picture.shape[2] if many else 1
            raise Unusable("DATA-CHANNEL", f"{spec.channels} needs 4 planes, it has {found}")
        return _merged(picture) if spec.channels == "rgb_merge" else picture
    if many:
        picture = picture[..., :3]
    if spec.channels == "rgb":
        return picture if many else np.repeat(picture[..., None], 3, axis=2)
    return (_luma(picture) if many else picture)[..., None]


@lru_cache(maxsize=16)
def _photograph(path: Path, changed: int) -> np.ndarray:
    return read(path)


def read(source: Path | bytes) -> np.ndarray:
    """Return ``(Y, X)`` or ``(Y, X, 3 or 4)`` of a picture; alpha and palettes are resolved.

    Raises
    ------
    Unusable
        ``DATA-UNREADABLE``.
    """
    if isinstance(source, Path) and source.suffix.lower() in (".tif", ".tiff"):
        return _read_tiff(source)
    from PIL import Image

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            if image.mode in ("1", "L"):
                return np.array(image.convert("L"))
            if image.mode in ("I", "F") or image.mode.startswith("I;16"):
                return np.array(image)
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise Unusable("DATA-UNREADABLE", str(error)[:120] or type(error).__name__) from None


def _read_tiff(path: Path) -> np.ndarray:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            page = file.pages[0]
            series = file.series[0] if file.series else None
            shape = tuple(series.shape) if series is not None else page.shape
            if np.prod(shape, dtype=np.float64) > _MAX_PIXELS:
                raise Unusable("DATA-UNREADABLE", f"it has {shape} values, too many for a crop")
            pixels = np.asarray(series.asarray() if series is not None else page.asarray())
    # tifffile raises many kinds of error for a torn file, struct.error and zlib.error among them.
    except Unusable:
        raise
    except Exception as error:  # noqa: BLE001
        raise Unusable("DATA-UNREADABLE", str(error)[:120] or type(error).__name__) from None
    pixels = np.squeeze(pixels)
    if pixels.ndim == 3 and pixels.shape[0] in (3, 4) and pixels.shape[2] not in (3, 4):
        pixels = np.moveaxis(pixels, 0, 2)
    if pixels.ndim == 3 and pixels.shape[2] in (3, 4):
        return pixels
    if pixels.ndim != 2 or pixels.dtype.kind not in "uif":
        raise Unusable("DATA-UNREADABLE", f"it holds {pixels.shape} of {pixels.dtype}")
    return pixels


def _from_files(entry: Entry, spec: InputSpec) -> np.ndarray:
    found = dict(zip(entry.planes, entry.files))
    missing = [p for p in _NEEDED[spec.channels] if p not in found]
    if missing:
        raise Unusable("DATA-CHANNEL", f"{entry.name}_{missing[0]} is not there")
    stack = []
    for plane in _NEEDED[spec.channels]:
        try:
            picture = read(found[plane])
        except Unusable as error:
            raise Unusable(error.code, f"{found[plane].name}: {error.why}") from None
        # The JPEG files of HPAv18 are color pictures with one plane lit.
        stack.append(picture.max(axis=2) if picture.ndim == 3 else picture)
    if len({p.shape for p in stack}) > 1:
        shapes = ", ".join(f"{n} {p.shape}" for n, p in zip(_NEEDED[spec.channels], stack))
        raise Unusable("DATA-CHANNEL", f"the channels differ in size: {shapes}")
    joined = np.stack(stack, axis=-1)
    return _merged(joined) if spec.channels == "rgb_merge" else joined


def _merged(rgby: np.ndarray) -> np.ndarray:
    """Return ((R+Y)/2, (G+Y)/2, B/2), rounded to nearest for integers."""
    red, green, blue, yellow = (rgby[..., i].astype(np.float32) for i in range(4))
    merged = np.stack([red + yellow, green + yellow, blue], axis=-1) / 2
    if rgby.dtype.kind in "ui":
        return np.asarray(np.floor(merged + 0.5).astype(rgby.dtype))
    return merged


def _luma(picture: np.ndarray) -> np.ndarray:
    gray = picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    return gray if picture.dtype.kind == "f" else np.round(gray).astype(picture.dtype)


def _scaled(picture: np.ndarray, spec: InputSpec) -> np.ndarray:
    """Return float32 0..255, by the rule that also holds when the model is used."""
    from napari_cellcls.images.values import measure_range

    values = np.nan_to_num(picture.astype(np.float32))
    if spec.normalization.kind == "percentile":
        flat = values.reshape(-1, values.shape[-1])
        low, high = np.percentile(flat, [spec.normalization.low, spec.normalization.high], axis=0)
    else:
        is_rgb = spec.channels == "rgb"
        extremes = float(values.min()), float(values.max())
        (black, full), _ = measure_range(picture, is_rgb, None, *extremes)
        low, high = np.float64(black), np.float64(full)
    span = np.where(high > low, high - low, np.inf)
    return np.asarray(np.clip((values - low) / span, 0, 1) * 255, np.float32)


def _boxed(
    picture: np.ndarray, box: tuple[float, float, float, float], spec: InputSpec
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the crop of a box; what lies outside the picture is black."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    size = (round(height), round(width))
    center_x, center_y = (x0 + x1) / 2, (y0 + y1) / 2
    if spec.frame == "square":
        width = height = max(width, height)
    width, height = width * (1 + 2 * spec.margin), height * (1 + 2 * spec.margin)
    left, top = center_x - width / 2, center_y - height / 2
    y, x = int(np.floor(top)), int(np.floor(left))
    far_y, far_x = int(np.ceil(top + height)), int(np.ceil(left + width))
    part = picture[max(0, y) : far_y, max(0, x) : far_x]
    if not part.size:
        raise Unusable("DATA-UNREADABLE", f"its box {box} lies outside the photograph")
    beyond = (max(0, far_y - picture.shape[0]), max(0, far_x - picture.shape[1]))
    if y < 0 or x < 0 or any(beyond):
        part = np.pad(part, ((max(0, -y), beyond[0]), (max(0, -x), beyond[1]), (0, 0)))
    region = (left - x, top - y, left - x + width, top - y + height)
    return _resized(part, spec, region), size


def _resized(
    picture: np.ndarray, spec: InputSpec, region: tuple[float, float, float, float] | None
) -> np.ndarray:
    """Average areas, as for the crops of a field: stretched, aspect ratio not kept."""
    from PIL import Image

    target = (spec.size, spec.size)
    if region is None and picture.shape[:2] == target:
        return _bytes(picture)
    how: Any = Image.Resampling.BOX
    if picture.dtype == np.uint8 and picture.shape[2] in (1, 3):
        image = Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
        resized = np.array(image.resize(target, how, box=region))
        return resized.reshape(spec.shape)
    parts = [
        np.array(
            Image.fromarray(picture[..., c].astype(np.float32)).resize(target, how, box=region)
        )
        for c in range(picture.shape[2])
    ]
    return _bytes(np.stack(parts, axis=-1))


def _bytes(picture: np.ndarray) -> np.ndarray:
    if picture.dtype == np.uint8:
        return picture
    return np.asarray(np.floor(np.clip(picture, 0, 255) + 0.5).astype(np.uint8))
