"""PNG and JPEG pixels: exact values in every depth, decoded once, only when needed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np

from napari_cellcls.images.faults import reader_errors
from napari_cellcls.images.flatcheck import FlatHeader
from napari_cellcls.images.gate import FileKind, Finding
from napari_cellcls.images.readers import SMALL_BYTES, RawScene
from napari_cellcls.vocabulary import ImageError


class FlatImage:
    """One PNG or JPEG as a single scene without names or sizes."""

    def __init__(self, finding: Finding) -> None:
        assert finding.flat is not None
        self.finding = finding
        self.header: FlatHeader = finding.flat

    @property
    def scenes(self) -> tuple[str, ...]:
        """Return the one scene's name."""
        return ("Image:0",)

    def scene(self, index: int) -> RawScene:
        """Return the pixels, ``YX`` or ``YXS``; lazily when they are large."""
        header = self.header
        samples = 4 if header.palette else header.samples
        nbytes = header.height * header.width * samples * max(1, header.bits // 8)
        if nbytes <= SMALL_BYTES:
            pixels = decode(self.finding.path, self.finding.kind, header)
            bits = 1 if header.bits == 1 else None
            return RawScene(pixels, "YXS"[: pixels.ndim], significant_bits=bits)
        import dask.array as da

        source = _LazyPicture(self.finding.path, self.finding.kind, header)
        data = da.from_array(
            source, chunks=source.chunks, name=False, meta=np.empty(0, source.dtype)
        )
        return RawScene(data, "YXS"[: source.ndim])


class _LazyPicture:
    """Array-like: a large picture, decoded whole at the first touch (its formats allow no less)."""

    def __init__(self, path: str, kind: FileKind, header: FlatHeader) -> None:
        self.path, self.kind, self.header = path, kind, header
        samples = _shown_samples(path, kind, header)
        self.shape: tuple[int, ...] = (header.height, header.width) + (
            (samples,) if samples > 1 else ()
        )
        self.dtype = np.dtype(np.uint16 if header.bits == 16 else np.uint8)
        self.ndim = len(self.shape)
        self.chunks = (2048, 2048, samples)[: self.ndim]
        self._pixels: np.ndarray | None = None
        self._lock = threading.Lock()

    def __getitem__(self, key: Any) -> np.ndarray:
        """Return a window of the picture."""
        with self._lock:
            if self._pixels is None:
                self._pixels = decode(self.path, self.kind, self.header)
        return np.asarray(self._pixels[key])

    def __getstate__(self) -> dict[str, Any]:
        """Travel to another process without the decoded pixels and the lock."""
        return {**self.__dict__, "_pixels": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Arrive with a lock of its own."""
        self.__dict__.update(state)
        self._lock = threading.Lock()


def decode(path: str, kind: FileKind, header: FlatHeader) -> np.ndarray:
    """Return the pixels of a checked PNG or JPEG.

    Returns
    -------
    numpy.ndarray
        ``(Y, X)`` or ``(Y, X, S)``, uint8 or uint16. Palettes become RGB or RGBA. 16-bit color
        goes through imagecodecs because Pillow keeps only its upper 8 bits.
    """
    with reader_errors(path):
        try:
            if kind is FileKind.PNG and header.bits == 16 and header.samples > 1:
                import imagecodecs

                return np.asarray(imagecodecs.png_decode(Path(path).read_bytes()))
            return _decode_pillow(path, kind)
        except OSError as error:
            if "truncated" in str(error).lower():
                raise ImageError(
                    "The file is cut off.",
                    code="IMG-TRUNC",
                    path=path,
                    why=str(error),
                    remedy="Copy or download it again and compare the file sizes.",
                ) from error
            raise


def _decode_pillow(path: str, kind: FileKind) -> np.ndarray:
    with _open_pillow(path, kind) as picture:
        if picture.mode == "P":
            picture = picture.convert("RGBA" if "transparency" in picture.info else "RGB")
        elif picture.mode not in ("1", "L", "LA", "RGB", "RGBA") and not picture.mode.startswith(
            "I"
        ):
            picture = picture.convert("RGB")
        pixels = np.array(picture)
    if pixels.dtype == bool:
        return pixels.astype(np.uint8)
    if pixels.dtype == np.int32:
        return pixels.astype(np.uint16)
    return pixels


def _open_pillow(path: str, kind: FileKind) -> Any:
    # The classes are used directly: Image.open() would refuse large honest pictures by a global
    # limit, and the gate has already held the size against our own budget.
    if kind is FileKind.PNG:
        from PIL.PngImagePlugin import PngImageFile

        return PngImageFile(path)
    from PIL.JpegImagePlugin import JpegImageFile

    return JpegImageFile(path)


def _shown_samples(path: str, kind: FileKind, header: FlatHeader) -> int:
    if not header.palette:
        return header.samples
    with reader_errors(path), _open_pillow(path, kind) as picture:
        return 4 if "transparency" in picture.info else 3
