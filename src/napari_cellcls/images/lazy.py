"""Planes that stay on disk: read by window, made finite and native, with coded errors at any time."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_cellcls.images.faults import as_numpy, reader_errors
from napari_cellcls.images.values import native

_SAMPLE_EDGE = 512
_CHUNK = 1024


def windows(data: Any) -> Any:
    """Return windows of ``(C, Y, X)`` planes in the corners and the middle, side by side."""
    import dask.array as da

    height, width = data.shape[1:]
    edge_y, edge_x = min(_SAMPLE_EDGE, height), min(_SAMPLE_EDGE, width)
    starts = {
        (y, x)
        for y in (0, (height - edge_y) // 2, height - edge_y)
        for x in (0, (width - edge_x) // 2, width - edge_x)
        if (y == (height - edge_y) // 2) == (x == (width - edge_x) // 2)
    }
    parts = [data[:, y : y + edge_y, x : x + edge_x] for y, x in sorted(starts)]
    return da.concatenate([da.asarray(part) for part in parts], axis=2)


class _Guarded:
    """Array-like over lazy planes: reads a window, makes it finite and native, codes the errors."""

    def __init__(
        self, inner: Any, low: float, high: float, path: str, inverted_at: float | None = None
    ) -> None:
        self.inverted_at = inverted_at
        self.inner, self.low, self.high, self.path = inner, low, high, path
        self.shape: tuple[int, ...] = tuple(inner.shape)
        self.ndim = len(self.shape)
        self.dtype = native(np.empty(0, inner.dtype), path).dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return a window."""
        pixels = as_numpy(self.inner[key], self.path)
        if pixels.dtype.kind == "f":
            pixels = np.nan_to_num(pixels, nan=self.low, posinf=self.high, neginf=self.low)
        pixels = np.asarray(native(pixels, self.path))
        if self.inverted_at is not None and pixels.dtype.kind == "u":
            pixels = (self.inverted_at - pixels).astype(pixels.dtype)
        return pixels


def guard(data: Any, low: float, high: float, path: str, inverted_at: float | None = None) -> Any:
    """Wrap lazy planes so that whatever fails later fails with a code, in chunks of useful size."""
    import dask.array as da

    with reader_errors(path):
        source = _Guarded(data, low, high, path, inverted_at)
        inner = getattr(data, "chunksize", data.shape)
        chunks = (*inner[:-2], *(_chunk(n, c) for n, c in zip(data.shape[-2:], inner[-2:])))
        meta = np.empty((0,) * data.ndim, source.dtype)
        return da.from_array(source, chunks=chunks, name=False, meta=meta)


def _chunk(size: int, inner: int) -> int:
    # Whole multiples of what is stored, near 1024: no stored piece is then read for two chunks.
    return min(size, inner * max(1, round(_CHUNK / inner)))
