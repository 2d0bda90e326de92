"""Finds red blood cells in a stained thin smear and says what the other objects are.

Owns the plan (what a whole image tells: glass, threshold, cell size, stain) and the labelling
of one window by that plan. Windows of one plan agree wherever they overlap, which is what
makes an image larger than memory give the same cells as a whole one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from napari_cellcls.cells.illumination import Background, fit_background, shrink
from napari_cellcls.cells.platelets import cut_platelets, free_platelets
from napari_cellcls.cells.size import enlarge, typical_diameter
from napari_cellcls.cells.splitting import (
    fill_pallor,
    find_seeds,
    merge_weak_cuts,
    radial_votes,
)

RED, WHITE, PLATELET, CLUMP, DEBRIS = range(5)
REASONS = {WHITE: "white cell", PLATELET: "platelet", CLUMP: "clump", DEBRIS: "debris"}

_WORK_DIAMETER = 36
_FAINTEST = 0.06
_BLACK = 0.9
_MOSTLY_BLACK = 0.5
# Noise of any grain, split in two by Otsu's threshold, lies 1.9 to 2.3 apart; the palest field of BCCD 2.5.
_LEAST_SEPARATION = 2.4
_FOREGROUND = 0.35
_LEAST_HEIGHT = 0.5
_LEAST_DEPTH = 0.25
_VOTE_UNIT = 1.0
_CENTER = 0.7
_NUCLEAR = 0.6
_GLASS = 0.4
_DENSE = 2.3
# In units of the squared diameter (a disc has pi / 4); the least of 149 white cells of BCCD has 0.43
_WHITE_NUCLEUS = 0.38
# Of 147 pieces cut off as platelets on BCCD, 30 of the 32 that are labeled platelets have more red over
# blue than this in their middle, 27 of the 115 others (some are platelets nobody labeled).
_RIM = 1.1
# In units of a red cell's area.
_CLUMP = 2.8
_FRAGMENT = 0.12
_SMALL = 0.45


@dataclass(frozen=True)
class SmearPlan:
    """What the whole image says about its cells.

    Attributes
    ----------
    background : Background
    threshold : float
        Optical density (green) between glass and cells.
    contrast : float
        Optical density (green) of a typical red cell.
    hue : float
        Red minus blue over green optical density of red cells; nuclei and platelets, which let
        blue light pass, have more.
    dense : float
        Red optical density that no single or doubled red cell reaches.
    diameter : float
        Diameter of a red cell in image pixels.
    """

    background: Background
    threshold: float
    contrast: float
    hue: float
    dense: float
    diameter: float

    @property
    def step(self) -> int:
        """Image pixels per working pixel: cells are sought at about 36 pixels diameter."""
        return max(1, round(self.diameter / _WORK_DIAMETER))


def plan_smear(
    overview: np.ndarray,
    patch: np.ndarray,
    corner: tuple[int, int],
    shape: tuple[int, int],
    diameter: float | None = None,
) -> SmearPlan | str:
    """Learn from an image what its glass and its red cells look like.

    Parameters
    ----------
    overview : numpy.ndarray
        ``(3, y, x)`` float 0..255: the whole image, averaged to a few hundred pixels.
    patch : numpy.ndarray
        ``(3, y, x)`` 0..255: a part (or all) of the image at full resolution.
    corner, shape : tuple of int
        Where the patch begins, and the size of the whole image, ``(Y, X)`` pixels.
    diameter : float, optional
        Cell diameter in pixels when it is known; otherwise it is measured.

    Returns
    -------
    SmearPlan or str
        Or why there is nothing to find, in words.
    """
    background = fit_background(overview, shape)
    if _share_black(background, overview, shape) > _MOSTLY_BLACK:
        return "most of the image is black; in a smear glass is bright (fluorescence?)"
    density = background.density(shrink(patch, 2), *corner, step=2)
    green = density[1]
    stained = green > _FAINTEST
    if stained.mean() < 2e-4:
        return "nothing in the image is darker than its background"
    clipped = np.clip(green[::2, ::2], -0.1, 1.6 * float(np.median(green[stained])))
    from skimage.filters import threshold_otsu

    threshold = float(threshold_otsu(clipped))
    smooth = ndi.gaussian_filter(green, 1)
    cells = smooth > threshold
    if cells.sum() < 20:
        return "what is darker than the background has no extent (noise)"
    contrast = float(np.median(smooth[cells]))
    glass = smooth[~cells]
    spread = 1.48 * float(np.median(np.abs(glass - np.median(glass)))) + 1e-3
    separation = (contrast - float(np.median(glass))) / spread
    if separation < _LEAST_SEPARATION:
        return (
            f"nothing stands out from the glass more than in noise (separation {separation:.1f}, "
            f"needed {_LEAST_SEPARATION:.1f})"
        )
    red, blue = (ndi.gaussian_filter(density[k], 1) for k in (0, 2))
    hue = float(np.percentile((red - blue)[cells] / smooth[cells], 35))
    purple = ndi.binary_opening(red - blue - hue * smooth > _NUCLEAR * contrast, iterations=2)
    purple = ndi.binary_dilation(purple, iterations=4)
    plain = cells & ~purple
    if plain.sum() >= 20:
        contrast = float(np.median(smooth[plain]))
    else:
        plain = cells
    measured = typical_diameter(np.where(purple, 0, smooth) > 0.8 * threshold) * 2
    if diameter is None and measured < 8:
        return f"the dark spots are only {measured:.0f} pixels wide (noise, or a magnification too low)"
    return SmearPlan(
        background,
        threshold,
        contrast,
        hue,
        max(0.5, _DENSE * float(np.percentile(red[plain], 50))),
        float(np.clip(diameter or measured, 8, 400)),
    )


def _share_black(background: Background, overview: np.ndarray, shape: tuple[int, int]) -> float:
    """Return the share of the image that lets no color of light pass."""
    pitch = max(1, round(shape[0] / overview.shape[1]))
    return float((background.density(overview, step=pitch).min(0) > _BLACK).mean())


def label_window(
    rgb: np.ndarray, y0: int, x0: int, plan: SmearPlan, *, platelets: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Label all objects of one window.

    Parameters
    ----------
    rgb : numpy.ndarray
        ``(3, y, x)`` pixel values 0..255.
    y0, x0 : int
        Corner of the window in the whole image.
    plan : SmearPlan
    platelets : bool
        Whether platelets count: small pale ones that lie free are looked for too, and the rim of a
        red cell that was cut off for one is debris. Whoever counts red cells needs neither.

    Returns
    -------
    labels : numpy.ndarray
        ``(y, x)`` int32, 1..n.
    kinds : numpy.ndarray
        ``(n + 1,)`` int8: ``RED``, ``WHITE``, ``PLATELET``, ``CLUMP`` or ``DEBRIS`` per label.
    """
    from skimage.segmentation import watershed

    step, wide = plan.step, plan.diameter / plan.step
    density = plan.background.density(shrink(rgb, step), y0, x0, step)
    purple, excess = _purple(density, wide, plan)
    nuclear = ndi.binary_opening(purple, iterations=max(1, int(wide / 18)))
    white = _white_cells(nuclear, wide)
    mask, height, depth = _height_map(density[1], wide, plan)
    seeds = find_seeds(height, mask & (depth > _LEAST_DEPTH) & (white == 0), wide, _LEAST_HEIGHT)
    count = int(seeds.max())
    seeds = np.where(white > 0, white + count, seeds)
    labels = watershed(-height, seeds, mask=mask | (white > 0)).astype(np.int32)
    labels = merge_weak_cuts(labels, height, wide, locked=count)
    labels = _without_glass(labels, density[1], plan)
    labels, cut = cut_platelets(labels, purple & (white == 0), wide)
    kinds = _kinds(labels, density, purple, white > 0, wide)
    kinds[cut:] = PLATELET
    if platelets:
        labels, kinds = _every_platelet(labels, kinds, excess, wide)
    return enlarge(labels, step, rgb.shape[1:]), kinds


