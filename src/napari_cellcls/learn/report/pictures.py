"""Pictures of judged images with what is true and what was said: a grid a person can scan."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from napari_cellcls.learn import page
from napari_cellcls.learn.heldout import HeldOut
from napari_cellcls.learn.metrics import Scored

SHOWN = 21
_EDGE = 138
_MOST_LABELS = 4
_LONG = 34


def worst_mistakes(of: Scored, shown: int = SHOWN) -> np.ndarray:
    """Return the places of the wrong answers the model was surest of, surest first.

    With several labels the sum of what was wrong over all labels of an image decides.
    """
    if of.multi_label:
        wrong = np.abs(of.probabilities - of.truth).sum(1)
        mistaken = (of.said != of.truth).any(1)
    else:
        wrong = 1 - (of.probabilities * of.truth).sum(1)
        mistaken = ~(of.said & of.truth).any(1)
    order = np.argsort(-wrong, kind="stable")
    return np.asarray(order[mistaken[order]][:shown])


def random_sample(n: int, shown: int = SHOWN, seed: int = 42) -> np.ndarray:
    """Return places drawn at random, the same for the same seed."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:shown])


def tiles(held: HeldOut, of: Scored, places: np.ndarray, second: Scored | None = None) -> str:
    """Return pictures with their true and predicted labels.

    Parameters
    ----------
    held : HeldOut
    of : Scored
        Answers in the order of the judged images.
    places : numpy.ndarray
        Which of them to show.
    second : Scored, optional
        What another model says of the images shown, in the order of ``places``.
    """
    crops = page.visible(np.asarray(held.data.images[held.rows[places]]))
    boxes = []
    for i, (place, crop) in enumerate(zip(places.tolist(), crops)):
        name, group = str(held.names[place]), str(held.group_names[place])
        true = _names(held, np.flatnonzero(of.truth[place]))
        lines = [f"<small>true</small> {escape(true)}"]
        lines += _said(held, of, place, "" if second is None else "1")
        if second is not None:
            lines += _said(held, second, i, "2")
        shown = "" if group in name or not held.group_words else f" ({group})"
        where = f'<small title="{escape(name)}">{escape(_short(name) + shown)}</small>'
        picture = page.picture(_enlarged(crop), 1.0, f"{name}: {true}")
        boxes.append(f'<div class="tile">{picture}{"<br>".join([*lines, where])}</div>')
    return f'<div class="tiles">{"".join(boxes)}</div>'


def _said(held: HeldOut, of: Scored, place: int, who: str) -> list[str]:
    """Return what was said of an image, right and wrong labels marked by sign and color."""
    said, truth, p = of.said[place], of.truth[place], of.probabilities[place]
    head = f"<small>{who}</small> " if who else ""
    if not of.multi_label:
        k = int(p.argmax())
        mark, sign = ("yes", "✓") if truth[k] else ("no", "✗")
        name = escape(held.data.classes[k])
        return [f'{head}<span class="{mark}">{sign} {name}</span> <small>{p[k]:.2f}</small>']
    right, wrong, missed = (np.flatnonzero(m) for m in (said & truth, said & ~truth, ~said & truth))
    lines = [
        f'<span class="{mark}">{sign} {escape(_names(held, found))}</span>'
        for mark, sign, found in (("yes", "✓", right), ("no", "✗", wrong), ("no", "missed", missed))
        if len(found)
    ] or ["no label said"]
    return [head + lines[0], *lines[1:]]


def _names(held: HeldOut, classes: np.ndarray | Sequence[int]) -> str:
    names = [held.data.classes[k] for k in classes]
    more = f" and {len(names) - _MOST_LABELS} more" if len(names) > _MOST_LABELS else ""
    return (", ".join(names[:_MOST_LABELS]) or "no label") + more


def _short(name: str) -> str:
    """Return both ends of a long file name: beginnings tell the group, ends the cell."""
    stem = name.rpartition(".")[0] or name
    return stem if len(stem) <= _LONG else f"{stem[: _LONG // 2]}…{stem[-_LONG // 2 + 1 :]}"


def _enlarged(crop: np.ndarray) -> np.ndarray:
    """Return a crop as wide as a tile."""
    return page.mosaic(crop[None], 1, _EDGE)
