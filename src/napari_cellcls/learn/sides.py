"""Training, validation and test sides of whole groups that stay where they are as data grow.

Two ways: by a hash of the group's name, which needs no memory; or stratified over all classes, where
the sides of the groups already placed are given back and never change.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from napari_cellcls.vocabulary import DataError

SIDES = ("training", "validation", "test")
_ANTIBODY = re.compile(r"(?:HPA|CAB)?0*(\d+)")


def fractions(test: float, val: float) -> dict[str, float]:
    """Return the share of each side; ``test`` and ``val`` are shares of all images."""
    return {"training": 1 - test - val, "validation": val, "test": test}


def hashed_sides(
    groups: Sequence[str] | np.ndarray, shares: Mapping[str, float], *, seed: int = 42
) -> np.ndarray:
    """Return the side of each row by a hash of its group's name.

    Adding images or groups never moves another one, on any computer, without any memory. Sizes
    and classes are right on average only: use it with a hundred groups or more.

    Parameters
    ----------
    groups : sequence of str
        ``(N,)``.
    shares : mapping of str to float
        Side -> share of the groups, together 1.
    seed : int

    Returns
    -------
    numpy.ndarray
        ``(N,)`` str.
    """
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    edges = np.cumsum(list(shares.values()))
    drawn = np.array([_draw(name, seed) for name in names])
    number = np.minimum(np.searchsorted(edges, drawn, side="right"), len(shares) - 1)
    return np.array(list(shares))[number][inverse]


def stratified_sides(
    groups: Sequence[str] | np.ndarray,
    labels: np.ndarray,
    shares: Mapping[str, float],
    *,
    known: Mapping[str, str] | None = None,
    seed: int = 42,
) -> np.ndarray:
    """Return the side of each row so that groups stay whole and every class has its share on each.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, ECML PKDD) over groups: the
    class with the fewest images left is placed first, its largest groups first, each on the side
    where all classes then fill all sides most evenly. Works with one label per image and with
    several.

    Parameters
    ----------
    groups : sequence of str
        ``(N,)``.
    labels : numpy.ndarray
        ``(N,)`` class indices, or ``(N, K)`` 0/1.
    shares : mapping of str to float
        Side -> share of the images, together 1.
    known : mapping of str to str, optional
        Group -> side of an earlier split: these stay, new groups fill what is missing.
    seed : int
        Decides between equals.

    Returns
    -------
    numpy.ndarray
        ``(N,)`` str. Depends on names and counts only, not on the order of rows.
    """
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    counts = _counts(inverse, np.asarray(labels), len(names))
    sides = list(shares)
    share = np.array([shares[s] for s in sides])
    wanted = share[:, None] * np.maximum(counts.sum(0), 1)
    filled = np.zeros_like(wanted)
    side = np.full(len(names), -1)

    def place(group: int, where: int) -> None:
        side[group] = where
        filled[where] += counts[group]

    stays = {_key(name): side_of for name, side_of in (known or {}).items()}
    for group, name in enumerate(names.tolist()):
        if stays.get(_key(name)) in shares:
            place(group, sides.index(stays[_key(name)]))
    ties = np.array([_draw(name, seed) for name in names])
    while (side < 0).any():
        free = np.flatnonzero(side < 0)
        left = counts[free].sum(0)
        # The last column counts images, so that those without a label are placed too.
        column = int(np.where(left > 0, left, np.inf).argmin())
        having = free[counts[free, column] > 0]
        for group in having[np.lexsort((ties[having], -counts[having, column]))]:
            place(int(group), _evenest(filled, counts[group], wanted, share))
    return np.asarray(np.array(sides)[side][inverse])


def listed_sides(
    groups: Sequence[str] | np.ndarray,
    lists: Mapping[str, Sequence[str]],
    *,
    other: str = "training",
) -> np.ndarray:
    """Return the side of each row by published lists of groups, such as antibodies.

    Parameters
    ----------
    groups : sequence of str
        ``(N,)``; an antibody may be written as in lists or as in ids: ``HPA010580`` is ``10580``.
    lists : mapping of str to sequence of str
        Side -> groups.
    other : str
        Side of groups in no list.

    Raises
    ------
    DataError
        ``DATA-LEAK`` when a group is in two lists.
    """
    side_of: dict[str, str] = {}
    for side, members in lists.items():
        for member in map(_key, members):
            if side_of.setdefault(member, side) != side:
                raise DataError(
                    "A group is in the lists of two sides.",
                    code="DATA-LEAK",
                    why=f"{member} is in {side_of[member]} and in {side}",
                    remedy="Correct the lists.",
                )
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return np.array([side_of.get(_key(name), other) for name in names])[inverse]


def _key(name: str) -> str:
    # Ids of images tell the number only; HPA and CAB antibodies of the published lists share none.
    found = _ANTIBODY.fullmatch(name.strip())
    return found.group(1) if found else name.strip()


def _draw(name: str, seed: int) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:8]) / 2**64


def _evenest(filled: np.ndarray, group: np.ndarray, wanted: np.ndarray, share: np.ndarray) -> int:
    """Return the side where adding a group leaves the sides filled most evenly, ``(S, K)`` arrays."""
    open_sides = np.flatnonzero(share > 0)
    trial = np.repeat(filled[None, open_sides], len(open_sides), axis=0)
    trial[np.arange(len(open_sides)), np.arange(len(open_sides))] += group
    ratio = trial / wanted[open_sides]
    weight = share[open_sides, None]
    mean = (ratio * weight).sum(1, keepdims=True)
    uneven = ((ratio - mean) ** 2 * weight).sum((1, 2))
    return int(open_sides[np.argmin(np.round(uneven, 15))])


def _counts(group: np.ndarray, labels: np.ndarray, n_groups: int) -> np.ndarray:
    """Return images of each class and images in all, ``(G, K + 1)``."""
    if labels.ndim == 1:
        labels = np.eye(int(labels.max(initial=0)) + 1)[labels]
    counts = np.zeros((n_groups, labels.shape[1] + 1))
    np.add.at(counts, group, np.hstack([labels, np.ones((len(labels), 1))]))
    return counts
