"""Which images and cells the viewer offers: layers grouped into images. No Qt in here.

A color photograph is one RGB layer. A multichannel image is several layers that the reader
marked as one (``metadata["cellcls"]``), or that share shape and placement in the world.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import napari.layers
import numpy as np

from napari_cellcls.images.image import Image
from napari_cellcls.vocabulary import ImageError
from napari_cellcls.widgets.origin import noted_path, of_file

META = "cellcls"
"""Our key in ``layer.metadata``."""
OURS = "drawn_by_session"
"""Marks the layers that we draw ourselves and never offer as input."""
_QUICK_BYTES = 1 << 22


@dataclass(frozen=True)
class ImageChoice:
    """Layers that together are one image, in channel order."""

    layers: tuple[Any, ...]
    name: str = field(compare=False)
    is_rgb: bool = field(compare=False)

    @property
    def detail(self) -> str:
        """One line for the tooltip."""
        kind = "color photograph" if self.is_rgb else f"{len(self.layers)} channel(s)"
        names = "" if self.is_rgb else ": " + ", ".join(layer.name for layer in self.layers)
        y, x = plane_shape(self.layers[0])
        return f"{kind}, {x} × {y} pixels{names}"


def is_ours(layer: Any) -> bool:
    """Tell whether a session draws this layer."""
    return bool(layer.metadata.get(META, {}).get(OURS, False))


def image_choices(layers: Iterable[Any]) -> list[ImageChoice]:
    """Group the image layers of a viewer, in layer order.

    Parameters
    ----------
    layers : iterable of napari layers

    Returns
    -------
    list of ImageChoice
    """
    groups: dict[Any, list[Any]] = {}
    for layer in layers:
        if isinstance(layer, napari.layers.Image) and layer.ndim >= 2 and not is_ours(layer):
            key, copy = _group_key(layer), 0
            while _holds_channel(groups.get((copy, key), ()), layer):
                copy += 1  # the same file was opened again: another image
            groups.setdefault((copy, key), []).append(layer)
    return [_choice(group) for group in groups.values()]


def labels_choices(layers: Iterable[Any]) -> list[Any]:
    """Return the Labels layers a user can take as cells."""
    return [
        layer for layer in layers if isinstance(layer, napari.layers.Labels) and not is_ours(layer)
    ]


def plane_shape(layer: Any) -> tuple[int, int]:
    """Return ``(Y, X)`` of the finest level."""
    data = layer.data[0] if layer.multiscale else layer.data
    shape = data.shape[:-1] if getattr(layer, "rgb", False) else data.shape
    return int(shape[-2]), int(shape[-1])


def pixel_size_um(layer: Any) -> tuple[float, float] | None:
    """Return ``(y, x)`` in micrometers per pixel, None when the layer has no length unit."""
    sizes = []
    for scale, unit in zip(layer.scale[-2:], layer.units[-2:], strict=True):
        try:
            sizes.append(float((float(scale) * unit).to("micrometer").magnitude))
        except (AttributeError, ValueError, TypeError):
            return None
    return sizes[0], sizes[1]


def plane(layer: Any, step: Sequence[int]) -> Any:
    """Return the displayed plane of a layer: ``(Y, X)`` or ``(Y, X, 3 or 4)``.

    Parameters
    ----------
    layer : napari layer
    step : sequence of int
        ``viewer.dims.current_step``; its last entries belong to Y and X, those before choose
        T, Z and the like.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    index = plane_index(layer, step)
    return data[index] if index else data


def plane_index(layer: Any, step: Sequence[int]) -> tuple[int, ...]:
    """Return where in a stack the displayed plane is, an empty tuple when there is no stack.

    Parameters
    ----------
    layer : napari layer
    step : sequence of int
        As for :func:`plane`.
    """
    sizes = stack_sizes(layer)
    before = list(step)[-layer.ndim : -2] if sizes else []
    return tuple(int(np.clip(i, 0, n - 1)) for i, n in zip(before, sizes, strict=True))


def time_and_depth(layer: Any, step: Sequence[int]) -> dict[str, int]:
    """Return which ``t`` and ``z`` the displayed plane of a stack is, 0 where there is no such axis.

    Of several axes the last is depth and those before it count as time.
    """
    index, sizes = plane_index(layer, step), stack_sizes(layer)
    if len(sizes) == 1 and str(layer.axis_labels[0]).lower() in ("t", "time"):
        return {"t": index[0], "z": 0}
    z = index[-1] if sizes else 0
    return {"t": int(np.ravel_multi_index(index[:-1], sizes[:-1])) if len(sizes) > 1 else 0, "z": z}


def stack_sizes(layer: Any) -> tuple[int, ...]:
    """Return the lengths of the axes in front of Y and X."""
    data = layer.data[0] if layer.multiscale else layer.data
    return tuple(int(n) for n in data.shape[: layer.ndim - 2])


