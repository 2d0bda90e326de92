"""Which groups of a project judge its models and are never learned from: by a hash of their name.

The same group is on the same side on every computer and at every time, with a few exceptions that
only ever help: two groups at least judge, a third of them at most, and no class is held out wholly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Set

import numpy as np

from napari_cellcls.learn.labels import Labels, shares

SHARE = 0.25
FEWEST = 5
"""Groups from which on some are held out."""
_JUDGES = 2


def held_out(labels: Labels, rows: np.ndarray) -> np.ndarray:
    """Return which rows belong to groups held out, ``(M,)`` bool; none with fewer than five groups.

    Parameters
    ----------
    labels : Labels
    rows : numpy.ndarray
        ``(M,)``, those that could be described.
    """
    groups = labels.groups[rows]
    names = np.unique(groups)
    if len(names) < FEWEST:
        return np.zeros(len(rows), bool)
    share = shares(names.tolist())
    can_judge = set(groups[labels.testable[rows]].tolist())
    order = sorted(can_judge, key=lambda name: share[name])
    chosen = [name for n, name in enumerate(order) if n < _JUDGES or share[name] < SHARE]
    chosen = chosen[: max(_JUDGES, len(names) // 3)]
    yes = labels.targets[rows] == 1
    for k in np.flatnonzero(yes.any(axis=0)):
        with_class = groups[yes[:, k]]
        here = [name for name in chosen if name in with_class]
        # The last class cell of a model must not be one that it may not learn from.
        if len(chosen) > _JUDGES and here and np.isin(with_class, chosen).all():
            chosen.remove(here[-1])
    return np.isin(groups, chosen)


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
