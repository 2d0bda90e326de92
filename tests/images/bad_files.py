"""Makes damaged, hostile and unusual image files; one function per kind, all inside a given folder."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SECRET = "SECRET-MARK-7319"


def two_channels() -> np.ndarray:
    """12-bit pixels ``(2, 48, 56)`` that differ everywhere."""
    return np.random.default_rng(7).integers(0, 4096, (2, 48, 56), dtype=np.uint16)


def ome_tiff(
    path: Path, pixels: np.ndarray | None = None, axes: str = "CYX", **metadata: Any
) -> Path:
    import tifffile

    pixels = two_channels() if pixels is None else pixels
    options = {"photometric": "rgb"} if "S" in axes else {"photometric": "minisblack"}
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": axes, **metadata}, **options)
    return path


def ome_xml(folder: Path) -> str:
    """The OME header tifffile writes for :func:`two_channels`."""
    import tifffile

    return str(tifffile.tiffcomment(ome_tiff(folder / "_template.ome.tif")))


def with_header(path: Path, text: str) -> Path:
    """A TIFF of :func:`two_channels` with any text as its header."""
    import tifffile

    tifffile.imwrite(
        path, two_channels(), photometric="minisblack", description=text.encode(), metadata=None
    )
    return path


def cut(source: Path, target: Path, keep: int) -> Path:
    """The first ``keep`` bytes (negative: all but the last)."""
    target.write_bytes(source.read_bytes()[:keep])
    return target


def tiff(path: Path, pixels: np.ndarray, **options: Any) -> Path:
    import tifffile

    tifffile.imwrite(path, pixels, **{"photometric": "minisblack", **options})
    return path


def patch_tag(path: Path, **values: int) -> Path:
    """Overwrite number tags of the first page of a little-endian classic TIFF."""
    codes = {"width": 256, "height": 257, "rows": 278}
    content = bytearray(path.read_bytes())
    start = struct.unpack_from("<I", content, 4)[0]
    for i in range(struct.unpack_from("<H", content, start)[0]):
        at = start + 2 + 12 * i
        for name, value in values.items():
            if struct.unpack_from("<H", content, at)[0] == codes[name]:
                struct.pack_into("<HII", content, at + 2, 4, 1, value)
    path.write_bytes(content)
    return path


def set_next_page(path: Path, offset: int | None) -> Path:
    """Point the page chain of a one-page TIFF elsewhere (None: back to the first page)."""
    content = bytearray(path.read_bytes())
    start = struct.unpack_from("<I", content, 4)[0]
    count = struct.unpack_from("<H", content, start)[0]
    struct.pack_into("<I", content, start + 2 + 12 * count, start if offset is None else offset)
    path.write_bytes(content)
    return path


def png(path: Path, width: int, height: int, packed: bytes, bits: int = 8, color: int = 0) -> Path:
    """A PNG built chunk by chunk, so that its header may lie."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )
    return path


def picture(path: Path, pixels: np.ndarray, mode: str | None = None, **options: Any) -> Path:
    from PIL import Image

    Image.fromarray(pixels, mode).save(path, **options)
    return path


def ome_zarr(
    path: Path,
    pixels: np.ndarray | None = None,
    *,
    version: str = "0.4",
    axes: str = "cyx",
    levels: int = 1,
    chunks: tuple[int, ...] | None = None,
    pixel_size: float | None = 0.5,
    labels: tuple[str, ...] = (),
) -> Path:
    """A small OME-Zarr image, 0.4 (Zarr 2) or 0.5 (Zarr 3), optionally with half-size levels."""
    import zarr

    pixels = two_channels() if pixels is None else pixels
    new = version == "0.5"
    group = zarr.open_group(str(path), mode="w", zarr_format=3 if new else 2)
    kinds = {"t": "time", "c": "channel"}
    datasets = []
    for level in range(levels):
        step = 2**level
        data = pixels[..., ::step, ::step]
        size = chunks or (1,) * (data.ndim - 2) + (32, 32)
        array = group.create_array(
            str(level),
            shape=data.shape,
            chunks=size,
            dtype=data.dtype,
            config={"write_empty_chunks": True},
        )
        array[...] = data
        scale = [1.0] * (data.ndim - 2) + [(pixel_size or 1.0) * step] * 2
        datasets.append(
            {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        )
    described: list[dict[str, str]] = []
    for axis in axes:
        entry = {"name": axis, "type": kinds.get(axis, "space")}
        if axis in "zyx" and pixel_size is not None:
            entry["unit"] = "micrometer"
        described.append(entry)
    ome: dict[str, Any] = {
        "multiscales": [{"name": "field", "axes": described, "datasets": datasets}]
    }
    if labels:
        ome["omero"] = {
            "channels": [{"label": n, "color": c} for n, c in zip(labels, ("0000FF", "00FF00"))]
        }
    if new:
        group.attrs["ome"] = {"version": "0.5", **ome}
    else:
        ome["multiscales"][0]["version"] = "0.4"
        group.attrs.update(ome)
    return path


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
