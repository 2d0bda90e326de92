"""Descriptors of the labeled cells of a project, image by image; what cannot be had is named, not dropped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.embed import describe_cells
from napari_cellcls.images.channels import match
from napari_cellcls.learn.labels import Labels, PlaneKey
from napari_cellcls.models.engines.base import Engine
from napari_cellcls.review.known import fits, layers
from napari_cellcls.vocabulary import (
    CellClsError,
    ChannelError,
    ImageError,
    InputPlane,
    Progress,
    Task,
)

if TYPE_CHECKING:
    from napari_cellcls.images.image import Image
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.project.project import Project


@dataclass(frozen=True, eq=False)
class Described:
    """Labeled cells with their numbers.

    Attributes
    ----------
    rows : numpy.ndarray
        ``(M,)`` rows of the labels, rising.
    values : numpy.ndarray
        ``(M, D)`` float32.
    blocks : tuple of int
        Columns of the embedding, and of the measured numbers.
    inputs : tuple of InputPlane
        What the network saw.
    cached : int
        Rows that came from the disk.
    left_out : mapping of str to int
        Why -> how many cells.
    notes : tuple of str
        One sentence per image that could not be used.
    """

    rows: np.ndarray
    values: np.ndarray
    blocks: tuple[int, int]
    inputs: tuple[InputPlane, ...]
    cached: int
    left_out: dict[str, int]
    notes: tuple[str, ...]


class WhenNeeded(Engine):
    """An engine that is opened with the first crop: most cells are known already."""

    def __init__(self, package: ModelPackage) -> None:
        super().__init__(package)
        self._package, self._engine = package, None  # type: tuple[ModelPackage, Engine | None]

    @property
    def name(self) -> str:  # type: ignore[override]
        """Name of the engine."""
        return self._opened().name

    @property
    def device(self) -> str:  # type: ignore[override]
        """Device of the engine."""
        return self._opened().device

    def close(self) -> None:
        """Close the engine if it was opened."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _run(self, crops: np.ndarray) -> np.ndarray:
        return self._opened().embed(crops)

    def _opened(self) -> Engine:
        if self._engine is None:
            from napari_cellcls.models.runtime import open_engine

            self._engine = open_engine(self._package)
        return self._engine


def describe_labels(
    project: Project,
    labels: Labels,
    package: ModelPackage,
    *,
    inputs: tuple[InputPlane, ...] | None = None,
    cache: bool = True,
) -> Task[Described]:
    """Describe labeled cells by the network of a model.

    Parameters
    ----------
    project : Project
        Where the images are looked for.
    labels : Labels
    package : ModelPackage
    inputs : tuple of InputPlane, optional
        What a model with open inputs is to see; by default the channels of the image with most labels.
    cache : bool
        Whether descriptors are taken from the disk and kept there.

    Raises
    ------
    EngineError
        When the engine cannot be opened or fails.
    """
    inputs = package.manifest.planes or inputs
    left_out: Counter[str] = Counter()
    notes: list[str] = []
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    blocks, cached = (0, 0), 0
    planes = sorted(labels.planes().items(), key=lambda one: (-len(one[1]), one[0]))
    with WhenNeeded(package) as engine:
        for done, (key, rows) in enumerate(planes):
            name = _name(project, key)
            yield Progress(done, len(planes), f"Describing the labeled cells of {name}")
            try:
                image = open_plane(project, key)
                mapping = match(image, inputs or ())
            except (ImageError, ChannelError) as error:
                why = "image not found" if error.code == "IMG-MISSING" else "image not usable"
                left_out[why] += len(rows)
                notes.append(f"{name}: its {len(rows):,} labels were not used. {_why(error)}")
                continue
            inputs = inputs or mapping.inputs
            inside = np.array([fits(labels.anchors[row], image.shape) for row in rows])
            if not inside.all():
                left_out["outside their image"] += int((~inside).sum())
            rows = rows[inside]
            for some, cells in layers([labels.anchors[row] for row in rows], image.shape):
                found = yield from describe_cells(
                    image, cells, package, mapping=mapping, engine=engine, cache=cache
                )
                good = np.isfinite(found.values).all(axis=1)
                left_out["no numbers could be measured"] += int((~good).sum())
                parts.append((rows[some][good], found.values[good]))
                blocks, cached = found.blocks, cached + found.cached
    every = np.concatenate([part[0] for part in parts]) if parts else np.zeros(0, int)
    values = np.concatenate([part[1] for part in parts]) if parts else np.zeros((0, 0), np.float32)
    order = np.argsort(every)
    left = {why: n for why, n in left_out.items() if n}
    return Described(
        every[order], values[order], blocks, tuple(inputs or ()), cached, left, tuple(notes)
    )


def open_plane(project: Project, key: PlaneKey) -> Image:
    """Open the plane of some labels.

    Raises
    ------
    ImageError
        ``IMG-MISSING`` when it is not found, or its content has changed.
    """
    from napari_cellcls.images.read import open_image

    if key.image_id not in project.journal.state.images:
        raise ImageError(
            "The project does not know where this image is.",
            code="IMG-MISSING",
            remedy="Add it: cellcls project add PROJECT IMAGE.",
        )
    located = project.locate(key.image_id)
    if located.status not in ("found", "moved") or located.path is None:
        raise ImageError(
            f"{located.text}.",
            code="IMG-MISSING",
            remedy="Say where it is now: cellcls project add PROJECT IMAGE.",
        )
    return open_image(located.path, scene=key.scene or None, t=key.t, z=key.z)


def _name(project: Project, key: PlaneKey) -> str:
    known = project.journal.state.images.get(key.image_id)
    return key.image_id[:8] if known is None else known.name


def _why(error: CellClsError) -> str:
    return " ".join(part for part in (error.what, error.why, error.remedy) if part)
