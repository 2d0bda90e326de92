"""The only module that knows BioIO (and AICSImageIO in its place): from a checked file to raw scenes.

The reader class is chosen here from what the gate found; there is no falling through from one
reader to another. Importing BioIO takes seconds where decoding one field takes milliseconds, so
small files go straight to the libraries BioIO itself stands on: PNG and JPEG to Pillow and
imagecodecs, TIFF and OME-TIFF to tifffile (see ``tiff``); tests hold the two ways equal.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from napari_cellcls.images import omexml
from napari_cellcls.images.faults import reader_errors
from napari_cellcls.images.gate import NATIVE_KINDS, FileKind, Finding
from napari_cellcls.images.omexml import OmeChannel
from napari_cellcls.vocabulary import ImageError

_CLASSES = {
    FileKind.OME_TIFF: "bioio_ome_tiff",
    FileKind.TIFF: "bioio_tifffile",
    FileKind.OME_ZARR: "bioio_ome_zarr",
    FileKind.CZI: "bioio_czi",
    FileKind.ND2: "bioio_nd2",
    FileKind.LIF: "bioio_lif",
}
SMALL_BYTES = 64 << 20
"""Planes up to this size are decoded and verified at opening; larger ones stay lazy."""
DIRECT_BYTES = 64 << 20
"""TIFF files up to this decoded size, all pages together, are read without BioIO."""


@dataclass(frozen=True)
class RawScene:
    """Pixels and metadata of one scene as the file has them.

    Attributes
    ----------
    data : dask.array.Array or numpy.ndarray
        One axis per letter of ``dims``.
    dims : str
        Axis letters out of ``T C Z Y X S`` (S: samples of a pixel, as in RGB).
    channels : tuple of OmeChannel
        Named channels, or empty when the file names none.
    pixel_size_um : tuple of float or None
        ``(y, x)``.
    significant_bits : int or None
    white_is_zero : bool
    notes : tuple of str
    """

    data: Any
    dims: str
    channels: tuple[OmeChannel, ...] = ()
    pixel_size_um: tuple[float, float] | None = None
    significant_bits: int | None = None
    white_is_zero: bool = False
    notes: tuple[str, ...] = ()

    def size(self, axis: str) -> int:
        """Return the length of an axis, 1 when it is absent."""
        return int(self.data.shape[self.dims.index(axis)]) if axis in self.dims else 1


class RawImage(Protocol):
    """A file whose scenes can be fetched one by one."""

    @property
    def scenes(self) -> tuple[str, ...]:
        """Return the names of the scenes."""

    def scene(self, index: int) -> RawScene:
        """Return one scene."""


def open_raw(finding: Finding) -> RawImage:
    """Open what the gate let through.

    Raises
    ------
    ImageError
        ``IMG-EXTRA`` when an optional reader is missing, ``IMG-READER-CRASH`` when a vendor
        reader dies on the file, ``IMG-CORRUPT`` when a reader refuses it.
    """
    if finding.flat is not None:
        from napari_cellcls.images.flat import FlatImage

        return FlatImage(finding)
    if finding.kind is FileKind.TIFF:
        from napari_cellcls.images.tiff import PlainTiff

        return PlainTiff(finding)
    if finding.kind is FileKind.OME_TIFF:
        from napari_cellcls.images.tiff import open_ome

        return open_ome(finding)
    if finding.kind in NATIVE_KINDS:
        _require_extra(finding)
        from napari_cellcls.images import probe

        probe.check(finding)
    return BioImage(finding)


def open_reader(finding: Finding, kind: FileKind | None = None, **options: Any) -> Any:
    """Return the BioIO reader for a file, or AICSImageIO where only that is installed.

    Both have ``scenes``, ``set_scene``, ``xarray_dask_data``, ``physical_pixel_sizes``,
    ``channel_names``, ``ome_metadata``.
    """
    name = _CLASSES[kind or finding.kind]
    with reader_errors(finding.path):
        if importlib.util.find_spec(name) is not None:
            return importlib.import_module(name).Reader(finding.path, **options)
        if importlib.util.find_spec("aicsimageio") is not None:
            return importlib.import_module("aicsimageio").AICSImage(finding.path, **options)
    raise _missing_reader(finding)


class BioImage:
    """OME-TIFF, OME-Zarr and vendor files through BioIO (or AICSImageIO)."""

    def __init__(self, finding: Finding) -> None:
        self.finding = finding
        self.reader = open_reader(finding)
        self._ids = tuple(str(s) for s in self.reader.scenes)

    @property
    def scenes(self) -> tuple[str, ...]:
        """Return scene names: those of the OME header where they tell the scenes apart."""
        names = tuple(image.name for image in self.finding.ome)
        if len(names) == len(self._ids) and len(set(names)) == len(names):
            return names
        return self._ids

    def scene(self, index: int) -> RawScene:
        """Return one scene with its metadata."""
        finding = self.finding
        with reader_errors(finding.path):
            self.reader.set_scene(index)
            array = self.reader.xarray_dask_data
            if "M" in array.dims:
                array = self.reader.mosaic_xarray_dask_data
            data, dims = standard_axes(array.data, tuple(str(d) for d in array.dims))
        if finding.zarr is not None:
            return RawScene(data, dims, *_zarr_metadata(finding, dims))
        images = finding.ome or self._vendor_ome()
        if index < len(images):
            return described_by_ome(finding, images[index], data, dims, index)
        return RawScene(data, dims, self._named_channels(), self._plain_pixel_size())

    def _vendor_ome(self) -> tuple[omexml.OmeImage, ...]:
        try:
            text = self.reader.ome_metadata.to_xml()
            return omexml.parse(text, self.finding.path).images
        except Exception:  # noqa: BLE001 - metadata of vendor files is a bonus, never a reason to fail
            return ()

    def _named_channels(self) -> tuple[OmeChannel, ...]:
        try:
            return tuple(OmeChannel(str(name)) for name in self.reader.channel_names or ())
        except Exception:  # noqa: BLE001 - as above
            return ()

    def _plain_pixel_size(self) -> tuple[float, float] | None:
        try:
            sizes = self.reader.physical_pixel_sizes
            y, x = omexml.positive(sizes.Y), omexml.positive(sizes.X)
        except Exception:  # noqa: BLE001 - as above
            return None
        return None if y is None or x is None else (y, x)


def described_by_ome(
    finding: Finding, image: omexml.OmeImage, data: Any, dims: str, index: int
) -> RawScene:
    """Join pixels with their OME header, after holding the axes of one against the other.

    Raises
    ------
    ImageError
        ``IMG-OME-MISMATCH`` when a reader understood the header otherwise than we did.
    """
    page = finding.pages[0] if finding.pages else None
    raw = RawScene(
        tiled_if_large(finding, data, dims, index),
        dims,
        image.channels,
        image.pixel_size_um,
        image.significant_bits,
        white_is_zero=page is not None and page.white_is_zero,
    )
    found = {axis: raw.size(axis) for axis in "TCZYX"}
    declared = {**image.sizes, "C": max(1, image.sizes["C"] // image.samples)}
    if finding.kind is FileKind.OME_TIFF and found != declared:
        raise ImageError(
            "The OME header and the pixels of the file contradict each other.",
            code="IMG-OME-MISMATCH",
            path=finding.path,
            why=f"the header declares {declared}, the planes found are {found}",
            remedy="Export the image again.",
        )
    return raw


def open_tiff(path: str) -> Any:
    """Open a TIFF by its own pages; Micro-Manager files beside it are left alone."""
    import tifffile

    try:
        return tifffile.TiffFile(path, is_mmstack=False)
    except TypeError:  # tifffile of 2022, as AICSImageIO needs it
        return tifffile.TiffFile(path)


def tiled_if_large(finding: Finding, data: Any, dims: str, series: int) -> Any:
    """Return TIFF pixels by tile or strip when a page is too large to decode for every window.

    BioIO decodes whole pages; a window of a whole-slide page would decode all of it each time.
    """
    page_bytes = max((page.plane_bytes for page in finding.pages), default=0)
    if page_bytes <= SMALL_BYTES:
        return data
    import dask.array as da
    import tifffile

    with reader_errors(finding.path):
        with open_tiff(finding.path) as tiff:
            axes = tiff.series[series].axes
            if len(axes) != len(tiff.series[series].shape) or not set(axes) <= set(dims):
                return data
        tiles = da.from_zarr(tifffile.imread(finding.path, aszarr=True, series=series, level=0))
        for axis in dims:
            if axis not in axes:
                tiles, axes = tiles[None], axis + axes
        tiles = tiles.transpose([axes.index(axis) for axis in dims])
    return tiles if tiles.shape == data.shape else data


def standard_axes(data: Any, dims: tuple[str, ...]) -> tuple[Any, str]:
    """Drop axes of length 1 that are none of ``T C Z Y X S``; refuse longer ones (``IMG-AXES``)."""
    keep = [i for i, d in enumerate(dims) if d in "TCZYXS" and len(d) == 1]
    extra = [i for i in range(len(dims)) if i not in keep]
    if any(data.shape[i] > 1 for i in extra):
        names = ", ".join(f"{dims[i]} ({data.shape[i]})" for i in extra)
        raise ImageError(
            "The image has an axis this plugin does not know.",
            code="IMG-AXES",
            why=f"its axes are {dims}; unknown: {names}",
            remedy="Export one position of that axis as OME-TIFF.",
        )
    index = tuple(slice(None) if i in keep else 0 for i in range(len(dims)))
    return data[index], "".join(dims[i] for i in keep)


def _zarr_metadata(
    finding: Finding, dims: str
) -> tuple[tuple[OmeChannel, ...], tuple[float, float] | None]:
    image = finding.zarr
    assert image is not None
    channels = []
    for entry in image.channels:
        color = str(entry.get("color", "")).lstrip("#").lower()
        good = len(color) == 6 and all(c in "0123456789abcdef" for c in color)
        channels.append(OmeChannel(str(entry.get("label", "")), f"#{color}" if good else None))
    size = None
    if image.scale:
        found = []
        for axis in "YX":
            i = image.axes.index(axis)
            factor = {"micrometer": 1.0, "nanometer": 1e-3, "millimeter": 1e3, "meter": 1e6}.get(
                image.units[i]
            )
            value = omexml.positive(image.scale[i])
            found.append(None if factor is None or value is None else value * factor)
        if found[0] is not None and found[1] is not None:
            size = (found[0], found[1])
    return tuple(channels), size


def _require_extra(finding: Finding) -> None:
    names = (_CLASSES[finding.kind], "aicsimageio")
    if all(importlib.util.find_spec(name) is None for name in names):
        raise _missing_reader(finding)


def _missing_reader(finding: Finding) -> ImageError:
    kind = finding.kind.value
    native = kind in ("czi", "nd2", "lif")
    package = f"napari-cellcls[{kind}]" if native else _CLASSES[finding.kind].replace("_", "-")
    return ImageError(
        f"Reading {Path(finding.path).suffix or kind} files needs an optional part that is not installed.",
        code="IMG-EXTRA",
        path=finding.path,
        why=f"the package {_CLASSES[finding.kind].replace('_', '-')} was not found",
        remedy=f'pip install "{package}"',
    )
