"""The models of a project: versions that never change, which one is in use, and how that came about.

``models/`` holds one package per version. ``models/current.json`` says which one is in use, and lists every
change and every attempt; it is replaced in one step. A new version is a file until something is
written there: a crash between the two leaves the model in use as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_cellcls.models.manifest import Manifest
    from napari_cellcls.project.project import Project
    from napari_cellcls.vocabulary import CellClsError

FILE = "current.json"
FORMAT = 1


@dataclass(frozen=True)
class Version:
    """One model of the project.

    Attributes
    ----------
    label : str
        ``name@version``.
    sha256 : str
        Of the package file.
    path : Path
    manifest : Manifest or None
        None when the package cannot be read.
    error : CellClsError or None
    in_use : bool
    bytes : int
    """

    label: str
    sha256: str
    path: Path
    manifest: Manifest | None = None
    error: CellClsError | None = None
    in_use: bool = False
    bytes: int = 0


@dataclass(frozen=True)
class Change:
    """One change of the model in use.

    Attributes
    ----------
    when : str
        UTC, ISO 8601.
    who : str
    before, after : str
        ``name@version``, "" for the released model that the project started from.
    why : str
    """

    when: str
    who: str
    before: str
    after: str
    why: str


@dataclass(frozen=True)
class Attempt:
    """One new version that was judged.

    Attributes
    ----------
    when : str
        UTC, ISO 8601.
    version : str
        ``name@version``.
    labels : str
        Hash of the labels used.
    groups : tuple of str
        Hashes of the groups held out; empty when nothing was.
    word : str
        The verdict.
    promoted : bool
    """

    when: str
    version: str
    labels: str
    groups: tuple[str, ...]
    word: str
    promoted: bool


@dataclass(frozen=True)
class History:
    """Everything about the models of a project: versions newest first, changes and attempts oldest first."""

    versions: tuple[Version, ...]
    changes: tuple[Change, ...]
    attempts: tuple[Attempt, ...]


def in_use(project: Project) -> Version | None:
    """Return the version in use; None while the project uses the released model it started from.

    Raises
    ------
    ProjectError
        ``PROJECT-VERSIONS`` when ``current.json`` cannot be read, or names a file that is gone or
        changed.
    """
    raise NotImplementedError


def history(project: Project) -> History:
    """Return all versions, those that cannot be read with their error, and what happened to them.

    Raises
    ------
    ProjectError
        ``PROJECT-VERSIONS`` when ``current.json`` cannot be read.
    """
    raise NotImplementedError


def use(project: Project, version: str | None, *, why: str = "chosen") -> Version | None:
    """Use another version from now on; None: the released model the project started from.

    Parameters
    ----------
    project : Project
    version : str or None
        ``name@version``, the version alone, or the beginning of its SHA-256.
    why : str
        Kept in the history.

    Raises
    ------
    ProjectError
        ``PROJECT-VERSION`` when there is no such version, or it cannot be read; ``PROJECT-WRITE``.
    """
    raise NotImplementedError


def roll_back(project: Project, to: str | None = None) -> Version | None:
    """Use the version again that was in use before the present one; return it, None for the released model.

    Parameters
    ----------
    project : Project
    to : str, optional
        Another version, as in :func:`use`.

    Raises
    ------
    ProjectError
        ``PROJECT-VERSION`` when there is nothing to go back to; else as in :func:`use`.
    """
    raise NotImplementedError


def delete_unused(project: Project, *, keep: Sequence[str] = ()) -> list[Path]:
    """Delete versions that were never in use and never shown to anybody; return their files.

    Parameters
    ----------
    project : Project
    keep : sequence of str
        Labels ``name@version`` to keep in any case.
    """
    raise NotImplementedError
