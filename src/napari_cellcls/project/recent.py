"""The projects opened last on this computer, in the user's folder."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from napari_cellcls.files import write_bytes
from napari_cellcls.models.places import home
from napari_cellcls.review.events import now

_MOST = 20


@dataclass(frozen=True)
class Recent:
    """One project opened before; its folder may be gone."""

    path: str
    name: str
    opened_utc: str

    @property
    def is_there(self) -> bool:
        """Whether the folder still is a project."""
        return (Path(self.path) / "project.json").is_file()


def recent_projects() -> list[Recent]:
    """Return the projects opened last, newest first; empty when the list cannot be read."""
    try:
        values = json.loads(_file().read_text(encoding="utf-8"))
        return [Recent(str(v["path"]), str(v["name"]), str(v["opened_utc"])) for v in values]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def remember(folder: Path, name: str) -> None:
    """Put a project at the top of the list; a list that cannot be written is no error."""
    path = str(folder.absolute())
    kept = [one for one in recent_projects() if one.path != path][: _MOST - 1]
    every = [Recent(path, name, now()), *kept]
    content = json.dumps([asdict(one) for one in every], indent=2, ensure_ascii=False)
    with contextlib.suppress(OSError):
        write_bytes(_file(), content.encode("utf-8", "replace"))


def _file() -> Path:
    return home() / "recent-projects.json"
