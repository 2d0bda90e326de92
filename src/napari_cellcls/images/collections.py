"""Folders and lists of paths as images: plain folders, class folders, HPA quartets, OME-Zarr.

It owns which files belong together and in which order; opening is ``read``'s. Files that are no
images are skipped and counted, never guessed at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from napari_cellcls.images.dyes import DYE, HPA_COLORS, ROLE_COLORS
from napari_cellcls.images.gate import SUFFIXES, FileKind, is_zarr
from napari_cellcls.images.image import Channel, Image
from napari_cellcls.images.read import open_image, stem
from napari_cellcls.vocabulary import ImageError

_QUARTET = re.compile(
    r"^(?P<id>.+)_(?P<color>red|green|blue|yellow)\.(?P<ext>png|jpe?g|tiff?)$", re.I
)
_NEEDED = 2


@dataclass(frozen=True)
class ImageRef:
    """One image to open: its display name, its file or files, and the class folder it lies in.

    Attributes
    ----------
    name : str
    paths : tuple of Path
        One file or OME-Zarr directory; for a quartet two to four files, ordered red, green,
        blue, yellow.
    kind : {"file", "quartet"}
    class_name : str or None
    """

    name: str
    paths: tuple[Path, ...]
    kind: Literal["file", "quartet"] = "file"
    class_name: str | None = None


@dataclass(frozen=True)
class Found:
    """Images found, and what was left out with the reason."""

    refs: tuple[ImageRef, ...]
    skipped: tuple[tuple[Path, str], ...] = ()

    def summary(self) -> str:
        """Return one sentence for the user."""
        reasons: dict[str, int] = {}
        for _, reason in self.skipped:
            reasons[reason] = reasons.get(reason, 0) + 1
        tail = "; skipped " + ", ".join(f"{n} {r}" for r, n in reasons.items()) if reasons else ""
        return f"{len(self.refs)} images found{tail}."


def natural_key(path: str | os.PathLike[str]) -> tuple[Any, ...]:
    """Return a sort key by which ``cell_2`` comes before ``cell_10``."""
    parts = re.split(r"(\d+)", os.fspath(path).lower())
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts)


def find_images(paths: Sequence[str | Path] | str | Path) -> list[ImageRef]:
    """Return the images that paths stand for, in natural order within each folder.

    Parameters
    ----------
    paths : path or sequence of paths
        Files, OME-Zarr directories, folders. A path that does not exist is returned too: opening
        it tells why, and the other images go on.

    Raises
    ------
    ImageError
        ``IMG-NOIMAGES`` when nothing at all was found.
    """
    found = scan(paths)
    if not found.refs:
        named = [paths] if isinstance(paths, str | Path) else list(paths)
        raise ImageError(
            "No images were found.",
            code="IMG-NOIMAGES",
            path=os.fspath(named[0]) if len(named) == 1 else None,
            why=found.summary(),
            remedy=f"Give files ending in {', '.join(SUFFIXES)}, or a folder that holds "
            "some, itself or in its sub-folders (one level down).",
        )
    return list(found.refs)


def scan(paths: Sequence[str | Path] | str | Path) -> Found:
    """Like :func:`find_images`, with what was skipped and why; never raises for an empty result."""
    named = [paths] if isinstance(paths, str | Path) else list(paths)
    refs: list[ImageRef] = []
    skipped: list[tuple[Path, str]] = []
    files: list[Path] = []
    for path in map(Path, named):
        if path.is_dir() and not is_zarr(path):
            refs += _group(files, siblings=True)
            files = []
            more, left = _scan_folder(path)
            refs += more
            skipped += left
        else:
            files.append(path)
    refs += _group(files, siblings=True)
    return Found(tuple(_unique(refs)), tuple(skipped))


def _scan_folder(folder: Path) -> tuple[list[ImageRef], list[tuple[Path, str]]]:
    """Scan a folder and, one level down, its sub-folders, whose names become classes."""
    files, folders, skipped = _sort_out(folder)
    refs = _group(files)
    for child in folders:
        inner, deeper, left = _sort_out(child)
        refs += [replace(ref, class_name=child.name) for ref in _group(inner)]
        skipped += left + [(d, "deeper folders") for d in deeper]
    return refs, skipped


def _sort_out(folder: Path) -> tuple[list[Path], list[Path], list[tuple[Path, str]]]:
    files: list[Path] = []
    folders: list[Path] = []
    skipped: list[tuple[Path, str]] = []
    try:
        entries = sorted(os.scandir(folder), key=lambda e: natural_key(e.name))
    except OSError:
        return [], [], [(folder, "unreadable folders")]
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            skipped.append((path, "hidden"))
        elif entry.is_dir():
            (files if is_zarr(path) else folders).append(path)
        elif path.suffix.lower() in SUFFIXES:
            files.append(path)
        else:
            skipped.append((path, "not images"))
    return files, folders, skipped


def _group(files: Iterable[Path], siblings: bool = False) -> list[ImageRef]:
    """Join the files of a quartet; ``siblings`` also looks for its other files beside one."""
    listed = list(files)
    groups: dict[tuple[Path, str, str], dict[str, Path]] = {}
    for path in listed:
        match = _QUARTET.match(path.name)
        if match:
            key = (path.parent, match["id"], match["ext"])
            groups.setdefault(key, {})[match["color"].lower()] = path
    if siblings:
        for (parent, name, ext), members in groups.items():
            for color in HPA_COLORS:
                beside = parent / f"{name}_{color}.{ext}"
                if color not in members and beside.is_file():
                    members[color] = beside
    refs = []
    done: set[tuple[Path, str, str]] = set()
    for path in listed:
        match = _QUARTET.match(path.name)
        if match is None or len(groups[path.parent, match["id"], match["ext"]]) < _NEEDED:
            refs.append(ImageRef(stem(path), (path,)))
            continue
        key = (path.parent, match["id"], match["ext"])
        if key not in done:
            done.add(key)
            members = groups[key]
            ordered = tuple(members[color] for color in HPA_COLORS if color in members)
            refs.append(ImageRef(match["id"], ordered, "quartet"))
    return refs


def _unique(refs: Iterable[ImageRef]) -> list[ImageRef]:
    seen: set[tuple[str, ...]] = set()
    result = []
    for ref in refs:
        places = tuple(os.path.abspath(path) for path in ref.paths)
        if places not in seen:
            seen.add(places)
            result.append(ref)
    return result


def open_ref(ref: ImageRef, **options: Any) -> Image:
    """Open an image reference; ``options`` as for :func:`~napari_cellcls.images.read.open_image`.

    Raises
    ------
    ImageError
        As ``open_image``, and ``IMG-QUARTET`` when the files of a quartet do not fit together.
    """
    if ref.kind == "file":
        return open_image(ref.paths[0], **options)
    members = [(_color(path), open_image(path, **options)) for path in ref.paths]
    notes = list(dict.fromkeys(note for _, image in members for note in image.notes))
    absent = [color for color in HPA_COLORS if color not in dict(members)]
    if absent:
        notes.append(f"Files of this quartet are missing: {', '.join(absent)}.")
    _check_members(ref, members)
    planes, channels = [], []
    for color, image in members:
        data = image.data
        if image.is_rgb:
            data = data.max(axis=0, keepdims=True)
            notes.append(f"The {color} file is a color picture; its brightest plane was taken.")
        planes.append(data)
        role = HPA_COLORS[color]
        channels.append(
            Channel(
                role.value,
                role,
                ROLE_COLORS[role],
                f"file name ends in _{color} (Human Protein Atlas)",
                strength=DYE + 1,
            )
        )
    first = members[0][1]
    limits = max((image.value_range for _, image in members), key=lambda r: r[1])
    return replace(
        first,
        data=_stack(planes),
        channels=tuple(channels),
        name=ref.name,
        is_rgb=False,
        value_range=limits,
        path=os.fspath(ref.paths[0]),
        notes=tuple(dict.fromkeys(notes)),
    )


def _color(path: Path) -> str:
    match = _QUARTET.match(path.name)
    assert match is not None
    return match["color"].lower()


def _check_members(ref: ImageRef, members: list[tuple[str, Image]]) -> None:
    shapes = {image.shape for _, image in members}
    types = {image.data.dtype for _, image in members}
    wide = [color for color, image in members if len(image.channels) > 1 and not image.is_rgb]
    if len(shapes) == 1 and len(types) == 1 and not wide:
        return
    listed = ", ".join(
        f"{color} {image.shape[1]} x {image.shape[0]} {image.data.dtype}"
        for color, image in members
    )
    raise ImageError(
        "The files of this quartet do not fit together.",
        code="IMG-QUARTET",
        path=ref.paths[0],
        why=f"they should have one channel, the same size and the same type: {listed}",
        remedy="Check that all files belong to the same field.",
    )


def _stack(planes: list[Any]) -> Any:
    import numpy as np

    if all(isinstance(p, np.ndarray) for p in planes):
        return np.concatenate(planes)
    import dask.array as da

    return da.concatenate(planes)


def kind_of_name(path: str | os.PathLike[str]) -> FileKind | None:
    """Return the kind a file's name promises, None when it promises none."""
    return SUFFIXES.get(Path(path).suffix.lower())
