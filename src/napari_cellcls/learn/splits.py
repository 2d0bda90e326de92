"""Who is trained on and who is tested on: random and group-disjoint splits, and the leak check.

Pure NumPy, so that it also runs on a bare training machine. Groups (patients, antibodies,
images) are the unit of every honest split: the cells of one group resemble each other, and a
group on both sides would be recognized instead of classified.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from napari_cellcls.vocabulary import DataError

_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Split:
    """Row numbers of the three sides of one split, each sorted; ``val`` may be empty.

    ``notes`` says what a reader of its numbers must know.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    notes: tuple[str, ...] = ()

    def sides(self) -> dict[str, np.ndarray]:
        """Return the sides by name, for :func:`check_leaks`."""
        return {"training": self.train, "validation": self.val, "test": self.test}


def random_split(n: int, *, test: float = 0.2, val: float = 0.2, seed: int = 42) -> Split:
    """Split rows at random, as most published systems did; groups leak across sides.

    Parameters
    ----------
    n : int
        Number of rows. 27,558 rows with the default fractions give 17,636 training, 4,410
        validation and 5,512 test rows, the numbers published for the malaria CNN.
    test : float
        Fraction held out for the test, rounded up.
    val : float
        Fraction of the rest held out for validation, rounded up.
    seed : int
    """
    order = np.random.default_rng(seed).permutation(n)
    # Rounded first: 0.15 / 0.85 of 170 rows are 30, not 31.
    n_test = int(np.ceil(round(n * test, 6)))
    n_val = int(np.ceil(round((n - n_test) * val, 6)))
    parts = np.split(order, [n_test, n_test + n_val])
    return Split(train=np.sort(parts[2]), val=np.sort(parts[1]), test=np.sort(parts[0]))


def random_folds(labels: np.ndarray, *, folds: int = 5, seed: int = 42) -> np.ndarray:
    """Give every row a fold at random, each class spread evenly; groups leak across folds.

    Parameters
    ----------
    labels : numpy.ndarray
        Class index of each row ``(N,)``, or 0/1 matrix ``(N, K)``: then rows are spread by their
        rarest label.
    folds : int
    seed : int

    Returns
    -------
    numpy.ndarray
        Fold number of each row, int64, ``(N,)``.
    """
    labels = np.asarray(labels)
    if labels.ndim == 2:
        frequency = labels.sum(0) + np.where(labels.sum(0) > 0, 0, np.inf)
        labels = np.where(labels > 0, frequency, np.inf).argmin(1)
    rng = np.random.default_rng(seed)
    fold = np.zeros(len(labels), np.int64)
    begin = 0
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        # Each class goes on where the one before ended, so that the folds stay equal in size.
        fold[rows] = (np.arange(len(rows)) + begin) % folds
        begin += len(rows)
    return fold


def grouped_folds(
    groups: Sequence[str] | np.ndarray, labels: np.ndarray, *, folds: int = 5, seed: int = 42
) -> np.ndarray:
    """Give every row a fold so that no group is in two folds and classes stay balanced.

    Groups are placed one by one, those with the most uneven class counts first, each into the
    fold where the spread of class shares over the folds becomes smallest. The result depends
    on the names and counts of the groups and the seed only, never on the order of the rows.

    Parameters
    ----------
    groups : sequence of str
        Group of each row, shape ``(N,)``.
    labels : numpy.ndarray
        Class index of each row, shape ``(N,)``, or 0/1 matrix ``(N, K)`` for several labels.
    folds : int
        Number of folds, at least 2.
    seed : int
        Changes the order among groups with equal counts.

    Returns
    -------
    numpy.ndarray
        Fold number of each row, int64, ``(N,)``.

    Raises
    ------
    DataError
        ``DATA-GROUPS`` when there are fewer groups than folds.
    """
    names, inverse = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    if folds < 2 or len(names) < folds:
        raise DataError(
            f"The data cannot be split into {folds} folds by group.",
            code="DATA-GROUPS",
            why=f"There are {len(names)} groups ({', '.join(names[:_NAMES_SHOWN])} ...)",
            remedy="Use at most as many folds as there are groups, or label cells of more groups.",
        )
    counts = _class_counts(inverse, np.asarray(labels), len(names))
    ties = [hashlib.sha256(f"{seed}:{name}".encode()).hexdigest() for name in names]
    order = sorted(range(len(names)), key=lambda g: (-float(np.std(counts[g])), ties[g]))
    share = np.maximum(counts.sum(0), 1)
    filled = np.zeros((folds, counts.shape[1]))
    fold_of_group = np.zeros(len(names), np.int64)
    for g in order:
        trial = np.repeat(filled[None], folds, axis=0)
        trial[np.arange(folds), np.arange(folds)] += counts[g]
        spread = np.std(trial / share, axis=1).mean(axis=1)
        best = min(range(folds), key=lambda f: (round(float(spread[f]), 12), filled[f].sum(), f))
        filled[best] += counts[g]
        fold_of_group[g] = best
    return fold_of_group[inverse]


