"""How far people agree: Cohen, Fleiss and Krippendorff with bootstrap intervals, and where they do not.

Every coefficient is a function of sums over cells, so a bootstrap draws sums and never goes through the cells
again. What is not defined stays so, with the reason in words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from napari_cellcls.review.events import Event, Source
from napari_cellcls.review.fold import State
from napari_cellcls.review.journal import Journal
from napari_cellcls.vocabulary import COLUMNS

RESAMPLES = 2000
_LEVEL = 0.95
_FEWEST = 0.95  # share of resamples that must have a value for an interval to be stated


@dataclass(frozen=True)
class Ratings:
    """Who gave which class to which cell.

    Attributes
    ----------
    cell_ids : tuple of str
    annotators : tuple of str
        Sorted.
    classes : tuple of str
        Class ids, several joined with ``|``; for one class of several: ``("no", "yes")``.
    values : numpy.ndarray
        ``(N, A)`` int: index of the class, -1 where an annotator gave none.
    images : tuple of str
        Content id of each cell's image, "" where it is not known.
    """

    cell_ids: tuple[str, ...]
    annotators: tuple[str, ...]
    classes: tuple[str, ...]
    values: np.ndarray = field(repr=False)
    images: tuple[str, ...] = field(repr=False)

    def confusion(self, one: str, other: str) -> np.ndarray:
        """Return how often ``one`` gave class i where ``other`` gave class j, ``(K, K)`` int64."""
        a, b = (self.values[:, self.annotators.index(name)] for name in (one, other))
        both = (a >= 0) & (b >= 0)
        size = len(self.classes)
        counts = np.bincount(a[both] * size + b[both], minlength=size * size)
        return np.asarray(counts, np.int64).reshape(size, size)


@dataclass(frozen=True)
class Coefficient:
    """One coefficient of agreement.

    Attributes
    ----------
    name : str
    value, low, high : float or None
        The coefficient and its 95 % interval; None where not defined.
    cells : int
        Cells that count.
    why : str
        Why value or interval are not defined, in words; else empty.
    """

    name: str
    value: float | None
    low: float | None
    high: float | None
    cells: int
    why: str = ""

    @property
    def text(self) -> str:
        """``0.71 (0.55 to 0.84), 200 cells`` or ``not defined: ...``."""
        if self.value is None:
            return f"not defined: {self.why}"
        many = f"{self.cells:,} {'cell' if self.cells == 1 else 'cells'}"
        if self.low is None or self.high is None:
            return f"{self.value:.2f} (no interval: {self.why}), {many}"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f}), {many}"


@dataclass(frozen=True)
class Disagreement:
    """A cell that two annotators judged differently.

    ``classes`` is annotator -> class ids; ``final`` what an adjudication said, None while it is open.
    """

    cell_id: str
    classes: dict[str, tuple[str, ...]]
    final: tuple[str, ...] | None


def ratings(state: State, class_id: str | None = None) -> Ratings:
    """Return what annotators decided independently; adjudications do not count.

    Parameters
    ----------
    state : State
    class_id : str, optional
        Only the judgment *yes* or *no* on this class, for cells with several; by default a cell's
        class (or all its classes together).
    """
    found: dict[str, dict[str, str]] = {}
    for cell_id, cell in state.cells.items():
        for annotator, decision in cell.decisions.items():
            if class_id is not None:
                given = decision.judged.get(class_id, "")
            else:
                given = COLUMNS.joiner.join(decision.classes)
            if given:
                found.setdefault(cell_id, {})[annotator] = given
    cell_ids = tuple(sorted(found))
    people = tuple(sorted({name for given in found.values() for name in given}))
    used = {one for given in found.values() for one in given.values()}
    classes = ("no", "yes") if class_id is not None else _in_order(state, used)
    row, column = ({name: i for i, name in enumerate(names)} for names in (people, classes))
    values = np.full((len(cell_ids), len(people)), -1)
    for i, cell_id in enumerate(cell_ids):
        for annotator, given in found[cell_id].items():
            values[i, row[annotator]] = column[given]
    images = tuple(str(state.anchor(cell_id).get("image_id", "")) for cell_id in cell_ids)
    return Ratings(cell_ids, people, classes, values, images)


def cohen(
    rated: Ratings,
    one: str,
    other: str,
    *,
    by_image: bool = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Coefficient:
    """Return Cohen's kappa (1960) of two annotators over the cells both judged.

    Parameters
    ----------
    rated : Ratings
    one, other : str
        Names of annotators.
    by_image : bool
        Whether the bootstrap draws whole images instead of cells: cells of one image are alike.
    resamples, seed : int
    """
    size = len(rated.classes)
    pair = rated.values[:, [rated.annotators.index(one), rated.annotators.index(other)]]
    kept = np.asarray((pair >= 0).all(axis=1))
    parts = np.zeros((int(kept.sum()), size * size))
    parts[np.arange(len(parts)), pair[kept, 0] * size + pair[kept, 1]] = 1

    def value(sums: np.ndarray) -> np.ndarray:
        table = sums.reshape(-1, size, size)
        total = table.sum((1, 2))
        agreed = np.trace(table, axis1=1, axis2=2) / total
        chance = (table.sum(2) * table.sum(1)).sum(1) / total**2
        return _over_chance(agreed, chance)

    words = "no cell was judged by both", "both gave every cell the same one class"
    return _estimate(
        "Cohen's kappa", parts, value, _units(rated, kept, by_image), words, resamples, seed
    )


def fleiss(
    rated: Ratings, *, by_image: bool = False, resamples: int = RESAMPLES, seed: int = 0
) -> Coefficient:
    """Return Fleiss' kappa (1971) over the cells that all annotators judged; parameters as :func:`cohen`."""
    people, size = len(rated.annotators), len(rated.classes)
    kept = np.zeros(len(rated.cell_ids), bool)
    if people > 1:
        kept = np.asarray((rated.values >= 0).all(axis=1))
    counts = _counts(rated.values[kept], size)
    within = (counts * (counts - 1)).sum(axis=1) / max(people * (people - 1), 1)
    parts = np.concatenate([counts, within[:, None], np.ones((len(counts), 1))], axis=1)

    def value(sums: np.ndarray) -> np.ndarray:
        total = sums[:, -1]
        share = sums[:, :size] / (total * people)[:, None]
        return _over_chance(sums[:, size] / total, (share**2).sum(axis=1))

    words = "no cell was judged by all", "all gave every cell the same one class"
    return _estimate(
        "Fleiss' kappa", parts, value, _units(rated, kept, by_image), words, resamples, seed
    )


