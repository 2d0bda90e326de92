"""Make the pictures of the dock for the manual from the samples, in a real window.

Run under a display of at least 1600 x 1200, for example::

    LIBGL_ALWAYS_SOFTWARE=1 xvfb-run -a -s "-screen 0 1600x1200x24" python docs/screenshots.py
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

IMAGES = Path(__file__).with_name("images")
SHOTS = {"smear": ("thin-smear", 1.5), "fluorescence": ("rgby-field", 1.0)}
REVIEWS = {
    "review_smear": ("thin-smear", "decisions"),
    "review_fluorescence": ("rgby-field", "classes"),
    "review_map": ("thin-smear", "map"),
    "review_carried": ("thin-smear", "carried"),
    "review_suspects": ("thin-smear", "suspects"),
    "review_why": ("thin-smear", "why"),
}
DIALOGS = ("groups",)
SIZE, TALL = (1500, 950), (1500, 1120)


def wait_until(done: Callable[[], bool], seconds: float = 180.0) -> None:
    """Run the event loop until ``done``."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError("the window did not get ready")
        QApplication.processEvents()
        time.sleep(0.01)


def settle(seconds: float = 1.0) -> None:
    """Let drawing and layout come to rest."""
    start = time.monotonic()
    wait_until(lambda: time.monotonic() - start > seconds)


def shoot(name: str, sample: str, zoom: float) -> None:
    """Save the window with one sample before and after classifying."""
    import napari
    from napari.settings import get_settings

    get_settings().appearance.theme = "dark"
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    viewer.open_sample("napari-cellcls", sample)
    _, widget = viewer.window.add_plugin_dock_widget("napari-cellcls", "Classify cells")
    settle()
    viewer.reset_view()
    viewer.scene.camera.zoom *= zoom
    wait_until(lambda: not widget.controller.busy and bool(widget.controller.catalog.reports))
    settle()
    save(viewer, IMAGES / f"widget_{name}_before.png")
    widget.run.classify_button.click()
    wait_until(lambda: not widget.controller.busy)
    failure = widget.error.error or widget.session.obstacle
    if widget.session.predictions is None:
        raise failure or RuntimeError("nothing was classified")
    settle(2.0)
    save(viewer, IMAGES / f"widget_{name}_after.png")
    viewer.close()


def shoot_review(name: str, sample: str, part: str) -> None:
    """Save the dock *Review cells* after some decisions, with the class editor, or with the map."""
    import napari
    from napari.settings import get_settings

    get_settings().appearance.theme = "dark"
    viewer = napari.Viewer()
    viewer.window.resize(*TALL)
    viewer.open_sample("napari-cellcls", sample)
    _, classify = viewer.window.add_plugin_dock_widget("napari-cellcls", "Classify cells")
    wait_until(lambda: not classify.controller.busy)
    classify.run.classify_button.click()
    wait_until(lambda: not classify.controller.busy)
    _, review = viewer.window.add_plugin_dock_widget("napari-cellcls", "Review cells")
    wait_until(lambda: not review.busy)
    settle()
    review.view_bar.sections.setChecked(part == "classes")
    settle(0.5)
    # What is doubtful in this sample are healthy cells, touching ones most of all.
    healthy = "class:uninfected"
    keys = (healthy, healthy, healthy, "bad_segmentation", "skip", healthy)
    if part in LATER:
        LATER[part](review, classify)
        save(viewer, IMAGES / f"{name}.png")
        viewer.window.remove_dock_widget(review)
        viewer.close()
        return
    for key in ("accept",) * 3 if part == "classes" else keys:
        review.act(key)
        settle(0.3)
    if part == "classes":
        review.classes_section.set_open(True)
    if part == "map":
        review.map_section.set_open(True)
        wait_until(lambda: not review.map.busy)
    settle(0.5)
    if part != "decisions":
        review.halves.lower.verticalScrollBar().setValue(review.decide.height())
    if review.error.error is not None:
        raise review.error.error
    review.tell("")
    viewer.reset_view()
    settle(2.0)
    save(viewer, IMAGES / f"{name}.png")
    viewer.window.remove_dock_widget(review)
    viewer.close()


def accept_all(review: Any) -> None:
    """Label every cell as predicted."""
    review.gallery.selectAll()
    review.act("accept_all")
    settle(0.5)


def segmented_otherwise(labels: Any) -> Any:
    """Return labels as another program might draw them: touching cells joined, some cut, one not seen."""
    import numpy as np

    found = np.array(labels, np.int32)
    left, right = labels[:, :-1], labels[:, 1:]
    touch = (left != right) & (left > 0) & (right > 0)
    pairs, contact = np.unique(np.stack([left[touch], right[touch]]), axis=1, return_counts=True)
    taken: set[int] = set()
    for k in np.argsort(-contact):
        one, other = (int(v) for v in pairs[:, k])
        if len(taken) < 4 and not taken & {one, other}:
            found[found == other] = one
            taken |= {one, other}
    free = [int(v) for v in np.unique(labels)[1:] if int(v) not in taken]
    for label in (free[40], free[90]):
        inside = labels == label
        middle = round(float(np.nonzero(inside)[1].mean()))
        inside[:, :middle] = False
        found[inside] = found.max() + 1
    found[labels == free[60]] = 0
    return found


