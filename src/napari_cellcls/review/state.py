"""The state of a project as people see it: plain values that the fold derives from events.

What there is once per cell is a tuple, which is made much faster than a dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from napari_cellcls.review.events import Event

GROUPS = ("patient", "donor", "animal", "slide", "plate", "well")
"""What an image may be known to belong to, the highest first."""


@dataclass(frozen=True)
class Comment:
    """One remark about a cell."""

    annotator: str
    created_utc: str
    text: str
    event_id: str


class Decision(NamedTuple):
    """What one annotator decided about one cell.

    Attributes
    ----------
    annotator : str
    judged : mapping of str to str
        Class id -> ``yes`` or ``no``; a class that is not in it was not judged. With one label
        per cell at most one class, ``yes``.
    event : Event or None
        The last label that counts: who, when, what was shown, its source. None without labels.
    skipped : bool
        Whether the cell was passed over after the last label.
    flags : frozenset of str
    """

    annotator: str
    judged: Mapping[str, str] = MappingProxyType({})
    event: Event | None = None
    skipped: bool = False
    flags: frozenset[str] = frozenset()

    @property
    def classes(self) -> tuple[str, ...]:
        """Ids of the classes the cell has, sorted."""
        return tuple(sorted(c for c, value in self.judged.items() if value == "yes"))

    @property
    def ruled_out(self) -> tuple[str, ...]:
        """Ids of the classes the cell does not have, sorted."""
        return tuple(sorted(c for c, value in self.judged.items() if value == "no"))


class CellState(NamedTuple):
    """All decisions about one cell, by annotator, the remarks, and the last word.

    ``final`` is what an adjudication said, whoever gave it; it leaves ``decisions`` as they are.
    """

    cell_id: str
    decisions: Mapping[str, Decision]
    comments: tuple[Comment, ...] = ()
    final: Decision | None = None

    @property
    def flags(self) -> frozenset[str]:
        """Flags that anybody set."""
        return frozenset().union(*(d.flags for d in self.decisions.values()))

    @property
    def settled(self) -> Decision | None:
        """What to go by: the last word, else what people agree on; None while neither is there."""
        if self.final is not None:
            return self.final
        judged = [d for d in self.decisions.values() if d.judged]
        return judged[0] if judged and all(d.judged == judged[0].judged for d in judged) else None

    @property
    def disagreed(self) -> bool:
        """Whether two annotators judged one class differently, or chose different classes."""
        judged = [d.judged for d in self.decisions.values() if d.judged]
        for i, one in enumerate(judged):
            for other in judged[i + 1 :]:
                if any(one[c] != other[c] for c in one.keys() & other.keys()):
                    return True
                if not one.keys() & other.keys() and _yes(one) and _yes(other):
                    return True
        return False


@dataclass(frozen=True)
class ClassState:
    """One class: stable id; name, color ``#rrggbb`` and key as last set; the class it went into."""

    id: str
    name: str
    color: str
    key: str = ""
    merged_into: str | None = None


@dataclass(frozen=True)
class ImageState:
    """One image of the project: content id, and what was last known of where it is."""

    id: str
    name: str
    hints: Mapping[str, Any] = field(default_factory=dict)

    @property
    def groups(self) -> dict[str, str]:
        """What it is known to belong to: patient, slide ... -> name, the highest first."""
        found = {kind: self.hints.get(kind) for kind in GROUPS}
        return {
            kind: str(name)
            for kind, name in found.items()
            if isinstance(name, str | int) and str(name)
        }

    @property
    def group(self) -> str:
        """What its cells must not be separated from: the highest group known, else the image itself."""
        known = self.groups
        kind = next(iter(known), None)
        return f"image {self.id}" if kind is None else f"{kind} {known[kind]}"


@dataclass(frozen=True)
class PredictionState:
    """The newest batch of predictions of one model for one image."""

    image_id: str
    model: str
    sha: str
    created_utc: str
    details: Mapping[str, Any] = field(default_factory=dict)


def new_class_id(name: str, taken: Mapping[str, object]) -> str:
    """Return an id for a class, made from its name, so that two annotators get the same."""
    plain = "".join(c if c.isalnum() else "_" for c in name.lower()).strip("_") or "class"
    number, class_id = 2, plain
    while class_id in taken:
        class_id, number = f"{plain}_{number}", number + 1
    return class_id


def _yes(judged: Mapping[str, str]) -> bool:
    return "yes" in judged.values()