def _class_counts(group: np.ndarray, labels: np.ndarray, n_groups: int) -> np.ndarray:
    if labels.ndim == 1:
        labels = np.eye(int(labels.max()) + 1)[labels]
    counts = np.zeros((n_groups, labels.shape[1]))
    np.add.at(counts, group, labels)
    return counts


def fold_split(
    fold: np.ndarray,
    k: int,
    groups: Sequence[str] | np.ndarray,
    labels: np.ndarray,
    *,
    val: float = 0.0,
    seed: int = 42,
) -> Split:
    """Return the split that tests on fold ``k``, with validation groups taken from the rest.

    Parameters
    ----------
    fold : numpy.ndarray
        Output of :func:`grouped_folds`.
    k : int
        The fold held out.
    groups, labels
        As for :func:`grouped_folds`.
    val : float
        Fraction of the remaining rows for a group-disjoint validation side; 0 for none.
    seed : int
    """
    rest = np.flatnonzero(fold != k)
    test = np.flatnonzero(fold == k)
    inside = np.zeros(len(rest), bool)
    if val > 0:
        parts = max(2, round(1 / val))
        inner = grouped_folds(np.asarray(groups)[rest], labels[rest], folds=parts, seed=seed + 1)
        inside = inner == 0
    return Split(train=rest[~inside], val=rest[inside], test=test)


def check_leaks(
    sides: Mapping[str, np.ndarray],
    *,
    groups: Sequence[str] | np.ndarray | None = None,
    hashes: Sequence[str] | np.ndarray | None = None,
    near: np.ndarray | None = None,
    names: Sequence[str] | np.ndarray | None = None,
) -> None:
    """Refuse a split in which a group, an identical or a nearly identical image is on two sides.

    Parameters
    ----------
    sides : mapping of str to numpy.ndarray
        Row numbers of each side, as from :meth:`Split.sides`.
    groups, hashes : sequence of str, optional
        Group and content hash of every row; what is None is not checked (a random split as
        published shares groups by design).
    near : numpy.ndarray, optional
        ``(M, 2)`` rows of nearly identical images, as from ``learn.duplicates``.
    names : sequence of str, optional
        Image names for the message.

    Raises
    ------
    DataError
        ``DATA-LEAK`` with the names of the offenders.
    """
    for what, values in (("group", groups), ("image", hashes)):
        if values is None:
            continue
        keys = np.asarray(values, dtype=str)
        seen: dict[str, tuple[str, int]] = {}
        for side, rows in sides.items():
            unique, first = np.unique(keys[rows], return_index=True)
            shared = [(key, int(rows[i])) for key, i in zip(unique, first) if key in seen]
            if shared:
                raise _leak(what, side, shared, seen, names)
            seen.update({key: (side, int(rows[i])) for key, i in zip(unique, first)})
    across = [] if near is None else crossing(sides, near).tolist()
    if across:
        place = {row: side for side, rows in sides.items() for row in rows.tolist()}
        found = {str(a): (place[a], a) for a, _ in across}
        raise _leak(
            "image (nearly)", place[across[0][1]], [(str(a), b) for a, b in across], found, names
        )


def crossing(sides: Mapping[str, np.ndarray], pairs: np.ndarray) -> np.ndarray:
    """Return the pairs ``(M, 2)`` whose two rows lie on different sides."""
    if not len(pairs):
        return pairs
    side = np.full(int(max(pairs.max(), *(r.max(initial=-1) for r in sides.values()))) + 1, -1)
    for number, rows in enumerate(sides.values()):
        side[rows] = number
    first, second = side[pairs[:, 0]], side[pairs[:, 1]]
    return np.asarray(pairs[(first != second) & (first >= 0) & (second >= 0)])


def _leak(
    what: str,
    side: str,
    shared: list[tuple[str, int]],
    seen: dict[str, tuple[str, int]],
    names: Sequence[str] | np.ndarray | None,
) -> DataError:
    def show(key: str, row: int) -> str:
        if what == "group":
            return key
        here, there = row, seen[key][1]
        return f"{names[here]} = {names[there]}" if names is not None else f"rows {here}, {there}"

    other = sorted({seen[key][0] for key, _ in shared})
    listed = ", ".join(show(key, row) for key, row in shared[:_NAMES_SHOWN])
    more = f" and {len(shared) - _NAMES_SHOWN} more" if len(shared) > _NAMES_SHOWN else ""
    return DataError(
        f"The same {what} is on the {side} side and on the {' and '.join(other)} side.",
        code="DATA-LEAK",
        why=f"{len(shared)} shared: {listed}{more}",
        remedy="Split by group, and give identical images the same group, so that results are honest.",
    )
