"""Opening images in napari: one layer per channel, one RGB layer for a color photograph.

Layers carry scale, units, axis labels, channel names and colors, and under
``metadata["cellcls"]`` what is needed to find the file, scene and channel again. Files that are
not ours are declined with None; files that are ours but damaged raise our own errors, which
napari shows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from napari_cellcls.images.collections import ImageRef, open_ref, scan
from napari_cellcls.images.gate import NATIVE_KINDS, SUFFIXES, is_zarr, sniff
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.images.read import open_stack
from napari_cellcls.vocabulary import ImageError

LayerData = tuple[Any, dict[str, Any], str]
Paths = str | Sequence[str]

_MOST_IMAGES = 32
_PLAIN_COLORMAPS = {
    "#ff0000": "red",
    "#00ff00": "green",
    "#0000ff": "blue",
    "#ffff00": "yellow",
    "#ff00ff": "magenta",
    "#00ffff": "cyan",
    "#ffffff": "gray",
}
_CONTRAST = (0.5, 99.8)


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """Return a reader for image files, OME-Zarr directories and folders of images.

    Parameters
    ----------
    path : str or list of str

    Returns
    -------
    callable or None
        None when any path is nothing we read, so that another reader may try.
    """
    paths = _listed(path)
    if not paths or not all(_is_ours(Path(p)) for p in paths):
        return None
    return read_layers


def read_layers(path: Paths) -> list[LayerData]:
    """Return napari layer data for the images that paths stand for.

    One file of a quartet opens all of it. napari asks file by file when several are dropped, so a
    quartet that another of its files has just opened is not opened once more.

    Raises
    ------
    ImageError
        With a code; napari shows its text.
    """
    asked = _listed(path)
    refs = scan(asked).refs
    fresh = [ref for ref in refs if not _open_by_another(ref, asked)]
    if refs and not fresh:
        return cast(list[LayerData], [(None,)])  # what napari takes for "read, nothing to add"
    layers = [layer for ref in fresh for layer in _layers(ref)]
    for _, options, _ in layers:
        options["metadata"]["cellcls"]["asked"] = [os.path.abspath(p) for p in asked]
    return layers


def _open_by_another(ref: ImageRef, asked: list[str]) -> bool:
    """Tell whether the viewer shows this quartet, opened by other files of it than ``asked``."""
    if ref.kind != "quartet":
        return False
    import napari

    viewer = napari.current_viewer()
    known = [] if viewer is None else [layer.metadata.get("cellcls", {}) for layer in viewer.layers]
    paths, mine = [os.fspath(p) for p in ref.paths], {os.path.abspath(p) for p in asked}
    same = [told for told in known if told.get("paths") == paths]
    return bool(same) and not any(mine & set(told.get("asked", ())) for told in same)


def _listed(path: Paths) -> list[str]:
    return (
        [os.fspath(path)] if isinstance(path, str | os.PathLike) else [os.fspath(p) for p in path]
    )


def _is_ours(path: Path) -> bool:
    if path.is_dir():
        return is_zarr(path) or 0 < len(scan(path).refs) <= _MOST_IMAGES
    kind = SUFFIXES.get(path.suffix.lower())
    if kind in NATIVE_KINDS:
        # Their readers are extras; without one, another plugin may know the format.
        import importlib.util

        return importlib.util.find_spec(f"bioio_{kind}") is not None
    if kind is not None:
        return True
    try:
        with open(path, "rb") as stream:
            sniff(stream.read(512), str(path))
    except (OSError, ImageError):
        return False
    return True


def _layers(ref: ImageRef) -> list[LayerData]:
    if ref.kind == "quartet":
        image = open_ref(ref)
        stack: Any = image.data[:, None, None]
    else:
        image, stack = open_stack(ref.paths[0])
    if image.is_rgb:
        return [_rgb_layer(ref, image, stack)]
    return [_channel_layer(ref, image, stack[i], i) for i in range(len(image.channels))]


def _rgb_layer(ref: ImageRef, image: Image, stack: Any) -> LayerData:
    data, options = _placed(
        ref,
        image,
        np.moveaxis(stack, 0, -1) if _is_numpy(stack) else stack.transpose(1, 2, 3, 4, 0),
    )
    top = image.value_range[1]
    if top not in (1.0, 255.0) or data.dtype != np.uint8:
        data = (data / top).astype(np.float32)
    options.update(name=ref.name, rgb=True)
    return data, options, "image"


def _channel_layer(ref: ImageRef, image: Image, stack: Any, index: int) -> LayerData:
    channel = image.channels[index]
    data, options = _placed(ref, image, stack)
    options["metadata"]["cellcls"].update(
        channel=channel.name, index=index, role=channel.role.value
    )
    single = len(image.channels) == 1
    options.update(
        name=ref.name if single else f"{ref.name}: {channel.name}",
        colormap="gray" if single else _colormap(channel),
        blending="translucent_no_depth" if single else "additive",
        contrast_limits=_contrast(image, index),
    )
    return data, options, "image"


def _placed(ref: ImageRef, image: Image, stack: Any) -> tuple[Any, dict[str, Any]]:
    """Drop axes of length 1 in front of Y and X, and say where the layer lies."""
    axes = [(label, n) for label, n in zip("tz", stack.shape[:2])]
    keep = [label for label, n in axes if n > 1]
    data = stack[tuple(0 if n == 1 else slice(None) for _, n in axes)]
    size, unit = image.pixel_size_um, "um"
    if size is None:
        size, unit = (1.0, 1.0), "pixel"
    metadata = {
        "path": os.fspath(ref.paths[0]),
        "paths": [os.fspath(p) for p in ref.paths],
        "kind": ref.kind,
        "name": ref.name,
        "scene": image.scene,
        "roles": [c.role.value for c in image.channels],
        "reasons": [c.reason for c in image.channels],
        "value_range": list(image.value_range),
        "pixel_size_um": None if image.pixel_size_um is None else list(image.pixel_size_um),
        "notes": list(image.notes),
    }
    return data, {
        "scale": (*(1.0 for _ in keep), *size),
        "units": (*("pixel" for _ in keep), unit, unit),
        "axis_labels": (*keep, "y", "x"),
        "metadata": {"cellcls": metadata},
    }


def _is_numpy(stack: Any) -> bool:
    return isinstance(stack, np.ndarray)


def _colormap(channel: Channel) -> Any:
    name = _PLAIN_COLORMAPS.get(channel.color.lower())
    if name is not None:
        return name
    from napari.utils.colormaps import Colormap

    color = [int(channel.color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return Colormap([[0.0, 0.0, 0.0, 1.0], [*color, 1.0]], name=f"black to {channel.color}")


def _contrast(image: Image, index: int) -> tuple[float, float]:
    """Return display limits: robust extremes of a coarse grid of the plane."""
    step = max(1, max(image.shape) // 512)
    window = (slice(None, None, step), slice(None, None, step))
    if isinstance(image.data, np.ndarray):
        plane = image.planes((index,), window)
    else:
        middle = tuple(slice(max(0, n // 2 - 256), n // 2 + 256) for n in image.shape)
        plane = image.planes((index,), (middle[0], middle[1]))
    low, high = (float(v) for v in np.percentile(plane, _CONTRAST))
    if high > low:
        return low, high
    return float(image.value_range[0]), float(image.value_range[1])
