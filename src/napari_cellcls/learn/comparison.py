"""Two models on the same images: the difference with its interval, and where they disagree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_cellcls.learn import intervals
from napari_cellcls.learn.heldout import SHARED, UNKNOWN, HeldOut
from napari_cellcls.learn.metrics import Scored
from napari_cellcls.learn.verdict import Report
from napari_cellcls.learn.wording import interval_words, number, rounded
from napari_cellcls.vocabulary import DataError


@dataclass(frozen=True)
class Comparison:
    """What two models say of the images both were judged on.

    Attributes
    ----------
    first, second : Report
    rows : tuple of numpy.ndarray
        Places of the common images in the first and the second report, ``(n,)`` each.
    differences : dict of str to (float, (float, float) or None)
        First minus second of each number, with its interval over the same drawn groups.
    counts : dict of str to int
        Images by who is right: ``both``, ``only first``, ``only second``, ``neither``.
    disagree : numpy.ndarray
        Places within ``rows`` where they say different classes, surest contradictions first.
    """

    first: Report
    second: Report
    rows: tuple[np.ndarray, np.ndarray]
    differences: dict[str, tuple[float, tuple[float, float] | None]]
    counts: dict[str, int]
    disagree: np.ndarray

    def summary(self) -> dict[str, Any]:
        """Return the entry of ``metrics.json``."""
        found: dict[str, Any] = {
            "model": self.second.held.model,
            "protocol": self.second.metrics["protocol"],
            "n": len(self.rows[0]),
            "disagree": len(self.disagree),
            "right": self.counts,
            "difference": {},
        }
        for name, (value, limits) in self.differences.items():
            low, high = limits or (None, None)
            found["difference"] |= {
                name: rounded(value), f"{name}_low": rounded(low), f"{name}_high": rounded(high)
            }  # fmt: skip
        return found

    def text(self) -> str:
        """Return the comparison as plain text for a terminal."""
        one, two = self.first.held.model, self.second.held.model
        both = f"Compared with {two} on the {len(self.rows[0]):,} images both were judged on"
        lines = [f"{both} ({one} minus {two}; {interval_words(self.first.held)}):"]
        for name in self.first.shown:
            lines.append(f"  {name.replace('_', ' '):<18}{difference_in_words(self.differences[name])}")  # fmt: skip
        if self.second.held.groups == UNKNOWN:
            lines.append(f"  Mind: {self.second.held.protocol}")
        right = ", ".join(f"{who} {n:,}" for who, n in self.counts.items())
        lines.append(f"  Right: {right}; different answers for {len(self.disagree):,}")
        return "\n".join(lines)


def difference_in_words(difference: tuple[float, tuple[float, float] | None]) -> str:
    """Return a difference with sign and interval."""
    value, limits = difference
    if rounded(value) is None:
        return "not defined"
    text = f"{value:+.4f}"
    return text if limits is None else f"{text} [{limits[0]:+.4f}, {limits[1]:+.4f}]"


def compare(first: Report, second: Report, *, resamples: int = 2000) -> Comparison:
    """Compare two models on the images that both were judged on.

    Raises
    ------
    DataError
        ``COMPARE-CLASSES`` when they know different classes, ``COMPARE-IMAGES`` when no image was
        judged by both.
    """
    a, b = first.held, second.held
    if a.data.classes != b.data.classes or a.data.multi_label != b.data.multi_label:
        raise DataError(
            "The two models do not know the same classes.",
            code="COMPARE-CLASSES",
            why=f"{a.model}: {_classes(a)}; {b.model}: {_classes(b)}",
            remedy="Compare models of the same classes.",
        )
    rows = _common(a, b)
    if not len(rows[0]):
        raise DataError(
            "No image was judged by both models.",
            code="COMPARE-IMAGES",
            why=f"{len(a.rows):,} images by {a.model}, {len(b.rows):,} others by {b.model}",
            remedy="Compare runs that held the same images out: the same data, protocol, fold and seed.",
        )
    one, two = first.answers.scored.take(rows[0]), second.answers.scored.take(rows[1])
    other = np.flatnonzero((one.truth != two.truth).any(1))
    if len(other):
        raise DataError(
            "The two models were judged by different labels.",
            code="COMPARE-IMAGES",
            why=f"{len(other):,} of {len(one):,} common images, such as {a.names[rows[0][other[0]]]}",
            remedy="Judge both on the same data.",
        )
    right = [(s.said == s.truth).all(1) for s in (one, two)]
    counts = {
        "both": int((right[0] & right[1]).sum()),
        "only first": int((right[0] & ~right[1]).sum()),
        "only second": int((~right[0] & right[1]).sum()),
        "neither": int((~right[0] & ~right[1]).sum()),
    }
    differences = intervals.paired_difference(one, two, resamples=resamples)
    return Comparison(first, second, rows, differences, counts, _disagreements(one, two))


def gap(grouped: Mapping[str, Any], random: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a random split promises beyond one with groups apart, for ``metrics.json``.

    Parameters
    ----------
    grouped, random : mapping
        The numbers of each.
    """
    found: dict[str, Any] = {"random_protocol": random["protocol"], "random_n": random["n"]}
    for name in ("accuracy", "balanced_accuracy", "auc", "macro_f1", "micro_f1", "sample_f1"):
        apart, shared = grouped.get(name), random.get(name)
        known = apart is not None and shared is not None
        found[f"{name}_random"] = shared
        found[f"{name}_gap"] = rounded(shared - apart) if known else None  # type: ignore[operator]
    return found