def krippendorff(
    rated: Ratings, *, by_image: bool = False, resamples: int = RESAMPLES, seed: int = 0
) -> Coefficient:
    """Return Krippendorff's alpha for nominal data (2004), over the cells that two or more judged.

    Cells that some did not judge count too. Parameters as :func:`cohen`.
    """
    size = len(rated.classes)
    counts = _counts(rated.values, size)
    kept = np.asarray(counts.sum(axis=1) > 1)
    counts = counts[kept]
    many = counts.sum(axis=1, keepdims=True)
    # Of each cell: how much of every class takes part in pairs, and how much of the pairs agrees.
    agreed = (counts * (counts - 1) / np.maximum(many - 1, 1)).sum(axis=1)
    parts = np.concatenate([counts, agreed[:, None]], axis=1)

    def value(sums: np.ndarray) -> np.ndarray:
        classes, total = sums[:, :size], sums[:, :size].sum(axis=1)
        observed = 1 - sums[:, size] / total
        expected = 1 - (classes * (classes - 1)).sum(axis=1) / (total * (total - 1))
        return np.where(expected > 1e-12, 1 - observed / expected, np.nan)

    words = "no cell was judged by two", "every cell has the same one class"
    return _estimate(
        "Krippendorff's alpha", parts, value, _units(rated, kept, by_image), words, resamples, seed
    )


def disagreements(state: State) -> list[Disagreement]:
    """Return all cells on which people differ, open ones first, then by the classes in question."""
    found = [
        Disagreement(
            cell_id,
            {
                name: decision.classes
                for name, decision in cell.decisions.items()
                if decision.judged
            },
            cell.final.classes if cell.final is not None else None,
        )
        for cell_id, cell in state.cells.items()
        if cell.disagreed
    ]
    return sorted(found, key=lambda d: (d.final is not None, sorted(d.classes.values()), d.cell_id))


def adjudicate(journal: Journal, cell_id: str, class_id: str) -> Event:
    """Say the last word on a cell; what people decided before stays as it is, beside it.

    Raises
    ------
    JournalError
        As ``Journal.label``.
    """
    return journal.label(cell_id, class_id, source=Source.ADJUDICATED)


def _in_order(state: State, used: set[str]) -> tuple[str, ...]:
    known = [class_id for class_id in state.classes if class_id in used]
    return (*known, *sorted(used - set(known)))


def _counts(values: np.ndarray, size: int) -> np.ndarray:
    return (
        np.stack([(values == k).sum(axis=1) for k in range(size)], axis=1)
        if size
        else np.zeros((len(values), 0))
    )


def _units(rated: Ratings, kept: np.ndarray, by_image: bool) -> np.ndarray | None:
    """Return for each kept cell the number of its image; None where cells are drawn alone."""
    if not by_image:
        return None
    names = [image or cell for image, cell in zip(rated.images, rated.cell_ids)]
    index: np.ndarray = np.unique(
        np.array(names, dtype=object)[kept].astype(str), return_inverse=True
    )[1]
    return index


def _over_chance(agreed: np.ndarray, chance: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(1 - chance > 1e-12, (agreed - chance) / (1 - chance), np.nan)


def _estimate(
    name: str,
    parts: np.ndarray,
    value: Callable[[np.ndarray], np.ndarray],
    units: np.ndarray | None,
    words: Sequence[str],
    resamples: int,
    seed: int,
) -> Coefficient:
    """Return a coefficient from the contribution of every cell, ``(N, F)``."""
    count = len(parts)
    if count == 0:
        return Coefficient(name, None, None, None, 0, words[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        found = float(value(parts.sum(axis=0)[None])[0])
        if not np.isfinite(found):
            return Coefficient(name, None, None, None, count, words[1])
        drawn = value(_draws(parts, units, resamples, seed))
    drawn = drawn[np.isfinite(drawn)]
    if units is not None and int(units.max()) == 0:
        return Coefficient(name, found, None, None, count, "all cells are of one image")
    if len(drawn) < _FEWEST * resamples or count < 2:
        return Coefficient(name, found, None, None, count, "too few cells")
    low, high = np.quantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Coefficient(name, found, float(low), float(high), count)


def _draws(parts: np.ndarray, units: np.ndarray | None, resamples: int, seed: int) -> np.ndarray:
    """Return sums over cells (or whole images) drawn with replacement, ``(resamples, F)``."""
    rng = np.random.default_rng(seed)
    if units is not None:
        sums = np.zeros((int(units.max()) + 1, parts.shape[1]))
        np.add.at(sums, units, parts)
        kinds, counts = sums, np.ones(len(sums), np.int64)
    else:
        # Cells with the same contribution are the same to the sum: few kinds, whatever their number.
        kinds, counts = np.unique(parts, axis=0, return_counts=True)
    drawn = rng.multinomial(int(counts.sum()), counts / counts.sum(), size=resamples)
    sums_drawn: np.ndarray = drawn @ kinds
    return sums_drawn
