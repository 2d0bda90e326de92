"""Samples many small frames from one array at once: bilinear, half-pixel centers, no smoothing.

That is the rule by which the 50-pixel NIH malaria set was made from the originals (measured:
mean difference 0.18, largest 0.78 gray levels over 200 crops, which is rounding; every other
filter of Pillow differs by 140 and more). Output pixel ``i`` of ``n`` looks at
``start + (i + 0.5) * length / n - 0.5``, held inside the frame.
"""

from __future__ import annotations

import numpy as np

_ITEMS = 1 << 20


def sample(
    stack: np.ndarray,
    frames: np.ndarray,
    size: int,
    ids: np.ndarray | None,
    origin: tuple[int, int] = (0, 0),
    keep: int | None = None,
) -> np.ndarray:
    """Sample square crops from an interleaved array.

    Parameters
    ----------
    stack : numpy.ndarray
        ``(Y, X, K)`` float32, last axis contiguous. With ``ids``, the last plane holds labels
        (exact as float32) and pixels of another label count as 0.
    frames : numpy.ndarray
        ``(N, 4)`` float64: ``y0, x0, height, width`` in pixels of the whole image.
    size : int
        Edge of the crops.
    ids : numpy.ndarray or None
        ``(N,)`` labels as they stand in the last plane.
    origin : tuple of int
        ``(y, x)`` of ``stack[0, 0]`` in the whole image. Positions outside ``stack`` count as 0.
    keep : int, optional
        How many of the first planes to return, all by default.

    Returns
    -------
    numpy.ndarray
        ``(N, size, size, keep)`` float32.
    """
    planes = stack.shape[2]
    out = np.empty((len(frames), size, size, keep or planes), np.float32)
    y, y_weight = _positions(frames[:, 0], frames[:, 2], size)
    x, x_weight = _positions(frames[:, 1], frames[:, 3], size)
    first = x[:, 0].min(axis=1)
    reach = x[:, 1].max(axis=1) - first + 1
    order = np.argsort(reach, kind="stable")
    begin = 0
    while begin < len(order):
        # Frames of like width share a batch; its scratch memory stays inside the cache.
        most = max(1, _ITEMS // (size * planes * int(reach[order[begin]]) * 4))
        rows = order[begin : begin + most]
        rows = rows[reach[rows] <= reach[rows[0]] * 1.25 + 4]
        width = int(reach[rows].max())
        strips = _strips(
            stack, y[rows] - origin[0], first[rows] - origin[1], width,
            None if ids is None else ids[rows],
        )  # fmt: skip
        tall = _mix(strips[:, 0], strips[:, 1], y_weight[rows][:, :, None, None])
        _columns(tall, x[rows] - first[rows, None, None], x_weight[rows], out, rows)
        begin += len(rows)
    return out


def _positions(start: np.ndarray, length: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the two neighbors ``(N, 2, size)`` intp of every sample and the second's weight."""
    place = start[:, None] + (np.arange(size) + 0.5) * (length[:, None] / size) - 0.5
    low = start[:, None]
    place = np.clip(place, low, np.maximum(low + length[:, None] - 1, low))
    floor = np.floor(place)
    weight = (place - floor).astype(np.float32)
    lower = floor.astype(np.intp)
    # A weight of zero must not reach for a neighbor outside the frame.
    upper = lower + (weight > 0)
    return np.stack([lower, upper], 1), weight


def _strips(
    stack: np.ndarray, y: np.ndarray, x: np.ndarray, width: int, ids: np.ndarray | None
) -> np.ndarray:
    """Read ``(n, 2, size, width, K)``: for every output row, its two source rows."""
    height, length, planes = stack.shape
    flat_x = x[:, None, None]
    if (x.min() >= 0) and (x.max() + width <= length) and (y.min() >= 0) and (y.max() < height):
        strips = np.lib.stride_tricks.as_strided(
            stack,
            (height, length - width + 1, width * planes),
            (stack.strides[0], stack.strides[1], stack.strides[2]),
            writeable=False,
        )[y, flat_x].reshape(*y.shape, width, planes)
    else:
        columns = x[:, None] + np.arange(width)
        inside = ((columns >= 0) & (columns < length))[:, None, None, :]
        inside = inside & ((y >= 0) & (y < height))[..., None]
        strips = stack[
            np.clip(y, 0, height - 1)[..., None], np.clip(columns, 0, length - 1)[:, None, None, :]
        ]
        strips *= inside[..., None]
    if ids is not None:
        strips *= (strips[..., -1] == ids[:, None, None, None])[..., None]
    return strips  # type: ignore[no-any-return]


def _mix(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> np.ndarray:
    np.subtract(second, first, out=second)
    np.multiply(second, weight, out=second)
    return np.add(first, second, out=second)  # type: ignore[no-any-return]


def _columns(
    tall: np.ndarray, x: np.ndarray, weight: np.ndarray, out: np.ndarray, rows: np.ndarray
) -> None:
    count, size, width, planes = tall.shape
    lines = tall.reshape(count * size * width, planes)
    base = (np.arange(count * size) * width).reshape(count, size, 1)
    left = _pick(lines, base + x[:, 0][:, None, :])
    right = _pick(lines, base + x[:, 1][:, None, :])
    out[rows] = _mix(left, right, weight[:, None, :, None])[..., : out.shape[3]]


def _pick(lines: np.ndarray, index: np.ndarray) -> np.ndarray:
    if lines.shape[1] == 4:
        # Four float32 travel as one complex128: several times faster than rows of four.
        return lines.view(np.complex128)[:, 0].take(index).view(np.float32).reshape(*index.shape, 4)
    return lines.take(index, axis=0)
