"""The model that a new version is compared with: the one in use, its numbers of the same cells beside the new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_cellcls.learn import roster
from napari_cellcls.learn.described import Described, describe_labels
from napari_cellcls.learn.holdout import known as known_to
from napari_cellcls.learn.holdout import learned_by
from napari_cellcls.learn.labels import Labels
from napari_cellcls.learn.proof import Rival
from napari_cellcls.models.package import read_package
from napari_cellcls.project import versions
from napari_cellcls.vocabulary import InputPlane, Task

if TYPE_CHECKING:
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.project.project import Project
    from napari_cellcls.review.fold import State


def rival_of(
    project: Project,
    labels: Labels,
    state: State,
    base: ModelPackage,
    network: ModelPackage,
    found: Described,
    is_held: np.ndarray,
) -> Task[tuple[Rival | None, list[str]]]:
    """Return the model that the new one is compared with: the one in use, unless it knows the answers.

    Parameters
    ----------
    project, labels, state : Project, Labels, State
    base : ModelPackage
        Released model that the learning started from.
    network : ModelPackage
        Whose network described the cells.
    found : Described
    is_held : numpy.ndarray
        ``(M,)`` bool, cells of groups held out.

    Returns
    -------
    Task of (Rival or None, list of str)
        And what a person should know.
    """
    notes: list[str] = []
    in_use = versions.in_use(project)
    judging = found.rows[is_held] if is_held.any() else found.rows
    if in_use is not None:
        package = read_package(in_use.path)
        known = roster.same_classes(package, labels, state)
        learned = learned_by(package)
        # Cross-validated answers of the new head must not meet those of a model that knows the cells.
        met = known_to(labels, learned)[judging]
        new = np.unique(labels.groups[judging][~met])
        fair = len(new) >= 2 if is_held.any() else not met.any()
        if fair:
            if package.head is not None and known:
                values = yield from _seen_by(package, project, labels, network, found)
                return Rival(package, known, values, learned), notes
        else:
            instead = (
                "could not be compared with it"
                if base.head is None
                else f"was compared with {base.manifest.title} instead"
            )
            notes.append(
                f"{in_use.label} is in use and has learned from the images that judge now, so the new "
                f"version {instead}."
            )
    known = roster.same_classes(base, labels, state)
    if base.head is None or not known:
        return None, notes
    values = yield from _seen_by(base, project, labels, network, found)
    return Rival(base, known, values, learned_by(base)), notes


def _seen_by(
    package: ModelPackage, project: Project, labels: Labels, network: ModelPackage, found: Described
) -> Task[np.ndarray]:
    """Return the numbers of the described cells as another model has them."""
    if _same_view(package, network, found.inputs):
        return found.values
    other = yield from describe_labels(project, labels, package)
    return _aligned(other, found)


def _same_view(one: ModelPackage, other: ModelPackage, inputs: tuple[InputPlane, ...]) -> bool:
    views = [
        (p.weights_sha256, p.manifest.crop, p.manifest.normalization, p.manifest.turns)
        for p in (one, other)
    ]
    return views[0] == views[1] and one.manifest.planes == inputs


def _aligned(other: Described, found: Described) -> np.ndarray:
    """Return the numbers of one description for the rows of another; NaN where it has none."""
    values = np.full((len(found.rows), other.values.shape[1]), np.nan, np.float32)
    place = {row: k for k, row in enumerate(found.rows.tolist())}
    for k, row in enumerate(other.rows.tolist()):
        if row in place:
            values[place[row]] = other.values[k]
    return values
