"""Proves that a large image is still the one that was labeled: the SHA-256 of all of it, taken when there is time.

The id of an image is quick to find and looks only at parts of a large file (``cells.identity``). The hash of the
whole is kept beside it, once known, and compared whenever the file was written since.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_cellcls.cells.identity import SAMPLED_ABOVE
from napari_cellcls.review.events import Draft, Kind
from napari_cellcls.review.journal import Journal
from napari_cellcls.review.state import ImageState
from napari_cellcls.vocabulary import ImageError, Progress, Task

SHA, HASHED = "sha256", "sha256_at"
"""Hints of an image: the hash, and when it was taken (seconds since 1970)."""
_PART = 4 << 20


@dataclass(frozen=True)
class Proof:
    """The hash of an image now, and as it was labeled (empty when it was not known).

    Attributes
    ----------
    image : ImageState
    path : Path
    sha, was : str
    taken_at : float
    """

    image: ImageState
    path: Path
    sha: str
    was: str
    taken_at: float

    @property
    def is_other(self) -> bool:
        """Whether the content is not what was labeled."""
        return bool(self.was) and self.was != self.sha


def prove(image: ImageState, path: Path, *, again: bool = False) -> Task[Proof | None]:
    """Hash an image, unless its id says it all or it was not written since it was hashed last.

    Parameters
    ----------
    image : ImageState
    path : Path
        A file, or a folder (OME-Zarr).
    again : bool
        Also where the file seems not to be written since.

    Returns
    -------
    Task of Proof or None
        None when there is nothing to prove, or the image cannot be read now.
    """
    was = image.hints.get(SHA)
    was = was if isinstance(was, str) else ""
    hashed = image.hints.get(HASHED)
    begun = time.time()
    try:
        files = list(_files(path))
        sizes = [file.stat() for file in files]
        total = sum(one.st_size for one in sizes)
        if path.is_file() and total <= SAMPLED_ABOVE:
            return None
        written = max((one.st_mtime for one in sizes), default=begun)
        known = bool(was) and isinstance(hashed, int | float) and written < hashed
        if known and not again:
            return None
        digest, done = hashlib.sha256(), 0
        for file in files:
            if path.is_dir():
                digest.update(
                    f"{file.relative_to(path).as_posix()}|{file.stat().st_size}\n".encode()
                )
            with open(file, "rb") as stream:
                while part := stream.read(_PART):
                    digest.update(part)
                    done += len(part)
                    yield Progress(done, total, f"Checking {image.name}")
    except OSError:
        return None
    return Proof(image, path, digest.hexdigest(), was, begun)


def keep(journal: Journal, proof: Proof) -> None:
    """Remember a hash beside the image, so that the next one has something to be compared with.

    Raises
    ------
    JournalError
        When the journal is open for reading only.
    """
    if not proof.is_other:
        hints = {SHA: proof.sha, HASHED: proof.taken_at}
        journal.record([Draft(Kind.IMAGE, image_id=proof.image.id, payload=hints)])


def other_content(proof: Proof) -> ImageError:
    """Say that an image is no longer the one that was labeled."""
    return ImageError(
        f"The image '{proof.image.name}' has other content than when its cells were labeled.",
        code="PROJECT-CHANGED",
        path=proof.path,
        why=f"its SHA-256 begins with {proof.sha[:8]}, and with {proof.was[:8]} then. Size, beginning "
        "and end are the same, so a part in the middle was changed.",
        remedy="Put the unchanged file back, or look at the labels again before you train on them.",
    )


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        for folder, folders, names in os.walk(path):
            folders.sort()
            yield from (Path(folder, name) for name in sorted(names))
    else:
        yield path
