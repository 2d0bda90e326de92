"""What a quick head learns from: the embedding of each cell and its measured numbers, kept on disk.

The network sees the cell alone, masked, its stain as optical density or its signal over the
background. The measured numbers are those of :mod:`napari_cellcls.cells.descriptor`; on twelve
shapes of red cells they are worth twice the labels. Both are made once per image, cells and network.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.crops import iter_crops
from napari_cellcls.cells.descriptor import describe, leveling
from napari_cellcls.cells.identity import image_id, image_id_of_array
from napari_cellcls.files import atomic_path, sweep
from napari_cellcls.images.image import Image
from napari_cellcls.models.engines.base import Engine
from napari_cellcls.models.package import ModelPackage
from napari_cellcls.models.places import home
from napari_cellcls.predict import embed_crops
from napari_cellcls.vocabulary import CropSpec, Normalization, Progress, Task

LIMIT_BYTES = 2 << 30
_VERSION = "1"
_DENSEST = 1.5
"""Optical density shown as full scale; parasites and nuclei reach about that."""
_MARGIN = 0.1
_BATCH = 128


@dataclass(frozen=True)
class Descriptors:
    """Numbers of each cell of one image.

    Attributes
    ----------
    values : numpy.ndarray
        ``(N, E + F)`` float32, in the order of the cell table: embedding, then measured numbers.
    blocks : tuple of int
        ``(E, F)``, for :func:`napari_cellcls.learn.head.fit_head`.
    cached : bool
        Whether they were on disk already.
    """

    values: np.ndarray
    blocks: tuple[int, int]
    cached: bool


def folder() -> Path:
    """Return the user's folder of descriptors (may not exist); deleting it is safe."""
    return home() / "cache" / "descriptors"


def descriptors(
    image: Image,
    cells: Cells,
    package: ModelPackage,
    *,
    engine: Engine | None = None,
    cache: Path | None = None,
    limit: int = LIMIT_BYTES,
) -> Task[Descriptors]:
    """Return the descriptors of all cells of an image, from the cache where it has them.

    Parameters
    ----------
    image, cells : Image, Cells
    package : ModelPackage
        Its backbone describes the cells. A network of color pictures sees a color photograph as
        it is, and every channel of other images by itself, as gray.
    engine : Engine, optional
        An open engine of this package; by default one is opened when it is needed.
    cache : Path, optional
        By default :func:`folder`.
    limit : int
        Bytes the folder may hold; what was used longest ago makes room.

    Raises
    ------
    CellsError
        ``CELLS-SIZE`` when the cells are not of this image.
    EngineError
        When the engine cannot be opened or fails.
    """
    path = (folder() if cache is None else cache) / f"{_key(image, cells, package)}.npz"
    if (found := _stored(path, len(cells))) is not None:
        return found
    measured = describe(image, cells).values
    embedding = (yield from _embed(image, cells, package, engine)).astype(np.float16)
    with contextlib.suppress(OSError):  # a full disk costs time later, not the result
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        with atomic_path(path) as temporary:
            np.savez(temporary, embedding=embedding, measured=measured)
        _make_room(path.parent, limit)
    return _joined(embedding, measured, cached=False)


def leveled(image: Image) -> Image:
    """Return an image of what was measured over the background, 0..1, lazy where it was lazy."""
    level = leveling(image)
    scale = np.float32(1 / _DENSEST if image.is_rgb else 1)

    def block(planes: np.ndarray, y: int = 0, x: int = 0) -> np.ndarray:
        return np.clip(level(planes, y, x) * scale, 0, 1)

    if isinstance(image.data, np.ndarray):
        return replace(image, data=block(image.data), value_range=(0.0, 1.0))
    whole = image.data.rechunk({0: -1})

    def placed(planes: np.ndarray, block_info: dict) -> np.ndarray:  # type: ignore[type-arg]
        (_, (y, _), (x, _)) = block_info[0]["array-location"]
        return block(planes, y, x)

    data = whole.map_blocks(placed, dtype=np.float32, meta=np.zeros((0, 0, 0), np.float32))
    return replace(image, data=data, value_range=(0.0, 1.0))


def _embed(
    image: Image, cells: Cells, package: ModelPackage, engine: Engine | None
) -> Task[np.ndarray]:
    from napari_cellcls.models.runtime import open_engine

    spec = CropSpec(package.manifest.crop.size, "square", margin=_MARGIN, mask=True)
    indices = tuple(range(len(image.channels)))
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    opened = open_engine(package) if engine is None else engine
    try:
        done = 0
        for rows, crops in iter_crops(
            leveled(image), cells, spec, Normalization(), indices, _BATCH
        ):
            as_it_is = image.is_rgb and crops.shape[-1] == 3
            parts.append(
                (rows, opened.embed(crops) if as_it_is else embed_crops(crops, package, opened))
            )
            done += len(rows)
            yield Progress(done, len(cells), "describing cells")
    finally:
        if engine is None:
            opened.close()
    if not parts:
        return np.zeros((0, package.embedding_size), np.float32)
    out = np.empty((len(cells), parts[0][1].shape[1]), np.float32)
    for rows, values in parts:
        out[rows] = values
    return out


def _key(image: Image, cells: Cells, package: ModelPackage) -> str:
    """Return a hash of everything the descriptors follow from."""
    of = image_id(image.path) if image.path else image_id_of_array(np.asarray(image.data))
    plane = f"{image.scene}|{image.t}|{image.z}|{[c.name for c in image.channels]}|{image.pixel_size_um}"
    digest = hashlib.sha256(f"{_VERSION}|{of}|{plane}|{package.weights_sha256}".encode())
    # Place, area and box of every cell: two segmentations with all of these equal are the same.
    for name in cells.table.columns:
        column = cells.table[name]
        if column.dtype.kind in "iufb":
            digest.update(name.encode() + np.ascontiguousarray(column.to_numpy()).tobytes())
    return digest.hexdigest()[:32]


def _stored(path: Path, n: int) -> Descriptors | None:
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, BadZipFile):
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as stored:
            embedding, measured = stored["embedding"], stored["measured"]
        if len(embedding) == len(measured) == n:
            path.touch()
            return _joined(embedding, measured, cached=True)
    return None


def _joined(embedding: np.ndarray, measured: np.ndarray, *, cached: bool) -> Descriptors:
    # Rounded also when they were not on disk, so that both times give the same head.
    values = np.hstack([embedding.astype(np.float32), measured])
    return Descriptors(values, (embedding.shape[1], measured.shape[1]), cached)


def _make_room(place: Path, limit: int) -> None:
    files = sorted(place.glob("*.npz"), key=lambda p: p.stat().st_mtime, reverse=True)
    held = 0
    for k, path in enumerate(files):
        held += path.stat().st_size
        if held > limit and k:
            path.unlink(missing_ok=True)
