"""Measure the dock *Review cells* with 20,000 cells: a decision by key, opening, scrolling, filtering, sorting.

Run under a display::

    LIBGL_ALWAYS_SOFTWARE=1 xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/review.py

Predictions and embeddings are drawn at random, so no model is needed. A *decision* is a key pressed in
the window of the image: the event of the journal, the pixels of the cell, the result table, the tile,
the counts, the next cell. What Qt and OpenGL take to redraw afterwards is told apart.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

EDGE, PITCH, CLASSES, WIDTH = 2048, 14, 5, 256
NAMES = ("Ring", "Trophozoite", "Schizont", "Gametocyte", "Uninfected")


def field(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return four channels ``(4, Y, X)`` uint16 and the labels ``(Y, X)`` int32 of round cells on a grid."""
    rng = np.random.default_rng(0)
    per_row = EDGE // PITCH
    labels = np.zeros((EDGE, EDGE), np.int32)
    y, x = np.mgrid[:PITCH, :PITCH] - PITCH / 2 + 0.5
    disk = y**2 + x**2 < (PITCH / 2 - 1) ** 2
    for k in range(count):
        top, left = k // per_row * PITCH, k % per_row * PITCH
        labels[top : top + PITCH, left : left + PITCH][disk] = k + 1
    inside = labels > 0
    planes = rng.normal(800, 60, (4, EDGE, EDGE)) + inside * rng.uniform(200, 3000, (4, 1, 1))
    return np.clip(planes, 0, 4095).astype(np.uint16), labels


