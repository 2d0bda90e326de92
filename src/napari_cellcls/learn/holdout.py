"""Which groups of a project judge its models and are never learned from: by a hash of their name.

The same group is on the same side on every computer and at every time, with a few exceptions that
only ever help: two groups at least judge, a third of them at most, and no class is held out wholly.
These exceptions depend on which groups have labels, so where a version of the project was made before, its sides
go before the hash: undoing labels and giving them again does not make learners of judges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence, Set
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_cellcls.learn.labels import Labels, shares

if TYPE_CHECKING:
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.project.versions import Version

SHARE = 0.25
FEWEST = 5
"""Groups from which on some are held out."""
_JUDGES = 2


class Sides(NamedTuple):
    """What a version learned from and what was held out, as :func:`traces` gives them."""

    learned: frozenset[str]
    held: frozenset[str]


def past_sides(versions: Iterable[Version]) -> tuple[Sides, ...]:
    """Return the sides of the versions of a project that say them, in the same order."""
    told = [one.manifest.provenance.extra for one in versions if one.manifest is not None]
    return tuple(Sides(_named(one.get("groups")), _named(one.get("held_out"))) for one in told)


def held_out(labels: Labels, rows: np.ndarray, past: Sequence[Sides] = ()) -> np.ndarray:
    """Return which rows belong to groups held out, ``(M,)`` bool; none with fewer than five groups.

    Parameters
    ----------
    labels : Labels
    rows : numpy.ndarray
        ``(M,)``, those that could be described.
    past : sequence of Sides
        Of earlier versions, newest first. A group stays on the side where the newest that knows it
        had it, as far as enough and not too many are left to judge.
    """
    groups = labels.groups[rows]
    names = np.unique(groups)
    if len(names) < FEWEST:
        return np.zeros(len(rows), bool)
    share = shares(names.tolist())
    can_judge = set(groups[labels.testable[rows]].tolist())
    # Whoever judged goes on to judge, whoever was learned from does so only where too few others are left.
    held = {name: _held_before(labels, rows, name, past) for name in can_judge}
    rank = {True: -1.0, None: 0.0, False: 1.0}
    place = {name: rank[held[name]] + share[name] for name in can_judge}
    order = sorted(can_judge, key=lambda name: place[name])
    chosen = [name for n, name in enumerate(order) if n < _JUDGES or place[name] < SHARE]
    chosen = chosen[: max(_JUDGES, len(names) // 3)]
    yes = labels.targets[rows] == 1
    for k in np.flatnonzero(yes.any(axis=0)):
        with_class = groups[yes[:, k]]
        here = [name for name in chosen if name in with_class]
        # The last class cell of a model must not be one that it may not learn from.
        if len(chosen) > _JUDGES and here and np.isin(with_class, chosen).all():
            chosen.remove(here[-1])
    return np.isin(groups, chosen)


def _held_before(labels: Labels, rows: np.ndarray, name: str, past: Sequence[Sides]) -> bool | None:
    """Return whether a group was held out, None where no version knows it."""
    if not past:
        return None
    mine = set(traces(labels, rows[labels.groups[rows] == name]))
    for one in past:
        # A patient of whom one image was learned from is known, whatever became of the others.
        if mine & one.learned:
            return False
        if mine & one.held:
            return True
    return None


def traces(labels: Labels, rows: np.ndarray) -> tuple[str, ...]:
    """Return hashes of the groups of cells and of their images.

    A model keeps them of what it learned from: that an image was put under another patient since
    must not hide that the model knows it.

    Parameters
    ----------
    labels : Labels
    rows : numpy.ndarray
    """
    return hashes(np.array([*labels.groups[rows].tolist(), *labels.images[rows].tolist()], str))


def learned_by(package: ModelPackage) -> frozenset[str]:
    """Return hashes of the groups that a model has learned from, as far as it says."""
    return _named(package.manifest.provenance.extra.get("groups"))


def known(labels: Labels, learned: Set[str]) -> np.ndarray:
    """Return which cells are of a group that a model has learned something of, ``(N,)`` bool.

    Parameters
    ----------
    labels : Labels
    learned : set of str
        What :func:`traces` gave, or hashes of groups alone (versions of earlier releases).
    """
    met = {
        group
        for group, image in set(zip(labels.groups.tolist(), labels.images.tolist(), strict=True))
        if not learned.isdisjoint(hashes(np.array([group, image])))
    }
    return np.isin(labels.groups, list(met))


def hashes(groups: np.ndarray) -> tuple[str, ...]:
    """Return groups as short hashes, sorted: names of patients do not belong into a model."""
    return tuple(
        sorted(
            hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
            for name in np.unique(groups).tolist()
        )
    )


def _named(value: Any) -> frozenset[str]:
    return frozenset(map(str, value)) if isinstance(value, list | tuple) else frozenset()
