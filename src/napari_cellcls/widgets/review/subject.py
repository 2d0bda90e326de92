"""All that reviewing one plane needs, made in a worker beside the window: rows, ranks, strokes, colors of crops."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.identity import image_id, image_id_of_array
from napari_cellcls.cells.scaling import channel_limits
from napari_cellcls.review.known import known_cells
from napari_cellcls.review.order import Ranker
from napari_cellcls.review.sheet import Plane, Sheet
from napari_cellcls.review.state import ClassState
from napari_cellcls.vocabulary import ImageError, Normalization, Progress, Task
from napari_cellcls.widgets.review.picture import Strokes, raster

if TYPE_CHECKING:
    from napari_cellcls.images.image import Image
    from napari_cellcls.predict import Predictions
    from napari_cellcls.review.fold import State
    from napari_cellcls.vocabulary import ClassScheme

_READ_WHOLE_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Wanted:
    """What to review: an image, its cells (None: those the journal knows), what a model says, and who looks."""

    image: Image
    cells: Cells | None
    predictions: Predictions | None
    outline_width: int = 3
    letters: bool = True
    annotator: str = ""
    blind: bool = False


@dataclass(frozen=True, eq=False)
class Subject:
    """One plane, ready.

    Attributes
    ----------
    source : Image
        As it was given.
    image : Image
        The same, its planes in memory where they fit.
    sheet : Sheet
    ranker : Ranker
    strokes : Strokes or None
        None where the image is too large to draw on.
    limits : numpy.ndarray
        ``(C, 2)`` black and white of each channel in the crops of the gallery.
    """

    source: Image
    image: Image
    sheet: Sheet
    ranker: Ranker
    strokes: Strokes | None
    limits: np.ndarray


def prepare(wanted: Wanted, state: State | None, before: Subject | None = None) -> Task[Subject]:
    """Make a subject; what is the same as ``before`` is taken from it.

    Raises
    ------
    CellsError
        ``REVIEW-NOCELLS`` when the journal knows no cells of the image and none were given.
    """
    yield Progress(0, 3, "Reading the image")
    image = wanted.image
    same = before is not None and before.source is image
    if same and before is not None:
        image = before.image
    elif _is_lazy_and_fits(image):
        image = replace(image, data=np.asarray(image.data))
    plane = before.sheet.plane if same and before is not None else _plane(image)
    yield Progress(1, 3, "Looking the cells up")
    if wanted.cells is not None:
        sheet = Sheet(wanted.cells, plane, wanted.predictions)
    else:
        cells, ids = known_cells(state, plane, image.shape)
        sheet = Sheet(cells, plane, None, ids)
    sheet.blind = wanted.blind
    if state is not None:
        sheet.link(state)
        sheet.refresh(state, wanted.annotator)
    ranker = Ranker(sheet, _known_points(before, sheet))
    ranker.look_ahead()
    yield Progress(2, 3, "Drawing")
    strokes = before.strokes if before is not None else None
    if strokes is None or before is None or before.sheet.cells is not sheet.cells:
        strokes = Strokes.of(sheet.cells, wanted.outline_width, wanted.letters)
    if same and before is not None:
        return Subject(wanted.image, image, sheet, ranker, strokes, before.limits)
    return Subject(wanted.image, image, sheet, ranker, strokes, limits_of(image))


def limits_of(image: Image) -> np.ndarray:
    """Return black and white of each channel in crops for people, ``(C, 2)``."""
    if not image.is_rgb:
        return channel_limits(
            image, Normalization("percentile", 0.5, 99.8), tuple(range(len(image.channels)))
        )
    return np.tile(np.asarray(image.value_range, np.float64), (len(image.channels), 1))


def _known_points(before: Subject | None, sheet: Sheet) -> np.ndarray | None:
    """Return what was found out about the same embeddings before: of another head, or with other thresholds."""
    if before is None or before.sheet.opinion is None or sheet.opinion is None:
        return None
    old, new = before.sheet.opinion.embeddings, sheet.opinion.embeddings
    same = old is new or (old is not None and new is not None and np.array_equal(old, new))
    return before.ranker.points if same else None


def _is_lazy_and_fits(image: Image) -> bool:
    size = int(image.data.size) * image.data.dtype.itemsize
    return not isinstance(image.data, np.ndarray) and size <= _READ_WHOLE_BYTES


def _plane(image: Image) -> Plane:
    found = None
    if image.path:
        try:
            found = image_id(image.path)
        except (
            ImageError
        ):  # a sample, a layer made by hand, a file that is gone: known by its pixels
            found = None
    if found is None:
        found = image_id_of_array(np.asarray(image.data))
    return Plane(found, image.name, image.path, image.scene, image.t, image.z, image.pixel_size_um)


def painted(subject: Subject) -> Task[tuple[Subject, np.ndarray | None]]:
    """Draw all outlines of a subject; None where it is too large."""
    yield Progress(0, 1, "Drawing")
    if subject.strokes is None:
        return subject, None
    return subject, raster(subject.sheet, subject.strokes)


def states_of(scheme: ClassScheme | None) -> tuple[ClassState, ...]:
    """Return the classes of a model as those of a project that is not made yet."""
    if scheme is None:
        return ()
    return tuple(ClassState(one.id, one.name, one.color) for one in scheme.classes)
