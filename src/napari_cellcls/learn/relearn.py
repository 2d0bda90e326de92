"""Learn as I label: the image in the window, its labels so far, and in which order the rest is worth a look.

Nothing here is shown as a prediction, judged or kept: it only says where the model would learn most
next. A version that may be used comes from :mod:`napari_cellcls.learn.finetune`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.learn import fitted
from napari_cellcls.learn.fitted import probabilities_of
from napari_cellcls.learn.labels import Labels, labeled_cells
from napari_cellcls.learn.network import network_for
from napari_cellcls.learn.roster import roster, same_classes
from napari_cellcls.models.general import general_of
from napari_cellcls.vocabulary import ClassScheme, DataError

if TYPE_CHECKING:
    from napari_cellcls.embed import Descriptors
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.review.fold import State

_MOST = 1000
"""Labels of one image learned from: the latest; more would keep the hand waiting."""


@dataclass(frozen=True, eq=False)
class Relearned:
    """What the labels of one image say of its other cells, for their order only.

    Attributes
    ----------
    scheme : ClassScheme
        Classes of the project.
    probabilities : numpy.ndarray
        ``(N, K)`` float32, calibrated as far as the labels allow.
    labels : int
        Labels learned from.
    """

    scheme: ClassScheme
    probabilities: np.ndarray
    labels: int


def network_of(
    state: State, ids: Sequence[str | None], package: ModelPackage, *, multi_label: bool = False
) -> ModelPackage:
    """Return the network that sees what people labeled in one image, chosen as for a fine-tune.

    Parameters are those of :func:`relearn`.
    """
    labels, _ = _labels_of(state, ids, multi_label)
    return network_for(package, labels, same_classes(package, labels, state))[0]


def relearn(
    state: State,
    described: Descriptors,
    ids: Sequence[str | None],
    package: ModelPackage,
    *,
    multi_label: bool = False,
    seed: int = 42,
) -> Relearned | None:
    """Fit a head on the labels of one image and ask it about all its cells.

    Parameters
    ----------
    state : State
        Of the journal.
    described : Descriptors
        Of all ``N`` cells of the image in the window, by the network of ``package`` or by the general one of
        :func:`network_of`.
    ids : sequence of str or None
        ``N`` ids under which the journal knows them (``Sheet.known_id``), None where it does not.
    package : ModelPackage
        The model in use, or a network without classes.
    multi_label : bool
        Whether a cell may have several classes.
    seed : int

    Returns
    -------
    Relearned or None
        None while there is nothing to tell apart.
    """
    labels, row_of = _labels_of(state, ids, multi_label)
    rows = np.array([row_of[one] for one in labels.ids], int)
    chosen = np.argsort(np.array(labels.events, dtype=str), kind="stable")[-_MOST:]
    if not len(chosen):
        return None
    known = same_classes(package, labels, state)
    who = roster(labels, chosen, known, package.manifest.title)
    targets = labels.targets[chosen][:, list(who.columns)]
    values = described.values[rows[chosen]]
    own = described.weights_sha256 in ("", package.weights_sha256)
    before = fitted.before_of(
        package, known, who, values, described.blocks, multi_label=multi_label,
        general=None if own else general_of(package),
    )  # fmt: skip
    try:
        head = fitted.fit(
            values, targets, labels.weights[chosen], np.arange(len(chosen)).astype(str), before,
            described.blocks, multi_label=multi_label, seed=seed,
        )  # fmt: skip
    except DataError as error:
        if error.code == "LEARN-FEW":
            return None
        raise
    p = probabilities_of(head.logits(described.values), head.temperature, multi_label)
    return Relearned(ClassScheme(who.classes, multi_label), p.astype(np.float32), len(chosen))


def _labels_of(
    state: State, ids: Sequence[str | None], multi_label: bool
) -> tuple[Labels, dict[str, int]]:
    """Return the labels of one image, and the row of each of its known cells."""
    row_of = {state.canonical(one): row for row, one in enumerate(ids) if one is not None}
    decided = [cell for cell in tuple(state.cells.values()) if cell.cell_id in row_of]
    return labeled_cells(state, multi_label=multi_label, cells=decided), row_of