def _every_platelet(
    labels: np.ndarray, kinds: np.ndarray, excess: np.ndarray, wide: float
) -> tuple[np.ndarray, np.ndarray]:
    peak = np.asarray(ndi.maximum(excess, labels, np.arange(len(kinds))))
    kinds = np.where((kinds == PLATELET) & (peak < _RIM), DEBRIS, kinds)
    labels, added = free_platelets(labels, excess, wide)
    return labels, np.concatenate([kinds, np.full(added, PLATELET)]).astype(np.int8)


def _height_map(
    green: np.ndarray, wide: float, plan: SmearPlan
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    smooth = ndi.gaussian_filter(green, wide / 40)
    votes = np.minimum(radial_votes(green, wide, plan.contrast) / _VOTE_UNIT, 1.5)
    mask = fill_pallor(smooth > _FOREGROUND * plan.threshold, votes > _CENTER, wide)
    mask = ndi.binary_opening(mask, iterations=max(1, int(wide / 20)))
    depth = ndi.distance_transform_edt(mask) / (wide / 2)
    height = ndi.gaussian_filter(np.minimum(depth, 1) + votes, 0.04 * wide)
    return mask, height.astype(np.float32), depth


def _purple(density: np.ndarray, wide: float, plan: SmearPlan) -> tuple[np.ndarray, np.ndarray]:
    """Mark what is stained like a nucleus: absorbs red rather than blue, or far more than any cell.

    The second array is the excess of red over blue, in units of the density of red cells.
    """
    red, green, blue = (ndi.gaussian_filter(plane, wide / 36) for plane in density)
    excess = red - blue - plan.hue * green
    purple = (excess > _NUCLEAR * plan.contrast) | (red > plan.dense)
    return np.asarray(purple, bool), excess / plan.contrast


def _without_glass(labels: np.ndarray, green: np.ndarray, plan: SmearPlan) -> np.ndarray:
    """Drop what a ring of cells encloses: too clear on the whole to be a cell."""
    count = int(labels.max())
    area = np.maximum(np.bincount(labels.ravel(), minlength=count + 1), 1)
    mean = np.bincount(labels.ravel(), green.ravel(), count + 1) / area
    kept = np.where(mean > _GLASS * plan.threshold, np.arange(count + 1), 0)
    return np.asarray(kept.astype(np.int32)[labels])


def _white_cells(nuclear: np.ndarray, wide: float) -> np.ndarray:
    """Label groups of nuclear lobes as large as a white cell's nucleus."""
    joined, count = ndi.label(ndi.binary_dilation(nuclear, iterations=max(1, int(0.1 * wide))))
    large = np.bincount(joined[nuclear], minlength=count + 1) > _WHITE_NUCLEUS * wide**2
    large[0] = False
    return np.asarray((np.cumsum(large) * large).astype(np.int32)[joined])


def _kinds(
    labels: np.ndarray, density: np.ndarray, nuclear: np.ndarray, white: np.ndarray, wide: float
) -> np.ndarray:
    count = int(labels.max())
    flat = labels.ravel()

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(flat, values.ravel(), count + 1)

    area = np.maximum(np.bincount(flat, minlength=count + 1), 1)
    cell = np.pi * wide**2 / 4
    purple = total(nuclear) / area
    red, green, blue = (total(plane * 1.0) for plane in density)
    gray = (red > 0.8 * green) & (blue > 0.85 * green)
    kinds = np.full(count + 1, RED, np.int8)
    kinds[area > _CLUMP * cell] = CLUMP
    kinds[area < _FRAGMENT * cell] = DEBRIS
    kinds[(area < _SMALL * cell) & (purple > 0.25)] = PLATELET
    kinds[total(white) > 0.3 * cell] = WHITE
    kinds[gray & (purple > 0.3) & (kinds != RED)] = DEBRIS
    return kinds
