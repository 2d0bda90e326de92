"""Cells to descriptors: crops through an engine, measured numbers, and what of both is on disk already.

Cutting crops runs ahead in a thread of its own while the engine works. Rows on disk belong to cells,
not to segmentations: the labeled cells of a project and all cells of the window share them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls import shelf
from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.descriptor import iter_described, size_of
from napari_cellcls.images.image import Image
from napari_cellcls.models.engines.base import Engine
from napari_cellcls.models.feed import Ahead
from napari_cellcls.models.habits import plane_means
from napari_cellcls.models.head import need_classes
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.models.turns import mean_of_turns
from napari_cellcls.vocabulary import ChannelError, EngineError, ModelError, Progress, Task

if TYPE_CHECKING:
    from napari_cellcls.images.channels import ChannelMapping

_LARGEST = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Descriptors:
    """Numbers of each cell of one image.

    Attributes
    ----------
    values : numpy.ndarray
        ``(N, D)`` float32, in the order of the cell table: the embedding, then the measured
        numbers of :mod:`napari_cellcls.cells.descriptor`. The embedding was rounded to float16,
        from the disk or not, so that both give the same answer.
    blocks : tuple of int
        ``(E, F)``: columns of the embedding (all passes), columns of the measured numbers.
    cached : int
        Rows whose embedding came from the disk.
    weights_sha256 : str
        The network that described them.
    """

    values: np.ndarray
    blocks: tuple[int, int]
    cached: int
    weights_sha256: str = ""

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.values)

    @property
    def embeddings(self) -> np.ndarray:
        """The first block, ``(N, E)`` float32."""
        return self.values[:, : self.blocks[0]]

    @property
    def measured(self) -> np.ndarray:
        """The second block, ``(N, F)`` float32."""
        return self.values[:, self.blocks[0] :]

    def for_head(self, package: ModelPackage) -> np.ndarray:
        """Return the numbers that the head of a model takes, ``(N, D)``.

        Raises
        ------
        ModelError
            ``MODEL-NO-CLASSES``; ``MODEL-DESCRIBED`` when another network described the cells.
        """
        need_classes(package)
        assert package.head is not None
        with_measured = package.manifest.descriptor != "embedding"
        found = self.values if with_measured else self.embeddings
        size, of = len(package.head[0]), self.weights_sha256
        if found.shape[1] == size and of in ("", package.weights_sha256):
            return found
        raise ModelError(
            f"The cells were described for another model than {package.manifest.title}",
            code="MODEL-DESCRIBED",
            path=package.path,
            why=f"{found.shape[1]:,} numbers per cell of the network {of[:8] or 'not named'}, the "
            f"model takes {size:,} of {package.weights_sha256[:8]}.",
            remedy="Describe the cells with this model.",
        )


@dataclass
class Used:
    """Which engine did the work, and for how long; empty when there was nothing to do.

    ``means``, where it is a list, gets row and mean per plane of each cell, ``(n, 1 + C)`` per batch.
    """

    engine: str = ""
    device: str = ""
    seconds: float = 0.0
    means: list[np.ndarray] | None = None


@dataclass(frozen=True)
class View:
    """How the cells of one image are seen by one model.

    Attributes
    ----------
    image : Image
    package : ModelPackage
    indices : tuple of int or None
        Channel of the image per input plane.
    """

    image: Image
    package: ModelPackage
    indices: tuple[int | None, ...]

    @classmethod
    def of(cls, image: Image, package: ModelPackage, mapping: ChannelMapping | None) -> View:
        """Match channels to inputs (``CHANNEL-MISSING`` when a needed one is not there)."""
        return cls(image, package, indices_of(image, package, mapping))

    @property
    def in_color(self) -> bool:
        """Whether a network that takes planes one by one sees this image as a photograph."""
        manifest = self.package.manifest
        if manifest.inputs:
            return manifest.in_color
        photograph = self.image.is_rgb and len(self.indices) == 3 and None not in self.indices
        return photograph and manifest.channel_policy == "each"

    @property
    def size(self) -> int:
        """Length of the embedding of a cell."""
        each = self.package.manifest.channel_policy == "each" and not self.in_color
        return self.package.embedding_size * (len(self.indices) if each else 1)


def describe_cells(
    image: Image,
    cells: Cells,
    package: ModelPackage,
    *,
    mapping: ChannelMapping | None = None,
    engine: Engine | None = None,
    batch_size: int = 256,
    cache: bool = True,
) -> Task[Descriptors]:
    """Return the descriptors of all cells; only those not on disk yet are looked at.

    Parameters
    ----------
    image, cells : Image, Cells
        Any cells of the image: all, or the labeled ones alone.
    package : ModelPackage
        Its own view is taken: crop, normalization, policy and turns.
    mapping : ChannelMapping, optional
        Image channels to model inputs; by default matched by role.
    engine : Engine, optional
        An open engine of this package, left open; by default one is opened when it is needed.
    batch_size : int
        Cells per step.
    cache : bool
        Whether rows are taken from the disk and kept there.

    Raises
    ------
    CellsError
        ``CELLS-SIZE`` when the cells are not of this image.
    ChannelError
        ``CHANNEL-MISSING`` when the image lacks a needed channel, at once.
    EngineError
        When the engine cannot be opened or fails.
    """
    view = View.of(image, package, mapping)
    return describe_view(view, cells, engine, batch_size, Used(), cache=cache)


def recall_cells(
    image: Image, cells: Cells, package: ModelPackage, *, mapping: ChannelMapping | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return what is on disk of the embeddings of cells; nothing is computed, no engine is needed.

    Returns
    -------
    tuple of numpy.ndarray
        ``(N,)`` bool, which cells are known, and ``(N, E)`` float32, zeros for the others.

    Raises
    ------
    ChannelError
        ``CHANNEL-MISSING`` when the image lacks a needed channel.
    """
    view = View.of(image, package, mapping)
    known = shelf.find(_name(view), cells, (view.size, size_of(len(view.indices))))
    return known.found, known.embedding.astype(np.float32)


