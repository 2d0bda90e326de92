"""``project.json``: what a project is for good; everything that changes is in its journal."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_cellcls import __version__
from napari_cellcls.files import write_bytes
from napari_cellcls.project import errors
from napari_cellcls.review.events import new_id, now

SUFFIX = ".cellcls"
FILE = "project.json"
FORMAT = 1
_MAX_BYTES = 2**20


@dataclass(frozen=True)
class Description:
    """What never changes about a project.

    Attributes
    ----------
    id : str
        The journal, its backups and exchanged files carry it too.
    name : str
    created_utc : str
    multi_label : bool
        Whether a cell may have several classes.
    database : str or None
        ``postgresql://...`` without a password, for live teams; None: a file in the folder.
    app_version : str
        The release that made it.
    """

    id: str
    name: str
    created_utc: str
    multi_label: bool = False
    database: str | None = None
    app_version: str = ""


def new(name: str, *, multi_label: bool, database: str | None) -> Description:
    """Return the description of a new project."""
    return Description(new_id(), name, now(), multi_label, database, __version__)


def write(folder: Path, description: Description) -> None:
    """Write ``project.json``."""
    content = {"format": FORMAT, **asdict(description)}
    write_bytes(folder / FILE, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def read(folder: str | os.PathLike[str]) -> Description:
    """Read ``project.json``.

    Raises
    ------
    ProjectError
        ``PROJECT-MISSING``, ``PROJECT-FORMAT`` or ``PROJECT-NEWER``.
    """
    folder = Path(folder)
    path = folder / FILE
    try:
        with open(path, "rb") as stream:
            content = stream.read(_MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        why = "there is no such folder." if not folder.exists() else f"it holds no {FILE}."
        raise errors.no_project(folder, why) from None
    except OSError as error:
        raise errors.unreadable(path, f"the system says '{error.strerror}'.") from error
    try:
        values = json.loads(content)
        number = values.pop("format")
        if type(number) is int and number > FORMAT:
            raise errors.newer(path, number, FORMAT)
        found = Description(**values)
        texts = (found.id, found.name, found.created_utc, found.app_version, found.database or "")
        wrong = not found.id.isalnum() or not all(isinstance(t, str) for t in texts)
        if number != FORMAT or wrong or type(found.multi_label) is not bool:
            raise ValueError(f"format {number!r}, id {found.id!r}")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise errors.unreadable(path, f"it is not what a project writes: {error}") from error
    return found