def is_quick(choice: ImageChoice) -> bool:
    """Tell whether :func:`to_image` takes no time that a user would notice."""
    if file_of_another_reader(choice) is not None:
        return False
    if not all(isinstance(layer.data, np.ndarray) for layer in choice.layers):
        return False
    y, x = plane_shape(choice.layers[0])
    planes = 3 if choice.is_rgb else len(choice.layers)
    return y * x * planes * int(choice.layers[0].data.dtype.itemsize) <= _QUICK_BYTES


def file_of_another_reader(choice: ImageChoice) -> str | None:
    """Return the file that layers come from which our reader did not open, None when there is none."""
    if any(layer.metadata.get(META, {}).get("path") for layer in choice.layers):
        return None
    return noted_path(choice.layers)


def to_image(choice: ImageChoice, step: Sequence[int]) -> Image:
    """Turn layers into an :class:`Image`, lazily where the layers are lazy.

    What another reader opened is compared with its file: where the pixels are the same, the image is that
    of the file, as if our reader had opened it.

    Raises
    ------
    ImageError
        ``LAYER-DIMS`` for data that is no stack of ``(Y, X)`` planes; others from the images room.
    """
    image, path = _to_image(choice, step), file_of_another_reader(choice)
    return image if path is None else of_file(image, path) or image


def _to_image(choice: ImageChoice, step: Sequence[int]) -> Image:
    from napari_cellcls.images.read import image_from_array

    first = choice.layers[0]
    planes = [plane(layer, step) for layer in choice.layers]
    told = {**first.metadata.get(META, {}), **time_and_depth(first, step)}
    known: dict[str, Any] = {"name": choice.name, "pixel_size_um": pixel_size_um(first)}
    if choice.is_rgb:
        return _with_origin(image_from_array(planes[0], rgb=True, **known), told)
    if told.get("value_range"):
        known["value_range"] = tuple(told["value_range"])
    if any(p.ndim != 2 for p in planes):
        raise ImageError(
            "These layers cannot be read as planes.",
            code="LAYER-DIMS",
            why=f"the displayed planes have the shapes {[p.shape for p in planes]}",
            remedy="Use layers whose last two axes are Y and X, or an RGB layer.",
        )
    image = image_from_array(
        _stack(planes),
        axes="CYX",
        channel_names=tuple(_channel_name(layer) for layer in choice.layers),
        channel_colors=tuple(_color(layer) for layer in choice.layers),
        **known,
    )
    return _with_origin(image, told)


def _with_origin(image: Image, told: dict[str, Any]) -> Image:
    """Add what the reader knew: file, scene and its notes."""
    notes = tuple(dict.fromkeys((*told.get("notes", ()), *image.notes)))
    return replace(
        image, path=told.get("path"), scene=str(told.get("scene", "")), notes=notes,
        t=told["t"], z=told["z"],
    )  # fmt: skip


def _stack(planes: list[Any]) -> Any:
    if all(isinstance(p, np.ndarray) for p in planes):
        return np.stack(planes)
    import dask.array as da

    # Without name=False dask reads an array once to name it.
    return da.stack(
        [p if isinstance(p, da.Array) else da.from_array(p, name=False) for p in planes]
    )


def _group_key(layer: Any) -> Any:
    if layer.rgb:
        return "rgb", layer.name
    known = layer.metadata.get(META, {})
    place = (
        tuple(layer.data[0].shape if layer.multiscale else layer.data.shape),
        *(tuple(np.round(v, 9)) for v in (layer.scale, layer.translate)),
    )
    return known.get("path"), known.get("scene"), place


def _holds_channel(group: Iterable[Any], layer: Any) -> bool:
    index = layer.metadata.get(META, {}).get("index")
    return index is not None and any(
        other.metadata.get(META, {}).get("index") == index for other in group
    )


def _choice(group: list[Any]) -> ImageChoice:
    first = group[0]
    known = first.metadata.get(META, {})
    name = known.get("name") or (first.name if len(group) == 1 else _common_name(group))
    return ImageChoice(tuple(group), str(name), bool(first.rgb))


def _common_name(group: list[Any]) -> str:
    names = [layer.name for layer in group]
    start = names[0]
    while start and not all(n.startswith(start) for n in names):
        start = start[:-1]
    start = start.rstrip(" :_-[(")
    return start if len(start) >= 3 else " + ".join(names[:4]) + (" …" if len(names) > 4 else "")


def _channel_name(layer: Any) -> str:
    return str(layer.metadata.get(META, {}).get("channel", layer.name))


def _color(layer: Any) -> str:
    top = np.asarray(layer.colormap.colors)[-1][:3]
    return "#" + "".join(f"{round(float(v) * 255):02x}" for v in top)
