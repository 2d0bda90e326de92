"""The project at the top of the dock: which one, whether all is saved, new, open, recent, and its images."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from napari_cellcls.project.description import SUFFIX
from napari_cellcls.project.recent import recent_projects
from napari_cellcls.review.writer import SaveState
from napari_cellcls.widgets.panels.inputs import Menu, Option
from napari_cellcls.widgets.panels.look import GAP, caption

_SIGNS = {"saved": ("●", "#009e73"), "saving": ("◌", "#e69f00"), "failed": ("▲", "#d55e00")}


class ProjectBar(QWidget):
    """Project, save state, image.

    Signals
    -------
    new_asked(str), open_asked(str)
        The folder chosen, new or there.
    close_asked(), groups_asked()
    image_picked(object)
    """

    new_asked = Signal(str)
    open_asked = Signal(str)
    close_asked = Signal()
    groups_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.button = QPushButton("No project", self)
        self.button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.button.setToolTip("New, open, recent (a project folder can also be dropped here)")
        self.menu = QMenu(self)
        self.menu.aboutToShow.connect(self.fill_menu)
        self.button.setMenu(self.menu)
        self.saved = QLabel("", self)
        self.image = Menu(self)
        self.image_picked = self.image.picked
        self.note, self.news = caption("", self), caption("", self)
        label, image = QLabel("Project", self), QLabel("I&mage", self)
        image.setBuddy(self.image)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(GAP)
        grid.setVerticalSpacing(4)
        grid.addWidget(label, 0, 0)
        grid.addWidget(self.button, 0, 1)
        grid.addWidget(image, 1, 0)
        grid.addWidget(self.image, 1, 1)
        grid.addWidget(self.saved, 2, 1)
        grid.addWidget(self.news, 3, 1)
        grid.addWidget(self.note, 4, 0, 1, 2)
        grid.setColumnStretch(1, 1)
        self.show_project("", "", ())
        self.show_images((), None, "")
        self.show_news("", "")

    def fill_menu(self) -> None:
        """Offer what can be done with projects now."""
        self.menu.clear()
        self.menu.addAction("New project …", self._on_new)
        self.menu.addAction("Open project …", self._on_open)
        self.menu.addSeparator()
        for one in recent_projects()[:8]:
            action = self.menu.addAction(one.name)
            action.setData(one.path)
            action.setEnabled(one.is_there)
            action.setToolTip(one.path if one.is_there else f"Not there any more: {one.path}")
            action.triggered.connect(self._on_recent)
        self.menu.setToolTipsVisible(True)
        self.menu.addSeparator()
        for text, act in (
            ("Groups of images …", self.groups_asked.emit),
            ("Close project", self._on_close),
        ):
            self.menu.addAction(text, act).setEnabled(self._is_open)

    def show_project(self, name: str, folder: str, notes: Sequence[str]) -> None:
        """Show which project is open; an empty folder for none."""
        self._is_open = bool(folder)
        self.button.setText(name or "No project yet")
        self.button.setToolTip(
            folder or "New, open, recent (a project folder can also be dropped here)"
        )
        self.note.setText("\n".join(notes))
        self.note.setVisible(bool(notes))
        if not folder:
            self.saved.setText("The first decision starts a project by itself.")
            self.saved.setToolTip("")

    def show_saving(self, state: SaveState, labels: int) -> None:
        """Show whether everything is on the disk."""
        sign, color = _SIGNS[state.status]
        if state.status == "saved":
            text = f"all saved: {labels:,} labels" if labels != 1 else "all saved: 1 label"
        elif state.status == "saving":
            text = f"saving {state.waiting:,} …"
        else:
            text = f"NOT SAVED: {state.waiting:,} in memory"
        self.saved.setText(f'<span style="color: {color};">{sign}</span> {text}')
        problem = state.problem or state.notice
        self.saved.setToolTip("" if problem is None else str(problem))

    def show_news(self, text: str, tip: str) -> None:
        """Show what came from others, or nothing."""
        self.news.setText(text)
        self.news.setToolTip(tip)
        self.news.setVisible(bool(text))

    def show_reading(self, who: str) -> None:
        """Show that the project is open for reading only, and why in a few words."""
        self.saved.setText(f'<span style="color: #e69f00;">▲</span> reading only: {who}')

    def show_images(self, options: Sequence[Option], current: object, empty: str) -> None:
        """Offer images."""
        self.image.fill(options, current, empty=empty or "none")

    def _on_new(self) -> None:
        wanted = f"Projects (*{SUFFIX})"
        path, _ = QFileDialog.getSaveFileName(self, "New project", "labels" + SUFFIX, wanted)
        if path:
            self.new_asked.emit(path)

    def _on_open(self) -> None:
        path = QFileDialog.getExistingDirectory(self, f"Open a project (a folder *{SUFFIX})")
        if path:
            self.open_asked.emit(path)

    def _on_close(self) -> None:
        self.close_asked.emit()

    def _on_recent(self) -> None:
        sender = self.sender()
        if sender is not None:
            self.open_asked.emit(str(sender.data()))  # type: ignore[attr-defined]
