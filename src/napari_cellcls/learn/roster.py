"""The classes of a new version: those of the project, with what the released model knew of each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.learn.labels import Labels
from napari_cellcls.review.state import ClassState
from napari_cellcls.vocabulary import CLASS_COLORS, CellClass

if TYPE_CHECKING:
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.review.fold import State

_ID = re.compile(r"[A-Za-z0-9_]{1,64}")
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_LONGEST = 200


@dataclass(frozen=True, eq=False)
class Roster:
    """Who is who.

    Attributes
    ----------
    classes : tuple of CellClass
        ``K`` classes of the new version.
    columns : tuple of int
        Column of each in the labels.
    notes : tuple of str
        Classes that the new version does not have, and why.
    """

    classes: tuple[CellClass, ...]
    columns: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(one.name for one in self.classes)


def roster(labels: Labels, rows: np.ndarray, known: Mapping[int, int], base: str) -> Roster:
    """Choose the classes of a new version.

    Parameters
    ----------
    labels : Labels
    rows : numpy.ndarray
        Rows that are learned from.
    known : mapping of int to int
        Class of the released model -> column of the labels, from :func:`same_classes`.
    base : str
        Name of the released model, for the notes.
    """
    learned = (labels.targets[rows] == 1).any(axis=0)
    everywhere = (labels.targets == 1).any(axis=0)
    old = set(known.values())
    columns = [k for k in range(len(labels.classes)) if learned[k] or k in old]
    notes = []
    for k, one in enumerate(labels.classes):
        if k in columns:
            continue
        if everywhere[k]:
            notes.append(
                f"All cells labeled {one.name} are in images that are held out: the model does not "
                "know it yet. Label some in other images."
            )
        else:
            notes.append(f"No cell is labeled {one.name}: the model does not know it yet.")
    quiet = [labels.classes[k].name for k in columns if not learned[k]]
    if quiet:
        notes.append(f"Known from {base} alone, because nothing is labeled so: {', '.join(quiet)}.")
    return Roster(_named([labels.classes[k] for k in columns]), tuple(columns), tuple(notes))


def same_classes(package: ModelPackage, labels: Labels, state: State) -> dict[int, int]:
    """Return class of a model -> column of the labels: the same id, else the same name.

    A class that was merged into another counts as that one; one that the project does not have is
    not in it.
    """
    column = {one.id: k for k, one in enumerate(labels.classes)}
    project = tuple(state.classes.values())
    found = {}
    for k, entry in enumerate(package.manifest.classes):
        tests: tuple[Callable[[ClassState], bool], ...] = (
            lambda one, entry=entry: one.id == entry.id,  # type: ignore[misc]
            lambda one, entry=entry: one.name.casefold() == entry.name.casefold(),  # type: ignore[misc]
        )
        for test in tests:
            fitting = [one for one in project if test(one)]
            if fitting:
                target = column.get(state.class_of(fitting[0].id))
                if target is not None:
                    found[k] = target
                break
    return found


def matrix(known: Mapping[int, int], roster: Roster, classes: int) -> np.ndarray:
    """Return ``(Kb, K)`` float32, 1 where a class of a model is one of the new version."""
    found = np.zeros((classes, len(roster.classes)), np.float32)
    place = {column: k for k, column in enumerate(roster.columns)}
    for old, column in known.items():
        if column in place:
            found[old, place[column]] = 1
    return found


def removed(package: ModelPackage, known: Mapping[int, int]) -> list[str]:
    """Return names of the classes of a model that the project does not have."""
    return [one.name for k, one in enumerate(package.manifest.classes) if k not in known]


def _named(classes: list[ClassState]) -> tuple[CellClass, ...]:
    """Return classes whose ids and names a package takes: plain ids, names that differ."""
    found: list[CellClass] = []
    for number, one in enumerate(classes):
        plain = one.id if _ID.fullmatch(one.id) else f"class_{_short(one.id)}"
        text = "".join(c for c in one.name.replace("|", "/") if c.isprintable()).strip()
        name, taken = text[:_LONGEST] or plain, {other.name for other in found}
        if name in taken:
            name = f"{name[: _LONGEST - 12]} ({_short(one.id)})"
        color = one.color if _COLOR.fullmatch(one.color) else CLASS_COLORS[number % 14]
        found.append(CellClass(plain, name, color))
    return tuple(found)


def _short(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
