"""Tables that say what images belong to: a CSV file, or what was copied from a spreadsheet."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from napari_cellcls.files import reason
from napari_cellcls.images.read import stem
from napari_cellcls.project import errors
from napari_cellcls.project.groups import place_of, plain
from napari_cellcls.review.state import GROUPS, ImageState

_IMAGE = ("path", "image", "image name", "filename", "file name", "file", "name")
_ALSO = {"subject": "patient", "case": "patient", "mouse": "animal"}
_MOST_BYTES, _MOST_ROWS = 64 << 20, 1_000_000
_ENDS = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_TOLD = 5


@dataclass(frozen=True)
class Given:
    """What a table says.

    Attributes
    ----------
    wanted : mapping of str to dict
        Image id -> kind of group -> name; an empty field says nothing.
    unknown : tuple of str
        Images that the project does not have.
    """

    wanted: Mapping[str, dict[str, str]]
    unknown: tuple[str, ...] = ()


class Names:
    """Finds the image that a text means: id, path or its end, file name with or without suffix.

    Parameters
    ----------
    images : iterable of ImageState
    folder : Path
        Of the project.
    """

    def __init__(self, images: Iterable[ImageState], folder: Path) -> None:
        self._images = {one.id: (place_of(one, folder), one.name) for one in images}

    def find(self, text: str) -> list[str]:
        """Return the ids of the images meant: none, one, or several where the text is not clear."""
        wanted = text.replace("\\", "/").removeprefix("./")
        if wanted in self._images:
            return [wanted]
        known = self._images.items()
        for fold in (str, str.casefold):
            asked = fold(wanted)
            for found in (
                [k for k, (place, name) in known if asked in (fold(place), fold(name))],
                [k for k, (place, _) in known if fold(place).endswith("/" + asked)],
                [k for k, (_, name) in known if fold(stem(name)) == asked],
            ):
                if found:
                    return found
        return []

    def place(self, image_id: str) -> str:
        """Return where an image is."""
        return self._images[image_id][0]


def read_table(path: str | os.PathLike[str], names: Names, *, skip_unknown: bool = False) -> Given:
    """Read a table with a column for the image and one for each kind of group.

    Parameters
    ----------
    path : path-like
        Commas, semicolons or tabs; UTF-8, or UTF-16 with its mark.
    names : Names
        Of the project's images.
    skip_unknown : bool
        Whether rows about other images are passed over.

    Raises
    ------
    ProjectError
        ``PROJECT-GROUP-TABLE`` when it cannot be read or lacks a column, ``PROJECT-GROUP-IMAGE``
        for images that are unknown or not clear, ``PROJECT-GROUP-TWICE`` for two rows that differ.
    """
    path = Path(path)
    try:
        with open(path, "rb") as stream:
            content = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise errors.bad_table(path, f"{reason(error)}.") from error
    if len(content) > _MOST_BYTES:
        raise errors.bad_table(path, f"it has more than {_MOST_BYTES >> 20} MB.")
    if content.startswith(_ENDS):
        raise errors.bad_table(path, "it is a workbook of a spreadsheet program, not a text.")
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.bad_table(path, f"it is no text in UTF-8: {error.reason}.") from error
    return parse_table(text, names, path=path, skip_unknown=skip_unknown)


def parse_table(
    text: str, names: Names, *, path: Path | None = None, skip_unknown: bool = False
) -> Given:
    """Read a table from a text, as :func:`read_table`."""
    rows = _rows(text, path)
    image, kinds = _columns(rows[0] if rows else [], path)
    wanted: dict[str, dict[str, str]] = {}
    lines: dict[tuple[str, str], int] = {}
    unknown: dict[str, None] = {}
    for line, row in enumerate(rows[1:], start=2):
        who = row[image].strip() if image < len(row) else ""
        given = {
            kind: name
            for column, kind in kinds.items()
            if column < len(row) and (name := plain(row[column]))
        }
        if not who:
            if given:
                raise errors.bad_table(path, f"line {line} names no image.")
            continue
        meant = names.find(who)
        if len(meant) > 1:
            raise errors.unclear_image(who, [names.place(one) for one in meant], path)
        if not meant:
            unknown[who] = None
            continue
        known = wanted.setdefault(meant[0], {})
        for kind, name in given.items():
            first = lines.setdefault((meant[0], kind), line)
            if known.setdefault(kind, name) != name:
                raise errors.told_twice(who, kind, (known[kind], first), (name, line), path)
    if unknown and not (skip_unknown and wanted):
        raise errors.not_of_project(list(unknown), _TOLD, path)
    return Given({one: given for one, given in wanted.items() if given}, tuple(unknown))


def has_header(text: str) -> bool:
    """Return whether a copied text begins with names of columns, one of them for the image."""
    try:
        rows = _rows(text.partition("\n")[0], None)
        _columns(rows[0] if rows else [], None)
    except errors.ProjectError:
        return False
    return True


def _rows(text: str, path: Path | None) -> list[list[str]]:
    head = text.partition("\n")[0]
    delimiter = max("\t,;", key=head.count)
    try:
        rows: list[list[str]] = []
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if len(rows) > _MOST_ROWS:
                raise errors.bad_table(path, f"it has more than {_MOST_ROWS:,} lines.")
            rows.append(row)
    except csv.Error as error:
        raise errors.bad_table(path, f"it is no table: {error}.") from error
    return rows


def _columns(header: list[str], path: Path | None) -> tuple[int, dict[int, str]]:
    """Return the column of the image, and kind of group by column."""
    titles = [" ".join(one.casefold().replace("_", " ").split()) for one in header]
    image = next((titles.index(one) for one in _IMAGE if one in titles), None)
    kinds: dict[int, str] = {}
    for column, title in enumerate(titles):
        word = title.removesuffix(" id").removesuffix(" name")
        kind = _ALSO.get(word, word)
        if kind in GROUPS:
            if kind in kinds.values():
                raise errors.bad_table(path, f"it has two columns for the {kind}.")
            kinds[column] = kind
    if image is None or not kinds:
        there = ", ".join(one for one in header if one.strip())[:200] or "none"
        raise errors.bad_table(path, f"its columns are: {there}.")
    return image, kinds
