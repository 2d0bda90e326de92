"""What people decided, as something to learn from: targets, weights, groups, and who may judge a model.

Only what is settled counts: the last word on a cell, else what all who judged it agree on. A label that was
accepted as shown says less than one a person gave, and one accepted unseen must not judge a model.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from napari_cellcls.cells.identity import Anchor
from napari_cellcls.review.events import Event, Flag, Source
from napari_cellcls.review.fold import State
from napari_cellcls.review.masks import anchor_of
from napari_cellcls.review.state import CellState, ClassState, Decision, ImageState

WEIGHTS: Mapping[str, float] = {
    Source.HUMAN: 1.0,
    Source.ADJUDICATED: 1.0,
    Source.ACCEPTED: 0.5,
    Source.BULK: 0.3,
    Source.IMPORTED: 0.3,
}
"""How much a label counts by the way it came about."""
AMBIGUOUS = 0.5
"""What a cell that somebody called ambiguous counts of that."""
LOOKED_MS = 300
"""A label accepted faster than that was accepted without looking."""


class PlaneKey(NamedTuple):
    """Which plane of which image."""

    image_id: str
    scene: str
    t: int
    z: int


@dataclass(frozen=True, eq=False)
class Labels:
    """The decided cells of a project.

    Attributes
    ----------
    ids : tuple of str
        ``N`` cell ids as the journal knows them.
    anchors : tuple of Anchor
        Where they are.
    classes : tuple of ClassState
        ``K`` live classes of the project, in their order.
    targets : numpy.ndarray
        ``(N, K)`` float32: 1 yes, 0 no, NaN not judged.
    weights : numpy.ndarray
        ``(N,)`` float32, how much each counts.
    testable : numpy.ndarray
        ``(N,)`` bool: whether it may judge a model. What was labeled in bulk, or accepted without
        looking, may not.
    groups : numpy.ndarray
        ``(N,)`` str: patient, slide or image, whatever is the highest known.
    events : tuple of str
        Ids of the deciding events.
    annotators : tuple of str
        Who decided, sorted.
    left_out : mapping of str to int
        Why -> how many cells with a decision are not here.
    """

    ids: tuple[str, ...]
    anchors: tuple[Anchor, ...]
    classes: tuple[ClassState, ...]
    targets: np.ndarray
    weights: np.ndarray
    testable: np.ndarray
    groups: np.ndarray
    events: tuple[str, ...]
    annotators: tuple[str, ...]
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.ids)

    @property
    def images(self) -> np.ndarray:
        """``(N,)`` str: the image of each cell, named as a group of its own is."""
        return np.array([f"image {one.image_id}" for one in self.anchors], dtype=str)

    @property
    def sha256(self) -> str:
        """Hash of the deciding events: the same labels, the same hash."""
        return hashlib.sha256("\n".join(sorted(self.events)).encode()).hexdigest()

    def planes(self) -> dict[PlaneKey, np.ndarray]:
        """Return the rows of each plane, in order."""
        found: dict[PlaneKey, list[int]] = {}
        for row, one in enumerate(self.anchors):
            found.setdefault(PlaneKey(one.image_id, one.scene, one.t, one.z), []).append(row)
        return {key: np.array(rows) for key, rows in found.items()}

    def counts(self) -> dict[str, int]:
        """Return class name -> number of cells labeled with it."""
        yes = (self.targets == 1).sum(axis=0)
        return {one.name: int(n) for one, n in zip(self.classes, yes)}


def labeled_cells(
    state: State, *, multi_label: bool = False, cells: Sequence[CellState] | None = None
) -> Labels:
    """Collect what is settled in a journal.

    Parameters
    ----------
    state : State
    multi_label : bool
        Whether a cell may have several classes. Without, a cell needs exactly one.
    cells : sequence of CellState, optional
        ``tuple(state.cells.values())`` taken earlier, where this runs beside a window that goes on.
    """
    classes = tuple(one for one in tuple(state.classes.values()) if one.merged_into is None)
    column = {one.id: k for k, one in enumerate(classes)}
    images = dict(state.images)
    left_out: Counter[str] = Counter()
    rows: list[tuple[str, Anchor, np.ndarray, _Said, str]] = []
    for cell in tuple(state.cells.values()) if cells is None else cells:
        said = _said(cell, left_out)
        if said is None:
            continue
        target = _target(said.judged, column, multi_label)
        if target is None:
            left_out["no class of the project"] += 1
            continue
        anchor = anchor_of(state, cell.cell_id)
        if anchor is None:
            left_out["nothing is known of their place"] += 1
            continue
        rows.append((cell.cell_id, anchor, target, said, group_of(images, anchor.image_id)))
    targets = [row[2] for row in rows]
    return Labels(
        ids=tuple(row[0] for row in rows),
        anchors=tuple(row[1] for row in rows),
        classes=classes,
        targets=np.array(targets, np.float32).reshape(len(rows), len(classes)),
        weights=np.array([row[3].weight for row in rows], np.float32),
        testable=np.array([row[3].testable for row in rows], bool),
        groups=np.array([row[4] for row in rows], dtype=str),
        events=tuple(row[3].event_id for row in rows),
        annotators=tuple(sorted({name for row in rows for name in row[3].annotators})),
        left_out=dict(left_out),
    )


def group_of(images: Mapping[str, ImageState], image_id: str) -> str:
    """Return what a cell of an image must not be separated from: its patient, slide, or the image."""
    known = images.get(image_id)
    return (ImageState(image_id, "") if known is None else known).group


class _Said(NamedTuple):
    judged: Mapping[str, str]
    weight: float
    testable: bool
    event_id: str
    annotators: tuple[str, ...]


def _said(cell: CellState, left_out: Counter[str]) -> _Said | None:
    """Return what is settled about a cell; None, counted where it is a loss, when nothing is."""
    deciding = _deciding(cell)
    if not deciding:
        if cell.disagreed:
            left_out["people disagree"] += 1
        return None
    flags = cell.flags
    if Flag.BAD_SEGMENTATION in flags:
        left_out["flagged as badly segmented"] += 1
        return None
    judged: dict[str, str] = {}
    for decision in deciding:
        judged.update(decision.judged)
    events = [d.event for d in deciding if d.event is not None]
    if not events:
        return None
    best = max(events, key=lambda event: WEIGHTS.get(event.source, 0.3))
    unclear = Flag.AMBIGUOUS in flags
    weight = WEIGHTS.get(best.source, 0.3) * (AMBIGUOUS if unclear else 1.0)
    testable = not unclear and any(map(_looked, events))
    return _Said(judged, weight, testable, best.event_id, tuple(d.annotator for d in deciding))


def _deciding(cell: CellState) -> list[Decision]:
    """Return the decisions that count; several people may have judged different classes of a cell."""
    if cell.final is not None:
        return [cell.final] if cell.final.judged else []
    judged = [decision for decision in cell.decisions.values() if decision.judged]
    return [] if cell.disagreed else judged


def _looked(event: Event) -> bool:
    if event.source == Source.ACCEPTED:
        return event.ms_spent is not None and event.ms_spent >= LOOKED_MS
    return event.source != Source.BULK


def _target(
    judged: Mapping[str, str], column: Mapping[str, int], multi_label: bool
) -> np.ndarray | None:
    """Return the targets ``(K,)`` of a cell, None when it has no class to learn from."""
    target = np.full(len(column), np.nan, np.float32)
    for class_id, value in judged.items():
        if class_id in column:
            target[column[class_id]] = 1.0 if value == "yes" else 0.0
    if multi_label:
        return target if np.isfinite(target).any() else None
    if (target == 1).sum() != 1:
        return None
    return np.nan_to_num(target)


def shares(names: Iterable[str]) -> dict[str, float]:
    """Return a number in 0..1 for each group that depends on its name only, the same everywhere."""
    return {
        name: int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest(), "big") / 2**56
        for name in names
    }
