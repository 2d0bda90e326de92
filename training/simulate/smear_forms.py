"""Forms of red cells, and the looks of laboratories: how stain, lamp and camera differ between slides."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .noise import soft_step


@dataclass(frozen=True)
class Form:
    """How a kind of red cell differs from the normal disc.

    Attributes
    ----------
    share : float
        How often it occurs, relative to the others.
    size : float
        Radius relative to a normal cell.
    aspect : float
        Long axis over short axis.
    dense : float
        Hemoglobin relative to a normal cell.
    pallor : float
        Depth of the pale center relative to a normal cell.
    width : float
        Width of the pale center relative to a normal cell.
    edge : str
        ``tail``, ``spikes``, ``cut`` or empty for a smooth oval.
    center : str
        ``target``, ``slit`` or empty.
    """

    share: float
    size: float = 1.0
    aspect: float = 1.0
    dense: float = 1.0
    pallor: float = 1.0
    width: float = 1.0
    edge: str = ""
    center: str = ""


FORMS: dict[str, Form] = {
    "normal": Form(10.0),
    "macrocyte": Form(1.0, size=1.22),
    "microcyte": Form(1.0, size=0.74),
    "spherocyte": Form(1.0, size=0.84, dense=1.3, pallor=0.0),
    "target": Form(1.0, pallor=1.4, width=1.35, center="target"),
    "stomatocyte": Form(1.0, pallor=1.5, center="slit"),
    "ovalocyte": Form(1.2, aspect=1.4),
    "elliptocyte": Form(1.0, aspect=2.1, pallor=0.7),
    "teardrop": Form(1.0, size=0.84, edge="tail"),
    "burr": Form(1.0, size=0.92, pallor=0.6, edge="spikes"),
    "schistocyte": Form(1.0, size=0.88, pallor=0.4, edge="cut"),
    "hypochromia": Form(1.0, dense=0.75, pallor=1.6, width=1.5),
}
"""The forms that Chula RBC-12 names, its ``uncategorised`` excepted."""


def draw_forms(rng: np.random.Generator, n: int) -> list[str]:
    """Draw ``n`` forms; slides differ in how many cells are not normal."""
    shares = np.array([f.share for f in FORMS.values()])
    shares[0] *= 10 ** rng.uniform(-0.6, 0.9)
    return [str(f) for f in rng.choice(list(FORMS), n, p=shares / shares.sum())]


def bend(
    rng: np.random.Generator, form: Form, rho: np.ndarray, y: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Return the relative radius of a form's outline.

    Parameters
    ----------
    rng : numpy.random.Generator
    form : Form
    rho : numpy.ndarray
        Relative radius of the smooth outline, 1 on it.
    y, x : numpy.ndarray
        Offsets from the center, same shape.

    Returns
    -------
    numpy.ndarray
        Same shape; 1 on the outline.
    """
    if not form.edge:
        return rho
    turn = np.arctan2(y, x) - rng.uniform(0, 2 * np.pi)
    if form.edge == "tail":
        long, sharp = rng.uniform(0.8, 1.3), rng.uniform(12, 30)
        return rho / (1 + long * np.exp(sharp * (np.cos(turn) - 1)))
    if form.edge == "spikes":
        n, high = int(rng.integers(10, 17)), rng.uniform(0.06, 0.15)
        return rho / (1 + high * np.cos(n / 2 * turn + 0.5 * np.sin(2 * turn)) ** 4 - high / 2)
    # A fragment: one straight cut, often a second one that leaves two horns.
    cut = rho * np.cos(turn) + (1 - rng.uniform(0.2, 0.6))
    out = np.maximum(rho, cut)
    if rng.random() < 0.5:
        out = np.maximum(out, rho * np.cos(turn + rng.uniform(1.2, 2.6)) + rng.uniform(0.3, 0.7))
    return np.asarray(out)


def pallor(
    rng: np.random.Generator, form: Form, y: np.ndarray, x: np.ndarray, width: float, soft: float
) -> np.ndarray:
    """Return the pale center, 0..1, for offsets relative to the cell's radius."""
    width = width * form.width
    if form.center == "slit":
        angle = rng.uniform(0, np.pi)
        c, s = np.cos(angle), np.sin(angle)
        far = np.hypot((x * c + y * s) / 1.5, (y * c - x * s) / 0.38)
        return soft_step(width - far, soft * 0.7)
    far = np.hypot(y, x)
    center = soft_step(width - far, soft)
    if form.center == "target":
        center = center * (1 - soft_step(width * rng.uniform(0.38, 0.5) - far, soft * 0.6))
    return center


@dataclass(frozen=True)
class Look:
    """Stain, lamp and camera of one slide; the defaults are those of the sample image.

    Attributes
    ----------
    strength : dict
        Factor on each stain, by its name in ``smear.STAINS``.
    tint : tuple of float
        Factor on the optical density of every stain in red, green, blue: the pH of the buffer.
    background : tuple of float
        Light through the empty slide, 0..255.
    vignette : float
        How much darker the corners are.
    focus : float or None
        Blur in pixels; None draws it between 0.75 and 0.95.
    noise : float
        Factor on the camera's noise.
    quality : int
        JPEG quality of the camera.
    crowd : float
        Share of red cells that lie against or over another.
    """

    strength: dict[str, float] = field(default_factory=dict)
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    background: tuple[float, float, float] = (203.0, 203.0, 197.0)
    vignette: float = 0.055
    focus: float | None = None
    noise: float = 1.0
    quality: int = 93
    crowd: float = 0.22

    @classmethod
    def random(cls, rng: np.random.Generator, stains: tuple[str, ...]) -> Look:
        """Draw the look of a slide from another laboratory."""
        bright = rng.uniform(165, 240)
        white = np.clip(bright * (1 + rng.normal(0, 0.025, 3)), 130, 250)
        # From blue-gray (alkaline) to pink (acid): less green density, or more red density.
        tint = np.exp(rng.normal((0.1, 0, 0), (0.32, 0.1, 0.22)))
        return cls(
            strength={name: float(rng.lognormal(0, 0.25)) for name in stains},
            tint=tuple(float(v) for v in np.clip(tint, 0.75, 1.6)),
            background=tuple(float(v) for v in white),
            vignette=float(rng.choice([0.055, rng.uniform(0.0, 0.25)])),
            focus=float(rng.uniform(0.6, 1.8)),
            noise=float(rng.uniform(0.5, 2.5)),
            quality=int(rng.integers(70, 97)),
            crowd=float(rng.uniform(0.1, 0.5)),
        )
