"""A project folder ``*.cellcls``: making, opening, adding images. Opening changes nothing in it."""

from __future__ import annotations

import getpass
import os
import shutil
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import sqlalchemy as sa

from napari_cellcls import __version__, files
from napari_cellcls.cells.identity import image_id
from napari_cellcls.models.places import home
from napari_cellcls.project import description, errors, groups, images, recent
from napari_cellcls.project.description import SUFFIX, Description
from napari_cellcls.review import eventfiles, folders, opening, store
from napari_cellcls.review.events import Author, Draft, Event, Kind, clean, new_id
from napari_cellcls.review.journal import Journal
from napari_cellcls.review.opening import Places
from napari_cellcls.vocabulary import CellClass


class Project:
    """An open project.

    Attributes
    ----------
    folder : Path
    description : Description
    journal : Journal
        All decisions; ``journal.state`` has images, classes and labels.
    """

    def __init__(self, folder: Path, about: Description, journal: Journal) -> None:
        self.folder, self.description, self.journal = folder, about, journal
        self._read: set[str] = set()

    @property
    def models_folder(self) -> Path:
        """Packages of models used (may not exist)."""
        return self.folder / "models"

    @property
    def caches(self) -> Path:
        """What can be computed again: embeddings, predictions (may not exist)."""
        return self.folder / "caches"

    @property
    def exports(self) -> Path:
        """Tables and pictures for others (may not exist)."""
        return self.folder / "exports"

    @property
    def models_used(self) -> dict[str, str]:
        """Models that were shown or predicted with: ``name@version`` -> SHA-256."""
        found = {
            e.shown_model: e.shown_sha or "" for e in self.journal.state.events if e.shown_model
        }
        return dict(sorted(found.items()))

    def add_image(self, path: str | os.PathLike[str]) -> str:
        """Add an image by its content, or remember where it is now; return its id.

        Raises
        ------
        ImageError
            When it cannot be read.
        JournalError
            When the project is open for reading only.
        """
        found = image_id(path)
        self._say_where(found, Path(path))
        return found

    def know_image(self, image: str, name: str, path: str | None) -> None:
        """Take in an image by its id, unless the project knows it; its file may be gone.

        Raises
        ------
        JournalError
            When the project is open for reading only.
        """
        state = self.journal.state
        if image in state.images:
            return
        if path is not None and Path(path).exists():
            self._say_where(image, Path(path))
        else:
            self.journal.record([Draft(Kind.IMAGE, image_id=image, payload={"name": name})])

    def locate(self, image: str, roots: Iterable[Path] = ()) -> images.Located:
        """Look where an image is now; nothing is written (see :meth:`relocate`).

        Raises
        ------
        ProjectError
            ``PROJECT-IMAGE`` for an image that the project does not have.
        """
        known = self.journal.state.images.get(image)
        if known is None:
            raise errors.unknown_image(image)
        return images.locate(known, self.folder, roots)

    def relocate(self, image: str, path: str | os.PathLike[str]) -> None:
        """Remember where an image is now, after proving by its content that it is the one.

        Raises
        ------
        ProjectError
            ``PROJECT-IMAGE`` when it is another image, or none of the project.
        """
        known = self.journal.state.images.get(image)
        if known is None:
            raise errors.unknown_image(image)
        if image_id(path) != image:
            raise errors.other_image(Path(path), known.name)
        self._say_where(image, Path(path))

    def keep_model(self, package: Path) -> Path:
        """Copy a model package into the project, once; return the copy."""
        target = self.models_folder / f"{package.stem}-{files.sha256(package)[:8]}{package.suffix}"
        if not target.exists():
            with files.atomic_path(target) as temporary:
                shutil.copyfile(package, temporary)
        return target

    def collect(self) -> int:
        """Take in what others have shared since; return how many events were new."""
        return len(self.take(self.look()))

    def look(self) -> list[Event]:
        """Read what others have shared since the last look, in any thread; :meth:`take` takes it in.

        Raises
        ------
        sqlalchemy.exc.SQLAlchemyError
            When the server of a live project does not answer.
        """
        if self.description.database:
            return self.journal.fetch()
        if not self._is_shared:
            return []
        return eventfiles.collect(self.folder / "events", self._read).events

    def take(self, events: Sequence[Event]) -> list[Event]:
        """Take in events that were shared; return those that were new.

        Raises
        ------
        JournalError
            When the project is open for reading only.
        """
        state = self.journal.state
        once = {event.event_id: event for event in events}
        fresh = [event for event_id, event in once.items() if event_id not in state]
        if self.description.database:
            self.journal.receive(fresh)
        else:
            self.journal.merge(fresh)
        return fresh

    @cached_property
    def _is_shared(self) -> bool:
        return _places(self.folder, self.description).share is not None

    def close(self) -> bool:
        """Save and let go; return whether everything is saved."""
        return self.journal.close()

    def __enter__(self) -> Self:
        """Return the project; it closes at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the project."""
        self.close()

    def _say_where(self, image: str, path: Path) -> None:
        hints = images.hints_of(path, self.folder)
        state = self.journal.state
        known = state.images.get(image)
        if known is None:
            hints |= groups.following(state.grouping, path)
        if known is None or any(known.hints.get(k) != v for k, v in hints.items()):
            self.journal.record([Draft(Kind.IMAGE, image_id=image, payload=hints)])


