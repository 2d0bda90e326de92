"""The models of a project: versions that never change, which one is in use, and how that came about.

``models/`` holds one package per version. ``models/current.json`` says which one is in use, and lists every
change and every attempt; it is replaced in one step. A new version is a file until something is
written there: a crash between the two leaves the model in use as it was.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellcls.files import sha256
from napari_cellcls.models import registry
from napari_cellcls.models.package import SUFFIX
from napari_cellcls.project import errors, ledger
from napari_cellcls.project.ledger import Attempt, Change, History, Ledger, Version
from napari_cellcls.review.events import new_id, now
from napari_cellcls.review.lock import Lock

if TYPE_CHECKING:
    from napari_cellcls.project.project import Project

__all__ = [
    "Attempt", "Change", "History", "Version", "asked", "delete_unused", "history", "in_use",
    "new_place", "record", "roll_back", "use",
]  # fmt: skip
ROLLED_BACK = "rolled back"
_PATIENCE_S = 5.0


def in_use(project: Project) -> Version | None:
    """Return the version in use; None while the project uses the released model it started from.

    Raises
    ------
    ProjectError
        ``PROJECT-VERSIONS`` when ``current.json`` cannot be read, or names a file that is gone or
        changed.
    """
    return _in_use(project, ledger.read(project.models_folder))


def history(project: Project) -> History:
    """Return all versions, those that cannot be read with their error, and what happened to them.

    Raises
    ------
    ProjectError
        ``PROJECT-VERSIONS`` when ``current.json`` cannot be read.
    """
    found = ledger.read(project.models_folder)
    return History(tuple(_versions(project, found)), found.changes, found.attempts)


def use(project: Project, version: str | None, *, why: str = "chosen") -> Version | None:
    """Use another version from now on; None: the released model the project started from.

    Parameters
    ----------
    project : Project
    version : str or None
        ``name@version``, the version alone, or the beginning of its SHA-256 (6 digits or more).
    why : str
        Kept in the history.

    Raises
    ------
    ProjectError
        ``PROJECT-VERSION`` when there is no such version, or it cannot be read; ``PROJECT-WRITE``.
    """
    with _changing(project) as found:
        wanted = None if version is None else _find(_versions(project, found), version)
        if wanted is not None and wanted.error is not None:
            raise errors.unusable_version(wanted.label, wanted.path, str(wanted.error))
        _switch(project, found, wanted, why)
    return None if wanted is None else replace(wanted, in_use=True)


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
    if to is not None:
        return use(project, to, why=ROLLED_BACK)
    with _changing(project) as found:
        # Going back twice goes back further, so changes that went back themselves do not count.
        before = [
            change.before
            for change in found.changes
            if change.after == found.label and change.why != ROLLED_BACK
        ]
        if not found.label or not before:
            raise errors.nothing_before(found.label)
        label = before[-1]
        wanted = _find(_versions(project, found), label) if label else None
        if wanted is not None and wanted.error is not None:
            raise errors.unusable_version(wanted.label, wanted.path, str(wanted.error))
        _switch(project, found, wanted, ROLLED_BACK)
    return None if wanted is None else replace(wanted, in_use=True)


def delete_unused(project: Project, *, keep: Sequence[str] = ()) -> list[Path]:
    """Delete versions that were never in use and never shown to anybody; return their files.

    Parameters
    ----------
    project : Project
    keep : sequence of str
        Labels ``name@version`` to keep in any case.
    """
    gone = []
    with _changing(project) as found:
        wanted = {change.after for change in found.changes} | {found.label, *keep}
        shown = set(project.models_used.values())
        for version in _versions(project, found):
            if version.label in wanted or version.sha256 in shown or version.error is not None:
                continue
            version.path.unlink(missing_ok=True)
            gone.append(version.path)
    return gone


def new_place(project: Project) -> tuple[str, str, Path]:
    """Return name, version and path of the next version; no earlier one had this version."""
    name = re.sub(r"[^a-z0-9._-]+", "-", project.description.name.lower()).strip("-._")[:48]
    name = name or "project"
    found = ledger.read(project.models_folder)
    labels = [path.stem for path in _files(project)]
    labels += [attempt.version for attempt in found.attempts]
    numbers = [int(n) for label in labels for n in re.findall(r"[@-]0\.(\d{1,6})\.0", label)]
    version = f"0.{max(numbers, default=0) + 1}.0"
    # Two programs may train at once: no file ever takes the place of another.
    path = project.models_folder / f"{name}-{version}-{new_id()[-8:]}{SUFFIX}"
    return name, version, path


def asked(attempts: Iterable[Attempt], trial: str, groups: Sequence[str]) -> int:
    """Return how often these held-out groups have judged, this time included.

    Parameters
    ----------
    attempts : iterable of Attempt
    trial : str
        What is tried now; trying the same again is no further attempt.
    groups : sequence of str
        Hashes of the groups held out now. An attempt counts when it was judged by at least half of them.
    """
    now_held = set(groups)
    tried = {
        one.trial
        for one in attempts
        if one.groups and 2 * len(now_held & set(one.groups)) >= len(now_held)
    }
    return len(tried | {trial})


def record(project: Project, attempt: Attempt, path: Path, *, why: str = "") -> None:
    """Write down that a version was judged and, when it was promoted, use it: both in one step.

    Parameters
    ----------
    project : Project
    attempt : Attempt
    path : Path
        Its package.
    why : str
        Of the change.

    Raises
    ------
    ProjectError
        ``PROJECT-WRITE``, ``PROJECT-VERSIONS``; then nothing has changed.
    """
    with _changing(project) as found:
        found.attempts = (*found.attempts, attempt)
        if attempt.promoted:
            _switch(project, found, Version(attempt.version, sha256(path), path), why)


def _switch(project: Project, found: Ledger, to: Version | None, why: str) -> None:
    label = "" if to is None else to.label
    change = Change(now(), project.journal.annotator, found.label, label, why)
    found.changes = (*found.changes, change)
    found.label, found.file, found.sha256 = (
        ("", "", "") if to is None else (to.label, to.path.name, to.sha256)
    )


@contextlib.contextmanager
def _changing(project: Project) -> Iterator[Ledger]:
    """Give what is written down, alone; write it when the block succeeds."""
    folder = project.models_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder / "current.lock")
        end = time.monotonic() + _PATIENCE_S
        while (holder := lock.acquire(project.journal.annotator)) is not None:
            if time.monotonic() > end:
                raise errors.versions_busy(folder, str(holder))
            time.sleep(0.02)
        try:
            found = ledger.read(folder)
            yield found
            ledger.write(folder, found)
        finally:
            lock.release()
    except OSError as error:
        raise errors.unwritable(folder, error) from error


def _in_use(project: Project, found: Ledger) -> Version | None:
    if not found.label:
        return None
    path = project.models_folder / found.file
    if not path.is_file():
        raise errors.version_gone(found.label, path, "the file is gone.")
    entry = registry.describe_file(path)
    if entry.error is not None:
        raise errors.version_gone(found.label, path, f"{entry.error.what} {entry.error.why}")
    if entry.sha256 != found.sha256:
        raise errors.version_gone(found.label, path, "the file is not the one that was used.")
    return Version(entry.label, entry.sha256, path, entry.manifest, None, True, entry.bytes)


def _files(project: Project) -> list[Path]:
    folder = project.models_folder
    found = folder.glob(f"*{SUFFIX}") if folder.is_dir() else ()
    return [path for path in found if not path.name.startswith(".")]


def _versions(project: Project, found: Ledger) -> list[Version]:
    """Return the versions made here, newest first; copies of released models are none."""
    result = []
    for path in _files(project):
        entry = registry.describe_file(path)
        if entry.manifest is not None and entry.manifest.level != "tuned":
            continue
        used = bool(found.label) and path.name == found.file and entry.sha256 == found.sha256
        result.append(
            Version(entry.label, entry.sha256, path, entry.manifest, entry.error, used, entry.bytes)
        )
    return sorted(result, key=lambda one: (_numbers(one.label), one.path.name), reverse=True)


def _numbers(label: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", label.rpartition("@")[2]))


def _find(versions: Sequence[Version], wanted: str) -> Version:
    text = wanted.strip()
    fitting = [
        one
        for one in versions
        if text in (one.label, one.label.rpartition("@")[2])
        or (len(text) >= 6 and one.sha256.startswith(text))
    ]
    if len({one.sha256 for one in fitting}) != 1:
        raise errors.no_version(text, [one.label for one in versions], len(fitting))
    return fitting[0]
