"""OME-Zarr judged by its metadata files: complete, inside its folder, affordable, no surprises.

Only JSON is read here; zarr and its codecs come later. A tiny store can declare a shape that makes
readers build millions of chunk tuples, so sizes are checked as plain numbers first.
Sources: OME-NGFF 0.4 and 0.5; Zarr v2 and v3 core specifications.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from napari_cellcls.vocabulary import ImageError

if TYPE_CHECKING:
    from napari_cellcls.images.gate import Budget

_MAX_JSON = 32 << 20
_MAX_COUNTED = 200_000
_BAD_CODECS = ("pickle", "json2", "msgpack2", "vlen", "categorize")


@dataclass(frozen=True)
class ZarrImage:
    """One multiscale image of a store.

    Attributes
    ----------
    version : str
        OME-Zarr version as declared, "" when it is not.
    axes : str
        Axis letters of the arrays, upper case.
    units : tuple of str
        Unit of each axis, "" when not given.
    scale : tuple of float
        Scale of the highest resolution, per axis.
    shape, chunks : tuple of int
        Of the highest resolution.
    dtype : str
    levels : int
        Resolutions.
    channels : tuple of dict
        ``omero`` channel entries.
    name : str
    """

    version: str
    axes: str
    units: tuple[str, ...]
    scale: tuple[float, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    levels: int
    channels: tuple[dict[str, Any], ...] = ()
    name: str = ""


@dataclass(frozen=True)
class _Array:
    """One array: its shape, the pieces stored as files (shards), the pieces read (chunks)."""

    shape: tuple[int, ...]
    stored: tuple[int, ...]
    read: tuple[int, ...]
    dtype: str
    folder: Path


def inspect(path: str, budget: Budget) -> tuple[ZarrImage, tuple[str, ...]]:
    """Check an OME-Zarr directory and return its first image and notes.

    Raises
    ------
    ImageError
        ``IMG-ZARR-META``, ``IMG-BUDGET``, ``IMG-DTYPE``, ``IMG-ZEROSIZE``, ``IMG-NODATA``.
    """
    root = Path(path)
    attributes = _group_attributes(root)
    ome = attributes.get("ome", attributes)
    if not isinstance(ome, dict):
        raise _bad(path, "the 'ome' attribute is no object")
    multiscales = ome.get("multiscales")
    if not isinstance(multiscales, list) or not multiscales or not isinstance(multiscales[0], dict):
        raise _bad(path, _what_instead(root, ome), _what_to_do(root, ome))
    scales = multiscales[0]
    datasets = scales.get("datasets")
    if not isinstance(datasets, list) or not datasets:
        raise _bad(path, "'multiscales' lists no datasets")
    arrays = [_array(root, entry) for entry in datasets]
    top = arrays[0]
    axes, units = _axes(path, scales.get("axes"), len(top.shape))
    if not len(top.shape) == len(top.stored) == len(top.read):
        raise _bad(path, f"shape {top.shape} and chunks {top.stored} do not fit together")
    _afford(path, top.shape, top.read, top.dtype, budget)
    channels = ome.get("omero", attributes.get("omero", {}))
    listed = channels.get("channels", ()) if isinstance(channels, dict) else ()
    image = ZarrImage(
        str(ome.get("version", scales.get("version", ""))),
        axes,
        units,
        _scale(scales, datasets[0], len(top.shape)),
        top.shape,
        top.read,
        top.dtype,
        len(arrays),
        tuple(c for c in listed if isinstance(c, dict)),
        str(scales.get("name") or ""),
    )
    return image, _missing_chunks(path, top.folder, top.shape, top.stored)


def _group_attributes(root: Path) -> dict[str, Any]:
    v3, v2 = root / "zarr.json", root / ".zattrs"
    if v3.is_file():
        found = _load(v3)
        if found.get("node_type") == "array":
            raise _bad(str(root), "it is a single Zarr array without OME metadata")
        attributes = found.get("attributes", {})
    elif v2.is_file():
        attributes = _load(v2)
    else:
        files = sorted(p.name for p in root.iterdir())[:5] if os.access(root, os.R_OK) else []
        raise _bad(
            str(root), f"neither zarr.json nor .zattrs is there (found: {files or 'nothing'})"
        )
    if not isinstance(attributes, dict):
        raise _bad(str(root), "its attributes are no JSON object")
    return attributes


def _load(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > _MAX_JSON:
            raise _bad(str(file.parent), f"{file.name} is larger than {_MAX_JSON >> 20} MiB")
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _bad(str(file.parent), f"{file.name} cannot be read as JSON ({error})") from error
    if not isinstance(found, dict):
        raise _bad(str(file.parent), f"{file.name} is no JSON object")
    return found


def _array(root: Path, entry: Any) -> _Array:
    name = entry.get("path") if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise _bad(str(root), "a dataset has no path")
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or ":" in name:
        raise _bad(str(root), f"the dataset path {name!r} leads out of the image's folder")
    folder = root.joinpath(*parts)
    v3, v2 = folder / "zarr.json", folder / ".zarray"
    if v3.is_file():
        meta = _load(v3)
        grid = meta.get("chunk_grid", {})
        chunks = (
            grid.get("configuration", {}).get("chunk_shape") if isinstance(grid, dict) else None
        )
        dtype, codecs = meta.get("data_type"), meta.get("codecs", [])
    elif v2.is_file():
        meta = _load(v2)
        chunks, dtype = meta.get("chunks"), meta.get("dtype")
        codecs = [*(meta.get("filters") or []), meta.get("compressor")]
    else:
        raise _bad(str(root), f"the array {name!r} it lists is not there")
    _refuse_codecs(root, dtype, codecs)
    stored = _sizes(root, chunks)
    inner = _inner_chunks(codecs)
    read = stored if inner is None else _sizes(root, inner)
    return _Array(_sizes(root, meta.get("shape")), stored, read, str(dtype), folder)


def _inner_chunks(codecs: Any) -> Any:
    """Return the chunks inside a shard, None when the array is not sharded."""
    for codec in codecs if isinstance(codecs, list) else ():
        if isinstance(codec, dict) and codec.get("name") == "sharding_indexed":
            inner = codec.get("configuration")
            return inner.get("chunk_shape") if isinstance(inner, dict) else None
    return None


def _sizes(root: Path, value: Any) -> tuple[int, ...]:
    good = isinstance(value, list) and 2 <= len(value) <= 6
    if not good or not all(type(n) is int and 0 <= n < 2**40 for n in value):
        raise _bad(str(root), f"a shape is {value!r}, expected 2 to 6 sizes")
    if 0 in value:
        raise ImageError(
            "The image has no pixels.",
            code="IMG-ZEROSIZE",
            path=str(root),
            why=f"its array declares the sizes {value}",
            remedy="Export the image again.",
        )
    return tuple(value)


def _refuse_codecs(root: Path, dtype: Any, codecs: Any) -> None:
    names = json.dumps(codecs).lower()
    if not isinstance(dtype, str) or "O" in dtype or any(bad in names for bad in _BAD_CODECS):
        raise _bad(str(root), f"it stores Python objects or text (dtype {dtype!r}), not pixels")
    if dtype.startswith("complex") or dtype.lstrip("<>|=").startswith("c"):
        raise ImageError(
            "The image holds complex numbers, which have no brightness.",
            code="IMG-DTYPE",
            path=str(root),
            why=f"its data type is {dtype}",
            remedy="Save its magnitude or phase as a real image.",
        )


def _axes(path: str, axes: Any, ndim: int) -> tuple[str, tuple[str, ...]]:
    if axes is None:
        return "TCZYX"[5 - ndim :], ("",) * ndim
    names = (
        [a.get("name") if isinstance(a, dict) else a for a in axes]
        if isinstance(axes, list)
        else []
    )
    units = [str(a.get("unit") or "") if isinstance(a, dict) else "" for a in axes] if names else []
    letters = "".join(str(n).upper() for n in names)
    usable = len(letters) == ndim and len(set(letters)) == ndim and set(letters) <= set("TCZYX")
    if not usable or not letters.endswith("YX"):
        raise _bad(
            path, f"its axes are {names}, expected some of t, c, z, then y, x ({ndim} in all)"
        )
    return letters, tuple(units)


def _scale(scales: dict[str, Any], dataset: dict[str, Any], ndim: int) -> tuple[float, ...]:
    total = [1.0] * ndim
    found = False
    for holder in (scales, dataset):
        for step in holder.get("coordinateTransformations") or ():
            value = step.get("scale") if isinstance(step, dict) else None
            if isinstance(value, list) and len(value) == ndim:
                found = True
                total = [a * float(b) for a, b in zip(total, value)]
    return tuple(total) if found else ()


def _afford(
    path: str, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: str, budget: Budget
) -> None:
    digits = "".join(c for c in dtype if c.isdigit()) or "1"
    bytes_each = int(digits) // 8 if dtype[0].isalpha() and int(digits) >= 8 else int(digits)
    total = math.prod(shape) * bytes_each
    piece = math.prod(min(a, b) for a, b in zip(shape, chunks)) * bytes_each
    count = math.prod(-(-a // b) for a, b in zip(shape, chunks))
    if total > budget.total_bytes or piece > budget.piece_bytes or count > budget.chunks:
        raise ImageError(
            "The image asks for more memory than this plugin allows.",
            code="IMG-BUDGET",
            path=path,
            why=(
                f"its shape {shape} in chunks of {chunks} is {total / 2**30:.1f} GiB in {count} chunks of "
                f"{piece / 2**30:.2f} GiB; the limits are {budget.total_bytes / 2**30:.0f} GiB, "
                f"{budget.chunks} and {budget.piece_bytes / 2**30:.0f} GiB"
            ),
            remedy="If the size is real, save it again in chunks of about 1024 x 1024 pixels.",
        )


def _missing_chunks(
    path: str, folder: Path, shape: tuple[int, ...], chunks: tuple[int, ...]
) -> tuple[str, ...]:
    expected = math.prod(-(-a // b) for a, b in zip(shape, chunks))
    if expected > _MAX_COUNTED:
        return ()
    stored = sum(1 for _ in _chunk_files(folder))
    if stored == 0:
        raise ImageError(
            "The image holds no pixel data.",
            code="IMG-NODATA",
            path=path,
            why=f"none of its {expected} chunk files is there",
            remedy="Copy the whole folder again; only its description arrived.",
        )
    if stored >= expected:
        return ()
    note = (
        f"{expected - stored} of {expected} chunk files are missing; "
        "those areas read as background. Check that the copy is complete."
    )
    return (note,)


def _chunk_files(folder: Path) -> Iterator[str]:
    for _, _, names in os.walk(folder):
        yield from (n for n in names if not n.startswith(".") and n != "zarr.json")


def _what_instead(root: Path, ome: dict[str, Any]) -> str:
    if "bioformats2raw.layout" in ome:
        return "it is a container of several images (bioformats2raw layout)"
    if "plate" in ome or "well" in ome:
        return "it is a multi-well plate, not one image"
    return "there is no 'multiscales' entry in its metadata"


def _what_to_do(root: Path, ome: dict[str, Any]) -> str:
    inner = sorted(
        str(p.parent.relative_to(root))
        for pattern in ("*/.zattrs", "*/zarr.json", "*/*/*/.zattrs", "*/*/*/zarr.json")
        for p in root.glob(pattern)
        if p.parent.name != "OME"
    )
    if inner and ("bioformats2raw.layout" in ome or "plate" in ome or "well" in ome):
        return f"Open one of the images inside it, for example {inner[-1]!r}."
    return ""


def _bad(path: str, why: str, remedy: str = "") -> ImageError:
    return ImageError(
        "The folder is no complete OME-Zarr image.",
        code="IMG-ZARR-META",
        path=path,
        why=why,
        remedy=remedy or "Copy the whole folder again, or export the image again as OME-Zarr.",
    )
