"""Finds cells in fluorescence: nuclei first, then the cell around each nucleus.

The size of nuclei, the thresholds and the noise are measured on the image; the whole cell is
flooded from its nucleus over a cell-body channel, or is the nucleus grown by a rim when no
channel shows the body.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from napari_cellcls.cells.cells import Cells, Rejected
from napari_cellcls.cells.overview import choose_patch, overview
from napari_cellcls.cells.size import enlarge, typical_diameter
from napari_cellcls.cells.splitting import find_seeds, merge_weak_cuts
from napari_cellcls.cells.table import measure
from napari_cellcls.cells.tiles import find_by_tiles
from napari_cellcls.images.image import Image
from napari_cellcls.vocabulary import COLUMNS, CellsError, ChannelRole, Progress, Task

_WORK_DIAMETER = 36
_CORE = 512
_LEAST_SEPARATION = 3.0
_REACH = 1.5
_RIM = 0.35
_SMALLEST = 0.12
_SLIVER = 0.02
_BODY = 0.12
_BODY_ROLES = (
    ChannelRole.CELL,
    ChannelRole.ER,
    ChannelRole.MICROTUBULES,
    ChannelRole.ACTIN,
    ChannelRole.MEMBRANE,
    ChannelRole.PROTEIN,
)


@dataclass(frozen=True)
class FluorescencePlan:
    """What the whole image says: channels, thresholds, and the size of a nucleus in pixels."""

    nucleus: int
    body: tuple[int, ...]
    threshold: float
    body_limits: tuple[tuple[float, float], ...]
    diameter: float

    @property
    def step(self) -> int:
        """Image pixels per working pixel."""
        return max(1, round(self.diameter / _WORK_DIAMETER))


def find_fluorescent_cells(
    image: Image, nucleus: int | None, cell: int | None, diameter: float | None
) -> Task[Cells]:
    """Find nuclei and the cells around them; see :func:`~napari_cellcls.cells.segment.find_cells`."""
    nuclear, note = nucleus_channel(image, nucleus)
    body = body_channels(image, nuclear, cell)
    yield Progress(0, 0, "measuring background and size of the nuclei")
    plan = _plan(image, nuclear, body, diameter)
    if isinstance(plan, str):
        empty = np.zeros(image.shape, np.int32)
        table = measure(empty, image.pixel_size_um)
        return Cells(empty, table, "fluorescence", None, (*note, f"no cells found: {plan}"))

    def find(y0: int, x0: int, y1: int, x1: int) -> tuple[np.ndarray, np.ndarray]:
        planes = image.planes((plan.nucleus, *plan.body), (slice(y0, y1), slice(x0, x1)))
        return _label_window(planes, plan)

    labels, _ = yield from find_by_tiles(
        find,
        image.shape,
        core=_CORE * plan.step,
        halo=int((_REACH + 2) * plan.diameter) + plan.step,
        grid=plan.step,
        slack=0.25 * plan.diameter,
    )
    table = measure(labels[0], image.pixel_size_um)
    c = COLUMNS
    small = measure(labels[1])[[c.label, c.y, c.x, c.area_px]].copy()
    small["reason"] = "debris"
    if len(table) == 0:
        note = (*note, "no cells found: nothing in the nucleus channel is as large as a nucleus")
    return Cells(labels[0], table, "fluorescence", Rejected(labels[1], small), note)


def nucleus_channel(image: Image, given: int | None) -> tuple[int, tuple[str, ...]]:
    """Choose the channel that shows nuclei, with a note where it had to be assumed."""
    names = ", ".join(f"{k} {c.name}" for k, c in enumerate(image.channels))
    if given is not None:
        if not 0 <= given < len(image.channels):
            raise CellsError(
                "The nucleus channel does not exist.",
                code="CELLS-CHANNEL",
                why=f"received {given}; the image has: {names}",
                remedy="Choose one of these channels.",
            )
        return given, ()
    roles = [c.role for c in image.channels]
    if ChannelRole.NUCLEUS in roles:
        return roles.index(ChannelRole.NUCLEUS), ()
    if image.is_rgb:
        return 2, ("the blue plane of the color picture was taken for the nuclei",)
    if len(roles) == 1:
        return 0, ()
    raise CellsError(
        "No channel is known to show nuclei.",
        code="CELLS-CHANNEL",
        why=f"the image has: {names}",
        remedy="Say which channel shows the nuclei (for example --channels nucleus=0).",
    )


def body_channels(image: Image, nucleus: int, given: int | None) -> tuple[int, ...]:
    """Choose the channels that show the body of the cell; may be none."""
    if given is not None:
        if not 0 <= given < len(image.channels):
            raise CellsError(
                "The cell channel does not exist.",
                code="CELLS-CHANNEL",
                why=f"received {given}; the image has {len(image.channels)} channels",
                remedy="Choose one of the image's channels, counted from 0.",
            )
        return (given,)
    if image.is_rgb:
        return tuple(k for k in range(3) if k != nucleus)
    shown = [k for k, c in enumerate(image.channels) if c.role in _BODY_ROLES and k != nucleus]
    # A protein may sit anywhere; it stands for the body only when nothing better is there.
    better = [k for k in shown if image.channels[k].role is not ChannelRole.PROTEIN]
    return tuple(better or shown)


def _plan(
    image: Image, nucleus: int, body: tuple[int, ...], diameter: float | None
) -> FluorescencePlan | str:
    means = overview(image, (nucleus, *body)).astype(np.float64)
    means = np.nan_to_num(means)
    if np.ptp(means[0]) == 0:
        return "the nucleus channel has one and the same value everywhere"
    _, patch = choose_patch(image, (nucleus,), means[0], dark=False)
    nuclei = np.nan_to_num(patch[0].astype(np.float32))
    smooth = ndi.gaussian_filter(nuclei, 2)
    threshold, separation = _split(smooth)
    if separation < _LEAST_SEPARATION:
        return f"the nucleus channel shows only noise (separation {separation:.1f}, needed {_LEAST_SEPARATION:.0f})"
    mask = smooth > threshold
    measured = typical_diameter(mask[::2, ::2]) * 2
    if measured > 60:
        # Texture of large nuclei misleads at full resolution.
        coarse = ndi.gaussian_filter(nuclei, measured / 25)
        threshold, _ = _split(coarse)
        measured = typical_diameter((coarse > threshold)[::4, ::4]) * 4
    if diameter is None and measured < 6:
        return f"the bright spots are only {measured:.0f} pixels wide (noise?)"
    limits = tuple(
        (
            float(np.percentile(plane, 5)),
            float(max(np.percentile(plane, 99), np.percentile(plane, 5) + 1e-6)),
        )
        for plane in means[1:]
    )
    return FluorescencePlan(
        nucleus, body, threshold, limits, float(np.clip(diameter or measured, 6, 800))
    )


def _split(smooth: np.ndarray) -> tuple[float, float]:
    """Return a threshold and how far apart the two sides are, in deviations of the dark side.

    Otsu's threshold on square roots: dim nuclei count beside bright ones.
    """
    from skimage.filters import threshold_otsu

    root = np.sqrt(np.maximum(smooth - smooth.min(), 0))
    if np.ptp(root) == 0:
        return float(smooth.max()), 0.0
    limit = float(threshold_otsu(root))
    dark, bright = root[root <= limit], root[root > limit]
    if not len(bright):
        return float(smooth.max()), 0.0
    spread = 1.48 * float(np.median(np.abs(dark - np.median(dark)))) + 1e-3 * float(np.ptp(root))
    separation = (float(np.median(bright)) - float(np.median(dark))) / spread
    return limit**2 + float(smooth.min()), separation


def _label_window(planes: np.ndarray, plan: FluorescencePlan) -> tuple[np.ndarray, np.ndarray]:
    """Label the cells of one window; kind 0 is a cell, 1 something too small to be a nucleus."""
    from napari_cellcls.cells.illumination import shrink

    wide = plan.diameter / plan.step
    small = np.nan_to_num(shrink(planes, plan.step))
    nuclei = _nuclei(small[0], wide, plan)
    count = int(nuclei.max())
    area = np.bincount(nuclei.ravel(), minlength=count + 1) / (np.pi * wide**2 / 4)
    kinds = (area < _SMALLEST).astype(np.int8)
    # At the edge of the image a nucleus may be cut to a sliver (at other edges it is not ours).
    rim = np.concatenate([nuclei[0], nuclei[-1], nuclei[:, 0], nuclei[:, -1]])
    kinds[rim] = area[rim] < _SLIVER
    kinds[0] = 0
    real = np.where(kinds[nuclei] == 0, nuclei, 0)
    cells = _bodies(real, small[1:], wide, plan)
    labels = np.where(cells > 0, cells, nuclei)
    return enlarge(labels.astype(np.int32), plan.step, planes.shape[1:]), kinds


def _nuclei(plane: np.ndarray, wide: float, plan: FluorescencePlan) -> np.ndarray:
    from skimage.segmentation import watershed

    smooth = ndi.gaussian_filter(plane, wide / 25)
    mask = ndi.binary_fill_holes(smooth > plan.threshold)
    mask = ndi.binary_opening(mask, iterations=max(1, int(wide / 18)))
    depth = ndi.distance_transform_edt(mask) / (wide / 2)
    even = np.minimum(smooth / max(4 * plan.threshold, 1e-9), 1)
    height = ndi.gaussian_filter(np.minimum(depth, 1.6) + 0.3 * even, 0.08 * wide)
    seeds = find_seeds(height, mask & (depth > 0.15), wide, 0.15)
    labels = watershed(-height, seeds, mask=mask).astype(np.int32)
    return merge_weak_cuts(labels, height, wide, locked=int(labels.max()), flat=0.88)


def _bodies(
    nuclei: np.ndarray, body: np.ndarray, wide: float, plan: FluorescencePlan
) -> np.ndarray:
    from skimage.segmentation import watershed

    distance = ndi.distance_transform_edt(nuclei == 0)
    if len(body) == 0:
        return np.asarray(watershed(distance, nuclei, mask=distance <= _RIM * wide), np.int32)
    total = np.zeros(nuclei.shape, np.float32)
    for plane, (low, high) in zip(body, plan.body_limits):
        total += np.clip((ndi.gaussian_filter(plane, wide / 20) - low) / (high - low), 0, 1)
    total /= len(body)
    mask = (total > _BODY) & (distance <= _REACH * wide)
    mask = ndi.binary_fill_holes(ndi.binary_opening(mask, iterations=1)) | (nuclei > 0)
    # Down the brightness from the nucleus, and not much farther than another nucleus.
    surface = distance / wide - ndi.gaussian_filter(total, wide / 15)
    return np.asarray(watershed(surface, nuclei, mask=mask), np.int32)
