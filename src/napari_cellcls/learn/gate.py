"""May a newly trained model take the place of the one before? Decided on labels neither has learned from.

The same cells are answered by both; whole groups are drawn for the interval of the difference, and where hardly any
answers differ an exact test says whether that could hide a loss. A model that cannot be told from the old one
does not replace it, and one that forgets an old class is for this project only. The more often the
same labels are asked, the more a difference must show. A gain that held-out cells alone cannot show may be proven together
with cells of groups that only the new model learned from, answered in cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from napari_cellcls.learn import difference, guessing, honesty, metrics, noninferior
from napari_cellcls.learn.metrics import Scored
from napari_cellcls.learn.pooled import Pair, pooled

Word = Literal["better", "no worse", "worse", "not enough data to tell"]
TOLERATED = 0.005
"""Macro F1 that may be lost within the interval; and share of the cells, by the exact test."""
FEWEST_CELLS = 20
"""Held-out cells below which nothing is said: that all are right could be luck."""
FALL, FALL_CELLS = 0.05, 20
"""A class with so many test cells may not lose more of its F1, unless chance explains it."""
FORGOTTEN = 0.02
"""Macro F1 that may be lost on what the model before was good at."""
NAMED_CELLS = 5
"""A class with so many test cells is named when it falls, even if it alone decides nothing."""
LESS_CALIBRATED = 0.03
"""Calibration error may not grow by more, unless chance explains that the new confidence is off."""
_LEVEL = 0.95


@dataclass(frozen=True)
class Fall:
    """F1 of a class that lost, or may have: its name, before, after, and the cells it was judged by."""

    name: str
    before: float
    after: float
    cells: int

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.name} {100 * self.before:.0f} → {100 * self.after:.0f}"


@dataclass(frozen=True)
class Verdict:
    """What can be said of a new model.

    Attributes
    ----------
    word : str
    promote : bool
        Whether it may replace the model before.
    local : bool
        Whether it should be used for this project only, because it forgets.
    before, after : float
        Macro F1 on the held-out labels, over the classes that have some. NaN where nothing could judge.
    difference : tuple of float or None
        Lower and upper end of the interval of ``after - before``; None with a single group.
    level : float
        Of that interval: 0.95 at the first attempt, stricter later.
    cells, groups, attempts : int
        What was held out, and how often it has been asked.
    reasons : tuple of str
        In sentences.
    falls, forgotten : tuple of Fall
        Classes that lost on the held-out labels more than chance explains, and on the exemplars of the model before.
    classes : tuple of Fall
        Every class with held-out cells, whether it lost or won.
    """

    word: Word
    promote: bool
    local: bool
    before: float
    after: float
    difference: tuple[float, float] | None
    level: float
    cells: int
    groups: int
    attempts: int
    reasons: tuple[str, ...]
    falls: tuple[Fall, ...] = ()
    forgotten: tuple[Fall, ...] = ()
    classes: tuple[Fall, ...] = ()

    def text(self) -> str:
        """Return the verdict for people."""
        word = f"{self.word[0].upper()}{self.word[1:]}"
        if np.isnan(self.after):
            return " ".join([f"{word}.", *self.reasons])
        head = f"{word}: macro F1 {self.before:.3f} before, {self.after:.3f} after"
        if self.difference:
            low, high = self.difference
            head += f" ({self.after - self.before:+.3f}, {self.level:.0%} interval {low:+.3f} to {high:+.3f})"
        where = f"on {self.cells:,} held-out cells of {self.groups:,} groups"
        asked = "" if self.attempts == 1 else f", asked {self.attempts} times"
        return "\n".join([f"{head} {where}{asked}.", *self.reasons])


def judge_change(
    before: Scored,
    after: Scored,
    classes: Sequence[str],
    *,
    more: Pair | None = None,
    regression: Pair | None = None,
    known: Sequence[str] | None = None,
    attempts: int = 1,
    resamples: int = 2000,
    seed: int = 42,
) -> Verdict:
    """Compare the answers of two models on held-out labels.

    Parameters
    ----------
    before, after : Scored
        Of the same cells in the same order; neither model has learned from them. A class that
        the model before does not know has probability 0 there.
    classes : sequence of str
    more : tuple of Scored, optional
        Answers of both to cells of other groups, each by a head that did not learn from its group.
    regression : tuple of Scored, optional
        Answers of both on exemplars of the model before, for the classes it knew.
    known : sequence of str, optional
        Names of those; all by default.
    attempts : int
        How often these labels have been asked so far, this time included.
    resamples, seed : int
        Of the bootstrap by group.
    """
    level = 1 - (1 - _LEVEL) / attempts
    one, two = difference.macro_f1(before), difference.macro_f1(after)
    groups = len(np.unique(before.groups))
    limits, upper = _differences(before, after, level, resamples, seed)
    lower = _falls(before, after, classes, FALL, NAMED_CELLS)
    sure = {name for name, end in zip(classes, upper) if end < 0}
    falls = tuple(fall for fall in lower if fall.name in sure)
    forgotten = _forgotten(regression, classes if known is None else known)
    net = noninferior.net_wins(before, after)
    word, promote, reasons = _word(one, two, limits, falls, net, len(before), groups, 1 - level)
    if more and word == _UNSURE and limits and len(before) >= FEWEST_CELLS and two >= one:
        together = pooled((before, after), more, level, resamples, seed)
        if together and together.low > 0:
            word, promote, reasons = "better", True, [together.gain(level)]
    if promote and two <= guessing.luck(after, seed):
        word, promote, reasons = _UNSURE, False, [_GUESSED]
    if promote:
        promote, told = _honest(before, after)
        reasons += told
    if unsure := [
        str(fall) for fall in lower if fall.name not in sure and fall.cells >= FALL_CELLS
    ]:
        reasons.append(f"Perhaps weaker, within what chance explains: {', '.join(unsure)}.")
    if forgotten:
        named = ", ".join(map(str, forgotten))
        reasons.append(
            f"It forgets what the model before knew: {named}. Use it for this project only."
        )
    return Verdict(
        word, promote, bool(forgotten), one, two, limits, level, len(before), groups, attempts,
        tuple(reasons), falls, forgotten, _each_class(difference.class_f1(before), after, classes),
    )  # fmt: skip


def judge_first(
    after: Scored,
    classes: Sequence[str],
    *,
    attempts: int = 1,
    resamples: int = 2000,
    seed: int = 42,
) -> Verdict:
    """Compare a model with guessing, where no model with these classes was there before.

    ``before`` is what the same answers reach on average when they are given to the wrong cells.
    Parameters as in :func:`judge_change`.
    """
    level = 1 - (1 - _LEVEL) / attempts
    two = difference.macro_f1(after)
    guesses, groups = guessing.guesses(after, seed), len(np.unique(after.groups))
    one = float(metrics.mean_defined(guesses).mean())
    limits = None
    if groups > 1:
        limits = difference.limits(one, difference.drawn(after, resamples, seed), level)
    word, promote, reasons = _word(one, two, limits, (), None, len(after), groups, 1 - level)
    if promote and two <= guessing.luck(after, seed):
        word, promote, reasons = _UNSURE, False, [_GUESSED]
    if word == "worse":
        reasons = [_GUESSED]
    why = "No model with these classes was there before: it was compared with guessing."
    return Verdict(
        word, promote, False, one, two, limits, level, len(after), groups, attempts,
        (why, *reasons), classes=_each_class(guesses.mean(axis=0), after, classes),
    )  # fmt: skip


def no_claim(why: str, cells: int, groups: int) -> Verdict:
    """Return the verdict where nothing can judge; ``why`` is a sentence."""
    nan = float("nan")
    return Verdict(_UNSURE, False, False, nan, nan, None, _LEVEL, cells, groups, 0, (why,))


def weakened(found: Verdict, why: str) -> Verdict:
    """Return a verdict that rests on too little to promote; ``why`` is a sentence."""
    word: Word = "worse" if found.word == "worse" else _UNSURE
    return replace(found, word=word, promote=False, reasons=(why, *found.reasons))


_UNSURE: Word = "not enough data to tell"
_GUESSED = "On the held-out cells it agrees with the labels no better than guessing might. Check the labels."


def _word(
    one: float,
    two: float,
    limits: tuple[float, float] | None,
    falls: tuple[Fall, ...],
    net: tuple[int, int] | None,
    cells: int,
    groups: int,
    chance: float,
) -> tuple[Word, bool, list[str]]:
    if limits is None:
        why = "All held-out cells are of one group: nothing can be said about new images."
        return _UNSURE, False, [f"{why} Label cells of other images too."]
    low, high = limits
    if cells < FEWEST_CELLS:
        why = f"Only {cells:,} held-out cells: label some {FEWEST_CELLS - cells:,} more in other images."
        return _UNSURE, False, [why]
    if high < 0 or any(fall.cells >= FALL_CELLS for fall in falls):
        named = f"F1 falls for {', '.join(map(str, falls))}. " if falls else ""
        return "worse", False, [f"{named}Keep the model before."]
    if low > 0:
        return "better", True, []
    if net and two >= one and low > -TOLERATED:
        return _no_worse(*net, cells, groups, chance)
    return _UNSURE, False, [_wanted(one, two, low, cells, groups)]


def _honest(before: Scored, after: Scored) -> tuple[bool, list[str]]:
    """Return whether the confidence of the new model may be used, and what there is to say of it."""
    worse = metrics.measure(after)["ece"] - metrics.measure(before)["ece"]
    if not worse > LESS_CALIBRATED:
        return True, []
    if honesty.surely_off(after):
        return False, [f"Its confidence is less honest: calibration error {worse:+.3f}."]
    why = "Perhaps its confidence is less honest, within what chance explains"
    return True, [f"{why}: calibration error {worse:+.3f}."]


def _no_worse(
    wins: int, losses: int, cells: int, groups: int, chance: float
) -> tuple[Word, bool, list[str]]:
    """Return whether a loss is ruled out by the groups in which the new model is right more, or less, often."""
    ruled_out = noninferior.p_value(wins, losses, cells, TOLERATED) <= chance
    if not wins + losses:
        if ruled_out:
            why = f"In all {groups:,} groups it is right as often as the model before; {cells:,} cells would show a loss."
            return "no worse", True, [why]
        short = noninferior.pairs_needed(TOLERATED, chance) - cells
        why = f"No difference shows, but {cells:,} held-out cells would not show a small loss: {short:,} more would."
        return _UNSURE, False, [why]
    told = (
        f"It is right more often in {wins:,} of {groups:,} groups, less often in {losses or 'none'}"
    )
    if ruled_out:
        return "no worse", True, [f"{told}: a loss can be ruled out, though a gain is not proven."]
    wanted = noninferior.wins_needed(losses, cells, TOLERATED, chance)
    why = f"{told}. That may be luck: {wanted:,} against {losses or 'none'} would not be."
    return _UNSURE, False, [f"{why} Label more cells, of other images."]


def _wanted(one: float, two: float, low: float, cells: int, groups: int) -> str:
    gain, half = two - one, two - one - low
    if gain <= 0:
        return "No gain shows on the held-out labels so far. Keep the model before, and label more."
    # The interval shrinks with the root of the number of groups.
    more = int(np.ceil(cells * ((half / gain) ** 2 - 1)))
    return (
        f"If the gain is real, about {max(more, 1):,} more held-out labels, of other images, would show it "
        f"(so far {cells:,} of {groups:,} groups)."
    )


def _differences(
    before: Scored, after: Scored, level: float, resamples: int, seed: int
) -> tuple[tuple[float, float] | None, np.ndarray]:
    """Return the interval of the difference, and the upper end of that of each class, ``(K,)``.

    Many classes are looked at: the ends of theirs are so wide that chance moves one of all beyond only
    as often as it moves macro F1 beyond its interval.
    """
    kinds = before.truth.shape[1]
    if len(np.unique(before.groups)) < 2:
        return None, np.full(kinds, -np.inf)
    one, two = (difference.drawn(s, resamples, seed) for s in (before, after))
    upper = difference.highest(one, two, 1 - (1 - level) / 2 / kinds)
    return difference.limits(one, two, level), upper


def _each_class(before: np.ndarray, after: Scored, classes: Sequence[str]) -> tuple[Fall, ...]:
    two, cells = difference.class_f1(after), after.truth.sum(axis=0)
    return tuple(
        Fall(name, float(before[k]), float(two[k]), int(cells[k]))
        for k, name in enumerate(classes)
        if cells[k]
    )


def _falls(
    before: Scored, after: Scored, classes: Sequence[str], most: float, fewest: int = FALL_CELLS
) -> tuple[Fall, ...]:
    """Return the classes with enough cells that lose more than ``most`` of their F1."""
    one, two = difference.class_f1(before), difference.class_f1(after)
    cells = before.truth.sum(axis=0)
    return tuple(
        Fall(name, float(one[k]), float(two[k]), int(cells[k]))
        for k, name in enumerate(classes)
        if cells[k] >= fewest and one[k] - two[k] > most
    )


def _forgotten(regression: Pair | None, classes: Sequence[str]) -> tuple[Fall, ...]:
    if regression is None:
        return ()
    one, two = regression
    lost = difference.macro_f1(one) - difference.macro_f1(two)
    return _falls(one, two, classes, 0.0 if lost > FORGOTTEN else FALL)