class Window:
    """A viewer with both docks and one classified image."""

    def __init__(self, count: int) -> None:
        import napari

        from napari_cellcls.cells.table import cells_from_labels
        from napari_cellcls.predict import Predictions
        from napari_cellcls.vocabulary import ClassScheme

        planes, labels = field(count)
        self.viewer = napari.Viewer()
        self.viewer.window.resize(1500, 1050)
        self.viewer.add_image(
            planes, channel_axis=0, name=["DNA", "ER", "tubulin", "protein"],
            colormap=["blue", "yellow", "red", "green"], blending="additive",
        )  # fmt: skip
        _, self.classify = self.viewer.window.add_plugin_dock_widget(
            "napari-cellcls", "Classify cells"
        )
        self.wait(lambda: not self.classify.controller.busy)
        self.classify.controller.runner.cancel()
        rng = np.random.default_rng(1)
        chances = rng.dirichlet(np.full(CLASSES, 0.4), count).astype(np.float32)
        cells = cells_from_labels(labels)
        predictions = Predictions(
            ids=cells.ids, scheme=ClassScheme.from_names(NAMES), logits=np.log(chances + 1e-6),
            probabilities=chances, assigned=np.arange(CLASSES) == chances.argmax(axis=1)[:, None],
            confidence=chances.max(axis=1), model="bench@1", model_sha="0" * 64, engine="none",
            embeddings=rng.normal(0, 1, (count, WIDTH)).astype(np.float32), device="none", seconds=0.0,
        )  # fmt: skip
        session = self.classify.session
        session.set_cells(cells)
        session.thresholds = None
        session.predictions = session._raw = predictions
        session.predictions_changed.emit()
        self.wait(lambda: not self.classify.controller.busy)
        self.review: Any = None

    def open(self) -> float:
        """Open the dock; return the seconds until every cell is in the gallery and drawn."""
        started = time.perf_counter()
        _, self.review = self.viewer.window.add_plugin_dock_widget("napari-cellcls", "Review cells")
        self.wait(lambda: not self.review.busy)
        return time.perf_counter() - started

    def wait(self, done: Callable[[], bool], seconds: float = 120.0) -> None:
        """Run the event loop at least once, and until ``done``."""
        from qtpy.QtWidgets import QApplication

        end = time.monotonic() + seconds
        QApplication.processEvents()
        while not done():
            if time.monotonic() > end:
                raise TimeoutError("the window did not get ready")
            QApplication.processEvents()

    def rest(self, seconds: float = 0.4) -> None:
        """Let everything asked for be drawn."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)


def timed(act: Callable[[], Any]) -> float:
    """Return the milliseconds of a call."""
    started = time.perf_counter()
    act()
    return 1000 * (time.perf_counter() - started)


def decisions(window: Window, count: int) -> dict[str, list[float]]:
    """Press class keys; return milliseconds per decision, and of the redraw after it."""
    review = window.review
    ids = [one.id for one in review.controller.class_list()]
    found: dict[str, list[float]] = {"decision": [], "redraw": [], "undo": []}
    for k in range(count):
        found["decision"].append(timed(partial(review.act, f"class:{ids[k % len(ids)]}")))
        found["redraw"].append(timed(lambda: window.rest(0.0)))
    for _ in range(count // 2):
        found["undo"].append(timed(lambda: review.act("undo")))
        window.rest(0.0)
    return found


def commits(window: Window, count: int) -> list[float]:
    """Return milliseconds from a decision to the disk, one at a time."""
    controller = window.review.controller
    journal = controller.keeper.project.journal
    journal.flush()
    ids = [one.id for one in controller.class_list()]
    found = []
    cell = controller.desk.sheet.known_id(0) or "bench"

    def commit(class_id: str) -> None:
        journal.label(cell, class_id)
        journal.flush()

    # The window is not told: it would take this for a decision of somebody else.
    with journal.changed.blocked():
        for k in range(count):
            found.append(timed(partial(commit, ids[k % len(ids)])))
    return found


def flushes(count: int) -> list[float]:
    """Return milliseconds that the disk alone takes to flush three small writes, as a commit does."""
    found = []
    with open(Path(os.environ["CELLCLS_HOME"], "flush"), "wb", buffering=0) as stream:

        def flush() -> None:
            for _ in range(3):
                stream.write(b"x" * 4096)
                os.fsync(stream)

        for _ in range(count):
            found.append(timed(flush))
    return found


def gallery(window: Window) -> dict[str, list[float]]:
    """Scroll, sort and filter; return milliseconds."""
    from napari_cellcls.review.order import Show, Sort, View

    review, found = window.review, {}
    if not review.gallery.isVisible():
        raise RuntimeError("the gallery is hidden: nothing would be drawn")
    shown, bar = review.gallery, review.gallery.verticalScrollBar()
    found["show the gallery"] = [
        timed(lambda: (shown.reset_all(), shown.viewport().grab())) for _ in range(5)
    ]
    steps = []
    for k in range(60):
        bar.setValue(k * 4 * shown.delegate.size.height())
        steps.append(timed(shown.viewport().grab))
    found["scroll, new cells"] = steps
    steps = []
    for k in range(60):
        bar.setValue(k * 40)
        steps.append(timed(shown.viewport().grab))
    found["scroll, seen cells"] = steps
    for sort in Sort:
        found[f"sort: {sort}"] = [
            timed(partial(review.controller.show_view, View(sort), 7)) for _ in range(5)
        ]
    for view in (
        View(Sort.DOUBT, Show.OPEN),
        View(Sort.DOUBT, class_id=review.controller.class_list()[0].id),
    ):
        name = f"filter: {view.show if view.class_id is None else 'class'}"
        found[name] = [timed(partial(review.controller.show_view, view)) for _ in range(5)]
    review.map_section.set_open(True)
    window.wait(lambda: not review.map.busy)
    scatter = review.map.scatter
    found["the map drawn"] = [
        timed(lambda: (review.map.recolor(), scatter.grab())) for _ in range(10)
    ]
    return found


def line(name: str, values: list[float]) -> str:
    """Return one row of the table."""
    return f"{name:<28} median {np.median(values):7.2f} ms   95 % {np.percentile(values, 95):7.2f} ms   n {len(values)}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--cells", type=int, default=20_000)
    options.add_argument("--decisions", type=int, default=100)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder, "settings.yaml"))
        os.environ["CELLCLS_HOME"] = str(Path(folder, "home"))
        window = Window(given.cells)
        lines = [f"open the dock, all drawn      {1000 * window.open():7.0f} ms"]
        window.rest()
        window.review.act("accept")  # starts a project
        window.rest()
        for name, values in decisions(window, given.decisions).items():
            lines.append(line(name, values))
        lines.append(line("commit", commits(window, given.decisions)))
        lines.append(line("three flushes of the disk", flushes(given.decisions)))
        for name, values in gallery(window).items():
            lines.append(line(name, values))
        if window.review.error.error is not None:
            lines.append(str(window.review.error.error))
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        window.viewer.window.remove_dock_widget(window.review)
        window.viewer.close()


if __name__ == "__main__":
    main()
