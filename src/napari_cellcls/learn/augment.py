"""Random changes that a classifier must not care about, applied to whole batches on the device.

Everything is written with ``keras.ops`` and works on any backend; the random numbers of each
cell are drawn with NumPy from one seed, so that a batch is the same on every run. Color
changes act inside the cell only: crops are black outside the cell, and stay so.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np

_LUMA = np.array([0.299, 0.587, 0.114])
_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
# Optical densities of hematoxylin, eosin and a third direction (Ruifrok and Johnston 2001,
# Anal Quant Cytol Histol 23:291); Giemsa's azure and eosin lie close to the first two.
_STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_TINY = 1e-4
_RESOLUTIONS = (0.35, 0.5, 0.7)
_BLOCK = 8


@dataclass(frozen=True)
class Augmentation:
    """How strong each random change is; 0 or False switches it off.

    Attributes
    ----------
    flips : bool
        Mirror and turn by multiples of 90 degrees, exactly: no pixel is mixed with another.
    rotation_deg, scale, stretch, shift : float
        Largest turn in degrees, zoom and aspect change as a fraction, shift as a fraction of
        the edge. What moves in from outside the crop is black.
    density : float
        Spread of each stain's amount (log scale), in optical density (hematoxylin, eosin and a
        third stain); color images only.
    styles : tuple of tuple of float
        Mean optical density per color plane of cells of other slides, one triple each: a cell
        moves a random part of the way to one of them, whatever its class, so that a stain tells
        nothing about the class; color images only.
    hue, saturation : float
        Largest hue turn in radians, spread of the saturation (log scale); color images only.
    brightness, contrast, gamma, balance : float
        Spread of the factors (log scale), for any number of planes; ``balance`` is a factor of
        its own per plane (light source, camera, exposure of a channel).
    blur, resample, noise, blocks : float
        Probability of a blur, of losing resolution by down- and up-sampling; standard
        deviation of pixel noise and of 8-pixel color blocks such as JPEG leaves, 0..1 scale.
    edge_px : int
        The cell's outline moves by up to this many pixels, 0..2: inward the cell becomes
        smaller, outward a ring of bright background shows, as with another segmentation.
    probability : float
        Chance of each color change per cell.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    flips: bool = False
    rotation_deg: float = 0.0
    scale: float = 0.0
    stretch: float = 0.0
    shift: float = 0.0
    density: float = 0.0
    styles: tuple[tuple[float, float, float], ...] = ()
    hue: float = 0.0
    saturation: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    gamma: float = 0.0
    balance: float = 0.0
    blur: float = 0.0
    resample: float = 0.0
    noise: float = 0.0
    blocks: float = 0.0
    edge_px: int = 0
    probability: float = 0.8

    @property
    def active(self) -> bool:
        """Return whether anything is switched on."""
        return any(getattr(self, f.name) for f in fields(self) if f.name != "probability")


PRESETS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "mild": Augmentation(
        flips=True, rotation_deg=20, scale=0.08, stretch=0.06, shift=0.03, density=0.12,
        hue=0.05, saturation=0.1, brightness=0.05, contrast=0.08, gamma=0.05, balance=0.03,
        blur=0.1, resample=0.05, noise=0.005, edge_px=1, probability=0.7,
    ),
    "strong": Augmentation(
        flips=True, rotation_deg=180, scale=0.15, stretch=0.12, shift=0.05, density=0.3,
        hue=0.2, saturation=0.3, brightness=0.15, contrast=0.2, gamma=0.2, balance=0.1,
        blur=0.25, resample=0.2, noise=0.015, blocks=0.01, edge_px=2, probability=0.8,
    ),
}  # fmt: skip
"""Ready strengths: ``strong`` is meant for stains, cameras and segmentations never seen."""


