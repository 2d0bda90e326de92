"""The overlay picture: the image with every cell outlined in the color and letter of its class."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.export.errors import writing
from napari_cellcls.export.legend import draw_letters, font, with_legend
from napari_cellcls.marks import class_marks
from napari_cellcls.vocabulary import COLUMNS, ClassScheme

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.images.image import Image
    from napari_cellcls.predict import Predictions

LONGEST = 4096
"""Pictures are reduced to at most this many pixels on the longer side."""
SHORTEST = 480
"""Small images are enlarged to at least this many pixels on the longer side."""
NO_CLASS_ON_BRIGHT, NO_CLASS_ON_DARK = "#202020", "#d8d8d8"
REJECTED = (150, 150, 150)
_MAX_LETTERS = 4000


@dataclass(frozen=True)
class View:
    """How image pixels become picture pixels: every ``step``-th, each ``zoom`` times."""

    step: int
    zoom: int

    @classmethod
    def of(cls, shape: tuple[int, int]) -> View:
        """Choose the view for an image of ``(Y, X)``."""
        longest = max(shape)
        if longest > LONGEST:
            return cls(-(-longest // LONGEST), 1)
        return cls(1, min(-(-SHORTEST // longest), 16))

    @property
    def scale(self) -> float:
        """Picture pixels per image pixel."""
        return self.zoom / self.step

    def labels(self, labels: np.ndarray) -> np.ndarray:
        """Return ``(Y, X)`` labels as the picture sees them."""
        seen = np.asarray(labels[:: self.step, :: self.step])
        return seen.repeat(self.zoom, 0).repeat(self.zoom, 1) if self.zoom > 1 else seen


def write_overlay(
    image: Image,
    cells: Cells,
    predictions: Predictions,
    target: str | os.PathLike[str],
    lines: tuple[str, ...] = (),
) -> None:
    """Write the picture of :func:`render_overlay` as PNG.

    Raises
    ------
    ExportError
        When the file cannot be written.
    """
    picture = render_overlay(image, cells, predictions, lines)
    with writing(target) as temporary:
        picture.save(temporary, format="PNG", compress_level=3)


def render_overlay(
    image: Image, cells: Cells, predictions: Predictions, lines: tuple[str, ...] = ()
) -> Picture:
    """Draw the image, an outline per cell in its class color, a letter, and a legend below.

    A cell with several classes is drawn in the most probable one; cells without a class are
    black on a photograph and light gray on fluorescence, objects that were left out are dotted.

    Parameters
    ----------
    image : Image
        Data ``(C, Y, X)``; a color photograph is shown as it is, other channels as a composite
        of their display colors, each stretched between its 0.5 and 99.8 percentile.
    cells : Cells
    predictions : Predictions
        Rows in the order of ``cells.table``.
    lines : tuple of str
        Text below the legend.

    Returns
    -------
    PIL.Image.Image
        Mode RGB.
    """
    from PIL import Image as PillowImage

    view = View.of(image.shape)
    pixels = composite(image, view)
    width = max(2, round(max(pixels.shape[:2]) / 700))
    shown = shown_class(predictions)
    if cells.rejected is not None:
        _dotted(pixels, view.labels(cells.rejected.labels))
    no_class = NO_CLASS_ON_BRIGHT if image.is_rgb else NO_CLASS_ON_DARK
    palette = np.stack([rgb_of(c.color) for c in predictions.scheme.classes] + [rgb_of(no_class)])
    _outline(pixels, view.labels(cells.labels), cells.ids, palette[shown], width)  # -1: the last
    picture = PillowImage.fromarray(pixels)
    letters = class_marks(predictions.scheme.names)
    _letter_cells(picture, cells, shown, letters, predictions.scheme, view)
    rejected = 0 if cells.rejected is None else len(cells.rejected.table)
    return with_legend(picture, predictions, letters, no_class, rejected, lines)


def composite(image: Image, view: View) -> np.ndarray:
    """Return the image as an RGB picture of shape ``(Y, X, 3)``, uint8."""
    planes = np.asarray(image.data[:, :: view.step, :: view.step]).astype(np.float32)
    if image.is_rgb:
        black, white = image.value_range
        rgb: np.ndarray = np.moveaxis((planes - black) / max(white - black, 1e-12), 0, -1)
    else:
        rgb = np.zeros((*planes.shape[1:], 3), np.float32)
        for plane, channel in zip(planes, image.channels, strict=True):
            low, high = np.nanpercentile(plane, (0.5, 99.8))
            if high > low:
                stretched = np.clip((plane - low) / (high - low), 0, 1)
                rgb += stretched[..., None] * (rgb_of(channel.color).astype(np.float32) / 255)
    pixels: np.ndarray = (np.nan_to_num(np.clip(rgb, 0, 1)) * 255 + 0.5).astype(np.uint8)
    if view.zoom > 1:
        pixels = pixels.repeat(view.zoom, 0).repeat(view.zoom, 1)
    return pixels


def shown_class(predictions: Predictions) -> np.ndarray:
    """Return the index of the class each cell is drawn in, -1 where it has none; ``(N,)``."""
    assigned = np.asarray(predictions.assigned, bool)
    if assigned.size == 0:
        return np.full(len(assigned), -1)
    best = np.where(assigned, predictions.probabilities, -1.0).argmax(axis=1)
    return np.where(assigned.any(axis=1), best, -1)


def rgb_of(color: str) -> np.ndarray:
    """Return ``#rrggbb`` as three uint8 values."""
    return np.frombuffer(bytes.fromhex(color.removeprefix("#")[:6]), np.uint8)


def _boundary(labels: np.ndarray, width: int) -> np.ndarray:
    """Return where a labeled pixel lies within ``width`` of another label or the background."""
    from scipy import ndimage

    size = 2 * width + 1
    low = ndimage.minimum_filter(labels, size=size, mode="nearest")
    high = ndimage.maximum_filter(labels, size=size, mode="nearest")
    edge: np.ndarray = (labels > 0) & (low != high)
    return edge


def _outline(
    pixels: np.ndarray,
    labels: np.ndarray,
    ids: np.ndarray,
    colors: np.ndarray,
    width: int,
) -> None:
    edge = _boundary(labels, width)
    found = labels[edge]
    if not len(ids):
        return
    row = np.clip(np.searchsorted(ids, found), 0, len(ids) - 1)
    known = ids[row] == found
    target = pixels[edge]
    target[known] = colors[row[known]]
    pixels[edge] = target


def _dotted(pixels: np.ndarray, labels: np.ndarray) -> None:
    y, x = np.nonzero(_boundary(labels, 1))
    dash = (y + x) % 8 < 5
    pixels[y[dash], x[dash]] = REJECTED


def _letter_cells(
    picture: Picture,
    cells: Cells,
    shown: np.ndarray,
    letters: tuple[str, ...],
    scheme: ClassScheme,
    view: View,
) -> None:
    if not len(cells) or len(cells) > _MAX_LETTERS:
        return
    box = cells.table[list(COLUMNS.bbox)].to_numpy(float)
    size = float(np.median(np.minimum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]))) * view.scale
    if size < 18:
        return
    middle = cells.table[[COLUMNS.y, COLUMNS.x]].to_numpy(float) * view.scale
    typeface = font(int(min(max(size * 0.3, 10), 22)))
    draw_letters(picture, middle, shown, letters, scheme, typeface)
