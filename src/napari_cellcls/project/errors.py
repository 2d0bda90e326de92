"""The coded errors of project folders."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from napari_cellcls.files import reason
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
