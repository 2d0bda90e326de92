"""What the images of a project belong to (patient, slide, plate ...): by a rule on their paths, and written in one step.

Cells of one patient are never on both sides of a proof, and the program cannot know patients: people say
them. Rules found by themselves are suggestions; nothing is set that nobody asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from napari_cellcls.project import errors
from napari_cellcls.review.events import Draft, Kind, clean
from napari_cellcls.review.state import GROUPS, ImageState

if TYPE_CHECKING:
    from napari_cellcls.project.project import Project

Wanted: TypeAlias = Mapping[str, Mapping[str, str]]
"""Image id -> kind of group -> name; an empty name takes it away, what is not named stays."""
_LONGEST = 120
_SEPARATED = r"(?=[/_. -]|$)"
_USUAL = (
    r"(?:^|/)(?P<patient>C\d+)P\d+thin[A-Za-z]*_",
    r"(?i)(?:patient|subject|case|pat)[ _-]?(?P<patient>[A-Z]{0,2}\d+)",
    r"(?:^|[/_ -])(?P<patient>P\d+)" + _SEPARATED,
    r"(?i)donor[ _-]?(?P<donor>[A-Z]{0,2}\d+)",
    r"(?i)(?:animal|mouse|rat|fish)[ _-]?(?P<animal>[A-Z]{0,2}\d+)",
    r"(?i)slide[ _-]?(?P<slide>[A-Z]{0,2}\d+)",
    r"(?i)plate[ _-]?(?P<plate>[A-Z]{0,2}\d+)",
    r"(?:^|[/_ -])(?P<well>[A-P](?:0[1-9]|1\d|2[0-4]))" + _SEPARATED,
)


@dataclass(frozen=True)
class Change:
    """What an image belonged to, and what it is to belong to: kind of group -> name."""

    image: ImageState
    before: Mapping[str, str]
    after: Mapping[str, str]

    @property
    def hints(self) -> dict[str, str]:
        """What is written down: the kinds that change, an empty name for one that goes."""
        return {
            kind: self.after.get(kind, "")
            for kind in GROUPS
            if self.after.get(kind) != self.before.get(kind)
        }

    @property
    def result(self) -> ImageState:
        """The image after it."""
        return replace(self.image, hints={**self.image.hints, **self.hints})


@dataclass(frozen=True)
class Suggestion:
    """A rule that finds groups in the paths of images.

    Attributes
    ----------
    pattern : str
        Regular expression with a named group.
    kind : str
        Of the group: ``patient`` ...
    images, names : int
        How many images it fits, and how many groups they make.
    """

    pattern: str
    kind: str
    images: int
    names: int

    @property
    def text(self) -> str:
        """What to tell people."""
        return f"{self.images:,} images of {self.names:,} {self.kind}s, told by their paths"


def changes(project: Project, wanted: Wanted) -> list[Change]:
    """Return what would change, in the order of the images.

    Raises
    ------
    ProjectError
        ``PROJECT-GROUP-NAME`` for a kind of group that there is not, or a name that is too long;
        ``PROJECT-IMAGE`` for an image that the project does not have.
    """
    images = project.journal.state.images
    for image_id, given in wanted.items():
        if image_id not in images:
            raise errors.unknown_image(image_id)
        for kind, name in given.items():
            _check(kind, name)
    found = []
    for image_id, image in images.items():
        before = image.groups
        given = {kind: plain(name) for kind, name in wanted.get(image_id, {}).items()}
        after = {k: n for k in GROUPS if (n := given.get(k, before.get(k, "")))}
        if after != before:
            found.append(Change(image, before, after))
    return found


def write(project: Project, wanted: Wanted, *, rule: str | None = None) -> list[Change]:
    """Set what images belong to, all of it or nothing; return what has changed.

    Parameters
    ----------
    project : Project
    wanted : Wanted
    rule : str, optional
        Regular expression that images added later follow; "" forgets the present one.

    Raises
    ------
    ProjectError
        As :func:`changes`, and ``PROJECT-GROUP-RULE``.
    JournalError
        When the project is open for reading only.
    """
    found = changes(project, wanted)
    if rule:
        compiled(rule)
    drafts = [Draft(Kind.IMAGE, image_id=one.image.id, payload=one.hints) for one in found]
    if rule is not None and rule != project.journal.state.grouping:
        drafts.append(Draft(Kind.GROUPING, payload={"pattern": rule}))
    project.journal.record(drafts)
    return found


def compiled(pattern: str) -> re.Pattern[str]:
    """Return a rule ready for use.

    Raises
    ------
    ProjectError
        ``PROJECT-GROUP-RULE`` when it is no regular expression, or names no kind of group.
    """
    try:
        found = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise errors.bad_rule(pattern, f"it is no regular expression: {error}") from error
    unknown = [name for name in found.groupindex if name not in GROUPS]
    if unknown or not found.groupindex:
        why = f"'{unknown[0]}' is no kind of group" if unknown else "no part of it has a name"
        raise errors.bad_rule(pattern, why)
    return found


def by_path(project: Project, pattern: str) -> dict[str, dict[str, str]]:
    """Return what a rule finds in the paths of all images.

    Raises
    ------
    ProjectError
        ``PROJECT-GROUP-RULE``, also when it fits no image.
    """
    rule = compiled(pattern)
    images = project.journal.state.images.values()
    places = {image.id: place_of(image, project.folder) for image in images}
    found = {image_id: read_path(rule, place) for image_id, place in places.items()}
    found = {image_id: given for image_id, given in found.items() if given}
    if not found:
        example = next(iter(places.values()), "")
        why = (
            f"it fits none of {len(places):,} paths, such as {example}"
            if example
            else "there are no images"
        )
        raise errors.bad_rule(pattern, why)  # fmt: skip
    return found


def following(rule: str, path: Path | None) -> dict[str, str]:
    """Return what an image that is new to the project belongs to by the project's rule."""
    if not rule or path is None:
        return {}
    try:
        return read_path(compiled(rule), path.absolute().as_posix())
    except errors.ProjectError:  # a rule of a newer release
        return {}


