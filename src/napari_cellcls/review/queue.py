"""Which cell to look at next: what tells the model most, for as few decisions of a person as possible.

Without predictions the queue goes through the variety of the cells: k-means on their embeddings, the most typical
cell of each group that nobody judged yet, the largest groups first (after TypiClust: Hacohen, Dekel and Weinshall
2022). With predictions it takes doubtful cells that differ from each other, by k-means weighted with the doubt
(Zhdanov 2019), and cells that may be of classes with few labels. It hands them out by confusion pair, so that a person compares the same two classes for a while,
and never asks for two copies of one cell. The same input and seed give the same queue.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NamedTuple

import numpy as np

from napari_cellcls.review import space
from napari_cellcls.review.doubt import doubt_of as doubt_of  # sheet.py takes it from here
from napari_cellcls.review.doubt import pairs_of

_MOST_GROUPS = 200
_WIDEST = 18


class Reason(StrEnum):
    """Why a cell is asked for."""

    DIVERSE = "unlike those judged"
    DOUBTFUL = "doubtful"
    RARE = "may be of a class with few labels"


class Item(NamedTuple):
    """One cell of the queue.

    Attributes
    ----------
    cell_id : str
    row : int
        Its row in the pool.
    reason : Reason
    doubt : float
        0 (sure) to 1 (no idea); NaN without predictions.
    pair : tuple of int
        The two classes it may be confused between, the smaller index first; ``(-1, -1)`` without
        predictions.
    blind : bool
        Whether the prediction must stay hidden until the person has decided.
    """

    cell_id: str
    row: int
    reason: Reason
    doubt: float
    pair: tuple[int, int]
    blind: bool


@dataclass(frozen=True)
class Pool:
    """The cells to choose from. Make it with :func:`pool`, once per set of cells and predictions.

    Attributes
    ----------
    cell_ids : tuple of str
    points : numpy.ndarray or None
        ``(N, D)`` float32 unit vectors (:func:`napari_cellcls.review.space.directions`).
    probabilities : numpy.ndarray or None
        ``(N, K)`` float32, calibrated.
    multi_label : bool
        Whether a cell may have several classes.
    """

    cell_ids: tuple[str, ...]
    points: np.ndarray | None = field(default=None, repr=False)
    probabilities: np.ndarray | None = field(default=None, repr=False)
    multi_label: bool = False

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.cell_ids)


@dataclass(frozen=True)
class Options:
    """How the queue chooses.

    Attributes
    ----------
    seed : int
    start : int
        Labels to gather by variety before predictions count: about six per class for a head that is fitted
        on the labels of this project; 0 for a model that was trained elsewhere.
    doubt : {"margin", "entropy"}
        Small gap between the two most probable classes, or spread over all of them.
    diversity : float
        0: the most doubtful cells, however alike; up to 1: groups of like cells among ever more of them
        (19 times as many as asked for), and one cell of each group.
    rare : float
        Share of the queue for classes with few labels, 0..1.
    copies : float
        Cells at least this similar (cosine on principal axes) are copies of one; above 1: none are.
    blind : bool
        Whether predictions stay hidden.
    """

    seed: int = 0
    start: int = 0
    doubt: Literal["margin", "entropy"] = "margin"
    diversity: float = 0.5
    rare: float = 0.2
    copies: float = 0.995
    blind: bool = False


def pool(
    cell_ids: Sequence[str],
    embeddings: np.ndarray | None = None,
    probabilities: np.ndarray | None = None,
    *,
    multi_label: bool = False,
    points: np.ndarray | None = None,
    seed: int = 0,
) -> Pool:
    """Prepare cells for the queue: about 0.3 s for 20,000 embeddings of 1,280 values.

    Parameters
    ----------
    cell_ids : sequence of str
        Each once.
    embeddings : numpy.ndarray, optional
        ``(N, E)``; without them nothing is known of likeness.
    probabilities : numpy.ndarray, optional
        ``(N, K)``; without them, or without classes, the queue goes by diversity alone.
    multi_label : bool
    points : numpy.ndarray, optional
        ``points`` of an earlier pool of the same cells, to spare the work when only predictions changed.
    seed : int

    Raises
    ------
    ValueError
        When the numbers of cells differ or an id comes twice.
    """
    ids = tuple(cell_ids)
    for name, values in (
        ("embeddings", embeddings),
        ("probabilities", probabilities),
        ("points", points),
    ):
        if values is not None and (values.ndim != 2 or len(values) != len(ids)):
            raise ValueError(f"{name} of shape {values.shape} for {len(ids)} cells")
    if len(set(ids)) != len(ids):
        raise ValueError(f"{len(ids) - len(set(ids))} cell ids come more than once")
    if points is None and embeddings is not None:
        points = space.directions(embeddings, seed)
    if probabilities is not None:
        known = probabilities.shape[1] >= (1 if multi_label else 2)
        probabilities = np.nan_to_num(np.asarray(probabilities, np.float32)) if known else None
    return Pool(ids, points, probabilities, multi_label)


def next_cells(
    cells: Pool,
    judged: Collection[str],
    count: int = 50,
    *,
    class_counts: Sequence[int] | None = None,
    options: Options = Options(),
) -> list[Item]:
    """Return what to look at next, in order: at most ``count`` cells, none of ``judged``, none twice.

    Parameters
    ----------
    cells : Pool
    judged : collection of str
        Ids of cells that were labeled or skipped; those not in the pool are passed over.
    count : int
    class_counts : sequence of int, optional
        Labels so far per class, in the order of the probabilities; 0 for all by default.
    options : Options

    Returns
    -------
    list of Item
        Shorter than ``count`` when nothing is left but copies of cells judged or chosen.

    Raises
    ------
    ValueError
        When ``class_counts`` has not one number per class.
    """
    done = frozenset(judged)
    is_open = np.fromiter((c not in done for c in cells.cell_ids), bool, len(cells))
    count = min(count, int(is_open.sum()))
    if count <= 0:
        return []
    classes = 0 if cells.probabilities is None else cells.probabilities.shape[1]
    labels = np.zeros(classes) if class_counts is None else np.asarray(class_counts)
    if cells.probabilities is not None and labels.shape != (classes,):
        raise ValueError(f"{len(labels)} counts for {classes} classes")
    if cells.probabilities is None or labels.sum() < options.start:
        rows = _by_variety(cells, is_open, count, options)
        return [_item(cells, row, Reason.DIVERSE, options) for row in rows]
    chosen = _by_doubt(cells, is_open, count, labels, options)
    return _grouped([_item(cells, row, reason, options) for row, reason in chosen])


def _by_variety(cells: Pool, is_open: np.ndarray, count: int, options: Options) -> list[int]:
    rng = np.random.default_rng(options.seed)
    if cells.points is None:
        order = rng.permutation(len(cells))
        return [int(row) for row in order if is_open[row]][:count]
    judged = np.flatnonzero(~is_open)
    wanted = min(len(judged) + count, _MOST_GROUPS)
    group, gap = space.nearest(cells.points, space.centers(cells.points, wanted, rng))
    size = np.bincount(group, minlength=wanted)
    seen = np.bincount(group[judged], minlength=wanted)
    rows = np.flatnonzero(is_open)
    rows = rows[np.lexsort((rows, gap[rows], group[rows]))]
    turn = _places(group[rows]) + seen[group[rows]]
    # One cell of every group before the second of any; large groups first.
    order = rows[np.lexsort((rows, -size[group[rows]], turn))]
    return _without_copies(cells, order, judged, count, options)


def _by_doubt(
    cells: Pool, is_open: np.ndarray, count: int, labels: np.ndarray, options: Options
) -> list[tuple[int, Reason]]:
    assert cells.probabilities is not None
    judged = np.flatnonzero(~is_open)
    rows = np.flatnonzero(is_open)
    share = round(options.rare * count)
    taken = _without_copies(cells, _rare(cells, rows, share, labels), judged, share, options)
    rows = np.setdiff1d(rows, taken)
    doubt = doubt_of(cells.probabilities[rows], multi_label=cells.multi_label, kind=options.doubt)
    rows = rows[np.lexsort((rows, -doubt))]
    left = count - len(taken)
    if cells.points is not None and options.diversity > 0 and left > 0:
        wide = rows[: round(left * (1 + _WIDEST * options.diversity))]
        rows = np.array([*dict.fromkeys([*_spread(cells, wide, left, options), *rows.tolist()])])
    seen = np.concatenate([judged, np.array(taken, np.int64)])
    doubtful = _without_copies(cells, rows, seen, left, options)
    return [(row, Reason.RARE) for row in taken] + [(row, Reason.DOUBTFUL) for row in doubtful]


def _spread(cells: Pool, rows: np.ndarray, count: int, options: Options) -> list[int]:
    """Return of each group of doubtful cells the one nearest to its center, most doubtful first."""
    assert cells.points is not None and cells.probabilities is not None
    points = cells.points[rows]
    doubt = doubt_of(cells.probabilities[rows], multi_label=cells.multi_label, kind=options.doubt)
    rng = np.random.default_rng(options.seed)
    group, gap = space.nearest(points, space.centers(points, count, rng, doubt + 1e-6))
    order = np.lexsort((rows, gap, group))
    first = order[np.unique(group[order], return_index=True)[1]]
    return [int(row) for row in rows[first[np.lexsort((rows[first], -doubt[first]))]]]


def _rare(cells: Pool, rows: np.ndarray, count: int, labels: np.ndarray) -> np.ndarray:
    """Return open rows that may be of classes with few labels, in turn, fewest labels first."""
    assert cells.probabilities is not None
    if count == 0:
        return np.zeros(0, np.int64)
    values = cells.probabilities[rows]
    have = labels.astype(np.float64).copy()
    best = np.argsort(-values, axis=0, kind="stable")
    at = np.zeros(len(have), np.int64)
    order: list[int] = []
    seen: set[int] = set()
    # Twice as many as wanted: copies are passed over later.
    while len(order) < min(2 * count, len(rows)):
        one = int(have.argmin())
        if at[one] >= len(rows):
            have[one] = np.inf
            continue
        row = int(rows[best[at[one], one]])
        at[one] += 1
        if row not in seen:
            seen.add(row)
            order.append(row)
            have[one] += 1
    return np.array(order, np.int64)


def _without_copies(
    cells: Pool, order: np.ndarray, judged: np.ndarray, count: int, options: Options
) -> list[int]:
    if cells.points is None:
        return [int(row) for row in order[:count]]
    points = cells.points
    chosen: list[int] = []
    if count == 0:
        return chosen
    begin, length = 0, max(4 * count, 64)
    while begin < len(order):
        part = order[begin : begin + length]
        # Twice as many each time: where nearly all are copies, many small products take long.
        begin, length = begin + length, 2 * length
        like = space.closest(
            points[part], points[np.concatenate([judged, np.array(chosen, np.int64)])]
        )
        for at in np.flatnonzero(like < options.copies).tolist():
            if like[at] < options.copies:
                row = int(part[at])
                chosen.append(row)
                if len(chosen) == count:
                    return chosen
                np.maximum(like, points[part] @ points[row], out=like)
    return chosen


def _grouped(items: list[Item]) -> list[Item]:
    """Put cells of one confusion pair together, the pair with most doubt first."""
    weight: dict[tuple[int, int], float] = {}
    for item in items:
        weight[item.pair] = weight.get(item.pair, 0.0) + item.doubt
    return sorted(items, key=lambda i: (-weight[i.pair], i.pair, -i.doubt, i.row))


def _item(cells: Pool, row: int, reason: Reason, options: Options) -> Item:
    if cells.probabilities is None:
        return Item(cells.cell_ids[row], row, reason, float("nan"), (-1, -1), options.blind)
    one = cells.probabilities[row : row + 1]
    doubt = float(doubt_of(one, multi_label=cells.multi_label, kind=options.doubt)[0])
    low, high = (int(k) for k in pairs_of(one, multi_label=cells.multi_label)[0])
    return Item(cells.cell_ids[row], row, reason, doubt, (low, high), options.blind)


def _places(groups: np.ndarray) -> np.ndarray:
    """Return for each entry of a sorted array its place among the equal ones, from 0."""
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    length = np.diff(starts, append=len(groups))
    return np.asarray(np.arange(len(groups)) - np.repeat(starts, length))
