"""Outlines of masks along the edges of pixels, and masks from outlines: the way there and back is exact.

A ring is an ``(M, 2)`` array of corners (x, y), not closed. Pixel (y, x) is the square from (x, y) to (x + 1, y + 1),
as in QuPath and GeoJSON viewers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

Ring: TypeAlias = np.ndarray
Polygon: TypeAlias = list[Ring]
"""The outer ring, then the holes."""

_RIGHT, _DOWN, _LEFT, _UP = range(4)
_STEP = ((1, 0), (0, 1), (-1, 0), (0, -1))


def polygons(mask: np.ndarray, origin: tuple[int, int] = (0, 0)) -> list[Polygon]:
    """Return the outlines of a mask; parts that touch only at a corner are polygons of their own.

    Parameters
    ----------
    mask : numpy.ndarray
        ``(Y, X)`` bool.
    origin : tuple of int
        ``(y, x)`` of its first pixel.

    Returns
    -------
    list of Polygon
        In reading order; outer rings run clockwise on the screen, holes the other way.
    """
    outer: list[Ring] = []
    holes: list[Ring] = []
    for ring in _rings(np.asarray(mask, bool)):
        (outer if _area(ring) > 0 else holes).append(ring)
    found: list[Polygon] = [[ring] for ring in outer]
    for hole in holes:
        # The smallest ring around a point just inside of the hole's border is the one it is in.
        around = [p for p in found if _holds(p[0], hole)]
        min(around, key=lambda p: _area(p[0])).append(hole)
    shift = np.array(origin[::-1])
    return [[ring + shift for ring in polygon] for polygon in found]


def mask_of(
    outlines: Sequence[Sequence[Ring]], shape: tuple[int, int] | None = None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the pixels whose centers lie inside polygons.

    Parameters
    ----------
    outlines : sequence of polygons
        Corners may be fractions. Holes are cut out of their own polygon only.
    shape : tuple of int, optional
        ``(Y, X)`` of the image. What is outside, above and left of it in any case, is cut off.

    Returns
    -------
    mask : numpy.ndarray
        Bool, the tight box around the pixels; ``(0, 0)`` when no pixel center is inside.
    origin : tuple of int
        ``(y, x)`` of its first pixel.
    """
    from skimage.draw import polygon as fill

    rings = [np.asarray(ring, np.float64) for one in outlines for ring in one]
    rings = [ring for ring in rings if len(ring) > 2]
    if not rings:
        return np.zeros((0, 0), bool), (0, 0)
    corners = np.concatenate(rings)
    low = np.floor(corners.min(axis=0)).astype(int)
    high = np.ceil(corners.max(axis=0)).astype(int)
    low = np.maximum(low, 0)
    if shape is not None:
        high = np.minimum(high, (shape[1], shape[0]))
    width, height = (int(n) for n in high - low)
    if min(width, height) < 1:
        return np.zeros((0, 0), bool), (0, 0)
    whole = np.zeros((height, width), bool)
    for one in outlines:
        part = np.zeros_like(whole)
        for ring in one:
            if len(ring) < 3:
                continue
            # Pixel centers become whole numbers, so a corner of a pixel never lies on one.
            x, y = (np.asarray(ring, np.float64) - low - 0.5).T
            rows, columns = fill(y, x, whole.shape)
            part[rows, columns] ^= True
        whole |= part
    return _tight(whole, int(low[1]), int(low[0]))


def _tight(mask: np.ndarray, y: int, x: int) -> tuple[np.ndarray, tuple[int, int]]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.zeros((0, 0), bool), (0, 0)
    inside = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return inside, (y + int(rows[0]), x + int(columns[0]))


def _rings(mask: np.ndarray) -> list[Ring]:
    """Follow the edges of pixels with the inside on the right hand, turning right at crossings."""
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    leaving: dict[tuple[int, int], dict[int, tuple[int, int]]] = {}
    sides = (
        (inner & ~padded[:-2, 1:-1], _RIGHT, (0, 0)),
        (inner & ~padded[1:-1, 2:], _DOWN, (0, 1)),
        (inner & ~padded[2:, 1:-1], _LEFT, (1, 1)),
        (inner & ~padded[1:-1, :-2], _UP, (1, 0)),
    )
    for edge, way, (dy, dx) in sides:
        step_x, step_y = _STEP[way]
        for y, x in zip(*(k.tolist() for k in np.nonzero(edge)), strict=True):
            begin = (x + dx, y + dy)
            leaving.setdefault(begin, {})[way] = (begin[0] + step_x, begin[1] + step_y)
    rings = []
    for start in sorted(leaving, key=lambda p: (p[1], p[0])):
        while leaving[start]:
            rings.append(_follow(leaving, start))
    return rings


def _follow(
    leaving: dict[tuple[int, int], dict[int, tuple[int, int]]], start: tuple[int, int]
) -> Ring:
    at, way = start, min(leaving[start])
    first, corners = way, []
    previous = -1
    while True:
        if way != previous:
            corners.append(at)
        at, previous = leaving[at].pop(way), way
        if at == start:
            break
        # Right first: at a crossing the ring stays with its own pixel.
        way = next(w % 4 for w in (way + 1, way, way - 1) if w % 4 in leaving[at])
    if previous == first:
        corners.pop(0)
    return np.array(corners)


def _area(ring: Ring) -> float:
    x, y = ring[:, 0].astype(float), ring[:, 1].astype(float)
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _holds(ring: Ring, hole: Ring) -> bool:
    from skimage.measure import points_in_poly

    # Beside the middle of the hole's first edge, on the side of the mask.
    one, other = hole[0].astype(float), hole[1].astype(float)
    along = (other - one) / np.abs(other - one).sum()
    point = (one + other) / 2 + 0.25 * np.array([-along[1], along[0]])
    return bool(points_in_poly(point[None], ring.astype(float))[0])
