"""Opening images: one path or array in, one :class:`Image` or :class:`ImageInfo` out.

This module owns the public functions of reading. The gate decides whether a file may be opened,
``readers`` fetches pixels, ``normalize`` makes them uniform, ``channels`` says what they show.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_cellcls.images import gate
from napari_cellcls.images.channels import assign_roles, rgb_channels
from napari_cellcls.images.gate import Budget, FileKind, Finding
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.images.normalize import (
    Planes,
    check_dtype,
    finite,
    measure_range,
    native,
    normalize,
)
from napari_cellcls.images.omexml import OmeChannel, positive
from napari_cellcls.images.readers import RawImage, RawScene, open_raw
from napari_cellcls.vocabulary import ImageError


@dataclass(frozen=True)
class ImageInfo:
    """What a file holds, from its metadata.

    Attributes
    ----------
    path : str
    kind : FileKind
    scenes : tuple of str
    size_t, size_z, size_c : int
        Of the scene described; ``size_c`` counts channels, 3 for a color photograph.
    shape : tuple of int
        ``(Y, X)``.
    dtype : numpy.dtype
    is_rgb : bool
    channel_names : tuple of str
    pixel_size_um : tuple of float or None
        ``(y, x)``.
    notes : tuple of str
    """

    path: str
    kind: FileKind
    scenes: tuple[str, ...]
    size_t: int
    size_z: int
    size_c: int
    shape: tuple[int, int]
    dtype: np.dtype
    is_rgb: bool
    channel_names: tuple[str, ...]
    pixel_size_um: tuple[float, float] | None
    notes: tuple[str, ...]


def describe(
    path: str | os.PathLike[str], *, scene: int | str | None = None, budget: Budget | None = None
) -> ImageInfo:
    """Return what a file holds.

    Raises
    ------
    ImageError
        As :func:`open_image`.
    """
    finding = gate.inspect(path, budget)
    raw = open_raw(finding)
    current = raw.scene(_scene_index(raw, scene, finding.path))
    samples = current.size("S")
    is_rgb = samples in (3, 4)
    count = 3 if is_rgb else current.size("C")
    channels = rgb_channels() if is_rgb else _channels(current.channels, count)
    return ImageInfo(
        finding.path,
        finding.kind,
        raw.scenes,
        current.size("T"),
        current.size("Z"),
        count,
        (current.size("Y"), current.size("X")),
        np.dtype(current.data.dtype),
        is_rgb,
        tuple(c.name for c in channels),
        current.pixel_size_um,
        finding.notes + current.notes,
    )


def open_image(
    path: str | os.PathLike[str],
    *,
    scene: int | str | None = None,
    t: int = 0,
    z: int | Literal["max"] | None = None,
    budget: Budget | None = None,
) -> Image:
    """Open one field as an :class:`Image` of planes ``(C, Y, X)``.

    Parameters
    ----------
    path : path-like
        OME-TIFF, TIFF, PNG, JPEG, OME-Zarr directory; CZI, ND2, LIF with the extra installed.
    scene : int or str, optional
        Index or name; the first by default.
    t : int
        Time point, counted from 0.
    z : int or "max", optional
        Z plane counted from 0, or the maximum over Z; the middle plane by default (noted).
    budget : Budget, optional
        What the image may ask of this computer.

    Returns
    -------
    Image
        Planes up to 64 MiB are decoded and verified here; larger ones are dask arrays.

    Raises
    ------
    ImageError
        With a code, for everything that cannot be opened.
    """
    finding = gate.inspect(path, budget)
    raw = open_raw(finding)
    index = _scene_index(raw, scene, finding.path)
    current = raw.scene(index)
    planes, chosen = normalize(current, t, z, finding.path)
    notes = list(finding.notes)
    if scene is None and len(raw.scenes) > 1:
        notes.append(
            f"The file has {len(raw.scenes)} scenes; the first one ({raw.scenes[0]}) is used."
        )
    return _image(finding, raw, index, current, planes, t, chosen, notes)


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
        Black and full scale; measured by default.

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
        extremes = (0.0, 1.0) if np.dtype(data.dtype).kind == "f" else (0.0, float("inf"))
        data = native(data, name)
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
        channels = _channels(tuple(given), data.shape[0])
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


def _image(
    finding: Finding,
    raw: RawImage,
    index: int,
    current: RawScene,
    planes: Planes,
    t: int,
    z: int,
    notes: list[str],
) -> Image:
    count = planes.data.shape[0]
    channels = rgb_channels() if planes.is_rgb else _channels(current.channels, count)
    size = current.pixel_size_um
    return Image(
        planes.data,
        channels,
        stem(finding.path),
        is_rgb=planes.is_rgb,
        pixel_size_um=size,
        value_range=planes.value_range,
        path=finding.path,
        scene=raw.scenes[index],
        t=t,
        z=z,
        notes=(*notes, *planes.notes),
    )


def stem(path: str | os.PathLike[str]) -> str:
    """Return the short name of an image path: no folder, no ``.ome.tif`` and the like."""
    name = Path(path).name
    lower = name.lower()
    for suffix in (".ome.tiff", ".ome.tif", ".ome.zarr", *gate.SUFFIXES):
        if lower.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def _channels(found: Sequence[OmeChannel], count: int) -> tuple[Channel, ...]:
    listed = [found[i] if i < len(found) else OmeChannel("") for i in range(count)]
    colors = {c.color for c in listed}
    # White for every channel is what writers put when nobody chose a color.
    unset = count > 1 and colors <= {None, "#ffffff"}
    return assign_roles(
        tuple(
            Channel(
                "" if c.name.startswith("Channel:") else c.name,
                color="" if unset or c.color is None else c.color,
                excitation_nm=c.excitation_nm,
                emission_nm=c.emission_nm,
            )
            for c in listed
        )
    )


def _scene_index(raw: RawImage, scene: int | str | None, path: str) -> int:
    scenes = raw.scenes
    if scene is None:
        return 0
    if isinstance(scene, str) and scene in scenes:
        return scenes.index(scene)
    if isinstance(scene, int) and 0 <= scene < len(scenes):
        return scene
    raise ImageError(
        f"There is no scene {scene!r}.",
        code="IMG-INDEX",
        path=path,
        why=f"the file has {len(scenes)}: {', '.join(scenes[:10])}",
        remedy="Choose one of them by name, or by number counted from 0.",
    )


def _pixel_pair(size: tuple[float, float] | float | None) -> tuple[float, float] | None:
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int | float) else (size[0], size[1])
    y, x = positive(pair[0]), positive(pair[1])
    return None if y is None or x is None else (y, x)
