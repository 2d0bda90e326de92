"""Opening images: one path or array in, one :class:`Image` or :class:`ImageInfo` out.

This module owns the public functions of reading. The gate decides whether a file may be opened,
``readers`` fetches pixels, ``normalize`` makes them uniform, ``channels`` says what they show.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_cellcls.images import gate
from napari_cellcls.images.arrays import image_from_array
from napari_cellcls.images.channels import from_metadata, rgb_channels
from napari_cellcls.images.gate import Budget, FileKind, Finding
from napari_cellcls.images.image import Image
from napari_cellcls.images.normalize import Planes, normalize, whole_stack
from napari_cellcls.images.readers import RawImage, RawScene, open_raw
from napari_cellcls.vocabulary import ImageError

__all__ = ["ImageInfo", "describe", "image_from_array", "open_image", "open_stack", "stem"]


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
    channels = rgb_channels() if is_rgb else from_metadata(current.channels, count)
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


def open_stack(
    path: str | os.PathLike[str],
    *,
    scene: int | str | None = None,
    budget: Budget | None = None,
) -> tuple[Image, Any]:
    """Open a field with all its times and depths, for viewers.

    Returns
    -------
    image : Image
        What :func:`open_image` returns: the first time point, the middle plane.
    stack : numpy.ndarray or dask.array.Array
        ``(C, T, Z, Y, X)`` of the same scene, values as in ``image``; lazy when ``T * Z > 1``.

    Raises
    ------
    ImageError
        As :func:`open_image`.
    """
    finding = gate.inspect(path, budget)
    raw = open_raw(finding)
    index = _scene_index(raw, scene, finding.path)
    current = raw.scene(index)
    planes, chosen = normalize(current, 0, None, finding.path)
    image = _image(finding, raw, index, current, planes, 0, chosen, list(finding.notes))
    if current.size("T") * current.size("Z") == 1:
        return image, planes.data[:, None, None]
    return image, whole_stack(current, planes, finding.path)


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
    channels = rgb_channels() if planes.is_rgb else from_metadata(current.channels, count)
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