def augment(images: Any, spec: Augmentation, seed: int | tuple[int, ...]) -> Any:
    """Change every crop of a batch at random.

    Parameters
    ----------
    images : tensor
        ``(N, Y, X, C)`` float32, 0..1, black (all planes 0) outside the cell. Stain, hue and
        saturation change with ``C == 3`` only.
    spec : Augmentation
    seed : int or tuple of int
        Same seed, same result.

    Returns
    -------
    tensor
        Same shape, float32, 0..1, of the active Keras backend.
    """
    from keras import ops

    images = ops.convert_to_tensor(images, "float32")
    if not spec.active:
        return images
    rng = np.random.default_rng(seed)
    n, edge, channels = images.shape[0], images.shape[1], images.shape[3]
    if spec.flips:
        images = _flip(images, rng)
    if not replace(spec, flips=False).active:
        return images
    mask = ops.cast(ops.max(images, axis=-1, keepdims=True) > 0, "float32")
    planes = ops.concatenate([images, mask], axis=-1)
    planes = _move(planes, _affine(spec, rng, n))
    planes = _lose_resolution(planes, spec, rng, n, edge)
    planes = _blur(planes, spec, rng, n)
    inside = planes[..., channels:]
    color = planes[..., :channels] / ops.maximum(inside, _TINY)
    if channels == 3:
        color = _restyle(color, inside, spec, rng)
        color = _recolor(color, spec, rng)
    color = _retone(color, inside, spec, rng)
    color = _add_noise(color, spec, rng)
    return _compose(color, inside, spec, rng, n)


def _flip(images: Any, rng: np.random.Generator) -> Any:
    """Turn each square image into one of its eight mirrored and quarter-turned forms."""
    from keras import ops

    chosen = rng.random((3, images.shape[0], 1, 1, 1)) < 0.5
    images = ops.where(chosen[0], ops.flip(images, axis=1), images)
    images = ops.where(chosen[1], ops.flip(images, axis=2), images)
    return ops.where(chosen[2], ops.transpose(images, (0, 2, 1, 3)), images)


def _affine(spec: Augmentation, rng: np.random.Generator, n: int) -> np.ndarray:
    """Return ``(N, 2, 3)``: output position (y, x, -1..1) to input position."""
    turn = np.deg2rad(rng.uniform(-1, 1, n) * spec.rotation_deg)
    zoom = np.exp(rng.uniform(-1, 1, n) * np.log1p(spec.scale))
    aspect = np.exp(rng.uniform(-0.5, 0.5, n) * np.log1p(spec.stretch))
    cos, sin = np.cos(turn) / zoom, np.sin(turn) / zoom
    matrix = np.stack([cos * aspect, -sin / aspect, sin * aspect, cos / aspect], -1).reshape(
        n, 2, 2
    )
    shift = rng.uniform(-2, 2, (n, 2, 1)) * spec.shift
    return np.concatenate([matrix, shift], axis=2).astype(np.float32)


def _move(planes: Any, matrix: np.ndarray) -> Any:
    """Sample the batch bilinearly at transformed positions; outside is 0."""
    from keras import ops

    n, height, width, channels = planes.shape
    identity = np.eye(2, 3, dtype=np.float32)
    if np.array_equal(matrix, np.broadcast_to(identity, matrix.shape)):
        return planes
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    grid = np.stack([y, x, np.ones_like(y)]).reshape(3, -1).astype(np.float32)
    at = ops.matmul(ops.convert_to_tensor(matrix), ops.convert_to_tensor(grid)[None])
    rows = (at[:, 0] + 1) * ((height - 1) / 2)
    cols = (at[:, 1] + 1) * ((width - 1) / 2)
    top, left = ops.floor(rows), ops.floor(cols)
    down, right = rows - top, cols - left
    flat = ops.reshape(planes, (n * height * width, channels))
    first = ops.convert_to_tensor((np.arange(n, dtype=np.int32) * height * width)[:, None])
    result = 0.0
    for dy, wy in ((0, 1 - down), (1, down)):
        for dx, wx in ((0, 1 - right), (1, right)):
            r, c = top + dy, left + dx
            known = (r >= 0) & (r <= height - 1) & (c >= 0) & (c <= width - 1)
            r = ops.cast(ops.clip(r, 0, height - 1), "int32")
            c = ops.cast(ops.clip(c, 0, width - 1), "int32")
            weight = wy * wx * ops.cast(known, "float32")
            result = result + ops.take(flat, first + r * width + c, axis=0) * weight[..., None]
    return ops.reshape(result, (n, height, width, channels))