def carry(review: Any, classify: Any) -> None:
    """Segment the sample otherwise, take the labels over, and go to the first entry left."""
    import numpy as np

    from napari_cellcls.cells.table import cells_from_labels

    accept_all(review)
    session = classify.session
    labels = segmented_otherwise(np.asarray(session.cells.labels))
    session.set_cells(cells_from_labels(labels, session.image.pixel_size_um, "labels"))
    wait_until(lambda: not classify.controller.busy)
    classify.run.classify_button.click()
    wait_until(lambda: not classify.controller.busy)
    settle()
    wait_until(lambda: not review.busy)
    shown = review.carried_panel.list
    split = next(k for k in range(shown.count()) if shown.item(k).text().startswith("split"))
    shown.setCurrentRow(split)
    settle(2.0)


def mistake(review: Any, _classify: Any) -> None:
    """Label every cell, some of them wrongly, and look for label errors."""
    from napari_cellcls.review.order import Show

    accept_all(review)
    sheet = review.controller.subject.sheet
    for row in (10, 30, 50):
        review.set_class(sheet.classes[1 - int(sheet.shown[row])].id, [row])
    review.view_bar.show_menu.select(Show.SUSPECTS)
    review.view_bar.show_menu.picked.emit(Show.SUSPECTS)
    wait_until(lambda: not review.busy)
    if len(review.controller.order):
        review.look_at(int(review.controller.order[0]))
    settle(2.0)


def explain(review: Any, _classify: Any) -> None:
    """Label some cells of each class, and ask about one that nobody labeled."""
    import numpy as np

    sheet = review.controller.subject.sheet
    for column in range(2):
        for one in np.flatnonzero(sheet.predicted == column)[1:26]:
            review.set_class(sheet.classes[column].id, [int(one)])
    settle(0.5)
    infected = next(k for k, one in enumerate(sheet.classes) if one.id != "uninfected")
    row = int(np.flatnonzero((sheet.predicted == infected) & ~sheet.mine)[0])
    review.gallery.choose(row)
    review.look_at(row)
    review.act("why")
    wait_until(lambda: not review.busy)
    settle(0.5)
    review.halves.lower.ensureWidgetVisible(review.why_panel)
    settle(2.0)


def shoot_dialog(name: str) -> None:
    """Save the dialog *Groups of images* with a rule read into its table, in the colors of the window."""
    import napari
    from napari.settings import get_settings

    from napari_cellcls.project.project import create_project
    from napari_cellcls.widgets.groups.dialog import GroupsDialog

    get_settings().appearance.theme = "dark"
    viewer = napari.Viewer()
    places = ("P07/day1", "P07/day2", "P12/day1", "P12/day2", "P12/day3", "P31/day1", "control")
    with (
        tempfile.TemporaryDirectory() as folder,
        create_project(Path(folder, "smears.cellcls"), classes=["RBC"]) as project,
    ):
        for place in places:
            path = Path(folder, "data", f"{place}.tif")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(place.encode())
            project.add_image(path)
        dialog = GroupsDialog(project, viewer.window._qt_window)
        dialog.resize(860, 560)
        dialog.show()
        dialog.rule.edit.setText(r"/(?P<patient>P\d+)/")
        dialog.fill_from_paths()
        dialog.model.write([(0, 5, "1"), (1, 5, "1")])
        dialog.sheet.select_rows(0, 1, 5)
        settle(1.0)
        dialog.grab().save(str(IMAGES / f"{name}.png"))
        dialog.done(0)
    viewer.close()


LATER: dict[str, Callable[[Any, Any], None]] = {
    "carried": carry,
    "suspects": mistake,
    "why": explain,
}


def save(viewer: Any, path: Path) -> None:
    """Save the whole window."""
    path.parent.mkdir(parents=True, exist_ok=True)
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    sys.stdout.write(f"{path}\n")


def main() -> None:
    """Save all pictures, with settings of their own."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder, "settings.yaml"))
        os.environ["CELLCLS_HOME"] = str(Path(folder, "home"))
        for name in sys.argv[1:] or (*SHOTS, *REVIEWS, *DIALOGS):
            if name in DIALOGS:
                shoot_dialog(name)
            elif name in REVIEWS:
                shoot_review(name, *REVIEWS[name])
            else:
                shoot(name, *SHOTS[name])


if __name__ == "__main__":
    main()
