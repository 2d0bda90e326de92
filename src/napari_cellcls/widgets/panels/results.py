"""Counts per class with their marks, what was left out, and the parasitemia with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_cellcls.counting import is_defined
from napari_cellcls.marks import class_marks
from napari_cellcls.vocabulary import RESEARCH_USE_ONLY, Estimate
from napari_cellcls.widgets.drawing import NO_CLASS
from napari_cellcls.widgets.panels.look import GAP, ClassMark, caption, card_frame, discard, small

if TYPE_CHECKING:
    from napari_cellcls.counting import ClassCounts


def percent(estimate: Estimate) -> str:
    """Return "2.4 % (1.7–3.4)": value and 95 % interval."""
    value, low, high = (100 * v for v in (estimate.value, estimate.low, estimate.high))
    digits = 2 if value < 1 else 1
    return f"{value:.{digits}f} % ({low:.{digits}f}–{high:.{digits}f})"


def left_out_words(rejected: Mapping[str, int]) -> str:
    """Return "left out: 3 white cells, 1 platelet"."""
    if not rejected:
        return ""
    parts = ", ".join(f"{count:,} {_plural(reason, count)}" for reason, count in rejected.items())
    return f"Left out on purpose (dashed): {parts}"


def _plural(reason: str, count: int) -> str:
    return reason if count == 1 or reason == "debris" or reason.endswith("s") else f"{reason}s"


class ResultsPanel(QWidget):
    """What was counted; hidden until there is something to count."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        frame = card_frame(self)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        layout = QVBoxLayout(frame)
        layout.setContentsMargins(8, 6, 8, 8)
        layout.setSpacing(GAP)
        self.headline = QLabel("", frame)
        font = self.headline.font()
        font.setBold(True)
        self.headline.setFont(font)
        self.headline.setWordWrap(True)
        self.left_out = caption("", frame)
        self.parasitemia = caption("", frame)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(GAP)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(1, 1)
        layout.addWidget(self.headline)
        layout.addLayout(self._grid)
        layout.addWidget(self.parasitemia)
        layout.addWidget(self.left_out)
        self._rows: list[QWidget] = []
        self.hide()

    def show_cells(self, total: int, rejected: Mapping[str, int]) -> None:
        """Show how many cells were found, before a classification."""
        self._show("1 cell" if total == 1 else f"{total:,} cells", rejected, {})

    def show_counts(
        self,
        counts: ClassCounts,
        rejected: Mapping[str, int],
        parasitemia: Mapping[str, Estimate],
        judged: int = 0,
    ) -> None:
        """Show counts per class, objects left out, and the parasitemia if the model has one.

        Parameters
        ----------
        counts : ClassCounts
        rejected : mapping
            Reason -> objects.
        parasitemia : mapping
            ``apparent`` and ``corrected`` estimates; empty for other models.
        judged : int
            Cells that people labeled, counted as they said.
        """
        labeled = f", {judged:,} labeled by people" if judged else ""
        self._show(f"{counts.total:,} cells classified{labeled}", rejected, parasitemia)
        marks = class_marks(tuple(row.cell_class.name for row in counts.classes))
        many = len(counts.classes) > 6
        line = 0
        for mark, row in zip(marks, counts.classes):
            if many and not row.count:
                continue
            self._add_row(
                line,
                mark,
                row.cell_class.color,
                row.cell_class.name,
                row.count,
                percent(row.fraction),
            )
            line += 1
        if counts.unassigned:
            color = "#" + "".join(f"{round(255 * v):02x}" for v in NO_CLASS[:3])
            self._add_row(line, "–", color, "no class", counts.unassigned, "")

    def _show(
        self, text: str, rejected: Mapping[str, int], estimates: Mapping[str, Estimate]
    ) -> None:
        for label in self._rows:
            self._grid.removeWidget(label)
            discard(label)
        self._rows = []
        self.headline.setText(text)
        self.left_out.setText(left_out_words(rejected))
        self.left_out.setVisible(bool(rejected))
        self.parasitemia.setText(parasitemia_words(estimates))
        self.parasitemia.setVisible(bool(estimates))
        self.show()

    def _add_row(self, line: int, mark: str, color: str, name: str, count: int, share: str) -> None:
        number, fraction = QLabel(f"{count:,}", self), QLabel(share, self)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        number.setAlignment(right)
        fraction.setAlignment(right)
        fraction.setFont(small(fraction.font()))
        fraction.setToolTip("Share of all cells with its 95 % interval (Wilson)")
        row = (ClassMark(mark, color, self), QLabel(name, self), number, fraction)
        for column, label in enumerate(row):
            self._grid.addWidget(label, line, column)
            self._rows.append(label)


def parasitemia_words(estimates: Mapping[str, Estimate]) -> str:
    """Return the lines on parasitemia: as counted, corrected, and what they are for."""
    if not estimates:
        return ""
    apparent, corrected = estimates["apparent"], estimates["corrected"]
    lines = []
    if is_defined(apparent):
        lines.append(f"<b>Parasitemia {percent(apparent)}</b> as counted, 95 % interval (Wilson)")
    if is_defined(corrected):
        lines.append(f"<b>{percent(corrected)}</b> corrected for the model's errors (Rogan–Gladen)")
    else:
        lines.append(
            f"Not corrected for the model's errors: {corrected.method.removeprefix('not defined: ')}."
        )
    return "<br>".join([*lines, RESEARCH_USE_ONLY])
