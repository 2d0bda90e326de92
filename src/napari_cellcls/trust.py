"""What speaks against trusting the classes of an image, in words: foreign cells, another scale or stain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_cellcls.models.habits import Shift

MANY = 0.2
"""Share of unfamiliar cells from which on the whole image is doubted."""
_FEW = 5


def doubts(
    unfamiliar: np.ndarray, shift: Shift | None, planes: Sequence[str], *, as_density: bool = False
) -> tuple[str, ...]:
    """Return a sentence per doubt, the heaviest first; none where nothing speaks against the image.

    Parameters
    ----------
    unfamiliar : numpy.ndarray
        ``(N,)`` bool, see :attr:`napari_cellcls.predict.Predictions.unfamiliar`.
    shift : Shift or None
    planes : sequence of str
        Names of the inputs.
    as_density : bool
        Whether values are optical densities, so that more means darker.
    """
    found = []
    if len(unfamiliar) >= _FEW and (share := float(unfamiliar.mean())) >= MANY:
        found.append(
            f"{share:.0%} of the cells are unlike all that the model learned from "
            "(flag “unfamiliar”): do not trust their classes."
        )
    if shift is None:
        return tuple(found)
    if shift.larger is not None:
        factor = max(shift.larger, 1 / shift.larger)
        word = "larger" if shift.larger > 1 else "smaller"
        found.append(
            f"The cells are about {factor:.2g} times {word} than those the model learned from: "
            "check the magnification and the pixel size."
        )
    for words, sign in (("brighter", 1), ("darker", -1)):
        wanted = -sign if as_density else sign
        names = [name for name, side in zip(planes, shift.planes, strict=True) if side == wanted]
        if names:
            found.append(
                f"The cells are {words} in {', '.join(names)} than those the model learned from: "
                "another stain, lamp or exposure?"
            )
    return tuple(found)