def read_path(rule: re.Pattern[str], place: str) -> dict[str, str]:
    """Return what a rule finds in one path: kind of group -> name, only those found."""
    hit = rule.search(place)
    if hit is None:
        return {}
    found = {kind: plain(name or "")[:_LONGEST] for kind, name in hit.groupdict().items()}
    return {kind: name for kind, name in found.items() if name}


def place_of(image: ImageState, folder: Path) -> str:
    """Return the path that rules look at, with ``/``; the name of an image that never had a file."""
    hint = image.hints.get("path")
    if not isinstance(hint, str) or not hint:
        return image.name
    return Path(os.path.normpath(folder.absolute() / hint)).as_posix()


def suggest(project: Project) -> list[Suggestion]:
    """Return rules that put several images into one group, at most one for each kind of group."""
    images = tuple(project.journal.state.images.values())
    found: dict[str, Suggestion] = {}
    told_before: list[set[str]] = []
    for pattern in _USUAL:
        rule = re.compile(pattern)
        kind = next(iter(rule.groupindex))
        told = {one.id: read_path(rule, place_of(one, project.folder)).get(kind) for one in images}
        names = [name for name in told.values() if name]
        known = all(one.groups.get(kind) == told[one.id] for one in images if told[one.id])
        taken = any(set(names) <= seen for seen in told_before)
        if kind not in found and not known and not taken and 1 < len(set(names)) < len(names):
            told_before.append(set(names))
            found[kind] = Suggestion(pattern, kind, len(names), len(set(names)))
    return list(found.values())


def summary(images: Iterable[ImageState]) -> str:
    """Return in words how many groups images make."""
    every = list(images)
    alone = sum(not one.groups for one in every)
    groups = len({one.group for one in every})
    if not every:
        return "No images yet."
    if alone == len(every):
        return f"{many(alone, 'image')}, each a group of its own."
    text = f"{many(len(every), 'image')} in {many(groups, 'group')}"
    if not alone:
        return f"{text}."
    return (
        f"{text}; {'one stands for itself' if alone == 1 else f'{alone:,} stand for themselves'}."
    )


def plain(name: str) -> str:
    """Return a name of a group as it is stored: no spaces at its ends, single ones inside."""
    return " ".join(clean(name).split())


def many(count: int, word: str) -> str:
    """Return a number with its word."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def _check(kind: str, name: str) -> None:
    if kind not in GROUPS:
        raise errors.bad_group(f"'{kind}' is none of {', '.join(GROUPS)}.")
    if len(name) > _LONGEST:
        raise errors.bad_group(f"'{name[:40]}…' has {len(name):,} characters.")
