"""The two halves of the dock: what is chosen from above, what is decided below, and how much room each has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QSplitter, QVBoxLayout, QWidget

from napari_cellcls.widgets.panels.look import TallArea

if TYPE_CHECKING:
    from napari_cellcls.widgets.review.widget import ReviewWidget


class Halves(QSplitter):
    """Lays the panels of the dock out.

    Parameters
    ----------
    view : ReviewWidget
        Also the parent.

    Attributes
    ----------
    lower : TallArea
        Scrolls what is below.
    """

    def __init__(self, view: ReviewWidget) -> None:
        super().__init__(view)
        self._view = view
        upper, lower = QWidget(view), QWidget(view)
        top, bottom = QVBoxLayout(upper), QVBoxLayout(lower)
        for layout, parts in (
            (top, (view.project_bar, view.error, view.carried_panel, view.view_bar, view.gallery)),
            (
                bottom,
                (
                    view.message,
                    view.decide,
                    view.why_panel,
                    view.map_section,
                    view.classes_section,
                ),
            ),
        ):
            layout.setContentsMargins(8, 6, 8, 6)
            layout.setSpacing(6)
            for part in parts:
                layout.addWidget(part)
        top.setStretchFactor(view.gallery, 1)
        bottom.addStretch(1)
        self.setOrientation(Qt.Orientation.Vertical)
        self.setChildrenCollapsible(False)
        self.addWidget(upper)
        self.lower = TallArea(lower, view)
        self.addWidget(self.lower)
        self.setStretchFactor(0, 3)
        self.setStretchFactor(1, 2)
        outer = QVBoxLayout(view)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self)
        view.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def give_room(self) -> None:
        """Give the lower half what it needs for a few classes, at most half of the height."""
        height = self.height()
        wanted = min(self._view.decide.sizeHint().height() + 60, height // 2)
        self.setSizes([height - wanted, wanted])
