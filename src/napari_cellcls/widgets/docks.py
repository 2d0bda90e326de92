"""Docks of one window: which dock holds a widget, and two of them behind one another."""

from __future__ import annotations

from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget


def dock_of(widget: QWidget | None) -> QDockWidget | None:
    """Return the dock that holds a widget."""
    while widget is not None and not isinstance(widget, QDockWidget):
        widget = widget.parentWidget()
    return widget


def share_a_tab(mine: QWidget, other: QWidget | None) -> None:
    """Put two docks behind one another, ``mine`` in front: side by side both are too low."""
    front, back, window = dock_of(mine), dock_of(other), mine.window()
    if front is None or back is None or not isinstance(window, QMainWindow):
        return
    if front.isFloating() or back.isFloating():
        return
    if window.dockWidgetArea(front) == window.dockWidgetArea(back):
        window.tabifyDockWidget(back, front)
        front.show()
        front.raise_()
