"""What needs no look at the cells: answers that a model must beat before its numbers mean anything."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_cellcls.learn import calibration, metrics
from napari_cellcls.learn.datasets import CellSet
from napari_cellcls.learn.heldout import HeldOut
from napari_cellcls.learn.metrics import Scored
from napari_cellcls.vocabulary import Progress, Task

_BINS = 16
_MOST = 6000
_PARTS = 5
_BLOCK = 512


@dataclass(frozen=True)
class Baseline:
    """A trivial answer to every judged image."""

    name: str
    words: str
    scored: Scored


def trivial(held: HeldOut, *, seed: int = 42) -> Task[tuple[Baseline, ...]]:
    """Answer the judged images without a network.

    All zeros (several labels only), the most frequent class, and a logistic regression on the
    histogram of intensities. Each learns from the training side of the model it stands beside;
    where that is unknown, from the other groups of the set.

    Parameters
    ----------
    held : HeldOut
    seed : int
        Of the at most 6,000 training images that the regression sees.
    """
    train = dict(held.train) or _other_groups(held)
    found = []
    multi = held.data.multi_label
    if multi:
        nothing = np.zeros(held.logits.shape)
        found.append(_baseline(held, "all zeros", "no label, for every image", nothing))
    often = np.zeros(held.logits.shape)
    # One answer for all folds: of classes equally frequent, each fold alone would name the rarer.
    learned = [held.data.matrix[rows].sum(0) for _, rows in _parts(held, train).values()]
    often[:, int(np.sum(learned, axis=0).argmax())] = 1
    found.append(
        _baseline(held, "most frequent class", "the class most frequent in training, for every image", often)
    )  # fmt: skip
    if train and held.data.images.ndim == 4 and held.data.images.size:
        found.append((yield from _by_histogram(held, train, seed)))
    return tuple(found)


def histograms(images: np.ndarray) -> np.ndarray:
    """Return 16 shares of brightness, mean and spread of each plane, ``(N, 18 * C)`` float32.

    Parameters
    ----------
    images : numpy.ndarray
        ``(N, Y, X, C)`` uint8.
    """
    n, planes = len(images), images.shape[-1]
    found = np.empty((n, planes, _BINS + 2), np.float32)
    place = np.arange(n * planes).reshape(n, planes) * _BINS
    for start in range(0, n, _BLOCK):
        part = np.asarray(images[start : start + _BLOCK])
        flat = part.reshape(len(part), -1, planes)
        which = (flat // (256 // _BINS)).astype(np.int64)
        offset = place[: len(part)][:, None, :]
        counts = np.bincount((which + offset).ravel(), minlength=len(part) * planes * _BINS)
        found[start : start + _BLOCK, :, :_BINS] = counts.reshape(len(part), planes, _BINS) / flat.shape[1]  # fmt: skip
        found[start : start + _BLOCK, :, _BINS] = flat.mean(1) / 255
        found[start : start + _BLOCK, :, _BINS + 1] = flat.std(1) / 255
    return found.reshape(n, -1)


def _by_histogram(held: HeldOut, train: dict[int, np.ndarray], seed: int) -> Task[Baseline]:
    p = np.zeros(held.logits.shape)
    said = np.zeros(held.logits.shape, bool)
    parts = _parts(held, train)
    for done, (f, (own, rows)) in enumerate(parts.items()):
        yield Progress(done, len(parts), "comparing with brightness alone")
        learned = np.sort(np.random.default_rng((seed, f)).permutation(rows)[:_MOST])
        p[own], said[own] = _regression(held.data, learned, held.rows[own])
    made = _baseline(held, "intensity histogram", "logistic regression on the brightness of pixels alone", p)  # fmt: skip
    return Baseline(made.name, made.words, replace(made.scored, said=said))


def _regression(
    data: CellSet, train: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and decisions of a regression on histograms, ``(n, K)``."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    known, asked = histograms(data.images[train]), histograms(data.images[rows])
    truth = data.matrix[train]
    both = np.concatenate([known, asked])

    def fitted(labels: np.ndarray) -> np.ndarray:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, tol=1e-3))
        return np.asarray(model.fit(known, labels).predict_proba(both))

    p = np.zeros((len(both), truth.shape[1]))
    if not data.multi_label:
        labels = truth.argmax(1)
        present = np.unique(labels)
        p[:, present] = fitted(labels) if len(present) > 1 else 1.0
        return p[len(known) :], metrics.one_hot(p[len(known) :].argmax(1), truth.shape[1])
    share = truth.mean(0)
    for k, part in enumerate(share):
        p[:, k] = fitted(truth[:, k])[:, 1] if 0 < part < 1 else part
    # Rare labels never reach one half; as many as in training is the fair rule for all.
    limits = calibration.choose_thresholds("matched", p[: len(known)], truth)
    return p[len(known) :], (p[len(known) :] >= limits) & (share > 0)


def _parts(held: HeldOut, train: dict[int, np.ndarray]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return fold -> (places among the judged rows, rows learned from)."""
    if held.train:
        return {f: (np.flatnonzero(held.fold == f), train[f]) for f in held.folds}
    if not train:
        return {0: (np.arange(len(held.rows)), held.rows)}
    return {f: (np.flatnonzero(~np.isin(held.rows, rows)), rows) for f, rows in train.items()}


def _other_groups(held: HeldOut) -> dict[int, np.ndarray]:
    """Return, for each of up to five parts of the groups, the judged rows of all other groups."""
    names, group = np.unique(held.group_names, return_inverse=True)
    parts = min(_PARTS, len(names))
    if parts < 2:
        return {}
    place = np.random.default_rng(0).permutation(np.arange(len(names)) % parts)[group]
    return {k: held.rows[place != k] for k in range(parts)}


def _baseline(held: HeldOut, name: str, words: str, p: np.ndarray) -> Baseline:
    multi = held.data.multi_label
    scored = metrics.scored(
        p, held.truth, held.group_names, positive=held.positive, multi_label=multi
    )
    return Baseline(name, words, scored)
