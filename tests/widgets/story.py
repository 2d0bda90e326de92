"""The whole loop in a window on real smears: open, find, classify, correct by keys, fine-tune, use, roll back, export.

The test and the film strip of the tutorial tell the same story. The answers come from the points that
specialists set into the pictures of Chula RBC-12.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_cellcls.cells.cells import Cells
from napari_cellcls.cells.identity import anchors
from napari_cellcls.cells.segment import find_cells
from napari_cellcls.images.read import open_image
from napari_cellcls.models import registry
from napari_cellcls.project.project import create_project
from napari_cellcls.review.masks import place
from napari_cellcls.vocabulary import CellClass, finish

FIELD = "275"
OTHERS = ("10", "271", "274", "4", "11")
BURR = CellClass("burr_cell", "Burr cell", "#cc79a7")
_NORMAL, _BURR = 0, 8


def image_of(data: Path, field: str) -> Path:
    """Return the picture of a field."""
    return next((data / "chula_rbc12" / "images").glob(f"{field}.*"))


def truth_of(data: Path, field: str, cells: Cells) -> dict[int, str]:
    """Return table row -> class id of every cell that has exactly one point of the two classes."""
    text = (data / "chula_rbc12" / "labels" / f"{field}.txt").read_text()
    points = [tuple(map(int, line.split())) for line in text.splitlines() if line.strip()]
    labels, row_of = np.asarray(cells.labels), {label: row for row, label in enumerate(cells.ids)}
    found: dict[int, list[int]] = {}
    for x, y, kind in points:
        if 0 <= y < labels.shape[0] and 0 <= x < labels.shape[1] and labels[y, x]:
            found.setdefault(row_of[labels[y, x]], []).append(kind)
    names = {_NORMAL: "rbc", _BURR: "burr_cell"}
    return {
        row: names[kinds[0]]
        for row, kinds in found.items()
        if len(kinds) == 1 and kinds[0] in names
    }


def others_labeled(data: Path, folder: Path, per_field: int = 40) -> Path:
    """Make a project in which a colleague has labeled five other fields; return its folder."""
    known = registry.load("blood-cells").manifest.scheme.classes[:1]
    with create_project(folder / "burr cells", classes=[*known, BURR], annotator="ben") as project:
        for field in OTHERS:
            path = image_of(data, field)
            cells = finish(find_cells(open_image(path), "blood"))
            truth = truth_of(data, field, cells)
            every = anchors(cells, project.add_image(path))
            rare = [row for row, kind in truth.items() if kind == BURR.id]
            rows = (rare + [row for row in truth if row not in rare])[:per_field]
            place(project.journal, [every[row] for row in rows])
            for row in rows:
                project.journal.label(every[row].cell_id, truth[row])
        project.journal.flush()
        return project.folder


def label_by_keys(
    review: Any, classify: Any, data: Path, wanted: int, wait: Callable[[], None]
) -> int:
    """Give so many cells their class by keys, the others a skip; return how many keys it took."""
    truth = truth_of(data, FIELD, classify.session.cells)
    key_of = {one.id: str(n) for n, one in enumerate(review.controller.class_list(), start=1)}
    pressed = labeled = 0
    while labeled < wanted and pressed < 6 * wanted:
        row = review.gallery.current_row
        key = key_of[truth[row]] if row in truth else "s"
        QTest.keyClick(review.gallery, getattr(Qt.Key, f"Key_{key.upper()}"))
        wait()
        pressed, labeled = pressed + 1, labeled + (row in truth)
    return pressed


class Story:
    """One window, one loop.

    Parameters
    ----------
    viewer : napari.Viewer
    data : Path
        Folder of real images.
    folder : Path
        Where project and export go.
    until : callable
        Runs the event loop until something is true.
    picture : callable
        Told the name of each scene, once it is set.
    """

    def __init__(
        self,
        viewer: Any,
        data: Path,
        folder: Path,
        until: Callable[[Callable[[], bool]], None],
        picture: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.viewer, self.data, self.folder = viewer, data, folder
        self.until, self.picture = until, picture
        self.classify: Any = None
        self.review: Any = None
        self.tune: Any = None

    def open_and_classify(self) -> None:
        """Open a field, find all cells of blood, classify them."""
        self.viewer.open(str(image_of(self.data, FIELD)), plugin="napari-cellcls")
        self.classify = self._dock("Classify cells")
        self.until(lambda: not self.classify.controller.busy)
        model = next(o for o in self.classify.inputs.model.options if o.text == "blood-cells")
        self.classify.inputs.model_picked.emit(model.value)
        self.classify.inputs.cells_picked.emit("blood")
        self.until(lambda: not self.classify.controller.busy)
        self.classify.run.classify_button.click()
        self.until(lambda: not self.classify.controller.busy)
        self.picture("1_classified")

    def correct(self, wanted: int = 30) -> int:
        """Open the project of the colleague and label cells by keys."""
        project = others_labeled(self.data, self.folder)
        self.review = self._dock("Review cells")
        self.until(lambda: not self.review.busy)
        self.review.open_project(str(project))
        self.until(lambda: not self.review.busy)
        self.review.window().activateWindow()
        self.review.gallery.setFocus()
        self.until(self.review.gallery.hasFocus)
        pressed = label_by_keys(
            self.review,
            self.classify,
            self.data,
            wanted,
            lambda: self.until(lambda: not self.review.busy),
        )
        self.picture("2_corrected")
        return pressed

    def fine_tune(self) -> None:
        """Learn quickly, and read the verdict."""
        self.tune = self._dock("Fine-tune")
        self.until(lambda: not self.tune.busy)
        blank = next(o for o in self.tune.teach.base.options if o.text.startswith("blank"))
        self.tune.teach.base_picked.emit(blank.value)
        self.tune.teach.base.select(blank.value)
        self.until(lambda: not self.tune.busy)
        self.picture("3_labels")
        self.tune.run.start_button.click()
        self.until(lambda: not self.tune.busy)
        self.picture("4_verdict")

    def use_it(self) -> None:
        """Take the new model into use."""
        self.tune.verdict.use_button.click()
        self.until(lambda: not self.classify.controller.busy and not self.review.busy)
        self.tune.versions_section.set_open(True)
        self.picture("5_used")

    def export(self) -> Path:
        """Save the cells with their classes as a table."""
        target = self.folder / "burr cells.csv"
        layer = self.classify.controller.layers.cells_layer
        layer.save(str(target), plugin="napari-cellcls")
        return target

    def roll_back(self) -> None:
        """Go back to the model before."""
        self.tune.versions.back_button.click()
        self.until(lambda: not self.classify.controller.busy and not self.review.busy)
        self.picture("6_rolled_back")

    def end(self) -> None:
        """Close the docks, which frees the project."""
        for dock in (self.tune, self.review, self.classify):
            if dock is not None:
                self.viewer.window.remove_dock_widget(dock)

    def _dock(self, name: str) -> Any:
        return self.viewer.window.add_plugin_dock_widget("napari-cellcls", name)[1]
