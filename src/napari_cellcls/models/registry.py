"""Which models there are: the bundled ones and those the user installed, by name and version.

A package that cannot be read is listed with its error and never stops the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Literal

from napari_cellcls import files
from napari_cellcls.models import places
from napari_cellcls.models.manifest import Manifest
from napari_cellcls.models.package import SUFFIX, ModelPackage, read_package
from napari_cellcls.vocabulary import CellClsError, ModelError

_MAX_PACKAGES = 1000
_known: dict[tuple[object, ...], ModelEntry] = {}


@dataclass(frozen=True)
class ModelEntry:
    """One model that can be chosen, or the reason why it cannot.

    Attributes
    ----------
    name, version : str
        From the manifest; for a damaged package the file's stem and "".
    path : Path
    source : {"bundled", "user", "file"}
    manifest : Manifest or None
        None when the package cannot be read.
    error : CellClsError or None
    bytes : int
        Size of the file.
    sha256 : str
        Hash of the file, "" when it cannot be read.
    """

    name: str
    version: str
    path: Path
    source: Literal["bundled", "user", "file"]
    manifest: Manifest | None = None
    error: CellClsError | None = None
    bytes: int = 0
    sha256: str = ""

    @property
    def label(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}" if self.version else self.name


def entries() -> list[ModelEntry]:
    """Return every model, bundled first, then the user's; by name, newest version first."""
    result: list[ModelEntry] = []
    folders: tuple[tuple[Path, Literal["bundled", "user"]], ...] = (
        (places.BUNDLED, "bundled"),
        (places.user_models(), "user"),
    )
    for folder, source in folders:
        found = [describe_file(path, source) for path in _packages(folder)]
        result += sorted(found, key=lambda e: (e.name, tuple(-n for n in _version(e))))
    return result


def describe_file(path: Path, source: Literal["bundled", "user", "file"] = "file") -> ModelEntry:
    """Return the entry of one package file, damaged or not; one that was read before is not read again."""
    try:
        now = path.stat()
    except OSError:
        return _read(path, source, 0)
    mark = os.fspath(path), source, now.st_size, now.st_mtime_ns, now.st_ctime_ns, now.st_ino
    found = _known.get(mark)
    if found is None:
        found = _read(path, source, now.st_size)
        if found.error is None:
            if len(_known) >= _MAX_PACKAGES:
                _known.clear()
            _known[mark] = found
    return found


def _read(path: Path, source: Literal["bundled", "user", "file"], size: int) -> ModelEntry:
    try:
        package = read_package(path)
    except CellClsError as error:
        return ModelEntry(path.stem, "", path, source, error=error, bytes=size)
    except OSError as failure:
        reason = ModelError(
            "The model package cannot be read",
            code="MODEL-UNREADABLE",
            path=path,
            why=f"{files.reason(failure)}.",
            remedy="Check the permissions of the file and the disk.",
        )
        return ModelEntry(path.stem, "", path, source, error=reason, bytes=size)
    manifest = package.manifest
    return ModelEntry(
        manifest.name, manifest.version, path, source, manifest, None, size, package.sha256
    )


def find(name_or_path: str | os.PathLike[str]) -> ModelEntry:
    """Return the model of this name (``name`` or ``name@version``) or at this path.

    A user's model comes before a bundled one of the same name and version, a newer version before
    an older one.

    Raises
    ------
    ModelError
        ``MODEL-UNKNOWN`` when there is none, listing what there is; the package's own error when
        the one asked for cannot be read; ``MODEL-MISSING`` for a path without a file.
    """
    text = os.fspath(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(SUFFIX) or os.sep in text:
        entry = describe_file(Path(text))
        if entry.error is not None:
            raise entry.error
        return entry
    name, _, version = text.partition("@")
    known = entries()
    matching = [e for e in known if e.name == name and version in ("", e.version)]
    usable = [e for e in matching if e.error is None]
    if usable:
        return max(usable, key=lambda e: (_version(e), e.source == "user"))
    if matching and matching[0].error is not None:
        raise matching[0].error
    raise _unknown(text, known)


def load(name_or_path: str | os.PathLike[str]) -> ModelPackage:
    """Read a model by name or path (errors as in :func:`find`)."""
    return read_package(find(name_or_path).path)


def install(path: str | os.PathLike[str]) -> ModelEntry:
    """Verify a package and copy it into the user's folder in one step.

    The copy is written under a temporary name, read back with every check and renamed; a package
    that fails leaves nothing behind. Installing the same file twice is harmless.

    Raises
    ------
    ModelError
        Errors of :func:`read_package`; ``MODEL-EXISTS`` when another package of this name and
        version is installed; ``MODEL-FOLDER`` when the user's folder cannot be written.
    """
    package = read_package(path)
    target = places.user_models() / f"{package.manifest.name}-{package.manifest.version}{SUFFIX}"
    if target.exists() and files.sha256(target) != package.sha256:
        raise ModelError(
            "Another model of this name and version is installed",
            code="MODEL-EXISTS",
            path=target,
            why=f"{package.manifest.label} is there with other contents.",
            remedy="Remove the installed file first, or give the new model another version.",
        )
    try:
        with files.atomic_path(target) as temporary:
            temporary.write_bytes(Path(path).read_bytes())
            if read_package(temporary).sha256 != package.sha256:
                raise OSError("the copy differs from the original")
    except OSError as failure:
        raise ModelError(
            "The model could not be copied into your models folder",
            code="MODEL-FOLDER",
            path=target,
            why=f"{files.reason(failure)}.",
            remedy="Free some space or set CELLCLS_HOME to a folder you can write to.",
        ) from failure
    return describe_file(target, "user")


def _packages(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        found = (p for p in folder.iterdir() if p.suffix == SUFFIX and not p.name.startswith("."))
        yield from sorted(found)[:_MAX_PACKAGES]


def _version(entry: ModelEntry) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", entry.version)) or (0, 0, 0)


def _unknown(text: str, known: list[ModelEntry]) -> ModelError:
    names = sorted({e.name for e in known})
    word = text.partition("@")[0].lower()
    close = get_close_matches(word, names, 1) or [n for n in names if len(word) > 2 and word in n]
    hint = f"Did you mean {close[0]!r}? " if close else ""
    versions = [e.version for e in known if e.name == text.partition("@")[0]]
    there = f"versions {', '.join(versions)}" if versions else f"the models {', '.join(names)}"
    return ModelError(
        f"There is no model {text!r}",
        code="MODEL-UNKNOWN",
        why=f"this computer has {there if names else 'no models'}.",
        remedy=f"{hint}`cellcls models list` shows them all; a path to a {SUFFIX} file works too.",
    )
