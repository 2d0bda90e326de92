"""Shows the progress of a task some times a second: with OpenGL in the window a small bar costs a frame of the whole."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QObject, QTimer

from napari_cellcls.vocabulary import Progress

EVERY_MS = 250


class Pace(QObject):
    """Passes steps on, the first at once, later ones at most four times a second, and always the latest.

    Parameters
    ----------
    show : callable
        Shows a step.
    parent : QObject
    """

    def __init__(self, show: Callable[[Progress], None], parent: QObject) -> None:
        super().__init__(parent)
        self._show = show
        self._step: Progress | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(EVERY_MS)
        self._soon.timeout.connect(self._pass_on)

    def offer(self, step: Progress) -> None:
        """Show a step, now or soon; one that waits already is out of date."""
        self._step = step
        if not self._soon.isActive():
            self._pass_on()

    def forget(self) -> None:
        """Show nothing of what waits; the next step is shown at once."""
        self._step = None
        self._soon.stop()

    def _pass_on(self) -> None:
        step, self._step = self._step, None
        if step is not None:
            self._soon.start()
            self._show(step)
