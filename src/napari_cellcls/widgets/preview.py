"""What the network sees for one cell, ready to be shown. Arrays and words only, no Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.images.image import Image
from napari_cellcls.session import Session
from napari_cellcls.vocabulary import COLUMNS, CropSpec, Normalization, Progress, Task

if TYPE_CHECKING:
    from napari_cellcls.images.channels import ChannelMapping
    from napari_cellcls.models.manifest import Manifest


@dataclass(frozen=True)
class CropView:
    """The network input of one cell.

    Attributes
    ----------
    label : int
        The cell.
    planes : numpy.ndarray
        ``(size, size, C)`` float32 in 0..1, exactly what the engine gets.
    names : tuple of str
        The model's name of each plane, with the image channel it comes from.
    colors : tuple of str
        Display color per plane, ``#rrggbb``.
    is_rgb : bool
    scale, treatment, verdict : str
        Size and scale, normalization and mask, class and confidence, in words.
    classified : bool
        Whether the model said something about the cell.
    """

    label: int
    planes: np.ndarray
    names: tuple[str, ...]
    colors: tuple[str, ...]
    is_rgb: bool
    scale: str
    treatment: str
    verdict: str
    classified: bool = False

    def composite(self) -> np.ndarray:
        """Return ``(size, size, 3)`` uint8: planes added in their colors."""
        if self.is_rgb and self.planes.shape[-1] == 3:
            mixed = self.planes
        else:
            tints = (
                np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in self.colors]) / 255
            )
            mixed = self.planes @ tints
        return (np.clip(mixed, 0, 1) * 255 + 0.5).astype(np.uint8)

    def plane(self, k: int) -> np.ndarray:
        """Return ``(size, size)`` uint8 of plane ``k``."""
        return (np.clip(self.planes[..., k], 0, 1) * 255 + 0.5).astype(np.uint8)


def can_look(session: Session) -> str:
    """Return why nothing can be shown, an empty text when something can."""
    if session.image is None:
        return "Open an image to see what the model will see."
    if session.manifest is None:
        return "Choose a model to see what it will see."
    if session.mapping_error is not None:
        return "The image lacks a channel this model needs (see Channels)."
    if session.cells is None:
        return "The cells are not found yet."
    if not len(session.cells):
        return "There are no cells to show."
    return ""


@dataclass(frozen=True, eq=False)
class Lens:
    """One image as one model sees it: what every crop of it has in common.

    Attributes
    ----------
    image : Image
    manifest : Manifest
    mapping : ChannelMapping
    limits : numpy.ndarray
        ``(C, 2)``, see ``cells.scaling.channel_limits``: percentiles of the whole image may take a
        tenth of a second, which is too long for every cell the cursor passes.
    """

    image: Image
    manifest: Manifest
    mapping: ChannelMapping
    limits: np.ndarray

    def fits(self, session: Session) -> bool:
        """Tell whether the session still has this image, model and mapping."""
        return (
            session.image is self.image
            and session.manifest is self.manifest
            and session.mapping is self.mapping
        )


def lens_of(session: Session) -> Callable[[], Task[Lens]]:
    """Return the task that measures the image for the present model."""
    image, manifest, mapping = session.image, session.manifest, session.mapping
    if image is None or manifest is None or mapping is None:
        raise ValueError(can_look(session))

    def task() -> Task[Lens]:
        from napari_cellcls.cells.scaling import channel_limits

        yield Progress(0, 1, "Measuring the image")
        limits = channel_limits(image, manifest.normalization, mapping.indices)
        return Lens(image, manifest, mapping, limits)

    return task


def look(session: Session, row: int, lens: Lens) -> CropView:
    """Return what the network sees for the cell in table row ``row``.

    Raises
    ------
    CellClsError
        When the crop cannot be cut.
    """
    from napari_cellcls.cells.crops import cut

    image, cells, manifest, indices = lens.image, session.cells, lens.manifest, lens.mapping.indices
    if cells is None:
        raise ValueError(can_look(session))
    crops = cut(
        image, cells, manifest.crop, manifest.normalization, indices, np.array([row]), lens.limits
    )
    return CropView(
        label=int(cells.ids[row]),
        planes=crops[0],
        names=tuple(_plane_name(image, manifest.planes, k, i) for k, i in enumerate(indices)),
        colors=tuple("#000000" if i is None else image.channels[i].color for i in indices),
        is_rgb=image.is_rgb,
        scale=scale_words(image, session, row),
        treatment=treatment_words(image, manifest.crop, manifest.normalization),
        verdict=verdict_words(session, row),
        classified=session.predictions is not None,
    )


def _plane_name(image: Image, planes: tuple, k: int, index: int | None) -> str:
    wanted = planes[k].name if k < len(planes) else ""
    found = "absent" if index is None else image.channels[index].name
    return wanted if not found or found.lower() == wanted.lower() else f"{wanted} ← {found}".strip()


def crop_edges(
    spec: CropSpec, height: int, width: int, pixel_um: float | None
) -> tuple[float, float]:
    """Return the (y, x) size in image pixels of the region that one crop covers."""
    if spec.frame == "box":
        return height * (1 + 2 * spec.margin), width * (1 + 2 * spec.margin)
    if spec.frame == "square":
        edge = max(height, width) * (1 + 2 * spec.margin)
    elif spec.extent_um is not None and pixel_um is not None:
        edge = spec.extent_um / pixel_um
    else:
        edge = spec.extent_px or float(spec.size)
    return edge, edge


def scale_words(image: Image, session: Session, row: int) -> str:
    """Say how large the crop is and how coarse."""
    assert session.cells is not None and session.manifest is not None
    spec = session.manifest.crop
    y0, x0, y1, x1 = (int(session.cells.table[c].iloc[row]) for c in COLUMNS.bbox)
    pixel = image.pixel_size_um
    edges = crop_edges(spec, y1 - y0, x1 - x0, pixel[0] if pixel else None)
    head = f"{spec.size} × {spec.size} pixels"
    if pixel is None:
        each = _pair(*(e / spec.size for e in edges))
        return f"{head}, each {each} image pixel{'s' * (each != '1')} (size in µm unknown)"
    return f"{head}, {_pair(*(e * p / spec.size for e, p in zip(edges, pixel)))} µm/px"


def treatment_words(image: Image, spec: CropSpec, rule: Normalization) -> str:
    """Say how values become 0..1 and what happens outside the cell."""
    if rule.kind == "full_scale":
        low, high = image.value_range
        values = f"values ÷ {high:g}" if low == 0 else f"values {low:g}–{high:g} become 0–1"
    elif rule.kind == "background":
        values = "density over the empty glass" if image.is_rgb else "signal over the background"
    else:
        values = f"per channel, percentiles {rule.low:g}–{rule.high:g} of the image become 0–1"
    outside = "outside the cell blanked" if spec.mask else "surroundings kept"
    frame = {
        "box": "tight box, stretched",
        "square": "square around the cell",
        "window": "fixed window",
    }
    return f"{values}; {frame[spec.frame]}; {outside}"


def verdict_words(session: Session, row: int) -> str:
    """Say class and confidence of a cell, or that it has none yet."""
    found = session.predictions
    if found is None:
        return "not classified yet"
    names = (name for name, on in zip(found.scheme.names, found.assigned[row]) if on)
    name = " + ".join(names) or "no class"
    words = f"{name}, confidence {float(found.confidence[row]):.2f}"
    if found.sets is not None and found.sets[row].sum() > 1:
        left = (name for name, on in zip(found.scheme.names, found.sets[row]) if on)
        words += f"; could be {' or '.join(left)}"
    if found.unfamiliar[row]:
        words += "; unlike all that the model learned from"
    return words


def _pair(y: float, x: float) -> str:
    texts = (f"{y:.2g}", f"{x:.2g}")
    return " × ".join(dict.fromkeys(texts))
