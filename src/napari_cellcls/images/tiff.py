"""TIFF: which axis is which, palettes, ImageJ metadata, pixel sizes; OME-TIFF where BioIO is not needed.

Files that are small as a whole are read by tifffile in one go; larger ones by BioIO, lazily.
"""

from __future__ import annotations

from typing import Any

from napari_cellcls.images import readers
from napari_cellcls.images.faults import reader_errors
from napari_cellcls.images.gate import FileKind, Finding
from napari_cellcls.images.omexml import OmeChannel, positive
from napari_cellcls.images.readers import (
    RawImage,
    RawScene,
    described_by_ome,
    open_reader,
    open_tiff,
    standard_axes,
    tiled_if_large,
)
from napari_cellcls.vocabulary import ImageError

_MOST_CHANNELS = 8
_UNITS_UM = {
    "micron": 1.0,
    "um": 1.0,
    "\u00b5m": 1.0,
    "\\u00b5m": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
}
_PLAUSIBLE_UM = (0.005, 50.0)


class PlainTiff:
    """A TIFF whose axes come from its ImageJ or shape metadata, or are guessed and said so."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        with reader_errors(finding.path), open_tiff(finding.path) as tiff:
            self._series = [_describe(series, tiff) for series in tiff.series]
        self.reader = None
        if not is_direct(finding):
            orders = [dims for dims, *_ in self._series]
            self.reader = open_reader(finding, FileKind.TIFF, dim_order=orders)

    @property
    def scenes(self) -> tuple[str, ...]:
        """Return one name per series."""
        return tuple(f"Image:{i}" for i in range(len(self._series)))

    def scene(self, index: int) -> RawScene:
        """Return one series."""
        dims, channels, size, palette, notes = self._series[index]
        with reader_errors(self.finding.path):
            if self.reader is None:
                with open_tiff(self.finding.path) as tiff:
                    data = tiff.series[index].asarray()
            else:
                self.reader.set_scene(index)
                array = self.reader.xarray_dask_data
                data, dims = standard_axes(array.data, tuple(str(d) for d in array.dims))
                data = tiled_if_large(self.finding, data, dims, index)
        if palette is not None:
            data, dims = _apply_palette(data, palette), dims + "S"
        page = self.finding.pages[min(index, len(self.finding.pages) - 1)]
        return RawScene(data, dims, channels, size, white_is_zero=page.white_is_zero, notes=notes)


class _OmeByAxes(PlainTiff):
    """An OME-TIFF by the header parsed here and the axes tifffile takes from it."""

    @property
    def scenes(self) -> tuple[str, ...]:
        """Return the names the header gives."""
        names = tuple(image.name for image in self.finding.ome)
        return names if len(set(names)) == len(names) else super().scenes

    def scene(self, index: int) -> RawScene:
        """Return one image of the header."""
        raw = super().scene(index)
        return described_by_ome(self.finding, self.finding.ome[index], raw.data, raw.dims, index)


def is_direct(finding: Finding) -> bool:
    """Whether a TIFF is small enough to be read whole, without BioIO."""
    return sum(page.plane_bytes for page in finding.pages) <= readers.DIRECT_BYTES


def open_ome(finding: Finding) -> RawImage:
    """Open an OME-TIFF.

    Small ones go to tifffile, which takes the axes from the header that was parsed and checked
    here; so do those that BioIO's OME reader refuses for its schema (a pixel size of -1 ...).

    Raises
    ------
    ImageError
        As :func:`~napari_cellcls.images.readers.open_raw`.
    """
    if is_direct(finding) and _axes_are_told(finding):
        return _OmeByAxes(finding)
    try:
        return readers.BioImage(finding)
    except ImageError:
        if not _axes_are_told(finding):
            raise
        return _OmeByAxes(finding)


def _axes_are_told(finding: Finding) -> bool:
    with reader_errors(finding.path), open_tiff(finding.path) as tiff:
        told = [series.kind == "ome" for series in tiff.series]
    return len(told) == len(finding.ome) and all(told)


def _describe(
    series: Any, tiff: Any
) -> tuple[str, tuple[OmeChannel, ...], Any, Any, tuple[str, ...]]:
    dims, notes = name_axes(series.axes, series.shape)
    page = series.keyframe
    palette = page.colormap if page.photometric == 3 and page.colormap is not None else None
    channels: tuple[OmeChannel, ...] = ()
    info = tiff.imagej_metadata if tiff.is_imagej else None
    if info and "C" in dims:
        channels = _imagej_channels(info, series.shape[dims.index("C")])
    return dims, channels, _pixel_size(page, info), palette, notes


def name_axes(axes: str, shape: tuple[int, ...]) -> tuple[str, tuple[str, ...]]:
    """Give every axis of a TIFF one of the letters ``T C Z Y X S``.

    Parameters
    ----------
    axes : str
        Letters as tifffile reports them; ``Q`` and ``I`` mean unknown.
    shape : tuple of int

    Returns
    -------
    dims : str
    notes : tuple of str
        What was guessed.

    Raises
    ------
    ImageError
        ``IMG-AXES`` when there are more unknown axes than meanings.
    """
    letters, notes = list(axes), []
    for i, letter in enumerate(letters):
        if letter in "TCZYXS" and letters.count(letter) == 1:
            continue
        free = [a for a in ("CZT" if shape[i] <= _MOST_CHANNELS else "ZT") if a not in letters]
        if not free:
            raise ImageError(
                "The image has more axes than this plugin can name.",
                code="IMG-AXES",
                why=f"its axes are {axes!r} with sizes {tuple(shape)}",
                remedy="Save it as OME-TIFF, which names its axes.",
            )
        letters[i] = free[0]
        meaning = {"C": "channels", "Z": "depth (Z)", "T": "time"}[free[0]]
        if shape[i] > 1:
            notes.append(
                f"The file does not say what its axis of {shape[i]} is; it was taken as {meaning}."
            )
    return "".join(letters), tuple(notes)


def _imagej_channels(info: dict[str, Any], count: int) -> tuple[OmeChannel, ...]:
    tables = info.get("LUTs") or []
    labels = info.get("Labels") or []
    found = []
    for i in range(count):
        color = None
        if i < len(tables) and getattr(tables[i], "shape", ()) == (3, 256):
            color = "#{:02x}{:02x}{:02x}".format(*(int(v) for v in tables[i][:, 255]))
        name = str(labels[i]) if len(labels) == count else ""
        found.append(OmeChannel(name, color))
    return tuple(found)


def _pixel_size(page: Any, info: dict[str, Any] | None) -> tuple[float, float] | None:
    """Return ``(y, x)`` in micrometers where the unit is a real one (dots per inch are not)."""
    tags = page.tags
    if "XResolution" not in tags or "YResolution" not in tags:
        return None
    if info is not None:
        factor = _UNITS_UM.get(str(info.get("unit", "")).lower())
    else:
        factor = {3: 1e4, 4: 1e3, 5: 1.0}.get(
            int(tags["ResolutionUnit"].value) if "ResolutionUnit" in tags else 0
        )
    sizes = []
    for name in ("YResolution", "XResolution"):
        pixels, units = tags[name].value
        value = positive(units / pixels) if pixels else None
        if value is None or factor is None:
            return None
        value *= factor
        if not _PLAUSIBLE_UM[0] <= value <= _PLAUSIBLE_UM[1]:
            return None
        sizes.append(value)
    return sizes[0], sizes[1]


def _apply_palette(data: Any, palette: Any) -> Any:
    import numpy as np

    table = np.asarray(palette)
    colors = (table >> 8 if table.max() > 255 else table).astype(np.uint8).T

    def look_up(block: Any) -> Any:
        return colors[block]

    if hasattr(data, "map_blocks"):
        return data.map_blocks(
            look_up,
            dtype=np.uint8,
            new_axis=data.ndim,
            chunks=(*data.chunks, (3,)),
            meta=np.empty((0,) * (data.ndim + 1), np.uint8),
        )
    return look_up(data)
