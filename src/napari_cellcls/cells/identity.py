"""Who is this cell: ids of images and of cells that come from their content alone.

A cell is never known by its label number, which a new segmentation gives to another cell. It is known
by the image's content and its own mask, so two annotators of one segmentation mean the same cell.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cellcls.files import reason
from napari_cellcls.vocabulary import COLUMNS, CellsError, ImageError

if TYPE_CHECKING:
    from napari_cellcls.cells.cells import Cells
    from napari_cellcls.images.image import Image

_END, _BLOCK, _BLOCKS = 2**20, 2**16, 64
SAMPLED_ABOVE = 2 * _END + _BLOCKS * _BLOCK
"""Files of more bytes are known by parts of them, see :func:`image_id`."""


@dataclass(frozen=True)
class Anchor:
    """Where a cell is and what it looks like: enough to find it again, and to train on it.

    Attributes
    ----------
    image_id : str
        Content id of the image (:func:`image_id`).
    label : int
        Number in the label image it came from; a hint only.
    bbox : tuple of int
        ``y0, x0, y1, x1``, half-open, pixels.
    y, x : float
        Centroid, pixels.
    area_px : int
    mask : str
        Runs inside ``bbox`` in reading order, outside and inside in turn, beginning with outside:
        ``"2,5,3,..."``.
    pixel_size_um : tuple of float or None
        ``(y, x)``.
    scene : str
    t, z : int
    crop_sha : str
        SHA-256 of the raw pixels of the box, see :func:`crop_sha`; empty when not computed.
    """

    image_id: str
    label: int
    bbox: tuple[int, int, int, int]
    y: float
    x: float
    area_px: int
    mask: str
    pixel_size_um: tuple[float, float] | None = None
    scene: str = ""
    t: int = 0
    z: int = 0
    crop_sha: str = ""

    @property
    def cell_id(self) -> str:
        """Id of the cell: the same wherever the same mask is drawn in the same image."""
        text = f"{self.image_id}|{self.scene}|{self.t}|{self.z}|{self.bbox}|{self.mask}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    @property
    def area_um2(self) -> float | None:
        """Area in square micrometers, None without a pixel size."""
        if self.pixel_size_um is None:
            return None
        return self.area_px * self.pixel_size_um[0] * self.pixel_size_um[1]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Anchor:
        """Read what :meth:`to_json` gave.

        Raises
        ------
        CellsError
            ``CELLS-ANCHOR`` when it is not whole.
        """
        try:
            known = {name: values[name] for name in cls.__dataclass_fields__ if name in values}
            size = known.get("pixel_size_um")
            known["pixel_size_um"] = None if size is None else (float(size[0]), float(size[1]))
            y0, x0, y1, x1 = (int(n) for n in known["bbox"])
            known["bbox"] = (y0, x0, y1, x1)
            anchor = cls(**known)
            runs = _lengths(anchor.mask)
            whole = int(runs.sum()) == (y1 - y0) * (x1 - x0) and y1 > y0 and x1 > x0
            if not whole or min(y0, x0) < 0 or int(runs[1::2].sum()) != anchor.area_px:
                raise ValueError("mask and box do not fit together")
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise CellsError(
                "The stored place of a cell cannot be read.",
                code="CELLS-ANCHOR",
                why=f"{error}",
                remedy="The label is kept; draw the cell again to train on it.",
            ) from error
        return anchor

    def pixels(self) -> np.ndarray:
        """Return the mask as bool ``(y1 - y0, x1 - x0)``."""
        runs = _lengths(self.mask)
        inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        y0, x0, y1, x1 = self.bbox
        return inside.reshape(y1 - y0, x1 - x0)


def image_id(path: str | os.PathLike[str]) -> str:
    """Return the content id of an image file or folder; its name and place do not matter.

    A file up to 6 MiB is read whole. Of a larger one: its size, the first and last MiB and 64
    blocks of 64 KiB between; of a folder (OME-Zarr): names and sizes inside, and the first 64 files.

    Raises
    ------
    ImageError
        ``IMG-MISSING``, ``IMG-PERM`` or ``IMG-IO``.
    """
    path = Path(path)
    digest = hashlib.blake2b(digest_size=16)
    try:
        if path.is_dir():
            _hash_folder(path, digest)
        else:
            _hash_file(path, digest)
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.hexdigest()


def image_id_of_array(data: np.ndarray) -> str:
    """Return the content id of an image that has no file: shape, type and all pixels."""
    digest = hashlib.blake2b(f"{data.shape}{data.dtype.str}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(data).data)
    return digest.hexdigest()


def crop_sha(image: Image, bbox: tuple[int, int, int, int], pad: int = 8) -> str:
    """Return the SHA-256 of the raw pixels of a padded box over all channels.

    It proves that the pixels under a label are still the same, whatever the file format is now.
    """
    height, width = image.shape
    y0, x0, y1, x1 = bbox
    window = (
        slice(max(y0 - pad, 0), min(y1 + pad, height)),
        slice(max(x0 - pad, 0), min(x1 + pad, width)),
    )
    pixels = np.ascontiguousarray(image.planes(None, window))
    # Byte order is a matter of the file format, not of the image.
    pixels = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    digest = hashlib.sha256(f"{pixels.shape}{pixels.dtype.str}".encode())
    digest.update(pixels.tobytes())
    return digest.hexdigest()


def anchors(
    cells: Cells,
    image_id: str,
    labels: Iterable[int] | None = None,
    *,
    pixel_size_um: tuple[float, float] | None = None,
    scene: str = "",
    t: int = 0,
    z: int = 0,
) -> list[Anchor]:
    """Return the anchors of cells, in table order.

    Parameters
    ----------
    cells : Cells
    image_id : str
    labels : iterable of int, optional
        Only these cells; all by default.
    pixel_size_um, scene, t, z
        Of the image's plane.
    """
    c = COLUMNS
    table = cells.table
    if labels is not None:
        table = table[table[c.label].isin(list(labels))]
    columns = [table[name].to_numpy() for name in (c.label, c.y, c.x, c.area_px, *c.bbox)]
    found = []
    for label, y, x, area, *box in zip(*columns):
        y0, x0, y1, x1 = (int(n) for n in box)
        inside = np.asarray(cells.labels[y0:y1, x0:x1]) == label
        found.append(
            Anchor(
                image_id, int(label), (y0, x0, y1, x1), float(y), float(x), int(area),
                _encode(inside), pixel_size_um, scene, t, z,
            )
        )  # fmt: skip
    return found


def anchor_of_mask(
    mask: np.ndarray,
    origin: tuple[int, int],
    image_id: str,
    label: int = 0,
    pixel_size_um: tuple[float, float] | None = None,
) -> Anchor:
    """Return the anchor of a cell that is known by its mask alone (an outline from a file).

    Parameters
    ----------
    mask : numpy.ndarray
        ``(y, x)`` bool, its own tight box.
    origin : tuple of int
        ``(y, x)`` of its first pixel, not negative.
    image_id : str
    label : int
    pixel_size_um : tuple of float, optional
        ``(y, x)``.
    """
    y0, x0 = origin
    rows, columns = np.nonzero(mask)
    return Anchor(
        image_id, label, (y0, x0, y0 + mask.shape[0], x0 + mask.shape[1]),
        float(rows.mean()) + y0, float(columns.mean()) + x0, len(rows), _encode(mask), pixel_size_um,
    )  # fmt: skip


def _encode(inside: np.ndarray) -> str:
    flat = inside.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], edges, [flat.size]]))
    first = [0] if flat.size and flat[0] else []
    return ",".join(map(str, [*first, *lengths.tolist()]))


def _lengths(mask: str) -> np.ndarray:
    runs = np.array([int(n) for n in mask.split(",")], np.int64)
    if (runs < 0).any():
        raise ValueError("a run is negative")
    return runs


def _hash_file(path: Path, digest: Any) -> None:
    size = path.stat().st_size
    digest.update(f"{size}|".encode())
    with open(path, "rb") as stream:
        if size <= SAMPLED_ABOVE:
            while part := stream.read(_END):
                digest.update(part)
            return
        digest.update(stream.read(_END))
        for at in np.linspace(_END, size - _END - _BLOCK, _BLOCKS).astype(np.int64):
            stream.seek(int(at))
            digest.update(stream.read(_BLOCK))
        stream.seek(size - _END)
        digest.update(stream.read(_END))


def _hash_folder(path: Path, digest: Any) -> None:
    inside = sorted(p for p in path.rglob("*") if p.is_file())
    for one in inside:
        digest.update(f"{one.relative_to(path).as_posix()}|{one.stat().st_size}\n".encode())
    # Metadata names sort among the chunks: take them first, they say most.
    marked = [p for p in inside if p.name.startswith(".z") or p.name == "zarr.json"]
    for one in [*marked, *inside][:_BLOCKS]:
        _hash_file(one, digest)


def _unreadable(path: Path, error: OSError) -> ImageError:
    if isinstance(error, FileNotFoundError):
        code, what, remedy = "IMG-MISSING", "The image is not there.", "Check the path."
    elif isinstance(error, PermissionError):
        code, what = "IMG-PERM", "The image may not be read."
        remedy = "Ask its owner for read permission."
    else:
        code, what = "IMG-IO", "The image cannot be read from the disk."
        remedy = "Check that the disk or network folder is still connected."
    return ImageError(what, code=code, path=path, why=f"{reason(error)}.", remedy=remedy)
