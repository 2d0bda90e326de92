"""One cell seen in four quarter turns: a cell has no upside, a network trained on pixels has one.

The mean of the embeddings does not depend on how the slide lay under the camera, and is a little
better than one look, for four times the work of the network.
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
        1 to 4; 1 looks once, as they are.
    """
    total = np.asarray(look(crops))
    for quarter in range(1, turns):
        total = total + look(np.ascontiguousarray(np.rot90(crops, quarter, axes=(1, 2))))
    return np.asarray(total / np.float32(turns) if turns > 1 else total)
