"""The coded errors of project folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from napari_cellcls.files import reason
from napari_cellcls.review.state import GROUPS
from napari_cellcls.vocabulary import CellClsError


class ProjectError(CellClsError):
    """A project folder cannot be made, opened or used as asked."""

    default_code: ClassVar[str] = "PROJECT"


def no_project(folder: Path, why: str) -> ProjectError:
    """Say that a folder is no project."""
    return ProjectError(
        "This folder is no project.",
        code="PROJECT-MISSING",
        path=folder,
        why=why,
        remedy="Give a folder that ends in .cellcls, or make one: cellcls project new FOLDER.",
    )


def exists(folder: Path) -> ProjectError:
    """Say that a new project would fall into something that is there."""
    return ProjectError(
        "A project cannot be made here.",
        code="PROJECT-EXISTS",
        path=folder,
        why="there is a file or a folder with content of this name already.",
        remedy="Choose another name, or open the project that is there.",
    )


def unreadable(path: Path, why: str) -> ProjectError:
    """Say that project.json is damaged."""
    return ProjectError(
        "The description of the project cannot be read.",
        code="PROJECT-FORMAT",
        path=path,
        why=why,
        remedy="Bring project.json back from a copy of the folder; the journal is not affected.",
    )


def newer(path: Path, found: int, known: int) -> ProjectError:
    """Say that the project was made by a newer release."""
    return ProjectError(
        "The project was made by a newer release of napari-cellcls.",
        code="PROJECT-NEWER",
        path=path,
        why=f"its format is {found}, this release knows formats up to {known}.",
        remedy="Update napari-cellcls. Nothing was changed.",
    )


def unwritable(path: str | os.PathLike[str], error: OSError) -> ProjectError:
    """Say that the project cannot be written."""
    return ProjectError(
        "The project cannot be written there.",
        code="PROJECT-WRITE",
        path=path,
        why=f"{reason(error)}.",
        remedy="Choose a folder you may write to, on a disk with room.",
    )


def unknown_image(image_id: str) -> ProjectError:
    """Say that the project has no such image."""
    return ProjectError(
        "The project has no such image.",
        code="PROJECT-IMAGE",
        why=f"no image has the id {image_id}.",
        remedy="Add the image to the project first.",
    )


def other_image(path: Path, name: str) -> ProjectError:
    """Say that a file is not the image it was taken for."""
    return ProjectError(
        f"This file is not the image '{name}' of the project.",
        code="PROJECT-IMAGE",
        path=path,
        why="its content is another one.",
        remedy="Choose the right file, or add this one as a new image.",
    )


def bad_group(why: str) -> ProjectError:
    """Say that what an image is to belong to cannot be stored."""
    return ProjectError(
        "An image cannot be put into this group.",
        code="PROJECT-GROUP-NAME",
        why=why,
        remedy=f"Name a {', '.join(GROUPS[:-1])} or {GROUPS[-1]}, in at most 120 characters.",
    )


def bad_rule(pattern: str, why: str) -> ProjectError:
    """Say that a rule on paths cannot be used."""
    return ProjectError(
        f"The rule {pattern!r} tells of no group.",
        code="PROJECT-GROUP-RULE",
        why=f"{why}.",
        remedy="Write a regular expression with the part in question named by a kind of group, such as "
        r"(?P<patient>P\d+) or slide_(?P<slide>\w+).",
    )


def bad_table(path: Path | None, why: str) -> ProjectError:
    """Say that a table of groups cannot be read."""
    return ProjectError(
        "The table of groups cannot be read.",
        code="PROJECT-GROUP-TABLE",
        path=path,
        why=why,
        remedy="Save it as CSV in UTF-8 with a column 'image' and one or more of: "
        f"{', '.join(GROUPS)}. Nothing was changed.",
    )


def not_of_project(unknown: list[str], most: int, path: Path | None) -> ProjectError:
    """Say that a table is about images that the project does not have."""
    more = f" and {len(unknown) - most:,} more" if len(unknown) > most else ""
    return ProjectError(
        "The table names images that the project does not have.",
        code="PROJECT-GROUP-IMAGE",
        path=path,
        why=f"there is no {', '.join(repr(one) for one in unknown[:most])}{more}.",
        remedy="Add them first (cellcls project add), correct their names, or pass them over with "
        "--skip-unknown. Nothing was changed.",
    )


def unclear_image(name: str, places: list[str], path: Path | None = None) -> ProjectError:
    """Say that a name means several images of the project."""
    return ProjectError(
        f"It is not clear which image {name!r} is.",
        code="PROJECT-GROUP-IMAGE",
        path=path,
        why=f"there are {', '.join(places[:5])}.",
        remedy="Write more of its path, enough to tell it from the others. Nothing was changed.",
    )


def told_twice(
    image: str, kind: str, one: tuple[str, int], other: tuple[str, int], path: Path | None
) -> ProjectError:
    """Say that two lines of a table contradict each other."""
    return ProjectError(
        f"The table says two things about the {kind} of {image!r}.",
        code="PROJECT-GROUP-TWICE",
        path=path,
        why=f"line {one[1]} says {one[0]!r}, line {other[1]} says {other[0]!r}.",
        remedy="Keep the line that is right. Nothing was changed.",
    )


def unreadable_versions(path: Path, why: str) -> ProjectError:
    """Say that the list of versions is damaged."""
    return ProjectError(
        "Which model the project uses cannot be read.",
        code="PROJECT-VERSIONS",
        path=path,
        why=why,
        remedy="Bring current.json back from a copy of the folder; or move it away to start from the "
        "released model again (the versions beside it stay).",
    )


def version_gone(label: str, path: Path, why: str) -> ProjectError:
    """Say that the version in use cannot be used."""
    return ProjectError(
        f"The model in use, {label}, is not there as it was.",
        code="PROJECT-VERSIONS",
        path=path,
        why=why,
        remedy="Bring the file back from a copy of the folder, or go back to another version: "
        "cellcls models rollback PROJECT.",
    )


def versions_busy(folder: Path, holder: str) -> ProjectError:
    """Say that another program is changing the model in use."""
    return ProjectError(
        "The model in use is being changed by another program.",
        code="PROJECT-VERSIONS",
        path=folder,
        why=f"{holder} has it.",
        remedy="Try again in a moment.",
    )


def no_version(wanted: str, known: list[str], fitting: int) -> ProjectError:
    """Say that the project has no such version, or several."""
    several = fitting > 1
    return ProjectError(
        f"The project has {'several versions' if several else 'no version'} {wanted!r}.",
        code="PROJECT-VERSION",
        why=f"there are {', '.join(known) or 'none'}.",
        remedy="Name one by the beginning of its SHA-256: cellcls models history PROJECT shows it."
        if several
        else "See them with: cellcls models history PROJECT.",
    )


def unusable_version(label: str, path: Path, why: str) -> ProjectError:
    """Say that a version is damaged."""
    return ProjectError(
        f"The version {label} cannot be used.",
        code="PROJECT-VERSION",
        path=path,
        why=why,
        remedy="Choose another version; the model in use stays.",
    )


def nothing_before(label: str) -> ProjectError:
    """Say that there is nothing to go back to."""
    return ProjectError(
        "There is no version to go back to.",
        code="PROJECT-VERSION",
        why=f"{label} is the only one that was in use."
        if label
        else "the project uses the released model it started from.",
        remedy="See all versions with: cellcls models history PROJECT.",
    )