def gap_in_words(numbers: Mapping[str, Any], several: bool) -> str:
    """Return the gap in a sentence.

    Parameters
    ----------
    numbers : mapping
        Of the run with groups apart, with its ``gap``.
    several : bool
        Whether an image may have several labels: then it is about the macro F1.
    """
    name, found = ("macro_f1" if several else "accuracy"), numbers["gap"]
    words = name.replace("_", " ").replace("f1", "F1")
    value = found[f"{name}_gap"]
    if value is None:
        return f"The {words} of one of the two protocols is not defined, so the gap is not known."
    text = (
        f"With a random split the {words} is {number(found[f'{name}_random'])}, with groups apart "
        f"{number(numbers[name])}: a gap of {value:+.4f}"
    )
    low, high = numbers.get(f"{name}_low"), numbers.get(f"{name}_high")
    inside = low is not None and high is not None and low <= found[f"{name}_random"] <= high
    return f"{text}, within the interval of the latter." if inside else f"{text}."


def check_gap(held: HeldOut, random: HeldOut) -> None:
    """Refuse a gap between two runs that do not differ in what it is about.

    Raises
    ------
    DataError
        ``RUN-PROTOCOL``.
    """
    if random.groups == SHARED and held.groups != SHARED:
        return
    raise DataError(
        "The gap needs one run with groups apart and one with a random split.",
        code="RUN-PROTOCOL",
        why=f"{held.model}: {held.protocol}; --random-run: {random.protocol}",
        remedy="Give the grouped run (or model) first and the random one with --random-run.",
    )


def _common(a: HeldOut, b: HeldOut) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the common images."""
    names = [np.array(_numbered(held.data.names.tolist()))[held.rows] for held in (a, b)]
    _, first, second = np.intersect1d(names[0], names[1], return_indices=True)
    order = np.argsort(first)
    return first[order], second[order]


def _numbered(names: list[str]) -> list[str]:
    """Return names made unique: the second of a name becomes ``name #2``."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return found


def _disagreements(one: Scored, two: Scored) -> np.ndarray:
    differ = (one.said != two.said).any(1)
    distance = np.abs(one.probabilities - two.probabilities).max(1)
    order = np.argsort(-distance, kind="stable")
    return np.asarray(order[differ[order]])


def _classes(held: HeldOut) -> str:
    several = ", several per image" if held.data.multi_label else ""
    return (
        f"{', '.join(held.data.classes[:6])}{' ...' if len(held.data.classes) > 6 else ''}{several}"
    )
