"""From corrections to a model that is proven: what a project's labels make of a released model.

The network stays; a new head is fitted on all labels of the project, from the released model and
never from the last fine-tune. Whole groups (patients, images) are held out by a hash of their
name and never learned from. The model in use changes only when they say that the new one is not worse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_cellcls.learn.gate import Verdict
from napari_cellcls.vocabulary import Task

if TYPE_CHECKING:
    from napari_cellcls.models.package import ModelPackage
    from napari_cellcls.project.project import Project


@dataclass(frozen=True)
class Tuned:
    """A new version and what can be said of it.

    Attributes
    ----------
    package_path : Path
        In the models folder of the project.
    label : str
        ``name@version``.
    verdict : Verdict
        ``verdict.text()`` is for people.
    promoted : bool
        Whether it is in use now.
    before, after : float or None
        Macro F1 on the same cells of the model in use and of the new one; None without a claim.
    labels_used : int
        Cells learned from.
    held_out : int
        Cells that judged, and were not learned from (0: cross-validated, or no claim).
    left_out : mapping of str to int
        Why -> how many decided cells were not used.
    seconds : float
    notes : tuple of str
        What a person should know, in sentences: images not found, classes without labels ...
    """

    package_path: Path
    label: str
    verdict: Verdict
    promoted: bool
    before: float | None
    after: float | None
    labels_used: int
    held_out: int
    left_out: Mapping[str, int]
    seconds: float
    notes: tuple[str, ...]


def default_base(project: Project) -> str:
    """Return the name of the released model that a project works with.

    The one shown most in its journal, or that a shown version of the project comes from; else ``blank``.
    """
    raise NotImplementedError


def finetune(project: Project, base: ModelPackage | None = None, *, seed: int = 42) -> Task[Tuned]:
    """Fit, judge and keep a new version; use it when it may be used.

    Parameters
    ----------
    project : Project
        Its journal is read once, at the call. Images that cannot be found are named in the notes.
    base : ModelPackage, optional
        Released model to start from; by default :func:`default_base`.
    seed : int

    Returns
    -------
    Task of Tuned
        Closing it between two steps leaves everything as it was.

    Raises
    ------
    DataError
        ``LEARN-FEW`` when there is nothing to tell apart yet.
    ProjectError
        ``PROJECT-WRITE`` when the new version cannot be written; the model in use stays.
    """
    raise NotImplementedError
