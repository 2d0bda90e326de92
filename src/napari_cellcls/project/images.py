"""Finds the images of a project by their content, wherever they were moved and however renamed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from napari_cellcls.cells.identity import image_id
from napari_cellcls.review.state import ImageState
from napari_cellcls.vocabulary import ImageError

_MAX_FILES = 20_000

Status = Literal["found", "moved", "changed", "missing"]


@dataclass(frozen=True)
class Located:
    """Where an image is now.

    Attributes
    ----------
    image : ImageState
    status : {"found", "moved", "changed", "missing"}
        ``changed``: the file is there, but its content is not that of the labels.
    path : Path or None
        The image; for ``changed`` the file that is no longer it; None when missing.
    """

    image: ImageState
    status: Status
    path: Path | None

    @property
    def text(self) -> str:
        """What to tell people."""
        if self.status == "found":
            return f"{self.image.name}: found"
        if self.status == "moved":
            return f"{self.image.name}: now at {self.path}"
        if self.status == "changed":
            return f"{self.image.name}: {self.path} has other content than when it was labeled"
        return f"{self.image.name}: not found"


def hints_of(path: Path, folder: Path) -> dict[str, Any]:
    """Return what is stored of where an image is: name, size, path relative to the project."""
    try:
        relative = Path(os.path.relpath(path.absolute(), folder.absolute())).as_posix()
    except ValueError:  # on another drive of Windows
        relative = path.absolute().as_posix()
    size = path.stat().st_size if path.is_file() else None
    return {"name": path.name, "path": relative, "size": size}


def locate(image: ImageState, folder: Path, roots: Iterable[Path] = ()) -> Located:
    """Look for an image where it was, then beside it, around the project, and in ``roots``.

    Parameters
    ----------
    image : ImageState
    folder : Path
        The project.
    roots : iterable of Path
        Further folders, searched with all folders inside.
    """
    hint = image.hints.get("path")
    there = folder / hint if isinstance(hint, str) and hint else None
    changed = None
    if there is not None and there.exists():
        if _is(there, image.id):
            return Located(image, "found", Path(os.path.normpath(there)))
        changed = there
    places = [] if there is None else [(there.parent, False)]
    places += [(folder.absolute().parent, True), *((Path(root), True) for root in roots)]
    for path in _candidates(image, places):
        if _is(path, image.id):
            return Located(image, "moved", Path(os.path.normpath(path)))
    return Located(image, "changed" if changed else "missing", changed)


def _is(path: Path, wanted: str) -> bool:
    try:
        return image_id(path) == wanted
    except ImageError:
        return False


def _candidates(image: ImageState, places: Sequence[tuple[Path, bool]]) -> Iterator[Path]:
    """Yield what could be the image by size (a file) or suffix (a folder), the likely names first."""
    size, name = image.hints.get("size"), str(image.hints.get("name") or "")
    seen: set[str] = set()
    rest = []
    for root, deep in places:
        for path, found in _walk(root, deep):
            if str(path) in seen:
                continue
            seen.add(str(path))
            fits = found == size if size is not None else _is_folder_like(path, found, name)
            if fits and path.name == name:
                yield path
            elif fits:
                rest.append(path)
    yield from rest


def _is_folder_like(path: Path, size: int | None, name: str) -> bool:
    return size is None and path.suffix == Path(name).suffix


def _walk(root: Path, deep: bool) -> Iterator[tuple[Path, int | None]]:
    """Yield files with their sizes and folders with None; never into a ``.zarr`` or a project."""
    waiting, left = [root], _MAX_FILES
    while waiting and left > 0:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            left -= 1
            path = Path(entry.path)
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield path, None
                    if deep and path.suffix not in (".zarr", ".cellcls"):
                        waiting.append(path)
                else:
                    yield path, entry.stat().st_size
            except OSError:
                continue
