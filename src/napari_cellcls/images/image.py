"""The Image: lazy planes with what is known about them. This module owns the type, not the reading."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.vocabulary import ChannelRole

if TYPE_CHECKING:
    import dask.array as da


@dataclass(frozen=True)
class Channel:
    """One channel: name from the file, role guessed or given, display color, and why.

    Attributes
    ----------
    name : str
        Name from the metadata or file name.
    role : ChannelRole
        What it shows; ``UNKNOWN`` when nothing tells.
    color : str
        Display color, ``#rrggbb``.
    reason : str
        Why this role was chosen, in words ("name contains 'DAPI'").
    excitation_nm, emission_nm : float or None
        Wavelengths in nanometers.
    strength : int
        How well the reason supports the role: 3 the structure is named, 2 a dye usual for it,
        1 only a color or wavelength, 0 nothing.
    """

    name: str
    role: ChannelRole = ChannelRole.UNKNOWN
    color: str = "#ffffff"
    reason: str = ""
    excitation_nm: float | None = None
    emission_nm: float | None = None
    strength: int = 0


@dataclass(frozen=True)
class Image:
    """Planes of one field at one scene, time and depth.

    Attributes
    ----------
    data : dask.array.Array or numpy.ndarray
        Shape ``(C, Y, X)``, native byte order, real numeric dtype. RGB photographs have
        ``C == 3`` in the order red, green, blue; alpha has been removed.
    channels : tuple of Channel
        One per plane.
    name : str
        Short name for display and output files (the file's stem).
    is_rgb : bool
        Whether the planes are one color photograph.
    pixel_size_um : tuple of float or None
        ``(y, x)`` in micrometers per pixel; None when the file does not say.
    value_range : tuple of float
        Values that mean black and full scale: ``(0, 255)``, ``(0, 4095)`` ... Declared by the
        file or measured (12-bit data in a 16-bit file).
    path : str or None
        Where it came from.
    scene : str
    t, z : int
    notes : tuple of str
        What the reader changed or doubts, in words for the user.
    """

    data: da.Array | np.ndarray
    channels: tuple[Channel, ...]
    name: str
    is_rgb: bool = False
    pixel_size_um: tuple[float, float] | None = None
    value_range: tuple[float, float] = (0.0, 255.0)
    path: str | None = None
    scene: str = ""
    t: int = 0
    z: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an inconsistent image early: every later room relies on the shape."""
        if self.data.ndim != 3 or self.data.shape[0] != len(self.channels):
            raise ValueError(
                f"Image data must be (C, Y, X) with one plane per channel; received shape "
                f"{self.data.shape} for {len(self.channels)} channels"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Return ``(Y, X)``."""
        return int(self.data.shape[1]), int(self.data.shape[2])

    def planes(
        self, indices: tuple[int, ...] | None = None, window: tuple[slice, slice] | None = None
    ) -> np.ndarray:
        """Return selected planes as one NumPy array.

        Parameters
        ----------
        indices : tuple of int, optional
            Channels to read, all by default.
        window : tuple of slice, optional
            Region in ``(Y, X)``, whole by default.

        Returns
        -------
        numpy.ndarray
            ``(len(indices), y, x)`` in the image's dtype.
        """
        data = self.data if indices is None else self.data[list(indices)]
        if window is not None:
            data = data[(slice(None), *window)]
        return np.asarray(data)

    def with_channels(self, channels: tuple[Channel, ...]) -> Image:
        """Return the same image with other channel descriptions."""
        return replace(self, channels=channels)
