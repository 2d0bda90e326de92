"""Can a loss be ruled out by pairs that one of two models wins? An exact test, for where too few pairs differ for a bootstrap.

Each pair is a win, a loss or a tie of the new model. Where hardly any differ, drawing from what was seen shows
nothing of what was not: its interval has no width. The test asks instead how often a model that truly loses more
than a margin would look as good as this one, whatever the share of pairs that differ.

Order of the outcomes by the score statistic: Nam 1997, Biometrics 53:1422; Tango 1998, Statistics in Medicine 17:891. Exact and
unconditional, the share of differing pairs that is least in favor counting: Suissa and Shuster 1991, Biometrics
47:361; Hsueh, Liu and Chen 2001, Biometrics 57:478. Without any difference it is the rule of three (Hanley and Lippman-Hand
1983, JAMA 249:1743).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from napari_cellcls.learn.metrics import Scored

_SHARES, _FINER = 61, 21
_TINY = 1e-9
_CLEARLY_NOT = 0.7
"""Scores below which no p-value is near any level: it is at least that of the normal distribution, a quarter."""


def net_wins(before: Scored, after: Scored) -> tuple[int, int]:
    """Return in how many groups the new answers are right more often, and in how many less often.

    Cells of one group go wrong together, so a group is one piece of evidence, however many of its cells differ.

    Parameters
    ----------
    before, after : Scored
        Of the same rows. With several labels per cell every single label counts.
    """
    right = [(one.said == one.truth).all(axis=1) if not one.multi_label else (one.said == one.truth).sum(axis=1) for one in (before, after)]  # fmt: skip
    names, place = np.unique(before.groups, return_inverse=True)
    net = np.bincount(place, weights=right[1].astype(float) - right[0], minlength=len(names))
    return int((net > 0).sum()), int((net < 0).sum())


def score(
    wins: int | np.ndarray, losses: int | np.ndarray, pairs: int, margin: float
) -> np.ndarray:
    """Return how many standard deviations ``wins - losses`` lies above a loss of ``margin * pairs``.

    The deviation is that of the likeliest shares of wins and losses under such a loss.

    Parameters
    ----------
    wins, losses : int or numpy.ndarray
    pairs : int
        Those that are ties too.
    margin : float
        Greater than 0.
    """
    b, c = np.asarray(wins, np.float64), np.asarray(losses, np.float64)
    half = b * (1 - margin) + c * (1 + margin) - 2 * pairs * margin
    root = np.sqrt(half**2 + 8 * pairs * b * margin * (1 - margin))
    share = np.maximum(half + root, 0.0) / (4 * pairs)
    found: np.ndarray = (b - c + pairs * margin) / np.sqrt(pairs * (2 * share + margin - margin**2))
    return found


@lru_cache(maxsize=256)
def p_value(wins: int, losses: int, pairs: int, margin: float) -> float:
    """Return the largest probability of an outcome so good, or better, among models that lose ``margin`` or more.

    Parameters
    ----------
    wins, losses : int
        Pairs that only the new model has right, and only the one before.
    pairs : int
        All pairs, ties included.
    margin : float
        Share of the pairs that may be lost on balance; greater than 0.

    Returns
    -------
    float
        At most the level asked for where a loss of the margin is ruled out. 1 where the outcome is
        clearly no evidence.

    Raises
    ------
    ValueError
        When the counts do not fit together.
    """
    if min(wins, losses) < 0 or wins + losses > pairs or pairs < 1 or not 0 < margin < 1:
        raise ValueError(f"{wins} wins and {losses} losses of {pairs} pairs, margin {margin}")
    seen = float(score(wins, losses, pairs, margin))
    if seen < _CLEARLY_NOT:
        return 1.0
    enough = _fewest_wins(seen, pairs, margin)
    shares = (1 - margin) / 2 * np.linspace(0, 1, _SHARES) ** 2
    found = [_as_good(float(share), enough, pairs, margin) for share in shares]
    top = int(np.argmax(found))
    around = np.linspace(shares[max(top - 1, 0)], shares[min(top + 1, _SHARES - 1)], _FINER)
    return min(1.0, *[max(*found, *(_as_good(float(s), enough, pairs, margin) for s in around))])


def pairs_needed(margin: float, level: float) -> int:
    """Return how many pairs without any difference rule out a loss of the margin: some ``3 / margin`` at 5 %."""
    return math.ceil(math.log(level) / math.log1p(-margin))


def wins_needed(losses: int, pairs: int, margin: float, level: float) -> int:
    """Return the fewest wins that rule out a loss of the margin in spite of some losses; all where none do."""
    some = range(pairs - losses)
    return next((w for w in some if p_value(w, losses, pairs, margin) <= level), pairs - losses)


def _fewest_wins(seen: float, pairs: int, margin: float) -> np.ndarray:
    """Return for every number of losses ``(pairs + 1,)`` how many wins make a score as high as the one seen."""
    losses = np.arange(pairs + 1)
    short, enough = np.full(pairs + 1, -1), pairs - losses + 1
    while (open_ := enough - short > 1).any():
        middle = (short + enough) // 2
        reached = score(np.maximum(middle, 0), losses, pairs, margin) >= seen - _TINY
        enough = np.where(open_ & reached, middle, enough)
        short = np.where(open_ & ~reached, middle, short)
    return enough


def _as_good(share: float, enough: np.ndarray, pairs: int, margin: float) -> float:
    """Return the probability of a score as high where a share is won, and the margin more is lost."""
    # Not scipy.stats: loading it takes longer than all that is asked of it.
    from scipy.special import bdtrc, gammaln, xlog1py, xlogy

    lost = share + margin
    spread = math.sqrt(pairs * lost * (1 - lost))
    low, high = int(pairs * lost - 8 * spread) - 8, int(pairs * lost + 8 * spread) + 9
    losses = np.arange(max(low, 0), min(high, pairs) + 1)
    rest = pairs - losses
    wins = bdtrc(enough[losses] - 1, rest, min(1.0, share / (1 - lost)))
    ways = gammaln(pairs + 1) - gammaln(losses + 1) - gammaln(rest + 1)
    chance = np.exp(ways + xlogy(losses, lost) + xlog1py(rest, -lost))
    return float((chance * wins).sum())
