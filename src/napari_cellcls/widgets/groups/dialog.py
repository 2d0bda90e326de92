"""The dialog *Groups of images*: types, pastes or reads from paths which patient, slide or plate each image is of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_cellcls.learn.holdout import FEWEST
from napari_cellcls.project import groups
from napari_cellcls.project.grouptable import Names, parse_table, read_table
from napari_cellcls.vocabulary import CellClsError
from napari_cellcls.widgets.groups.rule_line import RuleLine
from napari_cellcls.widgets.groups.sheet import GroupsSheet
from napari_cellcls.widgets.groups.table import FIRST, LAST, TITLES, GroupsModel
from napari_cellcls.widgets.panels.look import GAP, caption
from napari_cellcls.widgets.panels.messages import ErrorPanel
from napari_cellcls.widgets.worker import unexpected

if TYPE_CHECKING:
    from napari_cellcls.project.grouptable import Given
    from napari_cellcls.project.project import Project

_WHY = (
    "Cells of one patient, slide or plate are never on both sides when a model is judged: the highest one known "
    "keeps images together, from left to right. An image without one stands for itself."
)


class GroupsDialog(QDialog):
    """Nothing is written before *Save*, and then all of it in one step.

    Parameters
    ----------
    project : Project
    parent : QWidget
    around : callable, optional
        Gives what surrounds the writing.
    """

    def __init__(
        self,
        project: Project,
        parent: QWidget | None = None,
        around: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> None:
        super().__init__(parent)
        self.project, self._around = project, around
        state = project.journal.state
        images = tuple(state.images.values())
        places = {one.id: groups.place_of(one, project.folder) for one in images}
        refusal = project.journal.refusal
        self._refusal = "" if refusal is None else f"{refusal.what} {refusal.why}"
        labels = Counter(
            state.image_of(cell.cell_id) for cell in tuple(state.cells.values()) if cell.decisions
        )
        counts = {image_id: n for image_id, n in labels.items() if image_id is not None}
        self.model = GroupsModel(images, counts, places, not self._refusal, self)
        self._names = Names(images, project.folder)
        self.sheet = GroupsSheet(self.model, self)
        self.rule = RuleLine(places, state.grouping, groups.suggest(project), self)
        self.error, self.status = ErrorPanel(self), caption("", self)
        self.setWindowTitle(f"Groups of images: {project.description.name}")
        self.resize(860, 620)
        self._lay_out()
        self.model.edited.connect(self._render)
        self.rule.changed.connect(self._render)
        self.rule.fill_asked.connect(self.fill_from_paths)
        self.sheet.headed.connect(self.take_text)
        self._render()

    def take_file(self, path: str) -> None:
        """Take the groups of a CSV file into the table."""
        self._take(lambda: read_table(path, self._names, skip_unknown=True), Path(path).name)

    def take_text(self, text: str) -> None:
        """Take the groups of a pasted table with titles."""
        self._take(lambda: parse_table(text, self._names, skip_unknown=True), "what was pasted")

    def fill_from_paths(self) -> None:
        """Take what the rule finds in the paths into the table."""
        self._guarded(
            lambda: self._fill(groups.by_path(self.project, self.rule.pattern), "the paths", ())
        )

    def accept(self) -> None:
        """Save, and close when that succeeded."""
        self._guarded(self._save)

    def reject(self) -> None:
        """Close; what was typed is asked for once."""
        if self.model.wanted and not self._refusal:
            answer = QMessageBox.question(
                self, "Groups of images", "Close without saving what was changed?"
            )
            if answer != QMessageBox.StandardButton.Yes:
                return
        super().reject()

    def _save(self) -> None:
        with self._around():
            groups.write(self.project, self.model.wanted, rule=self.rule.wanted)
        super().accept()

    def _take(self, read: Callable[[], Given], source: str) -> None:
        def act() -> None:
            found = read()
            self._fill(found.wanted, source, found.unknown)

        self._guarded(act)

    def _fill(
        self, wanted: Mapping[str, Mapping[str, str]], source: str, unknown: tuple[str, ...]
    ) -> None:
        groups.changes(self.project, wanted)  # a name too long is told here, not at the end
        changed = self.model.take(wanted)
        self.sheet.show_used()
        text = f"From {source}: {groups.many(len(wanted), 'image')}, {changed:,} changed."
        if unknown:
            told = ", ".join(unknown[:3]) + (" …" if len(unknown) > 3 else "")
            text += f" Not in the project: {told}"
        self._render(text)

    def _guarded(self, act: Callable[[], Any]) -> None:
        """Do something; an exception must not leave a Qt slot."""
        self.error.clear()
        try:
            act()
        except Exception as error:  # noqa: BLE001 - see above
            self.error.show_error(error if isinstance(error, CellClsError) else unexpected(error))

    def _render(self, news: str = "") -> None:
        after = self.model.result
        count = len({one.group for one in after})
        lines = [news] if news else []
        lines.append(groups.summary(after))
        if 1 < count < FEWEST and len(after) >= FEWEST:
            lines[-1] += f" From {FEWEST} groups with labels on, some are held out as a proof."
        waiting = len(self.model.wanted)
        if waiting:
            lines.append(f"{groups.many(waiting, 'image')} changed, not saved yet.")
        self.status.setText("\n".join(lines))
        why_not = self._refusal or (
            "" if waiting or self.rule.wanted is not None else "Nothing is changed."
        )
        self.save_button.setEnabled(not why_not)
        self.save_button.setToolTip(why_not)

    def _lay_out(self) -> None:
        self.fill_button = self._button("Fill &down", "Ctrl+D", self.sheet.fill_down)
        self.paste_button = self._button(
            "&Paste", "From a spreadsheet (Ctrl+V); with a column 'image' rows find their images",
            self.sheet.paste,
        )  # fmt: skip
        self.clear_button = self._button("&Clear", "Delete", self.sheet.clear_selected)
        self.load_button = self._button(
            "&Load CSV …", "A table with a column 'image'", self._on_load
        )
        self.columns_button = QPushButton("Col&umns", self)
        menu = QMenu(self)
        for column in range(FIRST, LAST):
            action = menu.addAction(TITLES[column])
            action.setCheckable(True)
            action.setChecked(not self.sheet.isColumnHidden(column))
            action.toggled.connect(lambda on, c=column: self.sheet.setColumnHidden(c, not on))
        self.columns_button.setMenu(menu)
        tools = QHBoxLayout()
        tools.setSpacing(GAP)
        for button in (self.fill_button, self.paste_button, self.clear_button, self.load_button):
            tools.addWidget(button)
        tools.addStretch(1)
        tools.addWidget(self.columns_button)
        box = QDialogButtonBox(self)
        self.save_button = box.addButton(QDialogButtonBox.StandardButton.Save)
        self.cancel_button = box.addButton(QDialogButtonBox.StandardButton.Cancel)
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(GAP)
        layout.addWidget(caption(f"{_WHY} {self._refusal}".strip(), self))
        layout.addWidget(self.sheet, 1)
        layout.addLayout(tools)
        layout.addWidget(self.rule)
        layout.addWidget(self.error)
        layout.addWidget(self.status)
        layout.addWidget(box)
        self.rule.setEnabled(not self._refusal)

    def _button(self, text: str, tip: str, act: Callable[[], Any]) -> QPushButton:
        button = QPushButton(text, self)
        button.setToolTip(self._refusal or tip)
        button.setEnabled(not self._refusal)
        button.setAutoDefault(False)
        button.clicked.connect(lambda: self._guarded(act))
        return button

    def _on_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Groups of images", "", "Tables (*.csv *.tsv *.txt)"
        )
        if path:
            self.take_file(path)
