"""What is wrong with a file, as errors of ours with a code: cut off, empty, or refused by a reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_cellcls.files import reason
from napari_cellcls.vocabulary import ImageError

if TYPE_CHECKING:
    import numpy as np


def cut_off(path: str, why: str) -> ImageError:
    """Return the error for a file that ends too early."""
    return ImageError(
        "The file is cut off.",
        code="IMG-TRUNC",
        path=path,
        why=why,
        remedy="Copy or download it again and compare the file sizes.",
    )


def no_pixels(path: str, why: str) -> ImageError:
    """Return the error for an image that declares a size of zero."""
    return ImageError(
        "The image has no pixels.",
        code="IMG-ZEROSIZE",
        path=path,
        why=why,
        remedy="Export the image again.",
    )


def damaged(path: str, why: str) -> ImageError:
    """Return the error for a file whose content is not what its format says."""
    return ImageError(
        "The image is damaged, or uses a variant of its format that cannot be read.",
        code="IMG-CORRUPT",
        path=path,
        why=why,
        remedy="Copy the file again; if that does not help, export it as OME-TIFF.",
    )


class reader_errors:
    """Context manager: whatever a reader raises becomes a coded error with its cause."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        """Start guarding."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Translate any exception that is not ours."""
        if error is None or isinstance(error, ImageError) or not isinstance(error, Exception):
            return
        if isinstance(error, MemoryError):
            raise ImageError(
                "There is not enough memory for this image.",
                code="IMG-BUDGET",
                path=self.path,
                why=str(error) or "the system refused the allocation",
                remedy="Close other programs, or save the image as tiled OME-Zarr.",
            ) from error
        raise damaged(self.path, f"the reader says: {reason(error)}") from error


def as_numpy(data: Any, path: str) -> np.ndarray:
    """Decode pixels now, in this thread, with coded errors."""
    import numpy as np

    with reader_errors(path):
        if hasattr(data, "compute"):
            return np.asarray(data.compute(scheduler="synchronous"))
        return np.asarray(data)