def create_project(
    folder: str | os.PathLike[str],
    *,
    name: str = "",
    classes: Iterable[str | CellClass] = (),
    multi_label: bool = False,
    database: str | None = None,
    annotator: str | None = None,
) -> Project:
    """Make a project folder and open it.

    Parameters
    ----------
    folder : path-like
        ``.cellcls`` is added when it is missing. Must not exist, or be empty.
    name : str
        By default that of the folder.
    classes : iterable of str or CellClass
    multi_label : bool
        Whether a cell may have several classes.
    database : str, optional
        ``postgresql://user@host/name``, an empty database for a live team; never a password, which
        belongs into ``PGPASSWORD`` or ``~/.pgpass``.
    annotator : str, optional
        By default the name of the user.

    Raises
    ------
    ProjectError
        ``PROJECT-EXISTS``, ``PROJECT-WRITE``, ``PROJECT-DATABASE``.
    JournalError
        ``JOURNAL-SERVER``, ``JOURNAL-DRIVER``, ``JOURNAL-EXISTS``.
    """
    target = Path(folder)
    if target.suffix != SUFFIX:
        target = target.with_name(target.name + SUFFIX)
    _check_database(database)
    title = clean(name or target.stem)
    about = description.new(title, multi_label=multi_label, database=database)
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise errors.exists(target)
        target.mkdir(parents=True, exist_ok=True)
        places = _places(target, about)
        store.create(places.journal, about.id)
        # Last: a folder without it is no project, so a crash leaves nothing that looks like one.
        description.write(target, about)
    except OSError as error:
        raise errors.unwritable(target, error) from error
    project = open_project(target, annotator=annotator)
    for one in classes:
        if isinstance(one, CellClass):
            project.journal.add_class(one.name, color=one.color)
        else:
            project.journal.add_class(one)
    project.journal.flush()
    return project


def open_project(
    folder: str | os.PathLike[str], *, annotator: str | None = None, read_only: bool = False
) -> Project:
    """Open a project; ``project.journal.refusal`` says why it can only be read, if so.

    Raises
    ------
    ProjectError
        ``PROJECT-MISSING``, ``PROJECT-FORMAT``, ``PROJECT-NEWER``.
    JournalError
        When the journal cannot be shown at all.
    """
    target = Path(folder)
    about = description.read(target)
    author = author_now(annotator)
    places = places_of(target, about)
    journal = opening.open_journal(places, about.id, author, read_only=read_only)
    recent.remember(target, about.name)
    return Project(target, about, journal)


def places_of(folder: Path, about: Description) -> Places:
    """Return where the parts of the journal are; makes this computer's part of a shared project."""
    places = _places(folder, about)
    file = places.file
    if places.share is not None and file is not None and not file.parent.exists():
        # The first time on this computer: what others decided is in the shared event files.
        store.create(file, about.id)
    return places


def author_now(annotator: str | None = None) -> Author:
    """Return who works here now: a new session of a person on this computer."""
    return Author(annotator or _user(), new_id(), _device(), __version__)


def _places(folder: Path, about: Description) -> Places:
    rescue = home() / "rescue" / about.id
    if about.database:
        return Places(about.database, rescue)
    local, share = folder, None
    if folders.shared_because(folder):
        local, share = home() / "projects" / about.id, folder / "events"
    return Places(local / "journal.db", rescue, local / "journal.lock", local / "backups", share)


def _check_database(database: str | None) -> None:
    if database is None:
        return
    try:
        url = sa.make_url(database)
        why = "" if url.get_backend_name() == "postgresql" else f"it is for {url.drivername}"
        if url.password:
            why = "it holds a password, which everybody who gets the folder could read"
    except sa.exc.ArgumentError:
        why = "it is no URL"
    if why:
        raise errors.ProjectError(
            "This database cannot be used for a project.",
            code="PROJECT-DATABASE",
            why=f"{why}.",
            remedy="Write postgresql://user@host/name; the password goes into ~/.pgpass.",
        )


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no name for this user id
        return "unknown"


def _device() -> str:
    """Return the id of this computer and user, made once."""
    path = home() / "device"
    try:
        found = path.read_text(encoding="ascii").strip()
        if found.isalnum() and len(found) == 32:
            return found
    except (OSError, ValueError):
        pass
    made = new_id()
    try:
        files.write_bytes(path, made.encode())
    except OSError:
        return made  # only this session: each then counts as a computer of its own
    return made
