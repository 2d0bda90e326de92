"""What a labeled set holds and what is wrong with it, before anybody trains on it.

Nothing stops here: whatever a training would refuse becomes a finding with the same code, beside
what only a person can judge. The page is made by :mod:`napari_cellcls.learn.audit_page`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_cellcls.learn.datasets import CellSet, Channels, list_dataset, open_dataset
from napari_cellcls.learn.datasets.listing import UNKNOWN_GROUPS
from napari_cellcls.learn.duplicates import Near, near_duplicates
from napari_cellcls.vocabulary import Progress, Task

Level = Literal["stop", "look", "good"]
_FEW_IMAGES = 20
_FEW_GROUPS = 5
_LARGE_GROUP = 0.25
_SAMPLED = 2000
_CHUNK = 256
_FAULTS = {
    "DATA-UNREADABLE": "Cannot be read",
    "DATA-CHANNEL": "A channel is missing",
    "DATA-LABEL": "The label is no class",
}


@dataclass(frozen=True)
class Finding:
    """One thing to know.

    Attributes
    ----------
    level : {"stop", "look", "good"}
        Whether training stops at it, somebody should look, or it is as it should be.
    code : str
    what : str
    names : tuple of str
        Who is concerned.
    """

    level: Level
    code: str
    what: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Audit:
    """The result of an audit.

    Attributes
    ----------
    path : Path
    data : CellSet
        Without the images that cannot be used.
    near : Near
        Identical and nearly identical pairs.
    findings : tuple of Finding
    spectra : dict of str to numpy.ndarray
        Class -> ``(C, 64)`` share of the pixels in each step of brightness, black left out.
    black : float
        Share of the pixels that are black in all planes (outside the cell).
    """

    path: Path
    data: CellSet
    near: Near
    findings: tuple[Finding, ...]
    spectra: dict[str, np.ndarray]
    black: float

    @property
    def stops(self) -> bool:
        """Return whether training would stop at something."""
        return any(f.level == "stop" for f in self.findings)

    @property
    def notes(self) -> tuple[str, ...]:
        """Return the notes of the data that no finding repeats."""
        return tuple(note for note in self.data.notes if UNKNOWN_GROUPS not in note)

    def summary(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        data = self.data
        return {
            "layout": data.layout,
            "images": len(data),
            "classes": data.counts,
            "groups": len(np.unique(data.groups)),
            "group_kind": data.group_kind or None,
            "multi_label": data.multi_label,
            "near_duplicates": len(self.near),
            "findings": [
                {"level": f.level, "code": f.code, "what": f.what, "names": list(f.names)}
                for f in self.findings
            ],
            "notes": list(self.notes),
        }


def audit(
    path: str | Path, *, size: int = 64, channels: Channels | None = None, cache: Path | None = None
) -> Task[Audit]:
    """Look through a labeled set.

    Parameters
    ----------
    path : path-like
        As for :func:`napari_cellcls.learn.datasets.open_dataset`.
    size : int
        Edge of the crops looked at.
    channels : {"rgb", "gray", "rgby", "rgb_merge"}, optional
        By default all four where there are four files, else color.
    cache : Path, optional

    Raises
    ------
    DataError
        Only when nothing can be looked at: ``DATA-MISSING``, ``DATA-LAYOUT``, ``DATA-EMPTY``, ...
    """
    path = Path(path)
    yield Progress(0, 0, "listing the images")
    if channels is None:
        listing = list_dataset(path)
        channels = "rgby" if any(e.planes for e in listing.entries) else "rgb"
    data = yield from open_dataset(path, size=size, channels=channels, cache=cache, faults="list")
    near = yield from near_duplicates(data)
    spectra, black = yield from _spectra(data)
    found = (*_faults(data), *_copies(data, near), *_classes(data), *_groups(data))
    return Audit(path, data, near, found, spectra, black)


def plane_names(planes: int) -> tuple[str, ...]:
    """Return what the planes of a crop are called."""
    return ("gray",) if planes == 1 else ("red", "green", "blue", "yellow")[:planes]


def count(n: int, what: str) -> str:
    """Return ``1 image``, ``2 images``, ``2 classes``."""
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{n:,} {what if n == 1 else plural}"


def samples(data: CellSet, label: int, count: int) -> np.ndarray:
    """Return rows of one class for a picture, from as many groups as possible, always the same."""
    rows = np.flatnonzero(data.matrix[:, label])
    order = rows[np.random.default_rng(0).permutation(len(rows))]
    _, first = np.unique(data.groups[order], return_index=True)
    front = order[np.sort(first)]
    rest = order[~np.isin(order, front)]
    return np.asarray(np.concatenate([front, rest])[:count])


def _faults(data: CellSet) -> Iterator[Finding]:
    for code, words in _FAULTS.items():
        names = tuple(f"{f.name}: {f.why}" for f in data.faults if f.code == code)
        if names:
            yield Finding(
                "stop", code, f"{words}: {count(len(names), 'image')}; training would stop.", names
            )
    if not data.faults:
        yield Finding("good", "", f"All {len(data):,} images can be read.")


def _copies(data: CellSet, near: Near) -> Iterator[Finding]:
    hashes = data.hashes()
    first, second = near.pairs[:, 0], near.pairs[:, 1]
    exact = hashes[first] == hashes[second]
    other_label = (data.matrix[first] != data.matrix[second]).any(1)
    other_group = data.groups[first] != data.groups[second]

    def names(rows: np.ndarray) -> tuple[str, ...]:
        return tuple(f"{data.names[a]} = {data.names[b]}" for a, b in near.pairs[rows])

    if exact.any():
        what = (
            f"Identical: {count(exact.sum(), 'pair')} of images; a split that parts one is refused."
        )
        yield Finding("look", "DATA-DUPLICATE", what, names(exact))
    if (~exact).any():
        pairs = count((~exact).sum(), "pair")
        what = f"Nearly identical (saved again, turned, mirrored): {pairs} of images."
        yield Finding("look", "DATA-DUPLICATE", what, names(~exact))
    if other_label.any():
        pairs = count(other_label.sum(), "pair")
        what = f"Copies with different labels: {pairs}; one of the two labels is wrong."
        yield Finding("look", "DATA-DUPLICATE", what, names(other_label))
    if data.group_kind and other_group.any():
        pairs = count(other_group.sum(), "pair")
        what = f"Copies in two groups ({data.group_kind}): {pairs}; training would stop."
        yield Finding("stop", "DATA-LEAK", what, names(other_group))
    if not len(near):
        yield Finding("good", "", "No image is an exact or near copy of another.")


def _classes(data: CellSet) -> Iterator[Finding]:
    few = {name: n for name, n in data.counts.items() if n < _FEW_IMAGES}
    if few:
        classes = count(len(few), "class")
        what = f"Fewer than {_FEW_IMAGES} images: {classes}; such numbers mean little."
        yield Finding("look", "DATA-FEW", what, tuple(f"{k}: {n}" for k, n in few.items()))
    unlabeled = data.names[~data.matrix.any(1)]
    if len(unlabeled):
        what = f"Without any label: {count(len(unlabeled), 'image')}."
        yield Finding("look", "DATA-LABEL", what, tuple(unlabeled.tolist()))


def _groups(data: CellSet) -> Iterator[Finding]:
    if not data.group_kind:
        yield Finding("look", "DATA-GROUPS", UNKNOWN_GROUPS)
        return
    names, counts = np.unique(data.groups, return_counts=True)
    kind = data.group_kind
    if len(names) < _FEW_GROUPS:
        yield Finding(
            "look",
            "DATA-GROUPS",
            f"Only {len(names)} groups ({kind}): a test says little of new ones.",
        )
    if counts.max() > _LARGE_GROUP * len(data):
        what = f"One {kind} holds {100 * counts.max() / len(data):.0f} % of the images: {names[counts.argmax()]}."
        yield Finding("look", "DATA-GROUPS", what)
    alone = [
        name
        for k, name in enumerate(data.classes)
        if 0 < len(np.unique(data.groups[data.matrix[:, k]])) < 2
    ]
    if alone:
        classes = count(len(alone), "class")
        what = f"From a single {kind}: {classes}; a model may learn the {kind} instead."
        yield Finding("look", "DATA-GROUPS", what, tuple(alone))


def _spectra(data: CellSet) -> Task[tuple[dict[str, np.ndarray], float]]:
    """Return brightness histograms per class and the share of black, from an even sample."""
    rows = np.unique(np.linspace(0, len(data) - 1, min(len(data), _SAMPLED)).astype(int))
    planes = data.images.shape[-1]
    per_image = np.zeros((len(rows), planes, 64))
    black = 0
    for start in range(0, len(rows), _CHUNK):
        for i, row in enumerate(rows[start : start + _CHUNK], start=start):
            pixels = np.asarray(data.images[row]).reshape(-1, planes)
            lit = pixels.any(axis=1)
            black += int((~lit).sum())
            for c in range(planes):
                per_image[i, c] = np.bincount(pixels[lit, c] >> 2, minlength=64)
        yield Progress(start, len(rows), "measuring brightness")
    matrix = data.matrix[rows]
    spectra = {}
    for k, name in enumerate(data.classes):
        total = per_image[matrix[:, k]].sum(0)
        spectra[name] = total / np.maximum(total.sum(1, keepdims=True), 1)
    return spectra, black / max(1, len(rows) * int(np.prod(data.images.shape[1:3])))
