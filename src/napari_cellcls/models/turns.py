"""One cell seen in two or four quarter turns: a cell has no upside, a network trained on pixels has one.

The mean of two looks is nearly as good as that of four for half the work; only that of four does not depend
at all on how the slide lay under the camera.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

QUARTERS = 4


def mean_of_turns(
    look: Callable[[np.ndarray], np.ndarray], crops: np.ndarray, turns: int
) -> np.ndarray:
    """Return the mean of what ``look`` says of crops in ``turns`` quarter turns.

    Parameters
    ----------
    look : callable
        ``(N, Y, X, C)`` to ``(N, E)``.
    crops : numpy.ndarray
        ``(N, Y, X, C)``, square.
    turns : int
        1, 2 or 4; 1 looks once, as they are.
    """
    total = np.asarray(look(crops))
    for quarter in range(1, turns):
        total = total + look(np.ascontiguousarray(np.rot90(crops, quarter, axes=(1, 2))))
    return np.asarray(total / np.float32(turns) if turns > 1 else total)
