"""Progress on screen: the first step at once, then the latest some times a second, and nothing after the end."""

from __future__ import annotations

from typing import Any

from napari_cellcls.vocabulary import Progress


def test_the_first_at_once_then_only_the_latest(qtbot: Any) -> None:
    from qtpy.QtCore import QObject

    from napari_cellcls.widgets.pace import Pace

    seen: list[int] = []
    parent = QObject()
    pace = Pace(lambda step: seen.append(step.done), parent)
    for done in range(50):
        pace.offer(Progress(done, 50, "Classifying"))
    assert seen == [0]
    qtbot.waitUntil(lambda: len(seen) == 2, timeout=2_000)
    assert seen == [0, 49]
    pace.offer(Progress(50, 50, "Classifying"))
    pace.forget()
    qtbot.wait(350)
    assert seen == [0, 49]
    pace.offer(Progress(1, 9, "Again"))
    assert seen == [0, 49, 1]
