"""The line that reads groups from paths: a regular expression, what it would find, and usual ones to try."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_cellcls.project.errors import ProjectError
from napari_cellcls.project.groups import compiled, read_path
from napari_cellcls.widgets.panels.look import GAP, caption

if TYPE_CHECKING:
    from napari_cellcls.project.groups import Suggestion

_SHOWN = 4


class RuleLine(QWidget):
    """A rule, its preview, and suggestions; it sets nothing by itself.

    Parameters
    ----------
    places : mapping of str to str
        Image id -> path.
    rule : str
        That images added later follow now, "" for none.
    suggestions : sequence of Suggestion
    parent : QWidget

    Signals
    -------
    changed(), fill_asked()
    """

    changed = Signal()
    fill_asked = Signal()

    def __init__(
        self,
        places: Mapping[str, str],
        rule: str,
        suggestions: Sequence[Suggestion],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._places, self._before = places, rule
        self.edit = QLineEdit(rule, self)
        self.edit.setPlaceholderText(r"(?P<patient>P\d+)")
        self.edit.setToolTip(
            "A regular expression that is looked for in the whole path; the part in question is named by the "
            "kind of group: patient, donor, animal, slide, plate or well"
        )
        self.fill_button = QPushButton("&Fill in", self)
        self.fill_button.setAutoDefault(False)
        self.preview = caption("", self)
        self.later = QCheckBox("Also for images &added later", self)
        self.later.setChecked(bool(rule))
        label = QLabel("From the &path", self)
        label.setBuddy(self.edit)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(GAP)
        grid.setVerticalSpacing(3)
        grid.addWidget(label, 0, 0)
        grid.addWidget(self.edit, 0, 1)
        grid.addWidget(self.fill_button, 0, 2)
        grid.addWidget(self.later, 0, 3)
        grid.addWidget(self.preview, 1, 1, 1, 3)
        self.suggestions: list[QPushButton] = []
        for line, one in enumerate(suggestions, start=2):
            grid.addLayout(self._offer(one), line, 1, 1, 3)
        self.edit.textChanged.connect(self._on_edited)
        self.later.toggled.connect(self.changed)
        self.fill_button.clicked.connect(self.fill_asked)
        self._show()

    @property
    def pattern(self) -> str:
        """The regular expression."""
        return self.edit.text().strip()

    @property
    def wanted(self) -> str | None:
        """The rule for images added later where it is to change, "" for none from now on; else None."""
        now = self.pattern if self.later.isChecked() else ""
        return None if now == self._before else now

    def _offer(self, one: Suggestion) -> QHBoxLayout:
        button = QPushButton("Try it", self)
        button.setAutoDefault(False)
        button.setToolTip(one.pattern)
        button.clicked.connect(lambda: self.edit.setText(one.pattern))
        self.suggestions.append(button)
        line = QHBoxLayout()
        line.setSpacing(GAP)
        line.addWidget(caption(f"Suggestion: {one.text}.", self), 1)
        line.addWidget(button)
        return line

    def _on_edited(self) -> None:
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        text, ready = self._words()
        self.preview.setText(text)
        self.preview.setVisible(bool(text))
        self.fill_button.setEnabled(ready)
        self.fill_button.setToolTip(
            "Write what it finds into the table" if ready else text or "Write a rule first"
        )

    def _words(self) -> tuple[str, bool]:
        """Return what the rule would find, and whether that is anything."""
        if not self.pattern:
            return "", False
        try:
            rule = compiled(self.pattern)
        except ProjectError as error:
            return f"Not yet: {error.why}", False
        found = [read_path(rule, place) for place in self._places.values()]
        names = Counter(f"{kind} {name}" for given in found for kind, name in given.items())
        hits = sum(bool(given) for given in found)
        if not hits:
            example = next(iter(self._places.values()), "")
            return f"It fits no path, such as {example}", False
        told = ", ".join(f"{name} ({n:,})" for name, n in names.most_common(_SHOWN))
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        return f"It fits {hits:,} of {len(found):,} images: {told}{more}", True
