"""What the user should know before trusting the result: notices derived from the session."""

from __future__ import annotations

import numpy as np

from napari_cellcls.models.describe import caution
from napari_cellcls.session import Session

Notice = tuple[str, str]
"""Level (``warning`` or ``info``) and text."""

FAR_OFF = 1.3
"""A pixel size this factor outside the model's range is far off."""
_DOUBTFUL = 0.6
_MANY = 0.3


def notices(session: Session) -> tuple[Notice, ...]:
    """Return the notices for the present session, the most important first."""
    found: list[Notice] = []
    for part in (_no_cells, _level, _scale, _unlike, _doubts, _confidence, _image):
        found += part(session)
    return tuple(dict.fromkeys(found))


def plane_notices(
    used: tuple[int, ...], shown: tuple[int, ...], sizes: tuple[int, ...]
) -> tuple[Notice, ...]:
    """Say which plane of a stack is worked on, and warn when another one is shown.

    Parameters
    ----------
    used, shown, sizes : tuple of int
        One entry per axis in front of Y and X, counted from 0; empty without a stack.
    """
    if not sizes:
        return ()

    def words(at: tuple[int, ...]) -> str:
        return ", ".join(f"{i + 1} of {n}" for i, n in zip(at, sizes, strict=True))

    if used == shown:
        return (("info", f"One plane of the stack is used: {words(used)}."),)
    text = f"The cells are those of plane {words(used)}; plane {words(shown)} is shown. ⟳ takes the plane shown."
    return (("warning", text),)


def _no_cells(session: Session) -> list[Notice]:
    cells = session.cells
    if cells is None:
        return []
    level = "info" if len(cells) else "warning"
    notes: list[Notice] = [(level, note) for note in cells.notes]
    if not len(cells) and not notes:
        notes.append(
            (
                "warning",
                "No cells found. Try another way under Cells, or a Labels layer of your own.",
            )
        )
    return notes


def _level(session: Session) -> list[Notice]:
    manifest = session.manifest
    if manifest is None:
        return []
    if manifest.level == "backbone":
        return [("info", "Backbone only: this model has no classes until you teach it some.")]
    return [("warning", text) for text in caution(manifest)]


def _scale(session: Session) -> list[Notice]:
    image, manifest = session.image, session.manifest
    if image is None or manifest is None or manifest.pixel_size_um is None:
        return []
    low, high = manifest.pixel_size_um
    if image.pixel_size_um is None:
        return [("info", f"The image has no pixel size; the model expects {low:g} to {high:g} µm.")]
    size = float(np.mean(image.pixel_size_um))
    if low / FAR_OFF <= size <= high * FAR_OFF:
        return []
    text = f"Scale far off: {size:.3g} µm per pixel, the model expects {low:g} to {high:g}. Do not trust the classes."
    return [("warning", text)]


def _unlike(session: Session) -> list[Notice]:
    image, manifest = session.image, session.manifest
    if (
        image is None
        or manifest is None
        or session.method is None
        or session.mapping_error is not None
    ):
        return []
    if (manifest.cells, session.method) == ("blood", "smear"):
        return [
            ("warning", "White cells and platelets are left out: choose “Find: all blood cells”.")
        ]
    if (manifest.cells, session.method) == ("smear", "blood"):
        return [
            (
                "warning",
                "White cells and platelets are found too, and this model knows only red cells.",
            )
        ]
    if manifest.cells != session.method and session.method != "whole":
        made_for = {
            "smear": "blood smears",
            "blood": "blood smears",
            "fluorescence": "fluorescence images",
            "whole": "ready crops",
        }
        return [("warning", f"This model was made for {made_for[manifest.cells]}.")]
    return []


def _doubts(session: Session) -> list[Notice]:
    predictions = session.predictions
    return [] if predictions is None else [("warning", note) for note in predictions.notes]


def _confidence(session: Session) -> list[Notice]:
    predictions = session.predictions
    if predictions is None or not len(predictions.confidence):
        return []
    doubtful = float((np.asarray(predictions.confidence) < _DOUBTFUL).mean())
    if doubtful < _MANY:
        return []
    text = f"{doubtful:.0%} of the cells have a confidence below {_DOUBTFUL:g}: the image may be unlike the training set."
    return [("warning", text)]


def _image(session: Session) -> list[Notice]:
    return [] if session.image is None else [("info", note) for note in session.image.notes]
