"""Keys of the dock: the same in the window of the image as in the gallery."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QApplication, QLineEdit, QShortcut, QWidget

from napari_cellcls.review import keys

FIXED = {
    "accept": ("Return", "Enter"),
    "accept_all": ("Shift+Return", "Shift-Enter"),
    "clear": (keys.CLEAR, keys.CLEAR),
    "skip": (keys.SKIP.upper(), keys.SKIP.upper()),
    "bad_segmentation": (keys.BAD_SEGMENTATION.upper(), keys.BAD_SEGMENTATION.upper()),
    "ambiguous": (keys.AMBIGUOUS.upper(), keys.AMBIGUOUS.upper()),
    "settle": (keys.SETTLE.upper(), keys.SETTLE.upper()),
    "outlines": (keys.OUTLINES.upper(), keys.OUTLINES.upper()),
    "why": (keys.WHY.upper(), keys.WHY.upper()),
    "undo": ("Ctrl+Z", "Control-Z"),
    "redo": ("Ctrl+Shift+Z", "Control-Shift-Z"),
    "next": ("Space", "Space"),
}
"""Action -> its key as Qt and as napari write it."""


class Keyboard(QObject):
    """Gives keys to the dock and to layers.

    Parameters
    ----------
    dock : QWidget
    act : callable
        Takes the name of an action, or ``class:ID``.
    """

    def __init__(self, dock: QWidget, act: Callable[[str], None]) -> None:
        super().__init__(dock)
        self._dock, self._act = dock, act
        self._shortcuts: list[QShortcut] = []
        self._classes: dict[str, str] = {}
        self._bound: list[tuple[Any, dict[str, Any]]] = []
        for name, (key, _) in FIXED.items():
            self._shortcut(key, name)
        self._shortcut("F5", "renew")
        self._shortcut("Enter", "accept")  # of the number block
        self._fixed = len(self._shortcuts)

    def set_classes(self, class_keys: Mapping[str, str]) -> None:
        """Give classes their keys (class id -> one character)."""
        if self._classes == dict(class_keys):
            return
        self._classes = dict(class_keys)
        for old in self._shortcuts[self._fixed :]:
            old.setEnabled(False)
            old.deleteLater()
        del self._shortcuts[self._fixed :]
        for class_id, key in class_keys.items():
            self._shortcut(key.upper(), f"class:{class_id}")
        layers = [layer for layer, _ in self._bound]
        self.release()
        for layer in layers:
            self.bind(layer)

    def bind(self, layer: Any) -> None:
        """Give a layer the keys: those of a layer win over napari's own (napari#6440)."""
        if any(layer == other for other, _ in self._bound):
            return
        wanted = {key: name for name, (_, key) in FIXED.items()}
        wanted.update({key.upper(): f"class:{class_id}" for class_id, key in self._classes.items()})
        me = weakref.ref(self)
        before = {
            key: layer.bind_key(key, _calls(me, name), overwrite=True)
            for key, name in wanted.items()
        }
        self._bound.append((layer, before))

    def release(self) -> None:
        """Give the keys back to whom they belonged."""
        for layer, before in self._bound:
            for key, was in before.items():
                layer.bind_key(key, was, overwrite=True)
        self._bound = []

    def press(self, name: str) -> None:
        """Do what a key stands for."""
        self._act(name)

    def _shortcut(self, key: str, name: str) -> None:
        shortcut = QShortcut(QKeySequence(key), self._dock)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
        shortcut.setProperty("action", name)
        shortcut.activated.connect(self._on_shortcut)
        self._shortcuts.append(shortcut)

    def _on_shortcut(self) -> None:
        sender, focus = self.sender(), QApplication.focusWidget()
        if isinstance(focus, QLineEdit):
            # Enter ends typing a name; Qt asks the shortcut first, and a name is no decision.
            focus.returnPressed.emit()
            focus.clearFocus()
        elif sender is not None:
            self.press(str(sender.property("action")))


def _calls(keyboard: weakref.ref[Keyboard], name: str) -> Callable[[Any], None]:
    """Return what a layer calls: it outlives the dock and must not keep it alive."""

    def call(_layer: Any) -> None:
        found = keyboard()
        if found is not None:
            found.press(name)

    return call
