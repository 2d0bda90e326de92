"""``models/current.json``: the version in use, every change and every attempt, read strictly, written in one step."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cellcls.files import reason, write_bytes
from napari_cellcls.project import errors

if TYPE_CHECKING:
    from napari_cellcls.models.manifest import Manifest
    from napari_cellcls.vocabulary import CellClsError

FILE = "current.json"
FORMAT = 1
_MAX_BYTES = 16 << 20


@dataclass(frozen=True)
class Version:
    """One model of the project.

    Attributes
    ----------
    label : str
        ``name@version``.
    sha256 : str
        Of the package file.
    path : Path
    manifest : Manifest or None
        None when the package cannot be read.
    error : CellClsError or None
    in_use : bool
    bytes : int
    """

    label: str
    sha256: str
    path: Path
    manifest: Manifest | None = None
    error: CellClsError | None = None
    in_use: bool = False
    bytes: int = 0


@dataclass(frozen=True)
class Change:
    """One change of the model in use.

    Attributes
    ----------
    when : str
        UTC, ISO 8601.
    who : str
    before, after : str
        ``name@version``, "" for the released model that the project started from.
    why : str
    """

    when: str
    who: str
    before: str
    after: str
    why: str


@dataclass(frozen=True)
class Attempt:
    """One new version that was judged.

    Attributes
    ----------
    when : str
        UTC, ISO 8601.
    version : str
        ``name@version``.
    trial : str
        Hash of what was tried: labels, released model, way of training.
    groups : tuple of str
        Hashes of the groups held out; empty when nothing was.
    word : str
        The verdict.
    promoted : bool
    """

    when: str
    version: str
    trial: str
    groups: tuple[str, ...]
    word: str
    promoted: bool


@dataclass(frozen=True)
class History:
    """Everything about the models of a project: versions newest first, changes and attempts oldest first."""

    versions: tuple[Version, ...]
    changes: tuple[Change, ...]
    attempts: tuple[Attempt, ...]


@dataclass
class Ledger:
    """What ``current.json`` says; ``label`` is "" while the released model is in use."""

    label: str = ""
    file: str = ""
    sha256: str = ""
    changes: tuple[Change, ...] = ()
    attempts: tuple[Attempt, ...] = ()


def read(folder: Path) -> Ledger:
    """Read it; empty when the project has no version yet.

    Raises
    ------
    ProjectError
        ``PROJECT-VERSIONS`` when it is there and cannot be read: it is never taken for empty.
    """
    path = folder / FILE
    try:
        with open(path, "rb") as stream:
            content = stream.read(_MAX_BYTES + 1)
    except FileNotFoundError:
        return Ledger()
    except OSError as error:
        raise errors.unreadable_versions(path, f"{reason(error)}.") from error
    try:
        if len(content) > _MAX_BYTES:
            raise ValueError(f"it has more than {_MAX_BYTES:,} bytes")
        return _parsed(json.loads(content))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise errors.unreadable_versions(path, f"{reason(error)}.") from error


def write(folder: Path, ledger: Ledger) -> None:
    """Write it atomically."""
    values = {"format": FORMAT, **asdict(ledger)}
    write_bytes(folder / FILE, (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())


def _parsed(values: Any) -> Ledger:
    number = values.pop("format")
    if number != FORMAT:
        raise ValueError(f"its format is {number!r:.40}, this release knows {FORMAT}")
    changes = tuple(_one(Change, one) for one in values.pop("changes"))
    attempts = tuple(_one(Attempt, one) for one in values.pop("attempts"))
    found = Ledger(**values, changes=changes, attempts=attempts)
    texts = (found.label, found.file, found.sha256)
    if not all(isinstance(text, str) for text in texts) or Path(found.file).name != found.file:
        raise ValueError(f"the version in use is {texts!r:.120}")
    return found


def _one(kind: type[Any], values: dict[str, Any]) -> Any:
    if "groups" in values:
        values["groups"] = tuple(str(one) for one in values["groups"])
    for field in fields(kind):
        wanted = bool if field.name == "promoted" else tuple if field.name == "groups" else str
        if type(values[field.name]) is not wanted:
            raise ValueError(f"'{field.name}' is {values[field.name]!r:.60}")
    return kind(**values)