def _lose_resolution(
    planes: Any, spec: Augmentation, rng: np.random.Generator, n: int, edge: int
) -> Any:
    from keras import ops

    if not spec.resample:
        return planes
    small = max(2, round(edge * float(rng.choice(_RESOLUTIONS))))
    coarse = ops.image.resize(planes, (small, small), antialias=True, data_format="channels_last")
    coarse = ops.image.resize(coarse, (edge, edge), data_format="channels_last")
    return planes + _column(rng.random(n) < spec.resample) * (coarse - planes)


def _blur(planes: Any, spec: Augmentation, rng: np.random.Generator, n: int) -> Any:
    from keras import ops

    if not spec.blur:
        return planes
    amount = rng.random(n) * (rng.random(n) < spec.blur)
    soft = planes
    for _ in range(2):
        for pad in ([[0, 0], [1, 1], [0, 0], [0, 0]], [[0, 0], [0, 0], [1, 1], [0, 0]]):
            wide = ops.pad(soft, pad)
            if pad[1][0]:
                soft = 0.25 * (wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:])
            else:
                soft = 0.25 * (wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:])
    return planes + _column(amount) * (soft - planes)


def _spread(size: float, shape: tuple[int, ...], spec: Augmentation, rng: Any) -> np.ndarray:
    """Return random numbers around 0 for the crops that are chosen, 0 for the others."""
    values = np.clip(rng.normal(0, size / 1.5, shape), -size, size) if size else np.zeros(shape)
    chosen = rng.random((shape[0],) + (1,) * (len(shape) - 1)) < spec.probability
    return np.asarray(values * chosen)


def _restyle(color: Any, inside: Any, spec: Augmentation, rng: np.random.Generator) -> Any:
    """Move the mean optical density of cells towards that of other slides, plane by plane."""
    from keras import ops

    if not spec.styles:
        return color
    n = color.shape[0]
    goal = np.array(spec.styles, np.float32)[rng.integers(len(spec.styles), size=n)]
    part = rng.random((n, 1)) * (rng.random((n, 1)) < spec.probability)
    density = -ops.log(ops.clip(color, 1 / 255, 1.0))
    area = ops.maximum(ops.sum(inside, axis=(1, 2)), 1.0)
    mean = ops.maximum(ops.sum(density * inside, axis=(1, 2)) / area, 0.02)
    # Factors per plane keep what is darker than the rest of its cell, a parasite, darker.
    factor = ops.power(ops.convert_to_tensor(goal) / mean, ops.convert_to_tensor(part, "float32"))
    return ops.exp(-ops.clip(density * factor[:, None, None, :], 0.0, 6.0))


def _recolor(color: Any, spec: Augmentation, rng: np.random.Generator) -> Any:
    """Change stain amounts, then hue and saturation, per cell."""
    from keras import ops

    n = color.shape[0]

    def transform(x: Any, matrices: np.ndarray) -> Any:
        flat = ops.reshape(x, (n, -1, 3))
        return ops.reshape(ops.matmul(flat, ops.convert_to_tensor(matrices, "float32")), x.shape)

    stains = np.linalg.inv(_STAINS)[None] @ (
        np.exp(_spread(spec.density, (n, 3), spec, rng))[:, :, None] * _STAINS
    )
    density = transform(-ops.log(ops.clip(color, 1 / 255, 1.0)), stains)
    color = ops.exp(-ops.clip(density, 0.0, 6.0))
    turn = _spread(spec.hue, (n,), spec, rng)
    return transform(color, _hue_matrices(turn, _spread(spec.saturation, (n,), spec, rng)))