def describe_view(
    view: View, cells: Cells, engine: Engine | None, batch_size: int, used: Used, *, cache: bool
) -> Task[Descriptors]:
    """Return the descriptors of cells as one model sees them; ``used`` is filled."""
    blocks = view.size, size_of(len(view.indices))
    yield Progress(0, len(cells), "Looking for known cells")
    known = shelf.find(_name(view), cells, blocks) if cache else shelf.nothing(cells, blocks)
    new = np.flatnonzero(~known.found)
    if len(new):
        some = replace(cells, table=cells.table.iloc[new])
        for rows, values in iter_described(view.image, some, view.indices):
            known.measured[new[rows]] = values
            yield Progress(0, len(new), "Measuring cells")
        seen = yield from embed_cells(view, some, engine, batch_size, used)
        known.embedding[new] = np.clip(seen, -_LARGEST, _LARGEST)
        if cache:
            known.keep()
    values = np.hstack([known.embedding.astype(np.float32), known.measured])
    sha = view.package.weights_sha256
    return Descriptors(values, blocks, len(cells) - len(new), sha)


def embed_cells(
    view: View, cells: Cells, engine: Engine | None, batch_size: int, used: Used
) -> Task[np.ndarray]:
    """Return the embeddings ``(N, E)`` float32 of all cells; ``used`` is filled."""
    from napari_cellcls.cells.crops import iter_crops

    total, package = len(cells), view.package
    result = np.zeros((total, view.size), np.float32)
    if total == 0:
        return result
    yield Progress(0, total, f"Opening {package.manifest.title}")
    started = time.perf_counter()
    opened = _open(package) if engine is None else engine
    try:
        used.engine, used.device = opened.name, opened.device
        done = 0
        manifest = package.manifest
        # A step lasts as long with several looks as with one: cancel must not wait for all of them.
        step = max(1, batch_size // manifest.turns)
        cutting = iter_crops(
            view.image, cells, manifest.crop, manifest.normalization, view.indices, step
        )
        with Ahead(cutting) as batches:
            for rows, crops in batches:
                result[rows] = embed_crops(crops, package, opened, in_color=view.in_color)
                if used.means is not None:
                    used.means.append(np.column_stack([rows, plane_means(crops)]))
                done += len(rows)
                yield Progress(done, total, "Classifying cells")
    finally:
        if engine is None:
            opened.close()
    used.seconds += time.perf_counter() - started
    return result


def embed_crops(
    crops: np.ndarray, package: ModelPackage, engine: Engine, *, in_color: bool | None = None
) -> np.ndarray:
    """Return embeddings of crops, following channel policy and turns of the model.

    Parameters
    ----------
    crops : numpy.ndarray
        ``(N, Y, X, C)``, values in 0..1.
    package : ModelPackage
    engine : Engine
        An open engine of this package (``ENGINE-OTHER-MODEL`` otherwise).
    in_color : bool, optional
        With the policy "each": whether the three planes are one photograph. By default what the
        inputs of the model say; without inputs, every plane by itself.
    """
    if isinstance(engine, Engine) and engine.weights_sha256 != package.weights_sha256:
        raise EngineError(
            "The engine was opened for another model",
            code="ENGINE-OTHER-MODEL",
            why=f"{package.manifest.label} has other weights.",
            remedy="Open an engine for this model.",
        )
    manifest = package.manifest
    together = manifest.in_color if in_color is None else in_color
    if manifest.channel_policy == "joint" or together:
        return mean_of_turns(engine.embed, crops, manifest.turns)
    n, y, x, channels = crops.shape
    planes = crops.transpose(0, 3, 1, 2).reshape(n * channels, y, x, 1)
    planes = np.repeat(planes, 3, axis=3)
    embeddings = mean_of_turns(engine.embed, planes, manifest.turns)
    return embeddings.reshape(n, channels * embeddings.shape[1])


def indices_of(
    image: Image, package: ModelPackage, mapping: ChannelMapping | None
) -> tuple[int | None, ...]:
    """Return the channel of the image per input of the model (``CHANNEL-MISSING``)."""
    manifest = package.manifest
    if not manifest.inputs:
        return tuple(range(len(image.channels))) if mapping is None else mapping.indices
    if mapping is None:
        from napari_cellcls.images.channels import match

        mapping = match(image, manifest.planes)
    indices = mapping.indices
    missing = [
        plane.name
        for plane, index in zip(manifest.planes, indices)
        if index is None and not plane.optional
    ]
    if len(indices) != len(manifest.inputs) or missing or all(i is None for i in indices):
        raise ChannelError(
            f"{manifest.title} cannot use these channels",
            code="CHANNEL-MISSING",
            path=image.path,
            why=f"missing: {', '.join(missing) or 'all'}; the image has "
            f"{', '.join(c.name for c in image.channels)}.",
            remedy="Map the channels by hand, for example --channels nucleus=DAPI.",
        )
    return indices


def _name(view: View) -> str | None:
    """Return what the numbers of a cell follow from, but for the cell; None when that is not known."""
    content = shelf.content_of(view.image)
    if content is None:
        return None
    image, manifest = view.image, view.package.manifest
    plane = (
        image.scene, image.t, image.z, image.is_rgb, image.value_range, image.pixel_size_um,
        view.indices,
    )  # fmt: skip
    rule = manifest.crop, manifest.normalization, view.in_color, manifest.turns
    return f"{content}|{plane}|{rule}|{view.package.weights_sha256}"


def _open(package: ModelPackage) -> Engine:
    from napari_cellcls.models.runtime import open_engine

    return open_engine(package)