def _retone(color: Any, inside: Any, spec: Augmentation, rng: np.random.Generator) -> Any:
    """Change balance, brightness, contrast and gamma, per cell."""
    from keras import ops

    n, channels = color.shape[0], color.shape[-1]
    balance = _spread(spec.balance, (n, channels), spec, rng)
    gain = np.exp(balance + _spread(spec.brightness, (n, 1), spec, rng))
    color = color * _column(gain, planes=channels)
    area = ops.maximum(ops.sum(inside, axis=(1, 2), keepdims=True), 1.0)
    mean = ops.sum(color * inside, axis=(1, 2), keepdims=True) / area
    color = mean + (color - mean) * _column(np.exp(_spread(spec.contrast, (n,), spec, rng)))
    exponent = _column(np.exp(_spread(spec.gamma, (n,), spec, rng)))
    return ops.power(ops.clip(color, _TINY, 1.0), exponent)


def _hue_matrices(turn: np.ndarray, saturation: np.ndarray) -> np.ndarray:
    """Return ``(N, 3, 3)`` acting on row vectors: rotate and scale color around gray."""
    cos, sin = np.cos(turn) * np.exp(saturation), np.sin(turn) * np.exp(saturation)
    inner = np.zeros((len(turn), 3, 3))
    inner[:, 0, 0] = 1
    inner[:, 1, 1], inner[:, 1, 2], inner[:, 2, 1], inner[:, 2, 2] = cos, -sin, sin, cos
    return np.swapaxes(np.linalg.inv(_TO_YIQ) @ inner @ _TO_YIQ, 1, 2)


def _add_noise(color: Any, spec: Augmentation, rng: np.random.Generator) -> Any:
    import keras
    from keras import ops

    n, height, width, channels = color.shape
    if spec.noise:
        level = _column(rng.random(n) * spec.noise)
        seed = int(rng.integers(2**31))
        color = color + level * keras.random.normal(color.shape, seed=seed)
    if spec.blocks:
        blocks = rng.normal(0, 1, (n, -(-height // _BLOCK), -(-width // _BLOCK), channels))
        blocks *= (rng.random(n) * spec.blocks)[:, None, None, None]
        tiles = ops.convert_to_tensor(blocks.astype(np.float32))
        tiles = ops.repeat(ops.repeat(tiles, _BLOCK, axis=1), _BLOCK, axis=2)
        color = color + tiles[:, :height, :width]
    return ops.clip(color, 0.0, 1.0)


def _compose(color: Any, inside: Any, spec: Augmentation, rng: np.random.Generator, n: int) -> Any:
    """Put the cell back on black, its outline moved inward or outward."""
    from keras import ops

    crisp = ops.cast(inside > 0.5, "float32")
    sharp = _column(rng.random(n) < 0.5)
    inside = sharp * crisp + (1 - sharp) * ops.clip(inside, 0.0, 1.0)
    if not spec.edge_px:
        return color * inside
    step = rng.integers(-spec.edge_px, spec.edge_px + 1, n)
    channels = color.shape[-1]
    light = np.clip(rng.uniform(0.65, 1.0, (n, 1)) + rng.normal(0, 0.04, (n, channels)), 0, 1)
    result = _column(step == 0) * color * inside
    for px in range(1, spec.edge_px + 1):
        window = 2 * px + 1
        grown = ops.max_pool(inside, window, strides=1, padding="same", data_format="channels_last")
        hole = ops.max_pool(
            1 - inside, window, strides=1, padding="same", data_format="channels_last"
        )
        result = result + _column(step == -px) * color * (1 - hole)
        ring = grown - inside
        result = result + _column(step == px) * (
            color * inside + ring * _column(light, planes=channels)
        )
    return result


def _column(values: np.ndarray, planes: int = 1) -> Any:
    """Shape per-cell numbers as ``(N, 1, 1, planes)`` on the device."""
    from keras import ops

    values = np.asarray(values, np.float32).reshape(-1, 1, 1, planes)
    return ops.convert_to_tensor(values)
